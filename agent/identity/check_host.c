/* check_host: the part of the pre-flight that needs no directory: who holds the agent, whether the
 * timer can be set, what the shares' file systems keep, and who else knows this host by its name.
 * Changes nothing but a file of its own, which it removes. Process with rights. */
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/identity/check.h"
#include "agent/identity/guard.h"
#include "agent/share/smbconf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define TEXT_MAX (1U << 20)
#define SCARCE 50 /* one fiftieth of a file system */

#define ADD(r_, ...) check_add((r_)->result, __VA_ARGS__)

static char *ask(const struct stage_run *r, const char *const *argv)
{
    const struct program_call c = {
        .argv = argv, .search = r->site.search, .max_out = TEXT_MAX, .timeout_ms = 10000};
    struct program_output o;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) < 0)
        return NULL;
    char *text = o.code == 0 ? xstrdup(o.out) : NULL;
    program_done(&o);
    return text;
}

/* ── control ── */

/* What a cutover stops must not take the agent along. */
const char *check_holds_agent(const char *text)
{
    static const char *const names[] = {"smbd.service", "nmbd.service", "winbind.service",
                                        "sssd.service", "samba.service"};
    static const char *const bonds[] = {"Requires=", "BindsTo=", "PartOf=", "Requisite="};
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        CLEANUP(mem_free) char *line = xmemdup(at, strcspn(at, "\n"));
        for (size_t b = 0; b < ARRAY_SIZE(bonds); b++)
            for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strncmp(line, bonds[b], strlen(bonds[b])) == 0 && strstr(line, names[i]))
                    return names[i];
    }
    return NULL;
}

static void check_control(struct stage_run *r)
{
    static const char *const argv[] = {
        "systemctl", "show", "--property=Requires,BindsTo,PartOf,Requisite,Restart,ActiveState",
        "godwit-agent.service", NULL};
    CLEANUP(mem_free) char *text = ask(r, argv);
    const char *held = text ? check_holds_agent(text) : NULL;
    if (held)
        ADD(r, "control", "fail", "take it out of the unit's drop-ins (systemctl edit)",
            "the agent's unit ends with %s, which a cutover stops", held);
    else if (text && strstr(text, "ActiveState=active") && strstr(text, "Restart=no\n"))
        ADD(r, "control", "warn", "Restart=on-failure in the agent's unit",
            "an agent that ends is not started again");
    else
        ADD(r, "control", "pass", "", "the agent hangs on no service that a cutover stops");
}

/* The timer, as it is set later: does it hold, and does it run out? */
static void check_timer(struct stage_run *r)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/run/timer", r->home);
    CLEANUP(mem_free) char *file = xasprintf("%s/guard", folder);
    int rc = file_mkdirs(folder, 0700);
    if (rc == 0)
        rc = guard_set(folder, 600);
    bool holds = rc == 0 && guard_is_set(folder) && guard_left_s(folder) > 500;
    struct guard g = {.silence_ms = 1, .until_boot_ms = 1};
    bool fires = guard_due(&g, "", 1, 1);
    (void)unlink(file);
    (void)rmdir(folder);
    if (holds && fires)
        ADD(r, "timer", "pass", "", "the dead-man timer can be set, and runs out");
    else
        ADD(r, "timer", "fail", "see that the agent's state folder can be written",
            "the dead-man timer cannot be set: %s", strerror(rc < 0 ? -rc : EIO));
}

/* ── shares ── */

static void check_place(struct stage_run *r, const char *share, const char *path)
{
    struct statvfs fs;
    char value[1];
    CLEANUP(mem_free) char *full = xasprintf("%s%s", r->site.root, path);
    CLEANUP(mem_free) char *id = xasprintf("space %s", share);
    CLEANUP(mem_free) char *acls = xasprintf("acls %s", share);
    static const char *const names[] = {"security.NTACL", "system.posix_acl_access"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (getxattr(full, names[i], value, 0) < 0 && errno == ENOTSUP)
            ADD(r, acls, "warn", "move the share to a file system that keeps them",
                "the file system of %s keeps no %s", path, names[i]);
    if (statvfs(full, &fs) == 0 && fs.f_blocks > 0 && fs.f_bavail < fs.f_blocks / SCARCE)
        ADD(r, id, "warn", "make room before users write there",
            "%s has less than a fiftieth of its room left", path);
}

static void check_places(struct stage_run *r, const struct smbconf *conf)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    for (size_t i = 0; i < p->n_shares; i++) {
        const struct smbconf_section *s = smbconf_find(conf, p->shares[i]->name);
        const char *path = s ? smbconf_value(s, "path") : NULL;
        if (path && path[0] == '/' && !strchr(path, '%'))
            check_place(r, p->shares[i]->name, path);
    }
}

/* ── accounts of a workgroup server ── */

/* "alice:3001:3001": its passdb comes along, and refers to these. */
static bool same_account(const char *line, char **retname, long *retuid, long *retgid)
{
    char *end = NULL;
    size_t n = strcspn(line, ":");
    if (!line[n])
        return false;
    *retname = xmemdup(line, n);
    *retuid = strtol(line + n + 1, &end, 10);
    *retgid = *end == ':' ? strtol(end + 1, NULL, 10) : -1;
    return true;
}

static void check_accounts(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    size_t missing = 0, other = 0;
    CLEANUP(mem_free) char *first = NULL;
    for (size_t i = 0; i < p->n_accounts; i++) {
        char *name = NULL;
        long uid = 0, gid = 0;
        if (!same_account(p->accounts[i], &name, &uid, &gid))
            continue;
        const struct passwd *pw = getpwnam(name);
        missing += !pw;
        other += pw && (long)pw->pw_uid != uid;
        if (!first && (!pw || (long)pw->pw_uid != uid))
            first = xstrdup(name);
        free(name);
    }
    if (missing)
        ADD(r, "accounts", "fail", "godwit job create --accounts rename brings them",
            "%zu users of the source's Samba are no users of this host, the first: %s", missing,
            first);
    else if (other)
        ADD(r, "accounts", "warn", "see that the job maps their ids (--accounts, --map)",
            "%zu users of the source have another id here, the first: %s", other, first);
    else if (p->n_accounts)
        ADD(r, "accounts", "pass", "", "%zu users with the same ids", p->n_accounts);
}

/* ── who else knows this host: told, not guessed ── */

static size_t count_files(const struct stage_run *r, const char *path)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", r->site.root, path);
    size_t n = 0;
    DIR *d = opendir(full);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}

static void check_consumers(struct stage_run *r)
{
    size_t jobs = count_files(r, "/etc/cron.d") + count_files(r, "/var/spool/cron/crontabs");
    size_t keys = count_files(r, "/etc/ssl/private");
    if (jobs)
        ADD(r, "jobs", "warn", "look which of them belong to the server, and write them anew there",
            "%zu files of cron stay on this host", jobs);
    if (keys)
        ADD(r, "certificates", "warn", "put those for the old name on the destination",
            "%zu keys in /etc/ssl/private stay on this host", keys);
}

static void check_dfs(struct stage_run *r, const struct smbconf *conf)
{
    for (size_t i = 0; i < conf->nsections; i++) {
        const char *root = smbconf_value(&conf->sections[i], "msdfs root");
        if (root && strcasecmp(root, "yes") == 0)
            ADD(r, "dfs", "warn", "see that its links are the same on the destination",
                "[%s] is a root of DFS", conf->sections[i].name);
    }
}

void check_host(struct stage_run *r, bool source, const struct smbconf *conf)
{
    check_control(r);
    check_timer(r);
    if (source)
        check_consumers(r);
    if (source && conf)
        check_dfs(r, conf);
    if (!source && conf)
        check_places(r, conf);
    if (!source && !r->order->plan->domain)
        check_accounts(r);
}
