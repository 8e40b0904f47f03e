/* torture: the program: torture [--seed N] [--without SECTION]… DIR, torture --list DIR. */
#include "tests/lab/torture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTIONS_MAX 32

struct request {
    const char *dir;
    const char *without[SECTIONS_MAX];
    size_t nwithout;
    uint64_t seed;
    bool list;
};

static int usage(void)
{
    (void)fprintf(stderr, "usage: torture [--seed N] [--without SECTION]... DIR\n"
                          "       torture --list DIR\n");
    return 2;
}

static bool parse(int argc, char **argv, struct request *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool more = i + 1 < argc;
        if (strcmp(a, "--list") == 0)
            ret->list = true;
        else if (strcmp(a, "--seed") == 0 && more)
            ret->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(a, "--without") == 0 && more && ret->nwithout < SECTIONS_MAX)
            ret->without[ret->nwithout++] = argv[++i];
        else if (a[0] == '-' || ret->dir)
            return false;
        else
            ret->dir = a;
    }
    return ret->dir != NULL;
}

static bool is_wanted(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->nwithout; i++)
        if (strcmp(r->without[i], name) == 0)
            return false;
    return true;
}

static void make_all(struct maker *m, int root, const struct request *r,
                     const struct section *sections)
{
    for (const struct section *s = sections; s->name; s++) {
        if (!is_wanted(r, s->name))
            continue;
        m->random = r->seed; /* each section is the same with or without the others */
        int dir = maker_folder(m, root, s->name);
        s->make(m, dir);
        (void)close(dir);
        maker_stamp(m, root, s->name);
    }
}

int main(int argc, char **argv)
{
    struct request r = {.seed = 1};
    if (!parse(argc, argv, &r))
        return usage();
    if (r.list)
        return torture_list(r.dir);
    (void)umask(0);
    if (mkdir(r.dir, 0755) < 0 && errno != EEXIST) {
        perror(r.dir);
        return 1;
    }
    int root = open(r.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        perror(r.dir);
        return 1;
    }
    struct maker m = {.random = r.seed};
    make_all(&m, root, &r, torture_sections);
    make_all(&m, root, &r, torture_meta_sections);
    (void)close(root);
    m.random = r.seed;
    maker_stamp(&m, AT_FDCWD, r.dir);
    (void)printf("%llu entries made, %llu skipped\n", (unsigned long long)m.made,
                 (unsigned long long)m.skipped);
    return 0;
}
