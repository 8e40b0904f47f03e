/* traits: counts and examples of what an inventory finds. A struct traits belongs to one thread. */
#include "agent/files/traits.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/tally.h"
#include "common/base/mem.h"

#define EXAMPLE_MAX 400       /* bytes of a path; longer ones are cut */
#define OWNERS_MAX 4096U      /* users and groups that are remembered */
#define FOLDED_MAX (1U << 20) /* names of one folder; of a larger one not all are compared */
#define FOLDED_KEPT 4096U     /* slots that are worth keeping for the next folder */
#define LONG_PATH 4096
#define SMB_PATH 255

struct owner {
    uint32_t id;
    bool is_group, used;
    uint64_t count;
    char *example;
};

struct traits {
    const struct locked *locked, *opened;
    uid_t self;
    struct {
        uint64_t count;
        char *examples[TRAIT_EXAMPLES];
    } of[TRAITS];
    struct owner *owners; /* OWNERS_MAX * 2 slots */
    size_t nowners;
    uint64_t *folded; /* names of the folder in hand */
    size_t folded_cap, nfolded;
};

const char *trait_name(enum trait what)
{
    static const char *const names[TRAITS] = {
        [TRAIT_POSIX_ACL] = "posix-acl",
        [TRAIT_NFS4_ACL] = "nfs4-acl",
        [TRAIT_NT_ACL] = "nt-acl",
        [TRAIT_DOS_ATTRIBUTES] = "dos-attributes",
        [TRAIT_STREAM] = "streams",
        [TRAIT_LARGE_STREAM] = "streams-large",
        [TRAIT_DEPOT_STREAM] = "streams-depot",
        [TRAIT_XATTR_USER] = "xattr-user",
        [TRAIT_XATTR_TRUSTED] = "xattr-trusted",
        [TRAIT_XATTR_SECURITY] = "xattr-security",
        [TRAIT_CAPABILITY] = "capabilities",
        [TRAIT_SETID] = "set-id",
        [TRAIT_OWNER] = "owners",
        [TRAIT_FLAGS] = "inode-flags",
        [TRAIT_PROJECT] = "project-ids",
        [TRAIT_ENCRYPTED] = "encryption",
        [TRAIT_VERITY] = "verity",
        [TRAIT_BIRTH_TIME] = "birth-time",
        [TRAIT_SHARED_BLOCKS] = "shared-blocks",
        [TRAIT_HARD_LINK] = "hard-links",
        [TRAIT_SPARSE] = "sparse",
        [TRAIT_DEVICE] = "devices",
        [TRAIT_REPARSE] = "reparse-points",
        [TRAIT_ODD_NAME] = "names-too-long",
        [TRAIT_FIFO] = "fifos-sockets",
        [TRAIT_USER_QUOTA] = "quotas-user",
        [TRAIT_GROUP_QUOTA] = "quotas-group",
        [TRAIT_PROJECT_QUOTA] = "quotas-project",
        [TRAIT_NOT_UTF8] = "names-not-utf8",
        [TRAIT_CASE_COLLISION] = "case-collisions",
        [TRAIT_LONG_PATH] = "paths-over-4096",
        [TRAIT_SMB_NAME] = "smb-names",
        [TRAIT_SMB_PATH] = "paths-over-255",
        [TRAIT_DANGLING_LINK] = "dangling-links",
        [TRAIT_NO_OWNER] = "owners-unknown",
        [TRAIT_ORPHAN_SID] = "orphan-sids",
        [TRAIT_LOCKED] = "locked-now",
        [TRAIT_OPEN] = "open-now",
    };
    return names[what];
}

struct traits *traits_new(const struct locked *locked, const struct locked *opened)
{
    struct traits *t = xcalloc(1, sizeof *t);
    t->locked = locked;
    t->opened = opened;
    t->self = geteuid();
    t->owners = xcalloc((size_t)OWNERS_MAX * 2, sizeof *t->owners);
    return t;
}

struct traits *traits_free(struct traits *t)
{
    if (!t)
        return NULL;
    for (size_t i = 0; i < TRAITS; i++)
        for (size_t k = 0; k < TRAIT_EXAMPLES; k++)
            free(t->of[i].examples[k]);
    for (size_t i = 0; i < (size_t)OWNERS_MAX * 2; i++)
        free(t->owners[i].example);
    free(t->owners);
    free(t->folded);
    free(t);
    return NULL;
}

/* malloc'd; the end of a long path says more than its beginning. */
static char *example_of(const struct traits_at *at)
{
    size_t len = at->folder_len + (at->folder_len > 0) + at->name_len;
    CLEANUP(mem_free) char *path = xmalloc(len + 1);
    memcpy(path, at->folder, at->folder_len);
    if (at->folder_len > 0)
        path[at->folder_len] = '/';
    memcpy(path + len - at->name_len, at->name, at->name_len);
    path[len] = '\0';
    if (len <= EXAMPLE_MAX)
        return xmemdup(path, len);
    return xasprintf("...%s", path + len - EXAMPLE_MAX);
}

void traits_note(struct traits *t, enum trait what, const struct traits_at *at)
{
    uint64_t n = t->of[what].count++;
    if (n < TRAIT_EXAMPLES)
        t->of[what].examples[n] = example_of(at);
}

void traits_note_text(struct traits *t, enum trait what, uint64_t count, const char *text)
{
    size_t n = 0;
    while (n < TRAIT_EXAMPLES && t->of[what].examples[n])
        n++;
    if (n < TRAIT_EXAMPLES)
        t->of[what].examples[n] = xstrdup(text);
    t->of[what].count += count;
}

static enum trait trait_of_xattr(const char *name)
{
    static const struct {
        const char *prefix;
        enum trait what;
    } rules[] = {
        {"system.posix_acl_",   TRAIT_POSIX_ACL     },
        {"system.nfs4",         TRAIT_NFS4_ACL      },
        {"security.NTACL",      TRAIT_NT_ACL        },
        {"security.capability", TRAIT_CAPABILITY    },
        {"security.",           TRAIT_XATTR_SECURITY},
        {"user.DOSATTRIB",      TRAIT_DOS_ATTRIBUTES},
        {"user.DosStream.",     TRAIT_STREAM        },
        {"user.SAMBA_STREAMS",  TRAIT_DEPOT_STREAM  },
        {"user.",               TRAIT_XATTR_USER    },
        {"trusted.",            TRAIT_XATTR_TRUSTED },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (strncmp(name, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].what;
    return TRAITS;
}

void traits_xattrs(struct traits *t, const char *names, size_t len, const struct traits_at *at)
{
    bool seen[TRAITS + 1] = {false}; /* each class once an entry */
    seen[TRAITS] = true;
    for (const char *p = names; p < names + len; p += strlen(p) + 1) {
        enum trait what = trait_of_xattr(p);
        if (!seen[what])
            traits_note(t, what, at);
        seen[what] = true;
    }
}

/* ── owners ── */

static struct owner *owner_slot(struct traits *t, uint32_t id, bool is_group)
{
    size_t mask = (size_t)OWNERS_MAX * 2 - 1,
           i = ((id ^ (id >> 15)) * 2654435761U + is_group) & mask;
    while (t->owners[i].used && (t->owners[i].id != id || t->owners[i].is_group != is_group))
        i = (i + 1) & mask;
    return &t->owners[i];
}

static void owner_note(struct traits *t, uint32_t id, bool is_group, const struct traits_at *at)
{
    struct owner *o = owner_slot(t, id, is_group);
    if (!o->used && t->nowners >= OWNERS_MAX)
        return;
    if (!o->used) {
        *o = (struct owner){.id = id, .is_group = is_group, .used = true};
        o->example = example_of(at);
        t->nowners++;
    }
    o->count++;
}

static bool is_known(const struct owner *o)
{
    char room[16384];
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;
    if (o->is_group)
        return getgrgid_r(o->id, &group, room, sizeof room, &found_group) != 0 || found_group;
    return getpwuid_r(o->id, &user, room, sizeof room, &found_user) != 0 || found_user;
}

void traits_resolve(struct traits *t)
{
    for (size_t i = 0; i < (size_t)OWNERS_MAX * 2; i++) {
        struct owner *o = &t->owners[i];
        if (!o->used || is_known(o))
            continue;
        size_t n = 0;
        while (n < TRAIT_EXAMPLES && t->of[TRAIT_NO_OWNER].examples[n])
            n++;
        t->of[TRAIT_NO_OWNER].count += o->count;
        if (n < TRAIT_EXAMPLES)
            t->of[TRAIT_NO_OWNER].examples[n] =
                xasprintf("%s %u: %s", o->is_group ? "group" : "user", o->id, o->example);
    }
}

/* ── an entry ── */

void traits_stat(struct traits *t, const struct stat *st, const struct traits_at *at)
{
    owner_note(t, st->st_uid, false, at);
    owner_note(t, st->st_gid, true, at);
    if (st->st_uid != t->self)
        traits_note(t, TRAIT_OWNER, at);
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
        traits_note(t, TRAIT_HARD_LINK, at);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        traits_note(t, TRAIT_DEVICE, at);
    if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
        traits_note(t, TRAIT_FIFO, at);
    if (!S_ISREG(st->st_mode))
        return;
    if (st->st_mode & (S_ISUID | S_ISGID))
        traits_note(t, TRAIT_SETID, at);
    if (st->st_blocks * 512 < st->st_size)
        traits_note(t, TRAIT_SPARSE, at);
    if (locked_has(t->locked, st->st_dev, st->st_ino))
        traits_note(t, TRAIT_LOCKED, at);
    if (locked_has(t->opened, st->st_dev, st->st_ino))
        traits_note(t, TRAIT_OPEN, at);
}

void traits_folder(struct traits *t)
{
    if (t->folded_cap > FOLDED_KEPT) {
        free(t->folded);
        t->folded = NULL;
        t->folded_cap = 0;
    } else if (t->nfolded > 0) {
        memset(t->folded, 0, t->folded_cap * sizeof *t->folded);
    }
    t->nfolded = 0;
}

static size_t folded_slot(const struct traits *t, uint64_t h)
{
    size_t i = h & (t->folded_cap - 1);
    while (t->folded[i] && t->folded[i] != h)
        i = (i + 1) & (t->folded_cap - 1);
    return i;
}

static void folded_grow(struct traits *t)
{
    uint64_t *old = t->folded;
    size_t cap = t->folded_cap;
    t->folded_cap = cap ? cap * 2 : 256;
    t->folded = xcalloc(t->folded_cap, sizeof *t->folded);
    for (size_t i = 0; i < cap; i++)
        if (old[i])
            t->folded[folded_slot(t, old[i])] = old[i];
    free(old);
}

/* Another name of this folder is the same to a client. */
static bool collides(struct traits *t, const struct traits_at *at)
{
    if ((t->nfolded + 1) * 2 > t->folded_cap && t->nfolded < FOLDED_MAX)
        folded_grow(t);
    uint64_t h = name_fold(at->name, at->name_len);
    size_t i = folded_slot(t, h);
    if (t->folded[i] == h)
        return true;
    if (t->nfolded < FOLDED_MAX) {
        t->folded[i] = h;
        t->nfolded++;
    }
    return false;
}

void traits_name(struct traits *t, const struct traits_at *at)
{
    size_t len = at->folder_len + (at->folder_len > 0) + at->name_len;
    if (!tally_is_utf8(at->name, at->name_len))
        traits_note(t, TRAIT_NOT_UTF8, at);
    if (collides(t, at))
        traits_note(t, TRAIT_CASE_COLLISION, at);
    if (!name_suits_smb(at->name, at->name_len))
        traits_note(t, TRAIT_SMB_NAME, at);
    if (len > LONG_PATH)
        traits_note(t, TRAIT_LONG_PATH, at);
    else if (len > SMB_PATH)
        traits_note(t, TRAIT_SMB_PATH, at);
}

/* ── sums ── */

static void add_owner(struct traits *to, const struct owner *from)
{
    struct owner *o = owner_slot(to, from->id, from->is_group);
    if (!o->used && to->nowners >= OWNERS_MAX)
        return;
    if (!o->used) {
        *o = (struct owner){.id = from->id, .is_group = from->is_group, .used = true};
        o->example = xstrdup(from->example);
        to->nowners++;
    }
    o->count += from->count;
}

void traits_add(struct traits *to, const struct traits *from)
{
    for (size_t i = 0; i < TRAITS; i++) {
        size_t n = 0;
        while (n < TRAIT_EXAMPLES && to->of[i].examples[n])
            n++;
        for (size_t k = 0; n < TRAIT_EXAMPLES && k < TRAIT_EXAMPLES; k++)
            if (from->of[i].examples[k])
                to->of[i].examples[n++] = xstrdup(from->of[i].examples[k]);
        to->of[i].count += from->of[i].count;
    }
    for (size_t i = 0; i < (size_t)OWNERS_MAX * 2; i++)
        if (from->owners[i].used)
            add_owner(to, &from->owners[i]);
}

uint64_t traits_count(const struct traits *t, enum trait what)
{
    return t->of[what].count;
}

const char *traits_example(const struct traits *t, enum trait what, size_t i)
{
    return i < TRAIT_EXAMPLES ? t->of[what].examples[i] : NULL;
}
