/* image_new: docs/interop/qcow2 of QEMU: header, refcount table, one refcount block, L1 table.
 * Worker threads. */
#include "agent/vm/image_new.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define CLUSTER_BITS 16
#define CLUSTER (1ULL << CLUSTER_BITS)
#define L2_COVERS (CLUSTER / 8 * CLUSTER) /* bytes of the disk that one L1 entry leads to */
#define VERSION 3
#define HEADER_BYTES 104
#define REFCOUNT_ORDER 4 /* 16 bits each */
#define EXT_BACKING_FORMAT 0xe2792acaU
#define NAME_MAX_BYTES 1023
#define EXT_BYTES 40 /* a name of a format, and the end */

static void be(uint8_t *at, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

/* An extension with the format, the end of extensions, the name. */
static int put_below(uint8_t *head, const struct image_below *b)
{
    size_t kind = strlen(b->format), name = strlen(b->path);
    if (kind == 0 || kind > 16 || name == 0 || name > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    be(head + HEADER_BYTES, EXT_BACKING_FORMAT, 4);
    be(head + HEADER_BYTES + 4, kind, 4);
    memcpy(head + HEADER_BYTES + 8, b->format, kind);
    be(head + 8, HEADER_BYTES + EXT_BYTES, 8);
    be(head + 16, name, 4);
    memcpy(head + HEADER_BYTES + EXT_BYTES, b->path, name);
    return 0;
}

/* Clusters: 0 header, 1 refcount table, 2 its block, 3 … the L1 table. One block counts 32,768. */
static int qcow2(int fd, uint64_t bytes, const struct image_below *below)
{
    uint64_t l1 = (bytes + L2_COVERS - 1) / L2_COVERS;
    uint64_t clusters = 3 + (l1 * 8 + CLUSTER - 1) / CLUSTER;
    CLEANUP(mem_free) uint8_t *head = xcalloc(3, CLUSTER);
    if (clusters > CLUSTER / 2)
        return -EFBIG;
    memcpy(head, "QFI\xfb", 4);
    be(head + 4, VERSION, 4);
    be(head + 20, CLUSTER_BITS, 4);
    be(head + 24, bytes, 8);
    be(head + 36, l1, 4);
    be(head + 40, 3 * CLUSTER, 8); /* L1 table */
    be(head + 48, CLUSTER, 8);     /* refcount table */
    be(head + 56, 1, 4);           /* clusters of it */
    be(head + 96, REFCOUNT_ORDER, 4);
    be(head + 100, HEADER_BYTES, 4);
    be(head + CLUSTER, 2 * CLUSTER, 8);
    for (uint64_t i = 0; i < clusters; i++)
        be(head + 2 * CLUSTER + 2 * i, 1, 2);
    int rc = below ? put_below(head, below) : 0;
    if (rc == 0)
        rc = file_write_at(fd, head, 3 * CLUSTER, 0);
    return rc == 0 && ftruncate(fd, (off_t)(clusters * CLUSTER)) < 0 ? -errno : rc;
}

int image_new(const char *path, const char *format, uint64_t bytes, const struct image_below *below)
{
    bool raw = strcmp(format, "raw") == 0;
    if ((!raw && strcmp(format, "qcow2") != 0) || (raw && below))
        return -EOPNOTSUPP;
    if (bytes == 0 || bytes > IMAGE_BYTES_MAX || bytes % 512 != 0)
        return -EINVAL;
    CLEANUP(fd_close)
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = raw ? (ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0) : qcow2(fd, bytes, below);
    return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}
