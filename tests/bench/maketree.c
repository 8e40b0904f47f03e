/* maketree: the program that makes the bench's trees, the same ones for the same seed. Shares no
 * code with the product. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (64U << 10)
#define POOL (8U << 20)
#define GIB (1ULL << 30)

static uint64_t state;
static unsigned char noise[POOL + BLOCK],
    text[POOL + BLOCK]; /* does not compress; does, to a third */

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void must(int64_t rc, const char *what)
{
    if (rc >= 0)
        return;
    (void)fprintf(stderr, "maketree: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fill_pools(void)
{
    static const char *const words[] = {"transfer ", "agent ", "of ",   "the ", "journal ", "pair ",
                                        "and ",      "lane ",  "host ", "to ",  "digest\n", "42 "};
    for (size_t i = 0; i + 8 <= sizeof noise; i += 8) {
        uint64_t r = next_random();
        memcpy(noise + i, &r, sizeof r);
    }
    for (size_t at = 0; at < sizeof text;) {
        const char *word = words[next_random() % (sizeof words / sizeof *words)];
        size_t n = strlen(word) < sizeof text - at ? strlen(word) : sizeof text - at;
        memcpy(text + at, word, n);
        at += n;
    }
}

/* Every second block of 64 KiB is text; which comes first is up to chance. */
static void make_file(int dir, const char *name, uint64_t bytes)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    must(fd, name);
    uint64_t phase = next_random() & 1;
    for (uint64_t at = 0; at < bytes; phase ^= 1) {
        size_t n = bytes - at < BLOCK ? (size_t)(bytes - at) : BLOCK;
        const unsigned char *pool = phase ? text : noise;
        ssize_t rc = write(fd, pool + next_random() % POOL, n);
        must(rc, name);
        at += (uint64_t)rc;
    }
    must(close(fd), name);
}

static void make_files(int root, unsigned folders, unsigned files, uint64_t (*size)(void))
{
    for (unsigned d = 0; d < folders; d++) {
        char name[32];
        (void)snprintf(name, sizeof name, "folder-%04u", d);
        must(mkdirat(root, name, 0755), name);
        int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(dir, name);
        for (unsigned f = 0; f < files / folders; f++) {
            (void)snprintf(name, sizeof name, "file-%05u.dat", f);
            make_file(dir, name, size());
        }
        must(close(dir), name);
    }
}

static uint64_t size_small(void)
{
    return 1024 + next_random() % (15 * 1024 + 1);
}

/* Log-normal, half below 15.5 KiB, at most 128 MiB. */
static uint64_t size_mixed(void)
{
    double u = ((double)(next_random() >> 11) + 1) / 9007199254740993.0;
    double v = (double)(next_random() >> 11) / 9007199254740992.0;
    double normal = sqrt(-2 * log(u)) * cos(2 * 3.14159265358979 * v);
    double bytes = exp(9.67 + 2.0 * normal);
    return bytes > 128.0 * 1048576 ? 128U << 20 : (uint64_t)bytes;
}

static uint64_t size_tiny(void)
{
    return next_random() % 256;
}

static uint64_t size_none(void)
{
    return 0;
}

static void make_image(int root, unsigned number, uint64_t bytes)
{
    char name[32];
    (void)snprintf(name, sizeof name, "image-%u.raw", number);
    make_file(root, name, bytes);
}

/* Folders, files in all of them and their size; no folders: images of BYTES each. */
static const struct kind {
    const char *name;
    unsigned folders, files;
    uint64_t (*size)(void);
    uint64_t bytes;
} kinds[] = {
    {"small",    1000, 50000,   size_small, 0       },
    {"big",      0,    4,       NULL,       GIB     },
    {"mixed",    400,  20000,   size_mixed, 0       },
    {"million",  5000, 1000000, size_tiny,  0       },
    {"empty5m",  5000, 5000000, size_none,  0       },
    {"flat",     1,    1000000, size_none,  0       },
    {"image10g", 0,    1,       NULL,       10 * GIB},
};

/* A scale of 5 makes a fifth of it. */
static void make_tree(const struct kind *k, int root, unsigned scale)
{
    if (k->size) {
        make_files(root, k->folders / scale ? k->folders / scale : 1, k->files / scale, k->size);
        return;
    }
    for (unsigned i = 0; i < k->files; i++)
        make_image(root, i, k->bytes / scale);
}

/* One percent of the files is written anew: a tenth of those in a tenth of the folders, since
 * changes keep together; other ones in each round. */
static void change_files(const struct kind *k, int root, unsigned scale, unsigned round)
{
    unsigned folders = k->folders / scale ? k->folders / scale : 1;
    unsigned each = k->files / scale / folders;
    for (unsigned d = folders > 9 ? round % 10 : 0; d < folders; d += 10)
        for (unsigned f = round / 10 % 10; f < each; f += 10) {
            char name[64];
            (void)snprintf(name, sizeof name, "folder-%04u/file-%05u.dat", d, f);
            must(unlinkat(root, name, 0), name);
            make_file(root, name, k->size());
        }
}

/* One percent of the blocks is written over, here and there, with what is nowhere yet: not from the
 * pool, of which whoever looks for blocks that moved would find the same elsewhere. */
static void change_image(int root, const char *name, uint64_t bytes)
{
    int fd = openat(root, name, O_WRONLY | O_CLOEXEC);
    must(fd, name);
    uint64_t blocks = bytes / BLOCK, fresh[BLOCK / sizeof(uint64_t)];
    for (uint64_t i = 0; i < blocks / 100 + 1; i++) {
        for (size_t k = 0; k < BLOCK / sizeof *fresh; k++)
            fresh[k] = next_random();
        must(pwrite(fd, fresh, BLOCK, (off_t)(next_random() % blocks * BLOCK)), name);
    }
    must(close(fd), name);
}

static void change_tree(const struct kind *k, int root, unsigned scale, unsigned round)
{
    state += round;
    if (k->size)
        change_files(k, root, scale, round);
    else
        change_image(root, "image-0.raw", k->bytes / scale);
}

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static unsigned number(char **argv, int argc, int at)
{
    return argc > at ? (unsigned)strtoul(argv[at], NULL, 10) : 1;
}

int main(int argc, char **argv)
{
    bool change = argc > 2 && strncmp(argv[1], "change:", 7) == 0;
    const struct kind *kind = argc > 2 ? kind_of(argv[1] + (change ? 7 : 0)) : NULL;
    unsigned scale = number(argv, argc, 3);
    if (!kind || scale < 1 || scale > 100000) {
        (void)fprintf(stderr, "usage: maketree small|big|mixed|million|empty5m|image10g NEW-FOLDER "
                              "[SCALE]\n       maketree change:KIND FOLDER SCALE ROUND\n"
                              "  SCALE: 5 makes a fifth of it\n");
        return 2;
    }
    state = 20261121;
    fill_pools();
    if (!change)
        must(mkdir(argv[2], 0755), argv[2]);
    int root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(root, argv[2]);
    if (change)
        change_tree(kind, root, scale, number(argv, argc, 4));
    else
        make_tree(kind, root, scale);
    return 0;
}
