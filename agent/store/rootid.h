/* rootid: what a source's folder is, so that a later pass knows whether it looks at the same one:
 * the file system it is on, and which folder there. Nothing in it depends on what the folder holds,
 * nor on the order in which disks were found. Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define ROOTID_BYTES 53U

struct rootid {
    uint32_t type;    /* of the file system, as statfs(2) says; 0: nothing is known */
    uint8_t uuid[16]; /* all zero: not known */
    uint64_t fsid; /* the same as statfs(2) tells it, where that outlives a mount; 0: not known */
    uint64_t ino;
    uint64_t volume; /* of btrfs: the subvolume, whose root has the inode of every other's */
    uint64_t birth;  /* of the folder, in nanoseconds; 0: not known */
};

#define ROOTID_SMB                                                                                 \
    0xFE534D42U /* type of a share's folder: uuid begins with the volume's serial                  \
                 */

/* Never fails: what cannot be told is not known. */
void rootid_of(int fd, struct rootid *ret);

enum rootid_change {
    ROOTID_UNKNOWN = 0, /* nothing is known of one of them */
    ROOTID_SAME,
    ROOTID_FOLDER, /* of the same file system, or of one that has no name, another folder */
    ROOTID_SYSTEM, /* on another file system */
};
enum rootid_change rootid_compare(const struct rootid *was, const struct rootid *is);

void rootid_pack(const struct rootid *r, uint8_t ret[ROOTID_BYTES]);
/* Hostile bytes; of another shape: nothing is known. */
void rootid_unpack(const void *data, size_t len, struct rootid *ret);
