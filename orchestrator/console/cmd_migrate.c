/* cmd_migrate: `godwit migrate SRC DST`: one folder to another on this machine, with an embedded
 * orchestrator and two agents; nothing keeps running. Main thread. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "orchestrator/console/migrate_place.h"
#include "orchestrator/console/migration.h"
#include "orchestrator/console/place.h"

#define ROOT_KEEPS "/var/lib/godwit/migrate"

/* Where all that is kept begins; malloc'd, NULL when there is no place. */
static char *keep_base(const struct migrate_opts *o)
{
    if (o->keep)
        return xstrdup(o->keep);
    if (geteuid() == 0)
        return xstrdup(ROOT_KEEPS);
    CLEANUP(mem_free) char *user = place_user();
    if (user)
        return xasprintf("%s/migrate", user);
    char temp[] = "/tmp/godwit-XXXXXX"; /* a fixed name could be somebody else's */
    if (!mkdtemp(temp))
        return NULL;
    run_say("there is no home folder: what this run keeps is in %s, and the next run will not know "
            "of it; --keep DIR names a better place",
            temp);
    return xstrdup(temp);
}

/* One folder for each pair of folders, so that the next run knows what this one did. 0700, ours. */
static int keep_dir(struct migration *m)
{
    CLEANUP(mem_free) char *base = keep_base(m->opts);
    CLEANUP(mem_free) char *both = xasprintf("%s\n%s", m->src, m->dst);
    uint8_t digest[SHA256_LEN];
    char id[17];
    sha256_of(both, strlen(both), digest);
    text_hex(digest, 8, id);
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", base ? base : "/tmp", id);
    int rc = base ? file_mkdirs(path, 0700) : -errno;
    m->dir = rc == 0 ? realpath(path, NULL) : NULL;
    struct stat st;
    if (rc == 0 && (!m->dir || stat(m->dir, &st) < 0))
        rc = -errno;
    if (rc == 0 && (st.st_uid != geteuid() || (st.st_mode & 077)))
        rc = -EPERM;
    return rc < 0 ? run_fail(EXIT_FAILED,
                             "cannot keep state in %s (%s): name another folder with "
                             "--keep",
                             path, strerror(-rc))
                  : EXIT_DONE;
}

/* Our own state changes while it is read, and must not be deleted as something SRC does not have.
 */
static int check_apart(const struct migration *m)
{
    bool from = place_inside(m->dir, m->src);
    if (!from && !(m->opts->delete_extras && place_inside(m->dir, m->dst)))
        return EXIT_DONE;
    CLEANUP(mem_free) char *parent = xstrdup(m->dir);
    (void)rmdir(m->dir); /* when we have just made them */
    (void)rmdir(dirname(parent));
    return run_fail(EXIT_USAGE,
                    "what this migration keeps (%s) lies inside the %s: name another folder with "
                    "--keep",
                    m->dir, from ? "source" : "destination, where --delete would remove it");
}

static int lock_dir(const struct migration *m, int *retlock)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/lock", m->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return run_fail(EXIT_FAILED, "cannot use %s: %s", path, strerror(errno));
    *retlock = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return run_fail(EXIT_CONFLICT, "these two folders are being migrated already");
    return EXIT_DONE;
}

static int migrate_run(struct run *r)
{
    struct migration m = {.opts = r->opts};
    struct fault f = {0};
    CLEANUP(fd_close) int lock = -1;
    uint64_t rate = 0;
    if (m.opts->rate && rate_parse(m.opts->rate, &rate) < 0)
        return run_fail(EXIT_USAGE, "\"%.40s\" is no rate such as 50MiB/s or 200Mbit/s",
                        m.opts->rate);
    int rc = migrate_places(r->words[0], r->words[1], &m.src, &m.dst, &f);
    if (rc)
        return run_fail(rc, "%s", f.text);
    rc = keep_dir(&m);
    if (rc == EXIT_DONE)
        rc = check_apart(&m);
    if (rc == EXIT_DONE)
        rc = lock_dir(&m, &lock);
    if (rc == EXIT_DONE)
        rc = migration_run(&m, r);
    free(m.src);
    free(m.dst);
    free(m.dir);
    free(m.job);
    return rc;
}

#define FLAG(name_, member_, help_)                                                                \
    {                                                                                              \
        .name = (name_), .kind = OPT_BOOL, .off = offsetof(struct migrate_opts, member_),          \
        .def = "no", .help = (help_)                                                               \
    }

static const struct option_row options[] = {
    FLAG("delete", delete_extras, "Removes from DST what SRC does not have."),
    FLAG("dry-run", dry_run, "Says what would be done, and changes nothing."),
    {.name = "compress",
                                                                           .kind = OPT_ENUM,
                                                                           .off = offsetof(struct migrate_opts, compress),
                                                                           .def = "auto",
                                                                           .choices = "auto|on|off",
                                                                           .help = "Compression on the way; on one machine it seldom pays."},
    {.name = "snapshot",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, snapshot),
                                                                           .value = "HOW",
                                                                           .def = "none",
                                                                           .help =
         "none reads SRC as it is; auto from a snapshot where its file system takes one (btrfs); "
         "hook:NAME runs /etc/godwit/hooks/NAME before and after."},
    FLAG("checksum", checksum, "Reads both sides instead of trusting size and times."),
    FLAG("delta", delta, "Of large files changed in place, sends only the blocks that differ."),
    FLAG("one-file-system", one_file_system, "Stays on the file system of SRC."),
    {.name = "verify",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, verify),
                                                                           .def = "in-flight",
                                                                           .value = "in-flight|full|sample:N%",
                                                                           .help = "What is read again from DST's disk and compared, after it was copied."},
    {.name = "manifest",
                                                                           .kind = OPT_ENUM,
                                                                           .off = offsetof(struct migrate_opts, manifest),
                                                                           .def = "off",
                                                                           .choices = "off|sha256",
                                                                           .help = "A signed list of all files with their SHA-256."},
    {.name = "rate",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, rate),
                                                                           .value = "RATE",
                                                                           .help = "Sends no faster than that: 50MiB/s, 200Mbit/s."},
    {.name = "override",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, override),
                                                                           .value = "ID",
                                                                           .repeat = true,
                                                                           .help = "A check that need not pass: source-root, when SRC is on another disk than it was and "
             "that is meant."},
    FILTER_ROWS(migrate_opts),
    FLAG("quiet", quiet, "No progress and no report on the screen; errors and the exit code only."),
    {.name = "keep",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, keep),
                                                                           .value = "DIR",
                                                                           .help = "Where reports, and what the next run has to know, are kept. Default: " ROOT_KEEPS
             " for root, else ~/.local/state/godwit/migrate."},
    {.name = NULL                                                                         },
};

static const char *const examples[] = {
    "godwit migrate /srv/data /mnt/new/data           # what is in data becomes what is in "
    "new/data",
    "godwit migrate /srv/data /mnt/new/data           # again: sends only what changed",
    "godwit migrate ~/a ~/b --delete --dry-run        # says what would be removed",
    NULL,
};

const struct command migrate_commands[] = {
    {.noun = "migrate",
     .words = "SRC DST",
     .min_words = 2,
     .max_words = 2,
     .kind = WORD_FILE,
     .options = options,
     .opts_size = sizeof(struct migrate_opts),
     .help = "Makes what is in SRC what is in DST, on this machine, without any set-up.",
     .more = "Starts an orchestrator and two agents for the time of the migration; they speak over "
             "encrypted loopback connections, and nothing keeps running. An ordinary user migrates "
             "what that user may read, and is told what could not be kept. A second run sends only "
             "what changed. Ctrl-C stops at a safe point.", .examples = examples,
     .own_process = true,
     .run = migrate_run},
    {.noun = NULL   },
};
