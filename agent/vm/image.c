/* image: headers of qcow2 and the first bytes of other formats, read within bounds. Worker threads.
 */
#include "agent/vm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/vm/device.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define QCOW2_DIRTY 1U
#define QCOW2_CORRUPT 2U
#define QCOW2_DATA_FILE 4U
#define QCOW2_KNOWN 0x1fU /* dirty, corrupt, data file, compression type, extended L2 */
#define EXT_END 0U
#define EXT_BACKING_FORMAT 0xe2792acaU
#define EXT_DATA_FILE 0x44415441U

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static void put(char **to, char *text)
{
    if (*to != protobuf_c_empty_string)
        free(*to);
    *to = text;
}

static void trouble(Godwit__VmImage *i, const char *text)
{
    if (!*i->trouble)
        put(&i->trouble, xstrdup(text));
}

/* ── qcow2 ── */

static void read_extensions(const uint8_t *p, size_t n, size_t at, Godwit__VmImage *ret)
{
    while (at + 8 <= n) {
        uint32_t kind = be32(p + at), len = be32(p + at + 4);
        at += 8;
        if (kind == EXT_END)
            return;
        if (len > n - at) {
            trouble(ret, "its header has an extension that does not end");
            return;
        }
        if (kind == EXT_BACKING_FORMAT && len <= 32)
            put(&ret->backing_format, text_printable(p + at, len));
        if (kind == EXT_DATA_FILE && len <= IMAGE_NAME_MAX)
            put(&ret->data_file, text_printable(p + at, len));
        at += ((size_t)len + 7) & ~(size_t)7;
    }
}

static void read_backing(const uint8_t *p, size_t n, Godwit__VmImage *ret)
{
    uint64_t at = be64(p + 8);
    uint32_t len = be32(p + 16);
    if (at == 0 || len == 0)
        return;
    if (len > IMAGE_NAME_MAX || at > n || len > n - at) {
        trouble(ret, "its header names an image below it where there is no room for a name");
        return;
    }
    /* A name that is not printable would be another one when it is told. */
    char *name = text_printable(p + at, len);
    if (strlen(name) != len || memcmp(name, p + at, len) != 0)
        trouble(ret, "its header names an image below it with bytes that are no text");
    put(&ret->backing, name);
}

static void read_qcow2(const uint8_t *p, size_t n, Godwit__VmImage *ret)
{
    uint32_t version = n >= 72 ? be32(p + 4) : 0;
    size_t header = 72;
    uint64_t must = 0;
    if (version < 2 || version > 3 || (version == 3 && n < 104)) {
        trouble(ret, "its header is cut short or of a version that is not known");
        return;
    }
    ret->virtual_bytes = be64(p + 24);
    ret->encrypted = be32(p + 32) != 0;
    ret->snapshots = be32(p + 60) != 0;
    if (version == 3) {
        must = be64(p + 72);
        header = be32(p + 100);
    }
    if (be32(p + 20) < 9 || be32(p + 20) > 21 || header < 72 || header > n)
        trouble(ret, "its header makes no sense");
    if (must & ~(uint64_t)QCOW2_KNOWN)
        trouble(ret, "its header asks for features that are not known");
    ret->dirty = (must & (QCOW2_DIRTY | QCOW2_CORRUPT)) != 0;
    if (header <= n)
        read_extensions(p, n, header, ret);
    if (must & QCOW2_DATA_FILE && !*ret->data_file)
        put(&ret->data_file, xstrdup("(not named)"));
    read_backing(p, n, ret);
}

static const char *format_of(const uint8_t *p, size_t n)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *format;
    } known[] = {
        {"QFI\xfb",      4, "qcow2"},
        {"QED\0",        4, "qed"  },
        {"KDMV",         4, "vmdk" },
        {"COWD",         4, "vmdk" },
        {"vhdxfile",     8, "vhdx" },
        {"conectix",     8, "vpc"  },
        {"LUKS\xba\xbe", 6, "luks" },
        {"<<< ",         4, "vdi"  },
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (n >= known[i].n && memcmp(p, known[i].bytes, known[i].n) == 0)
            return known[i].format;
    return "raw";
}

void image_header(const uint8_t *p, size_t n, uint64_t total, const char *format,
                  Godwit__VmImage *ret)
{
    const char *is = format_of(p, n);
    put(&ret->format, xstrdup(is));
    ret->virtual_bytes = total;
    if (format && strcmp(format, "raw") == 0)
        return; /* its content, whatever it looks like */
    if (strcmp(is, "qcow2") == 0)
        read_qcow2(p, n, ret);
    else if (format && strcmp(format, "qcow2") == 0)
        trouble(ret, "it is said to be qcow2, and has no such header");
}

/* ── one image ── */

const char *image_file_system(uint64_t magic, bool *retshared)
{
    static const struct {
        uint32_t magic;
        const char *name;
        bool shared;
    } known[] = {
        {0x6969,     "nfs",     true },
        {0xff534d42, "cifs",    true },
        {0xfe534d42, "smb",     true },
        {0x00c36400, "ceph",    true },
        {0x01161970, "gfs2",    true },
        {0x7461636f, "ocfs2",   true },
        {0x0bd00bd0, "lustre",  true },
        {0x19830326, "beegfs",  true },
        {0x65735546, "fuse",    true },
        {0x01021997, "9p",      true },
        {0xef53,     "ext4",    false},
        {0x58465342, "xfs",     false},
        {0x9123683e, "btrfs",   false},
        {0x2fc12fc1, "zfs",     false},
        {0xf2f52010, "f2fs",    false},
        {0x01021994, "tmpfs",   false},
        {0x794c7630, "overlay", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].magic != (uint32_t)magic)
            continue;
        *retshared = known[i].shared;
        return known[i].name;
    }
    *retshared = false;
    return "other";
}

uint64_t image_free_bytes(const char *folder, uint64_t *retmagic)
{
    struct statfs fs;
    if (statfs(folder, &fs) < 0)
        return 0;
    *retmagic = (uint64_t)fs.f_type;
    return (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
}

static uint64_t look_where(int fd, const struct stat *st, Godwit__VmImage *i)
{
    struct statfs fs;
    uint64_t total = (uint64_t)st->st_size;
    bool shared = false;
    i->sector = device_sector(S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev);
    if (S_ISBLK(st->st_mode)) {
        (void)ioctl(fd, BLKGETSIZE64, &total);
        i->block = true;
        i->real_bytes = total;
        put(&i->file_system, xstrdup("device"));
        put(&i->identity, device_identity(st->st_rdev));
        return total;
    }
    i->real_bytes = (uint64_t)st->st_blocks * 512;
    i->inode = st->st_ino;
    i->changed_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    if (fstatfs(fd, &fs) == 0) {
        put(&i->file_system, xstrdup(image_file_system((uint64_t)fs.f_type, &shared)));
        i->shared = shared;
        i->free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    }
    return total;
}

/* A header may name anything of this host: what is no image is not opened at all, since opening
 * alone does something to some devices. */
static int open_image(const char *path, struct stat *st)
{
    CLEANUP(fd_close) int at = open(path, O_PATH | O_CLOEXEC);
    if (at < 0 || fstat(at, st) < 0)
        return -errno;
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
        return -EINVAL;
    CLEANUP(mem_free) char *again = xasprintf("/proc/self/fd/%d", at);
    int fd = open(again, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

Godwit__VmImage *image_look(const char *path, const char *format)
{
    Godwit__VmImage *i = xcalloc(1, sizeof *i);
    struct stat st;
    godwit__vm_image__init(i);
    i->path = text_printable(path, strnlen(path, 4096));
    CLEANUP(fd_close) int fd = open_image(path, &st);
    if (fd < 0) {
        put(&i->trouble, fd == -EINVAL ? xstrdup("it is neither a file nor a disk")
                                       : xasprintf("%s", strerror(-fd)));
        return i;
    }
    CLEANUP(mem_free) uint8_t *head = xmalloc(IMAGE_HEADER_MAX);
    uint64_t total = look_where(fd, &st, i);
    ssize_t n = pread(fd, head, IMAGE_HEADER_MAX, 0);
    if (n > 0 && i->block)
        put(&i->head, device_head(head, (size_t)n));
    if (n < 0)
        put(&i->trouble, xasprintf("%s", strerror(errno)));
    else
        image_header(head, (size_t)n, total, format, i);
    return i;
}

Godwit__VmImage *image_free(Godwit__VmImage *i)
{
    if (i)
        godwit__vm_image__free_unpacked(i, NULL);
    return NULL;
}

/* ── chains ── */

/* What a header names, beside the image that names it. NULL: it is no path. malloc'd. */
static char *below(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/'), *colon = strchr(name, ':'), *first = strchr(name, '/');
    if (colon && (!first || colon < first))
        return NULL; /* "json:{…}", "nbd://…": QEMU would go there */
    if (*name == '/')
        return xstrdup(name);
    return slash ? xasprintf("%.*s/%s", (int)(slash - path), path, name) : NULL;
}

static Godwit__VmImage *not_a_path(const char *name)
{
    Godwit__VmImage *i = xcalloc(1, sizeof *i);
    godwit__vm_image__init(i);
    i->path = xstrdup(name);
    i->trouble = xstrdup("the image above it names a place that is no path of this host");
    return i;
}

void image_chain(const char *path, const char *format, Godwit__VmDiskFacts *f)
{
    CLEANUP(mem_free) char *at = xstrdup(path);
    CLEANUP(mem_free) char *kind = xstrdup(format && *format ? format : "raw");
    f->images = xcalloc(IMAGE_CHAIN_MAX, sizeof(void *));
    while (at && f->n_images < IMAGE_CHAIN_MAX) {
        Godwit__VmImage *i = image_look(at, kind);
        f->images[f->n_images++] = i;
        if (*i->trouble || !*i->backing)
            return;
        if (f->n_images == IMAGE_CHAIN_MAX) {
            trouble(i, "there are too many images below it");
            return;
        }
        char *next = below(at, i->backing);
        if (!next)
            f->images[f->n_images++] = not_a_path(i->backing);
        free(at);
        at = next;
        free(kind);
        kind = xstrdup(*i->backing_format ? i->backing_format : "raw");
    }
}
