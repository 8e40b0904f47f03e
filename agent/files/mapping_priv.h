/* mapping_priv: what the files of the step "files.map" share: the page that is made, and what the
 * two kinds of tree tell it. Worker thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "proto/files.pb-c.h"

struct idmap;
struct mapper;
struct sid;
struct step;

struct named { /* an entry of a folder; what only a share's list tells is zero elsewhere */
    char *name;
    uint64_t size;
    int64_t written_ms;
    uint32_t attributes; /* FILE_ATTRIBUTE_* */
};

struct names { /* of one folder, in the order of their bytes */
    struct named *list;
    size_t n;
    uint64_t bytes; /* counted in the mapper's `held` */
    int fd;         /* the folder, where it is a local one; else -1 */
};

struct map_seen {
    bool folder, file;
    bool enter; /* a folder that is looked into */
    uint64_t size;
    int64_t written_ms;
    struct stat st; /* of a local one */
};

/* A tree that is looked at. -ENOTCONN: the whole of it is lost; other errors are of one entry. */
struct map_tree {
    int (*list)(struct mapper *m, struct names *ret); /* of the folder m->path, unsorted */
    int (*see)(struct mapper *m, const struct names *k, size_t i, struct map_seen *ret);
    /* Tells map_change() of the entry m->path, which is number i; k is NULL of the root. */
    int (*look)(struct mapper *m, const struct names *k, size_t i, const struct map_seen *seen);
};

struct mapper {
    struct step *step;
    const struct map_tree *tree;
    void *of; /* the tree's own */
    const struct idmap *map;
    struct filter *filter;
    char *after; /* bytes of the path that the page before ended with; NULL: none, or passed */
    struct buf path;
    uint64_t held; /* bytes of names */
    unsigned depth;
    int64_t until_ms;
    size_t texts;
    Godwit__MapRow *row; /* of the entry at hand; NULL: nothing changed yet */
    Godwit__MapPage page;
    bool full;
};

__attribute__((format(printf, 2, 3))) void map_change(struct mapper *m, const char *fmt, ...);
void map_change_sid(void *m, const struct sid *from); /* for each SID of a descriptor */
/* Room for one more; -E2BIG. The name is copied. */
int map_names_add(struct mapper *m, struct names *k, const char *name, size_t len,
                  struct named **ret);

/* Goes through the tree from where the page before ended, until the page is full or all is seen. */
int map_walk(struct mapper *m);
int map_look_root(struct mapper *m, const struct map_seen *seen);

/* mapping_local.c, mapping_smb.c: sets m's tree, makes the page, lets the tree go. */
int map_local(struct mapper *m, const Godwit__MapOrder *o, struct fault *reterr);
int map_endpoint(struct mapper *m, const Godwit__MapOrder *o, struct fault *reterr);
