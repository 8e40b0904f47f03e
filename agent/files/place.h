/* place: what file system a path stands on. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct place {
    char file_system[24];      /* "ext4"; a number in hex when it is not known */
    uint64_t size, used, free; /* bytes; free: for this user */
    uint64_t inodes_free;
    uint64_t inodes_used; /* 0: such a file system does not count them */
    bool has_xattr;       /* user.* */
    bool has_acl;
    bool is_kernel; /* proc, sysfs and the like: no place for files */
};

/* The folder itself, or without leave to create the nearest one above it that exists, which speaks
 * for it. fd or -errno. */
int place_open_nearest(const char *path, size_t len, bool *retexists);
int place_of(int fd, struct place *ret);
