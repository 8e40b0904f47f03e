/* tally: counts one entry at a time. Pure; a tally belongs to one thread. */
#include "agent/files/tally.h"

#include <string.h>

#define KIB 1024U
#define BLOCK 512U
#define YEAR_S INT64_C(31556952)

static size_t size_class(uint64_t size)
{
    if (size == 0)
        return 0;
    size_t n = 1;
    for (uint64_t limit = 4 * KIB; size >= limit && n < TALLY_SIZES - 1; limit *= 4)
        n++;
    return n;
}

static const int64_t years[TALLY_COLD] = {1, 3, 5};

static void count_file(struct tally *t, const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size, blocks = (uint64_t)st->st_blocks * BLOCK;
    int64_t ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    if (t->files == 0 || ms > t->newest_ms)
        t->newest_ms = ms;
    if (t->files == 0 || ms < t->oldest_ms)
        t->oldest_ms = ms;
    t->files++;
    t->bytes += size;
    for (size_t i = 0; t->now_s && i < TALLY_COLD; i++)
        if (st->st_mtim.tv_sec < t->now_s - years[i] * YEAR_S)
            t->cold[i] += size;
    /* Each name takes its share, so that the sum is right without remembering inodes. */
    t->allocated += st->st_nlink > 1 ? blocks / st->st_nlink : blocks;
    t->sizes[size_class(size)]++;
    if (blocks < size)
        t->sparse++;
}

static void count_type(struct tally *t, const struct stat *st)
{
    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        count_file(t, st);
        break;
    case S_IFDIR:
        t->folders++;
        break;
    case S_IFLNK:
        t->symlinks++;
        break;
    case S_IFBLK:
    case S_IFCHR:
        t->devices++;
        break;
    case S_IFIFO:
        t->fifos++;
        break;
    case S_IFSOCK:
        t->sockets++;
        break;
    default:
        break;
    }
}

void tally_entry(struct tally *t, const struct stat *st, unsigned has)
{
    count_type(t, st);
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
        t->hard_linked++;
    if (S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)))
        t->setid++;
    t->with_acl += (has & TALLY_ACL) != 0;
    t->with_capability += (has & TALLY_CAPABILITY) != 0;
    t->with_xattr += (has & TALLY_XATTR) != 0;
    t->with_nfs4_acl += (has & TALLY_NFS4) != 0;
    t->with_flags += (has & TALLY_FLAGS) != 0;
    t->sealed += (has & TALLY_SEALED) != 0;
}

void tally_birth(struct tally *t, int64_t ms)
{
    if (t->with_birth == 0 || ms < t->oldest_birth_ms)
        t->oldest_birth_ms = ms;
    if (t->with_birth == 0 || ms > t->newest_birth_ms)
        t->newest_birth_ms = ms;
    t->with_birth++;
}

/* How many bytes the character takes, 0 when it is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n < 2)
        return n;
    if (n > left)
        return 0;
    uint32_t v = p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        v = v << 6 | (p[i] & 0x3fU);
    }
    return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : n;
}

bool tally_is_utf8(const char *name, size_t len)
{
    const unsigned char *p = (const unsigned char *)name;
    for (size_t n; len > 0; p += n, len -= n) {
        n = utf8_len(p, len);
        if (n == 0)
            return false;
    }
    return true;
}

void tally_name(struct tally *t, const char *name, size_t len, size_t path_len, size_t depth)
{
    if (!tally_is_utf8(name, len))
        t->non_utf8++;
    if (path_len > t->longest_path)
        t->longest_path = path_len;
    if (depth > t->deepest)
        t->deepest = depth;
}

unsigned tally_xattr_names(const char *names, size_t len)
{
    unsigned has = 0;
    for (const char *p = names; p < names + len; p += strlen(p) + 1) {
        if (strncmp(p, "system.posix_acl_", 17) == 0)
            has |= TALLY_ACL;
        else if (strcmp(p, "security.capability") == 0)
            has |= TALLY_CAPABILITY;
        else if (strncmp(p, "system.nfs4", 11) == 0)
            has |= TALLY_NFS4;
        else if (strncmp(p, "system.", 7) != 0 && strcmp(p, "security.selinux") != 0)
            has |= TALLY_XATTR;
    }
    return has;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void tally_add(struct tally *to, const struct tally *from)
{
    static const size_t sums =
        (offsetof(struct tally, longest_path) - offsetof(struct tally, files)) / sizeof(uint64_t);
    if (from->files > 0) {
        if (to->files == 0 || from->newest_ms > to->newest_ms)
            to->newest_ms = from->newest_ms;
        if (to->files == 0 || from->oldest_ms < to->oldest_ms)
            to->oldest_ms = from->oldest_ms;
    }
    if (from->with_birth > 0) {
        if (to->with_birth == 0 || from->oldest_birth_ms < to->oldest_birth_ms)
            to->oldest_birth_ms = from->oldest_birth_ms;
        if (to->with_birth == 0 || from->newest_birth_ms > to->newest_birth_ms)
            to->newest_birth_ms = from->newest_birth_ms;
    }
    to->with_flags += from->with_flags;
    to->with_project += from->with_project;
    to->with_nfs4_acl += from->with_nfs4_acl;
    to->with_birth += from->with_birth;
    to->sealed += from->sealed;
    to->shared_files += from->shared_files;
    to->shared_bytes += from->shared_bytes;
    to->left_out += from->left_out;
    for (size_t i = 0; i < TALLY_COLD; i++)
        to->cold[i] += from->cold[i];
    uint64_t *a = &to->files; /* the sums stand first, without gaps */
    const uint64_t *b = &from->files;
    for (size_t i = 0; i < sums; i++)
        a[i] += b[i];
    for (size_t i = 0; i < TALLY_SIZES; i++)
        to->sizes[i] += from->sizes[i];
    to->unreadable += from->unreadable;
    to->longest_path = most(to->longest_path, from->longest_path);
    to->deepest = most(to->deepest, from->deepest);
    to->largest_folder = most(to->largest_folder, from->largest_folder);
}

uint64_t tally_entries(const struct tally *t)
{
    return t->files + t->folders + t->symlinks + t->devices + t->fifos + t->sockets;
}
