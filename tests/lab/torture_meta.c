/* torture_meta: ACLs, attributes, modes, owners, times, special files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/lab/torture.h"

/* Works for every type: the link in /proc leads to the entry itself. */
static void attribute(struct maker *m, int dir, const char *name, const char *key,
                      const void *value, size_t len)
{
    char path[64];
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    maker_must(m, fd < 0 ? fd : setxattr(path, key, value, len, 0), key, name);
    if (fd >= 0)
        (void)close(fd);
}

static void acl(struct maker *m, int dir, const char *name, acl_type_t type, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
    acl_t a = acl_from_text(text);
    maker_must(m, a ? acl_set_file(path, type, a) : -1, "ACL", name);
    if (a)
        (void)acl_free(a);
}

static void make_acls(struct maker *m, int dir)
{
    static const char access[] = "u::rw,u:1234:rwx,u:4294967294:r,g::---,g:50:rx,m::rwx,o::r";
    maker_file(m, dir, "named-users", 100);
    acl(m, dir, "named-users", ACL_TYPE_ACCESS, access);
    maker_file(m, dir, "mask-narrows", 100);
    acl(m, dir, "mask-narrows", ACL_TYPE_ACCESS, "u::rw,u:7:rwx,g::rwx,m::r,o::-");
    int sub = maker_folder(m, dir, "default");
    acl(m, dir, "default", ACL_TYPE_DEFAULT, "u::rwx,u:99:rwx,g::rx,m::rwx,o::-");
    maker_file(m, sub, "inherits", 10);
    (void)close(maker_folder(m, sub, "folder-inherits"));
    maker_stamp(m, sub, "folder-inherits");
    maker_file(m, sub, "cleared", 10);
    acl(m, sub, "cleared", ACL_TYPE_ACCESS, "u::rw,g::r,o::r");
    (void)close(sub);
    maker_stamp(m, dir, "default");
    (void)close(maker_folder(m, dir, "both"));
    acl(m, dir, "both", ACL_TYPE_ACCESS, "u::rwx,u:1:r,g::rx,m::rx,o::x");
    acl(m, dir, "both", ACL_TYPE_DEFAULT, "u::rwx,g::-,o::-");
    maker_stamp(m, dir, "both");
}

static void make_attributes(struct maker *m, int dir)
{
    /* VFS_CAP_REVISION_2, effective: cap_net_raw */
    static const uint8_t capability[20] = {1, 0, 0, 2, 0, 0x20};
    char value[3000], key[64];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)maker_random(m);
    maker_file(m, dir, "user", 10);
    attribute(m, dir, "user", "user.plain", "value", 5);
    attribute(m, dir, "user", "user.empty", "", 0);
    attribute(m, dir, "user", "user.zero\n\xff", "\0\0", 2);
    maker_file(m, dir, "large", 10);
    attribute(m, dir, "large", "user.large", value, sizeof value);
    maker_file(m, dir, "many", 10);
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(key, sizeof key, "user.key-%02u", i);
        attribute(m, dir, "many", key, value + i, 20);
    }
    maker_file(m, dir, "capability", 10);
    maker_must(m, fchmodat(dir, "capability", 0755, 0), "mode", "capability");
    maker_must(m, fchownat(dir, "capability", 1000, 1000, 0), "owner", "capability");
    attribute(m, dir, "capability", "security.capability", capability, sizeof capability);
    maker_file(m, dir, "ntacl", 10);
    attribute(m, dir, "ntacl", "security.NTACL", value, 400);
    maker_file(m, dir, "trusted", 0);
    attribute(m, dir, "trusted", "trusted.key", value, 100);
    (void)close(maker_folder(m, dir, "folder"));
    attribute(m, dir, "folder", "user.folder", "1", 1);
    attribute(m, dir, "folder", "security.NTACL", value, 300);
    maker_stamp(m, dir, "folder");
    maker_must(m, symlinkat("user", dir, "link"), "link", "link");
    attribute(m, dir, "link", "trusted.link", "1", 1);
    maker_stamp(m, dir, "link");
    maker_must(m, mkfifoat(dir, "fifo", 0600), "fifo", "fifo");
    attribute(m, dir, "fifo", "trusted.fifo", "1", 1);
    maker_stamp(m, dir, "fifo");
}

static void make_modes(struct maker *m, int dir)
{
    static const mode_t modes[] = {0,     0400,  0111,  0222,  0777,  04755,
                                   02755, 06711, 01644, 07777, 04000, 02060};
    char name[32];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        (void)snprintf(name, sizeof name, "file-%04o", modes[i]);
        maker_file(m, dir, name, 50);
        maker_must(m, fchmodat(dir, name, modes[i], 0), "mode", name);
    }
    static const mode_t folders[] = {0555, 0, 01777, 02775, 0711, 07000};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        (void)snprintf(name, sizeof name, "folder-%04o", folders[i]);
        int sub = maker_folder(m, dir, name);
        maker_file(m, sub, "inside", 50);
        maker_must(m, fchmod(sub, folders[i]), "mode", name);
        (void)close(sub);
        maker_stamp(m, dir, name);
    }
}

static void make_special(struct maker *m, int dir)
{
    static const struct {
        const char *name;
        mode_t mode;
        unsigned major, minor;
    } nodes[] = {
        {"fifo",   S_IFIFO | 0640,  0,   0    },
        {"fifo-0", S_IFIFO,         0,   0    },
        {"null",   S_IFCHR | 0666,  1,   3    },
        {"far",    S_IFCHR | 0600,  500, 70000},
        {"loop",   S_IFBLK | 0660,  7,   0    },
        {"socket", S_IFSOCK | 0755, 0,   0    },
    };
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        maker_must(
            m, mknodat(dir, nodes[i].name, nodes[i].mode, makedev(nodes[i].major, nodes[i].minor)),
            "node", nodes[i].name);
        maker_stamp(m, dir, nodes[i].name);
    }
}

static void make_owners(struct maker *m, int dir)
{
    static const uid_t ids[][2] = {
        {0,           1          },
        {1,           0          },
        {65534,       65534      },
        {1000,        100        },
        {3000000000U, 4294967294U}
    };
    char name[64];
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        (void)snprintf(name, sizeof name, "owner-%u-%u", ids[i][0], ids[i][1]);
        maker_file(m, dir, name, 10);
        maker_must(m, fchownat(dir, name, ids[i][0], ids[i][1], 0), "owner", name);
        (void)snprintf(name, sizeof name, "setid-%u-%u", ids[i][0], ids[i][1]);
        maker_file(m, dir, name, 10);
        maker_must(m, fchownat(dir, name, ids[i][0], ids[i][1], 0), "owner", name);
        maker_must(m, fchmodat(dir, name, 06755, 0), "mode", name);
        (void)snprintf(name, sizeof name, "link-%u-%u", ids[i][0], ids[i][1]);
        maker_must(m, symlinkat("x", dir, name), "link", name);
        maker_must(m, fchownat(dir, name, ids[i][0], ids[i][1], AT_SYMLINK_NOFOLLOW), "owner",
                   name);
        maker_stamp(m, dir, name);
    }
}

static void make_times(struct maker *m, int dir)
{
    static const struct timespec times[] = {
        {0,           0        },
        {0,           1        },
        {-1,          999999999},
        {-1000000000, 5        },
        {1700000000,  999999999},
        {2147483647,  1        },
        {2147483648,  2        },
        {4102444800,  123456789}
    };
    char name[32];
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        const struct timespec ts[2] = {times[i], times[i]};
        (void)snprintf(name, sizeof name, "file-%zu", i);
        maker_file(m, dir, name, 1);
        maker_must(m, utimensat(dir, name, ts, 0), "time", name);
        (void)snprintf(name, sizeof name, "folder-%zu", i);
        (void)close(maker_folder(m, dir, name));
        maker_must(m, utimensat(dir, name, ts, 0), "time", name);
    }
}

const struct section torture_meta_sections[] = {
    {"acls",       make_acls      },
    {"attributes", make_attributes},
    {"modes",      make_modes     },
    {"special",    make_special   },
    {"owners",     make_owners    },
    {"times",      make_times     },
    {NULL,         NULL           },
};
