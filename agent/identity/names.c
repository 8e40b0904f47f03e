/* names: the files, and the kernel's name. Worker thread. */
#include "agent/identity/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/undo.h"
#include "agent/share/smbconf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define REGISTRY_USUAL "/var/lib/samba"

static bool label_fits(const char *s, size_t n)
{
    if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '-')
            return false;
    return true;
}

bool names_host_valid(const char *s)
{
    return label_fits(s, strlen(s));
}

bool names_netbios_valid(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 15 || s[0] == '-' || s[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("-_.!#$%&()@^{}~", s[i]))
            return false;
    return true;
}

bool names_full_valid(const char *s)
{
    if (strlen(s) > 253)
        return false;
    for (;;) {
        size_t n = strcspn(s, ".");
        if (!label_fits(s, n))
            return false;
        if (!s[n])
            return true;
        s += n + 1;
    }
}

int names_write(const struct site *v, const char *path, const char *text, unsigned mode)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, path);
    CLEANUP(mem_free) char *now = NULL;
    struct stat st = {.st_mode = mode};
    size_t len = 0;
    int rc = file_read(full, NAMES_FILE_MAX, &now, &len);
    if (rc == 0 && len == strlen(text) && memcmp(now, text, len) == 0)
        return 0;
    if (rc < 0 && rc != -ENOENT)
        return rc;
    rc = undo_keep_file(v->undo, full);
    (void)stat(full, &st);
    if (rc == 0)
        rc = file_write(full, st.st_mode & 07777, text, strlen(text));
    return rc < 0 ? rc : 1;
}

int names_restore_host(const struct site *v, const char *name)
{
    if (*v->root)
        return 0;
    return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}

/* hostnamed is told by the file's change when it is asked next; it need not run for this. */
int names_set_host(const struct site *v, const char *name, struct fault *reterr)
{
    char now[256] = "";
    CLEANUP(mem_free) char *line = xasprintf("%s\n", name);
    if (gethostname(now, sizeof now - 1) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "this host has no name");
    int rc = undo_keep_host_name(v->undo, now);
    if (rc == 0)
        rc = names_write(v, "/etc/hostname", line, 0644);
    int changed = rc == 1 || strcmp(now, name) != 0;
    if (rc >= 0)
        rc = names_restore_host(v, name);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot name this host %.64s: %s", name,
                              strerror(-rc))
                  : changed;
}

int names_edit_hosts(const struct site *v, const struct hosts_edit *e, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/etc/hosts", v->root);
    CLEANUP(mem_free) char *now = NULL;
    size_t len = 0;
    int rc = file_read(path, NAMES_FILE_MAX, &now, &len);
    if (rc == 0 || rc == -ENOENT) {
        CLEANUP(mem_free) char *after = names_hosts(now ? now : "", e);
        rc = names_write(v, "/etc/hosts", after, 0644);
    }
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot change /etc/hosts: %s",
                              strerror(-rc))
                  : rc;
}

char *names_ask_conf(const struct site *v, const char *parameter)
{
    CLEANUP(mem_free) char *which = xasprintf("--parameter-name=%s", parameter);
    const char *const argv[] = {"testparm", "-s", which, NULL};
    const struct program_call c = {.argv = argv, .search = v->search, .max_out = 64U << 10};
    struct program_output o;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) < 0)
        return xstrdup("");
    size_t n = strcspn(o.out, "\n");
    while (n > 0 && isspace((unsigned char)o.out[n - 1]))
        n--;
    char *value = o.code == 0 ? xmemdup(o.out, n) : xstrdup("");
    program_done(&o);
    return value;
}

/* Lists come back with other separators. */
static bool means(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == ',' || isspace((unsigned char)*a))
            a++;
        while (*b == ',' || isspace((unsigned char)*b))
            b++;
        if (toupper((unsigned char)*a) != toupper((unsigned char)*b))
            return false;
        if (!*a)
            return true;
    }
}

/* What Samba makes of [global], with one call for all; NULL when it says nothing. */
static struct smbconf *read_globals(const struct site *v)
{
    static const char *const argv[] = {"testparm", "-s", "--section-name=global", NULL};
    const struct program_call c = {.argv = argv, .search = v->search, .max_out = 256U << 10};
    struct program_output o;
    struct smbconf *conf = NULL;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) < 0)
        return NULL;
    if (o.code == 0 && smbconf_parse(o.out, strlen(o.out), &conf, &unused) < 0)
        conf = NULL;
    program_done(&o);
    return conf;
}

/* A value that is the default is not among them: it is asked for alone. */
static int check_conf(const struct site *v, const struct conf_set *sets, size_t n,
                      struct fault *reterr)
{
    CLEANUP(smbconf_free) struct smbconf *conf = read_globals(v);
    const struct smbconf_section *global = conf ? smbconf_find(conf, "global") : NULL;
    for (size_t i = 0; i < n; i++) {
        if (!sets[i].value || !*sets[i].value)
            continue;
        const char *said = global ? smbconf_value(global, sets[i].name) : NULL;
        if (said && means(said, sets[i].value))
            continue;
        CLEANUP(mem_free) char *is = names_ask_conf(v, sets[i].name);
        if (!means(is, sets[i].value))
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                             "Samba reads '%.30s' as '%.60s', not as '%.60s': another file or the "
                             "registry says otherwise",
                             sets[i].name, is, sets[i].value);
    }
    return 0;
}

/* Do settings of the registry come behind those of smb.conf, or in their place? */
static bool has_registry(const char *conf)
{
    CLEANUP(smbconf_free) struct smbconf *c = NULL;
    struct fault unused = {.err = 0};
    if (smbconf_parse(conf, strlen(conf), &c, &unused) < 0)
        return false;
    const struct smbconf_section *g = smbconf_find(c, "global");
    for (size_t i = 0; g && i < g->nparams; i++)
        if ((smbconf_same(g->params[i].name, "config backend") ||
             smbconf_same(g->params[i].name, "include")) &&
            strcasecmp(g->params[i].value, "registry") == 0)
            return true;
    return false;
}

/* What it says of these is changed there too, once the data base was kept. */
static int edit_registry(const struct site *v, const struct conf_set *sets, size_t n,
                         struct fault *reterr)
{
    CLEANUP(mem_free) char *folder = names_ask_conf(v, "state directory");
    CLEANUP(mem_free)
    char *path = xasprintf("%s%s/registry.tdb", v->root, *folder == '/' ? folder : REGISTRY_USUAL);
    int rc = undo_keep_file(v->undo, path);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot note %.120s", path);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        bool gone = !sets[i].value || !*sets[i].value;
        const char *const argv[] = {"net",    "conf",       gone ? "delparm" : "setparm",
                                    "global", sets[i].name, gone ? NULL : sets[i].value,
                                    NULL};
        const struct program_call c = {.argv = argv, .search = v->search, .max_out = 64U << 10};
        struct program_output o;
        rc = program_run(&c, &o, reterr);
        if (rc < 0)
            return rc;
        if (o.code != 0 && !gone) { /* what is not there cannot be taken away */
            CLEANUP(mem_free) char *words = program_words(&o);
            rc = fault_set(reterr, FAULT_STOP_JOB, EIO, "net conf setparm ended with %d: %.120s",
                           o.code, words);
        }
        program_done(&o);
    }
    return rc;
}

int names_edit_conf(const struct site *v, const struct conf_set *sets, size_t n,
                    struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s" NAMES_CONF, v->root);
    CLEANUP(mem_free) char *now = NULL;
    size_t len = 0;
    int rc = file_read(path, NAMES_FILE_MAX, &now, &len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read %s: %s", path, strerror(-rc));
    CLEANUP(mem_free) char *after = names_globals(now, sets, n);
    int changed = names_write(v, NAMES_CONF, after, 0644);
    if (changed < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -changed, "cannot write %s: %s", path,
                         strerror(-changed));
    rc = check_conf(v, sets, n, reterr);
    if (rc < 0 && has_registry(now)) {
        rc = edit_registry(v, sets, n, reterr);
        if (rc == 0)
            rc = check_conf(v, sets, n, reterr);
        changed = 1;
    }
    if (rc < 0 && changed)
        (void)names_write(v, NAMES_CONF, now, 0644);
    return rc < 0 ? rc : changed;
}
