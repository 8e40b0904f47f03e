/* used: one line a disk that the machine writes, as the source and as the destination call it: what
 * its file was when the mark was made. Worker threads. */
#include "agent/vm/used.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/note.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define MARK ".used"
#define MARK_MAX (1U << 20)
#define AT_SOURCE 's'
#define AT_DESTINATION 'd'

static char *mark_of(const char *memory)
{
    return xasprintf("%s" MARK, memory);
}

/* "WHEN BYTES", or "?" where that tells nothing (a device, a file that is not there). Opened, lest
 * a network file system tells what it remembers. */
static void tell(const char *path, char ret[64])
{
    struct stat st;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        (void)snprintf(ret, 64, "?");
    else
        (void)snprintf(ret, 64, "%lld.%09ld %lld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                       (long long)st.st_size);
}

/* What the other host has is told by the path here: of a disk that both see it is the same file. */
static void add(struct buf *b, char side, const char *path, const char *here)
{
    char is[64];
    tell(here, is);
    CLEANUP(mem_free) char *line = xasprintf("%c%s\n%s\n", side, is, path);
    buf_put(b, line, strlen(line));
}

static void add_disk(struct buf *b, const Godwit__VmMoveDisk *d)
{
    if (d->read_only || d->how == GODWIT__VM_MOVE_DISK__HOW__EJECT)
        return;
    if (d->how == GODWIT__VM_MOVE_DISK__HOW__SHARED)
        add(b, AT_SOURCE, d->source, d->path);
    add(b, AT_DESTINATION, d->path, d->path);
}

int used_mark(const char *memory, const Godwit__VmMovePlan *plan)
{
    CLEANUP(mem_free) char *mark = mark_of(memory);
    struct buf b;
    if (access(mark, F_OK) == 0)
        return 0;
    buf_init(&b, MARK_MAX);
    for (size_t i = 0; i < plan->n_disks; i++)
        add_disk(&b, plan->disks[i]);
    int rc =
        b.overflow ? -E2BIG : file_write(mark, 0600, b.data ? (const void *)b.data : "", b.len);
    buf_done(&b);
    return rc;
}

void used_unmark(const char *memory)
{
    CLEANUP(mem_free) char *mark = mark_of(memory);
    (void)unlink(mark);
}

/* Is the file at path still what the line says? */
static bool same(const char *was, const char *path)
{
    char is[64];
    if (*was == '?' || !note_path_ok(path))
        return false;
    tell(path, is);
    return strcmp(is, was) == 0;
}

bool used_is(const char *memory, bool source)
{
    CLEANUP(mem_free) char *mark = mark_of(memory);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    bool some = false;
    char *rest = NULL;
    int rc = file_read(mark, MARK_MAX, &text, &len);
    if (rc < 0)
        return rc != -ENOENT;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *path = strtok_r(NULL, "\n", &rest);
        if (!path)
            return true;
        if (line[0] != (source ? AT_SOURCE : AT_DESTINATION))
            continue;
        some = true;
        if (!same(line + 1, path))
            return true;
    }
    return !some;
}
