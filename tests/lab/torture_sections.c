/* torture_sections: names, depth, sizes, holes, links: what a tree is made of, without its
 * metadata. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lab/torture.h"

#define KIB 1024
#define MIB (1024 * 1024)
#define GIB (1024LL * 1024 * 1024)

/* A file of this size with data only at the given offsets. */
static void sparse(struct maker *m, int dir, const char *name, off_t size, const off_t *data,
                   size_t ndata)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rc = fd < 0 ? fd : ftruncate(fd, size);
    maker_must(m, rc, "sparse file", name);
    for (size_t i = 0; rc == 0 && i < ndata; i++)
        maker_bytes(m, fd, data[i], 5000);
    if (fd >= 0)
        (void)close(fd);
    maker_stamp(m, dir, name);
}

static void make_holes(struct maker *m, int dir)
{
    static const struct {
        const char *name;
        off_t size, data[4];
        size_t ndata;
    } files[] = {
        {"leading",      2 * MIB,     {2 * MIB - 5000},                      1},
        {"trailing",     2 * MIB,     {0},                                   1},
        {"middle",       2 * MIB,     {0, 2 * MIB - 5000},                   2},
        {"nothing-else", 3 * MIB + 1, {0},                                   0},
        {"several",      40 * MIB,    {MIB, 9 * MIB, 17 * MIB, 30 * MIB},    4},
        {"unaligned",    MIB + 17,    {4095, 70001, 500003},                 3},
        {"4-GiB",        4 * GIB + 3, {0, GIB + 1, 3 * GIB, 4 * GIB - 4997}, 4},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        sparse(m, dir, files[i].name, files[i].size, files[i].data, files[i].ndata);
}

static void make_names(struct maker *m, int dir)
{
    static const char *const names[] = {
        " leading",
        "trailing ",
        "-rf",
        "--delete",
        "new\nline",
        "tab\there",
        "bell\a\b\x1b[31m",
        "quote'\"`$(x)",
        "back\\slash\\n",
        "*?[a-z]{b}",
        "...",
        "..a",
        ".hidden",
        "%s%n%d",
        "\xff\xfe\xfd",
        "caf\xe9",
        "\xc3\x28",
        "\xed\xa0\x80",
        "\xf0\x9f\xa6\xa4",
        "e\xcc\x81",
        "\xc3\xa9",
        "a:b",
        "#~",
        "\x7f\x01\x02",
        ".godwit-0-1",
        "CON",
        "UPPER",
        "upper",
    };
    char longest[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        maker_file(m, dir, names[i], 10 + i);
    memset(longest, 'x', 255);
    longest[255] = '\0';
    maker_file(m, dir, longest, 100);
    memset(longest, 0xfe, 255);
    maker_file(m, dir, longest, 100);
    memset(longest, 'd', 255);
    int sub = maker_folder(m, dir, longest);
    memset(longest, 'l', 255);
    maker_file(m, sub, longest, 1);
    (void)close(sub);
    memset(longest, 'd', 255);
    maker_stamp(m, dir, longest);
    sub = maker_folder(m, dir, "folder\n\xff");
    maker_file(m, sub, "inside\r\n", 1);
    (void)close(sub);
    maker_stamp(m, dir, "folder\n\xff");
}

static void make_many(struct maker *m, int dir)
{
    char name[32];
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof name, "file-%05u", i);
        maker_file(m, dir, name, (size_t)(maker_random(m) % 1500));
    }
}

/* 300 levels of 20 bytes: over 6,000 bytes, where every call that takes a path fails. */
static void make_level(struct maker *m, int dir, unsigned i, unsigned levels)
{
    char name[32];
    (void)snprintf(name, sizeof name, "level-%04u-..........", i);
    int fd = maker_folder(m, dir, name);
    if (i % 50 == 49 || i + 1 == levels) {
        maker_file(m, fd, "file", 1000 + i);
        maker_must(m, symlinkat("../file", fd, "link"), "link", name);
        maker_stamp(m, fd, "link");
    }
    if (i + 1 < levels)
        make_level(m, fd, i + 1, levels);
    (void)close(fd);
    maker_stamp(m, dir, name);
}

static void make_deep(struct maker *m, int dir)
{
    make_level(m, dir, 0, 300);
}

static void make_empty(struct maker *m, int dir)
{
    maker_file(m, dir, "file", 0);
    (void)close(maker_folder(m, dir, "folder"));
    maker_stamp(m, dir, "folder");
    int sub = maker_folder(m, dir, "nested");
    int below = maker_folder(m, sub, "nested");
    (void)close(maker_folder(m, below, "nested"));
    maker_stamp(m, below, "nested");
    (void)close(below);
    maker_stamp(m, sub, "nested");
    (void)close(sub);
    maker_stamp(m, dir, "nested");
}

/* Around the sizes at which a copier changes its ways: batches, pieces, records. */
static void make_sizes(struct maker *m, int dir)
{
    static const size_t sizes[] = {1,           4 * KIB - 1,   4 * KIB, 64 * KIB,    256 * KIB - 1,
                                   256 * KIB,   256 * KIB + 1, MIB,     8 * MIB - 1, 8 * MIB,
                                   8 * MIB + 1, 25 * MIB + 7};
    char name[32];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        (void)snprintf(name, sizeof name, "%zu-bytes", sizes[i]);
        maker_file(m, dir, name, sizes[i]);
    }
    int fd = openat(dir, "zeros-written", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    static const char zeros[64 * KIB];
    for (int i = 0; fd >= 0 && i < 32; i++)
        maker_must(m, (int)write(fd, zeros, sizeof zeros), "zeros", "zeros-written");
    if (fd >= 0)
        (void)close(fd);
    maker_stamp(m, dir, "zeros-written");
}

static void hard_link(struct maker *m, int from, const char *name, int to, const char *other)
{
    maker_must(m, linkat(from, name, to, other, 0), "hard link", other);
}

static void make_hard_links(struct maker *m, int dir)
{
    int a = maker_folder(m, dir, "a"), b = maker_folder(m, dir, "b"), z = maker_folder(m, b, "z");
    maker_file(m, a, "one", 5000);
    hard_link(m, a, "one", a, "two");
    hard_link(m, a, "one", b, "three");
    hard_link(m, a, "one", z, "four");
    maker_file(m, z, "large", 9 * MIB);
    hard_link(m, z, "large", a, "large-too");
    maker_file(m, b, "empty", 0);
    hard_link(m, b, "empty", a, "empty-too");
    maker_must(m, symlinkat("one", a, "link"), "link", "link");
    hard_link(m, a, "link", b, "link-too");
    maker_must(m, mkfifoat(a, "fifo", 0640), "fifo", "fifo");
    hard_link(m, a, "fifo", z, "fifo-too");
    maker_stamp(m, a, "link");
    maker_stamp(m, a, "fifo");
    (void)close(a);
    (void)close(z);
    maker_stamp(m, b, "z");
    (void)close(b);
    maker_stamp(m, dir, "a");
    maker_stamp(m, dir, "b");
}

static void make_symlinks(struct maker *m, int dir)
{
    char longest[4096];
    memset(longest, 'y', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 200; i < sizeof longest - 1; i += 200)
        longest[i] = '/';
    const struct {
        const char *name, *target;
    } links[] = {
        {"dangling",  "no/such/file" },
        {"absolute",  "/etc/hostname"},
        {"to-folder", "../empty"     },
        {"to-root",   "/"            },
        {"up",        "../../../.."  },
        {"self",      "self"         },
        {"loop-a",    "loop-b"       },
        {"loop-b",    "loop-a"       },
        {"bytes",     "\xff\n\x01"   },
        {"dot",       "."            },
        {"slashes",   "a//b///"      },
        {"long",      longest        },
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        maker_must(m, symlinkat(links[i].target, dir, links[i].name), "link", links[i].name);
        maker_stamp(m, dir, links[i].name);
    }
}

const struct section torture_sections[] = {
    {"holes",      make_holes     },
    {"names",      make_names     },
    {"many",       make_many      },
    {"deep-path",  make_deep      },
    {"empty",      make_empty     },
    {"sizes",      make_sizes     },
    {"hard-links", make_hard_links},
    {"symlinks",   make_symlinks  },
    {NULL,         NULL           },
};
