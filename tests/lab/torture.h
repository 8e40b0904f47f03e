/* torture: makes the tree that copying tools get wrong, and lists a tree in every detail. Shares no
 * code with the product below the base room, so that a mistake there cannot hide itself here. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct maker {
    uint64_t random; /* state of the generator */
    uint64_t made, skipped;
};

/* ── torture_make.c ── */
uint64_t maker_random(struct maker *m);
/* Says and counts what this user or file system cannot do; ends the program on any other error. */
void maker_must(struct maker *m, int rc, const char *what, const char *name);
int maker_folder(struct maker *m, int dir, const char *name); /* descriptor */
/* A file of pseudo-random bytes with a time of its own. */
void maker_file(struct maker *m, int dir, const char *name, size_t bytes);
void maker_bytes(struct maker *m, int fd, off_t at, size_t bytes);
void maker_stamp(struct maker *m, int dir, const char *name);

struct section {
    const char *name;
    void (*make)(struct maker *m, int dir);
};
extern const struct section torture_sections[];      /* torture_sections.c; ends with NULL */
extern const struct section torture_meta_sections[]; /* torture_meta.c; ends with NULL */

/* ── torture_list.c: one line per entry, sorted; 0 or 1 ── */
int torture_list(const char *path);
