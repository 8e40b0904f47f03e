/* test_rootid: what makes two folders the same one, and what is believed of a list of bytes. Whole
 * passes over disks that come and go are in tests/unit/transfer/test_origin.c. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/rootid.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define EXT4 0xEF53U
#define BTRFS 0x9123683EU
#define NFS 0x6969U

static const struct {
    struct rootid was, is;
    enum rootid_change change;
} cases[] = {
    {{.type = 0},                                                      {.type = EXT4, .ino = 2},              ROOTID_UNKNOWN},
    {{.type = EXT4, .ino = 2},                                         {.type = 0},                           ROOTID_UNKNOWN},
    {{.type = EXT4, .uuid = "a", .ino = 2},                            {.type = EXT4, .uuid = "a", .ino = 2}, ROOTID_SAME   },
    {{.type = EXT4, .uuid = "a", .ino = 2},                            {.type = EXT4, .uuid = "b", .ino = 2}, ROOTID_SYSTEM },
    {{.type = EXT4, .uuid = "a", .ino = 2},                            {.type = EXT4, .uuid = "a", .ino = 3}, ROOTID_FOLDER },
 /* a kernel that tells more than the one before it */
    {{.type = EXT4, .fsid = 7, .ino = 2},
     {.type = EXT4, .uuid = "a", .fsid = 7, .ino = 2, .birth = 9},
     ROOTID_SAME                                                                                                            },
    {{.type = EXT4, .fsid = 7, .ino = 2},
     {.type = EXT4, .uuid = "a", .fsid = 8, .ino = 2},
     ROOTID_SYSTEM                                                                                                          },
 /* an UUID outlives what a kernel makes of it */
    {{.type = EXT4, .uuid = "a", .fsid = 7, .ino = 2},
     {.type = EXT4, .uuid = "a", .fsid = 8, .ino = 2},
     ROOTID_SAME                                                                                                            },
 /* the inode's number was used again */
    {{.type = EXT4, .uuid = "a", .ino = 9, .birth = 1},
     {.type = EXT4, .uuid = "a", .ino = 9, .birth = 2},
     ROOTID_FOLDER                                                                                                          },
    {{.type = NFS, .ino = 128},                                        {.type = NFS, .ino = 128},             ROOTID_SAME   },
    {{.type = NFS, .ino = 128},                                        {.type = NFS, .ino = 64},              ROOTID_FOLDER },
    {{.type = NFS, .ino = 128},                                        {.type = EXT4, .ino = 128},            ROOTID_SYSTEM },
    {{.type = BTRFS, .uuid = "a", .fsid = 5, .ino = 256, .volume = 5},
     {.type = BTRFS, .uuid = "a", .fsid = 6, .ino = 256, .volume = 6},
     ROOTID_FOLDER                                                                                                          },
    {{.type = ROOTID_SMB, .uuid = "ser1", .ino = 5},
     {.type = ROOTID_SMB, .uuid = "ser2", .ino = 5},
     ROOTID_SYSTEM                                                                                                          },
};

static void what_makes_it_another_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (rootid_compare(&cases[i].was, &cases[i].is) != cases[i].change)
            fail_msg("case %zu", i);
}

static void a_folder_stays_what_it_is(void **state)
{
    (void)state;
    char path[] = "/tmp/godwit-rootid-XXXXXX";
    struct rootid before, after, above, none;
    assert_non_null(mkdtemp(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rootid_of(fd, &before);
    (void)close(openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    (void)unlinkat(fd, "file", 0);
    rootid_of(fd, &after);
    rootid_of(tmp, &above);
    assert_int_equal(rootid_compare(&before, &after), ROOTID_SAME);
    assert_int_equal(rootid_compare(&before, &above), ROOTID_FOLDER);
    rootid_of(proc, &above);
    assert_int_equal(rootid_compare(&before, &above), ROOTID_SYSTEM);
    rootid_of(-1, &none);
    assert_int_equal(none.type, 0);
    (void)close(fd);
    (void)close(tmp);
    (void)close(proc);
    (void)rmdir(path);
}

static void bytes_of_another_shape_say_nothing(void **state)
{
    (void)state;
    const struct rootid r = {
        .type = EXT4, .uuid = "0123456789abcde", .fsid = 1, .ino = 2, .volume = 3, .birth = 4};
    uint8_t packed[ROOTID_BYTES + 1] = {0}, again[ROOTID_BYTES];
    struct rootid back;
    rootid_pack(&r, packed);
    rootid_unpack(packed, ROOTID_BYTES, &back);
    assert_int_equal(rootid_compare(&r, &back), ROOTID_SAME);
    rootid_pack(&back, again);
    assert_memory_equal(packed, again, sizeof again);
    for (size_t n = 0; n <= sizeof packed; n++) {
        rootid_unpack(packed, n, &back);
        assert_int_equal(back.type, n == ROOTID_BYTES ? EXT4 : 0);
    }
    packed[0]++; /* of a release to come */
    rootid_unpack(packed, ROOTID_BYTES, &back);
    assert_int_equal(back.type, 0);
    rootid_unpack(NULL, 0, &back);
    assert_int_equal(back.type, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_it_another_one),
        cmocka_unit_test(a_folder_stays_what_it_is),
        cmocka_unit_test(bytes_of_another_shape_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
