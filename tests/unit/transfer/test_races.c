/* test_races: a local user of either host swaps entries for links while root copies, and gains
 * nothing: what lies outside the tree is neither read into it for him nor changed. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/attacker.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define SECRET "the secret that nobody may have: 7b1c2a55"
#define SECRET_BYTES 5000
#define STASH 250
#define FIFOS 300
#define FILLERS 250 /* time passes between the look at an entry and what is done with it */

static char secret_dir[96], secret_file[112], inside[112], secret_pipe[112];

/* ── the secret ── */

static void put_secret(const char *path)
{
    char text[SECRET_BYTES];
    memset(text, '.', sizeof text);
    memcpy(text, SECRET, sizeof SECRET - 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
    /* The time that what the source has will have as well: the same by size and time. */
    const struct timespec times[2] = {
        {1000000000, 5},
        {1000000000, 5}
    };
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
}

static void make_secrets(void)
{
    (void)snprintf(secret_dir, sizeof secret_dir, "%s/outside", base);
    (void)snprintf(secret_file, sizeof secret_file, "%s/file", secret_dir);
    (void)snprintf(inside, sizeof inside, "%s/inside", secret_dir);
    assert_int_equal(mkdir(secret_dir, 0700), 0);
    assert_int_equal(chmod(base, 0755), 0);
    (void)snprintf(secret_pipe, sizeof secret_pipe, "%s/pipe", secret_dir);
    put_secret(secret_file);
    put_secret(inside);
    assert_int_equal(mkfifo(secret_pipe, 0600), 0);
}

static void assert_file_untouched(const char *path, nlink_t most_names)
{
    struct stat st;
    char text[SECRET_BYTES + 1];
    unsigned flags = 0;
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_nlink <= most_names);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(st.st_gid, 0);
    assert_int_equal(st.st_size, SECRET_BYTES);
    assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    assert_int_equal(listxattr(path, text, sizeof text), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof text), SECRET_BYTES);
    assert_memory_equal(text, SECRET, sizeof SECRET - 1);
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0)
        assert_int_equal(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL), 0);
    (void)close(fd);
}

static unsigned entries_outside;

static int count_outside(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path, (void)st, (void)type, (void)at;
    entries_outside++;
    return 0;
}

static void assert_untouched(void)
{
    struct stat st;
    char names[64];
    assert_file_untouched(secret_file, STASH + 1);
    assert_file_untouched(inside, 1);
    assert_int_equal(stat(secret_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(listxattr(secret_dir, names, sizeof names), 0);
    entries_outside = 0;
    assert_int_equal(nftw(secret_dir, count_outside, 8, FTW_PHYS), 0);
    assert_int_equal(entries_outside, 4);
    assert_int_equal(lstat(secret_pipe, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, 0);
}

/* Root may copy a hard link to the secret, as what it is: root's own, for root alone. What lies
 * behind a symbolic link it may not. */
static bool may_be_roots;

static int is_no_leak(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char text[sizeof SECRET];
    (void)type, (void)at;
    bool roots = st->st_uid == 0 && !(st->st_mode & 077);
    if (!S_ISREG(st->st_mode) || (roots && may_be_roots))
        return 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof SECRET - 1);
    (void)close(fd);
    if (n != sizeof SECRET - 1 || memcmp(text, SECRET, sizeof SECRET - 1) != 0)
        return 0;
    (void)fprintf(stderr, "the secret is in %s, of %u, mode %o\n", path, st->st_uid, st->st_mode);
    return 1;
}

static void assert_no_leak(const char *tree)
{
    assert_int_equal(nftw(tree, is_no_leak, 16, FTW_PHYS), 0);
}

/* ── the tree ── */

static void own(const char *path)
{
    assert_int_equal(lchown(path, ATTACKER_UID, ATTACKER_UID), 0);
}

static char *in_tree(const char *name)
{
    return xasprintf("%s/home/%s", source, name);
}

/* By temporary name and rename, as editors do, and never through what the attacker put there. */
static void write_own(const char *name, size_t len, unsigned mode, unsigned seed)
{
    char *path = in_tree(name), *temp = xasprintf("%s/new", base);
    uint8_t *data = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((seed + i) % 251);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(fchown(fd, ATTACKER_UID, ATTACKER_UID), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    if (len == SECRET_BYTES) {
        const struct timespec times[2] = {
            {1000000000, 5},
            {1000000000, 5}
        };
        assert_int_equal(futimens(fd, times), 0);
    }
    (void)close(fd);
    if (rename(temp, path) < 0) /* the attacker has a folder there for a moment */
        (void)unlink(temp);
    free(data);
    free(path);
    free(temp);
}

static void make_home(void)
{
    char *home = xasprintf("%s/home", source), *dir = in_tree("dir");
    assert_int_equal(mkdir(home, 0755), 0);
    assert_int_equal(mkdir(dir, 0755), 0);
    own(home);
    own(dir);
    write_own("file", SECRET_BYTES, 0644, 1);
    write_own("dir/inside", SECRET_BYTES, 0644, 2);
    write_own("large", 400 << 10, 0644, 3);
    for (unsigned i = 0; i < FILLERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "filler%u", i);
        write_own(name, 10, 0644, i);
    }
    free(home);
    free(dir);
}

/* Many names of the secret in a folder of the attacker's, as if links to others' files were allowed
 * (fs.protected_hardlinks=0). */
static char *make_stash(const char *secret)
{
    char *stash = xasprintf("%s/stash", base);
    assert_int_equal(mkdir(stash, 0755), 0);
    own(stash);
    for (unsigned i = 0; i < STASH; i++) {
        char *name = xasprintf("%s/%u", stash, i);
        assert_int_equal(link(secret, name), 0);
        free(name);
    }
    return stash;
}

/* ── a run ── */

enum change {
    CHANGE_NONE = 0,
    CHANGE_DATA = 1,
    CHANGE_META = 2,
    CHANGE_INSIDE = 4,
    CHANGE_LARGE = 8,
    CHANGE_NODE = 16,
    CHANGE_FRESH = 32, /* the destination is emptied before each pass */
    CHANGE_FLAGS = 64,
    CHANGE_MANY = 256,  /* the file has as many names at the source as the secret */
    CHANGE_EXTRA = 128, /* the source loses the folder in every second pass */
    CHANGE_MOVE = 512,  /* the source has file and folder under other names in every second pass */
};

static void chmod_own(const char *name, unsigned mode)
{
    char *path = in_tree(name);
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    char proc[32];
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode) && st.st_uid == ATTACKER_UID)
        (void)chmod(proc, mode);
    (void)close(fd);
    free(path);
}

static void flag_own(void)
{
    char *path = in_tree("file");
    unsigned flags = FS_APPEND_FL, none = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, FS_IOC_SETFLAGS, &none) == 0) {
        write_own("file", SECRET_BYTES, 0644, 1);
        (void)close(fd);
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    (void)close(fd);
    free(path);
}

static void rename_own(const char *a, const char *b, bool forth)
{
    char *from = in_tree(forth ? a : b), *to = in_tree(forth ? b : a);
    (void)rename(from, to);
    free(from);
    free(to);
}

static void change(unsigned what, unsigned pass)
{
    unsigned mode = pass % 2 ? 0644 : 0664;
    char *path = in_tree("dir"), *node = in_tree("node");
    if (what & CHANGE_DATA)
        write_own("file", 4000 + pass % 1000, 0644, pass);
    if (what & CHANGE_META)
        chmod_own("file", mode);
    if (what & CHANGE_INSIDE) {
        write_own("dir/inside", 3000 + pass % 1000, mode, pass);
        chmod_own("dir", mode | 0111);
    }
    if (what & CHANGE_LARGE)
        write_own("large", (300U << 10) + pass, mode, pass);
    for (unsigned i = 0; i < FIFOS && (what & CHANGE_NODE); i++) {
        char *fifo = xasprintf("%s%u", node, i);
        (void)unlink(fifo);
        /* Another kind in each pass: else only its metadata would come. */
        if (pass % 2)
            assert_int_equal(symlink("nowhere", fifo), 0);
        else
            assert_int_equal(mkfifo(fifo, 0666), 0);
        own(fifo);
        free(fifo);
    }
    if (what & CHANGE_FLAGS)
        flag_own();
    if (what & CHANGE_MOVE) {
        rename_own("file", "elsewhere", pass % 2);
        rename_own("dir", "folder", pass % 2);
    }
    if ((what & CHANGE_EXTRA) && pass % 2) {
        char *file = in_tree("dir/inside");
        (void)unlink(file);
        (void)rmdir(path);
        free(file);
    } else if (what & CHANGE_EXTRA) {
        (void)mkdir(path, 0755);
        own(path);
        write_own("dir/inside", 100, 0644, pass);
    }
    free(path);
    free(node);
}

static void empty_destination(void)
{
    const char *const argv[] = {"rm", "-rf", destination, NULL};
    (void)trees_run(argv);
}

static const struct race {
    const char *name;
    bool at_source;
    enum trick trick;
    const char *target; /* in the folder home */
    const char *lure;
    unsigned change;
} races[] = {
    {"a link in the middle, read",          true,  TRICK_SYMLINK,   "dir",   secret_dir,  CHANGE_FRESH              },
    {"a folder moved away, read",           true,  TRICK_FOLDER,    "dir",   secret_dir,  CHANGE_FRESH              },
    {"a link on the final name, read",      true,  TRICK_SYMLINK,   "file",  inside,      CHANGE_FRESH              },
    {"a link on a large file, read",        true,  TRICK_SYMLINK,   "large", inside,      CHANGE_FRESH              },
    {"a hard link to a secret, read",       true,  TRICK_HARDLINK,  "file",  secret_file, CHANGE_FRESH              },
    {"a link in the middle, written",       false, TRICK_SYMLINK,   "dir",   secret_dir,  CHANGE_INSIDE             },
    {"a folder moved away, written",        false, TRICK_FOLDER,    "dir",   secret_dir,  CHANGE_INSIDE             },
    {"a link on the final name, written",   false, TRICK_SYMLINK,   "file",  inside,      CHANGE_DATA               },
    {"mode and owner through a link",       false, TRICK_SYMLINK,   "file",  inside,      CHANGE_META               },
    {"a hard link to a secret, written",    false, TRICK_HARDLINK,  "file",  secret_file, CHANGE_DATA               },
    {"mode and owner of a hard link",       false, TRICK_HARDLINK,  "file",  secret_file, CHANGE_META               },
    {"owner of a hard link among many",     false, TRICK_HARDLINK,  "file",  secret_file,
     CHANGE_META | CHANGE_MANY                                                                                      },
    {"flags of a hard link",                false, TRICK_HARDLINK,  "file",  secret_file, CHANGE_FLAGS              },
    {"a link on the temporary name",        false, TRICK_TEMP,      NULL,    inside,      CHANGE_DATA | CHANGE_LARGE},
    {"a hard link on the temporary name",   false, TRICK_TEMP_HARD, NULL,    secret_file,
     CHANGE_DATA | CHANGE_LARGE                                                                                     },
    {"a link on a fifo's temporary name",   false, TRICK_TEMP,      NULL,    secret_pipe, CHANGE_NODE               },
    {"a hard link in a new fifo's place",   false, TRICK_TEMP_HARD, NULL,    secret_pipe, CHANGE_NODE               },
    {"extras behind a link",                false, TRICK_SYMLINK,   "dir",   secret_dir,  CHANGE_EXTRA              },
    {"a link in a renamed folder's place",  false, TRICK_SYMLINK,   "dir",   secret_dir,  CHANGE_MOVE               },
    {"a folder moved away and renamed",     false, TRICK_FOLDER,    "dir",   secret_dir,  CHANGE_MOVE               },
    {"a link in a renamed file's place",    false, TRICK_SYMLINK,   "file",  inside,      CHANGE_MOVE               },
    {"a hard link where a file is renamed", false, TRICK_HARDLINK,  "file",  secret_file,
     CHANGE_MOVE                                                                                                    },
};

static pid_t attacker = -1;

static void run_passes(const struct race *r, const struct attack *a)
{
    struct both b;
    int64_t limit = getenv("GODWIT_ALL") && strcmp(getenv("GODWIT_ALL"), "yes") == 0 ? 20000 : 800;
    unsigned passes = 0;
    attacker = attacker_start(a);
    int64_t began = clock_mono_ms();
    /* A busy machine gets the time to have tried at all. */
    while (clock_mono_ms() - began < limit ||
           (clock_mono_ms() - began < 20 * limit && (passes < 4 || attacker_swaps() <= passes))) {
        change(r->change, passes);
        if (r->change & CHANGE_FRESH)
            empty_destination();
        transfer(&b, &(struct transfer_options){.delete_extras = r->change & CHANGE_EXTRA});
        assert_true(b.sent.status == STEP_DONE || b.sent.status == STEP_PARTIAL);
        assert_true(b.received.status == STEP_DONE || b.received.status == STEP_PARTIAL);
        if (r->at_source)
            assert_no_leak(destination);
        passes++;
    }
    uint64_t swaps = attacker_stop(attacker);
    attacker = -1;
    print_message("[ race     ] %s: %u passes, %llu swaps\n", r->name, passes,
                  (unsigned long long)swaps);
    assert_true(passes > 2);
    bool brief = r->trick == TRICK_TEMP || r->trick == TRICK_TEMP_HARD;
    assert_true(swaps > (brief ? 0 : passes));
}

static void release_flags(const char *tree)
{
    const char *const argv[] = {"chattr", "-R", "-f", "-a", tree, NULL};
    (void)trees_run(argv);
}

/* As many names as the stash has of the secret, and more. */
static void make_names(void)
{
    char *first = in_tree("file");
    make_dir(source, "names");
    for (unsigned i = 0; i < STASH + 8; i++) {
        char *name = xasprintf("%s/names/%u", source, i);
        assert_int_equal(link(first, name), 0);
        free(name);
    }
    free(first);
}

static void one_race(void **state_)
{
    const struct race *r = *state_;
    struct both b;
    make_secrets();
    make_home();
    if (r->change & CHANGE_MANY)
        make_names();
    transfer(&b, NULL);
    assert_done(&b);
    char *home = xasprintf("%s/home", r->at_source ? source : destination);
    bool hard = r->trick == TRICK_HARDLINK || r->trick == TRICK_TEMP_HARD;
    char *stash = hard ? make_stash(r->lure) : NULL;
    struct attack a = {
        .trick = r->trick, .folder = home, .target = r->target, .lure = r->lure, .stash = stash};
    may_be_roots = hard;
    run_passes(r, &a);
    release_flags(source);
    release_flags(destination);
    assert_untouched();
    assert_no_leak(destination);
    free(home);
    free(stash);
}

static int race_setup(void **state_)
{
    void *kept = *state_;
    int rc = trees_setup(state_);
    *state_ = kept;
    return rc;
}

static int race_teardown(void **state_)
{
    if (attacker > 0) /* the race failed */
        (void)attacker_stop(attacker);
    attacker = -1;
    release_flags(base);
    return trees_teardown(state_);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_SIZE(races)];
    port = (uint16_t)(20000 + getpid() % 12000);
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: an attack on root needs root\n");
        return 77;
    }
    for (size_t i = 0; i < ARRAY_SIZE(races); i++)
        tests[i] = (struct CMUnitTest){races[i].name, one_race, race_setup, race_teardown,
                                       (void *)(uintptr_t)&races[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
