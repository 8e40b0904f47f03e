/* cmd_migrate: `godwit migrate SRC DST`: one folder to another on this machine, with an embedded
 * orchestrator and two agents; nothing keeps running. Main thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "orchestrator/console/migrate_place.h"
#include "orchestrator/console/migration.h"
#include "orchestrator/console/place.h"

#define ROOT_KEEPS "/var/lib/godwit/migrate"

/* One folder for each pair of folders, so that the next run knows what this one did. */
static int make_dir(struct migration *m, int *retlock)
{
    CLEANUP(mem_free) char *user = m->opts->keep || geteuid() == 0 ? NULL : place_user();
    CLEANUP(mem_free)
    char *base = m->opts->keep    ? xstrdup(m->opts->keep)
                 : geteuid() == 0 ? xstrdup(ROOT_KEEPS)
                 : user           ? xasprintf("%s/migrate", user)
                                  : xasprintf("/tmp/godwit-%u", geteuid());
    uint8_t digest[SHA256_LEN];
    char id[17];
    CLEANUP(mem_free) char *both = xasprintf("%s\n%s", m->src, m->dst);
    sha256_of(both, strlen(both), digest);
    text_hex(digest, 8, id);
    m->dir = xasprintf("%s/%s", base, id);
    int rc = file_mkdirs(m->dir, 0700);
    struct stat st;
    if (rc == 0 && (lstat(m->dir, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077)))
        rc = -EPERM;
    CLEANUP(mem_free) char *path = xasprintf("%s/lock", m->dir);
    int fd = rc == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (rc == 0 && fd < 0)
        rc = -errno;
    if (rc < 0)
        return run_fail(EXIT_FAILED,
                        "cannot keep state in %s (%s): name another folder with --keep", m->dir,
                        strerror(-rc));
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
    int rc = migrate_places(r->words[0], r->words[1], &m.src, &m.dst, &f);
    if (rc)
        return run_fail(rc, "%s", f.text);
    rc = make_dir(&m, &lock);
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
    FLAG("checksum", checksum, "Reads both sides instead of trusting size and times."),
    FLAG("one-file-system", one_file_system, "Stays on the file system of SRC."),
    FLAG("quiet", quiet, "No progress and no report on the screen; errors and the exit code only."),
    {.name = "keep",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, keep),
                                                                           .value = "DIR",
                                                                           .help = "Where reports, and what the next run has to know, are kept. Default: " ROOT_KEEPS
             " for root, else ~/.local/state/godwit/migrate."},
    {.name = NULL                      },
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
