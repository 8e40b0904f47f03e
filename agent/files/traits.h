/* traits: what an inventory finds that a copy may lose, or that clients of the new server may
 * stumble over: how often, with examples. Bounded memory; a struct traits belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"

#define TRAIT_EXAMPLES 3

enum trait {
    /* ── of metadata ── */
    TRAIT_POSIX_ACL,
    TRAIT_NFS4_ACL,
    TRAIT_NT_ACL,
    TRAIT_DOS_ATTRIBUTES,
    TRAIT_STREAM,
    TRAIT_LARGE_STREAM, /* no attribute holds it */
    TRAIT_DEPOT_STREAM, /* in a depot, which goes by inodes */
    TRAIT_XATTR_USER,
    TRAIT_XATTR_TRUSTED,
    TRAIT_XATTR_SECURITY,
    TRAIT_CAPABILITY,
    TRAIT_SETID,
    TRAIT_OWNER, /* another than the agent's own user */
    TRAIT_FLAGS,
    TRAIT_PROJECT,
    TRAIT_ENCRYPTED,
    TRAIT_VERITY,
    TRAIT_BIRTH_TIME,
    TRAIT_SHARED_BLOCKS,
    TRAIT_HARD_LINK,
    TRAIT_SPARSE,
    TRAIT_DEVICE,
    TRAIT_REPARSE,  /* of a server without an agent */
    TRAIT_ODD_NAME, /* of one: no file system here holds it */
    TRAIT_FIFO,
    TRAIT_USER_QUOTA,
    TRAIT_GROUP_QUOTA,
    TRAIT_PROJECT_QUOTA,
    /* ── of names and use ── */
    TRAIT_NOT_UTF8,
    TRAIT_CASE_COLLISION,
    TRAIT_LONG_PATH, /* over 4096 bytes */
    TRAIT_SMB_NAME,
    TRAIT_SMB_PATH, /* over 255 bytes */
    TRAIT_DANGLING_LINK,
    TRAIT_NO_OWNER,
    TRAIT_ORPHAN_SID,
    TRAIT_LOCKED,
    TRAIT_OPEN, /* by clients of Samba or NFS */
    TRAITS,
};

struct traits;
struct locked;

/* locked: files that are locked now, opened: that clients have open; NULL is fine. Borrowed. */
struct traits *traits_new(const struct locked *locked, const struct locked *opened);
struct traits *traits_free(struct traits *t); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(traits_free, struct traits *)

/* An entry of the folder at path. */
struct traits_at {
    const char *folder;
    size_t folder_len;
    const char *name;
    size_t name_len;
};
void traits_note(struct traits *t, enum trait what, const struct traits_at *at);
/* What was found elsewhere, count times: text is the example. */
void traits_note_text(struct traits *t, enum trait what, uint64_t count, const char *text);
/* By its names as listxattr(2) gives them. */
void traits_xattrs(struct traits *t, const char *names, size_t len, const struct traits_at *at);
/* What a stat tells: kind, owner, links, holes, locks, whether it is open. */
void traits_stat(struct traits *t, const struct stat *st, const struct traits_at *at);
/* What the name and the path tell. Names of one folder between traits_folder() and the next. */
void traits_folder(struct traits *t);
void traits_name(struct traits *t, const struct traits_at *at);

void traits_add(struct traits *to, const struct traits *from);
/* Once, at the end: asks the system's data base of users about each owner that was seen. */
void traits_resolve(struct traits *t);
const char *trait_name(enum trait what); /* "posix-acl" */
uint64_t traits_count(const struct traits *t, enum trait what);
/* NULL beyond the last. Bytes, NUL-terminated, cut to what a message may have. */
const char *traits_example(const struct traits *t, enum trait what, size_t i);

/* ── rules that stand alone ── */
bool name_suits_smb(const char *name, size_t len); /* every SMB client can open it */
/* Two names that a client takes for one have the same value. */
uint64_t name_fold(const char *name, size_t len);

/* ── a set of files, such as those that are locked now; at most 65,536 ── */
struct locked *locked_new(void);
void locked_add(struct locked *l, dev_t dev, ino_t ino);
/* From a text as in /proc/locks. */
struct locked *locked_read(const char *text);
struct locked *locked_free(struct locked *l);
DEFINE_CLEANUP(locked_free, struct locked *)
bool locked_has(const struct locked *l, dev_t dev, ino_t ino);

/* ── files that clients have open now (opened.c) ── */
/* What `smbstatus -j -L` prints, and the states of a client of the kernel's NFS server. */
void opened_take_smb(struct locked *to, const char *json);
void opened_take_nfs(struct locked *to, const char *text);
/* Asks both of this host; root: "" or that of a test. */
struct locked *opened_read(const char *root);
