/* test_vm_device: a device is written only when it was blank, and is blank again after the way
 * back; one that is out of reach is not written. With a loop device, where there is one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/device.h"
#include "agent/vm/redefine.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"
#include "tests/unit/vm/stage_world.h"

#define MIB (UINT64_C(1) << 20)

struct loop {
    struct world *w;
    char *file, *path; /* NULL: there is none here */
};

static char *run(const char *const *argv)
{
    const struct program_call call = {.argv = argv, .cancel_fd = -1};
    struct program_output out = {.code = 0};
    struct fault why = {.err = 0};
    if (program_run(&call, &out, &why) < 0)
        return NULL;
    char *said = out.code == 0 ? xasprintf("%.*s", (int)strcspn(out.out, "\n"), out.out) : NULL;
    program_done(&out);
    return said;
}

static struct loop loop_new(void)
{
    struct loop l = {.w = world_new(TYPE(COLD))};
    l.file = xasprintf("%s/disk", l.w->dir);
    int fd = open(l.file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 8 * MIB) == 0 && close(fd) == 0);
    l.path = run((const char *const[]){"losetup", "-f", "--show", l.file, NULL});
    if (l.path && !device_is(l.path)) { /* made, and not to be seen from here */
        free(run((const char *const[]){"losetup", "-d", l.path, NULL}));
        free(l.path);
        l.path = NULL;
    }
    return l;
}

static void loop_free(struct loop *l)
{
    if (l->path)
        free(run((const char *const[]){"losetup", "-d", l->path, NULL}));
    free(l->path);
    free(l->file);
    world_free(l->w);
}

static void put(const struct loop *l, uint64_t at, char c)
{
    CLEANUP(fd_close) int fd = open(l->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && pwrite(fd, &c, 1, (off_t)at) == 1 && fsync(fd) == 0);
}

/* The kernel lets one open it, and refuses what is written. */
static bool can_write(const struct loop *l)
{
    CLEANUP(fd_close) int fd = open(l->path, O_RDWR | O_CLOEXEC);
    return fd >= 0 && pwrite(fd, "x", 1, 0) == 1 && fsync(fd) == 0;
}

static int blank(const struct loop *l)
{
    struct fault why = {.err = 0};
    uint64_t bytes = 0;
    int rc = device_blank(l->path, &bytes, &why);
    if (rc == 0)
        assert_int_equal(bytes, 8 * MIB);
    return rc;
}

static void blank_is_what_has_nothing_at_its_ends(void **state)
{
    static const struct {
        uint64_t at;
        int want;
    } cases[] = {
        {0,           -EEXIST},
        {MIB - 1,     -EEXIST},
        {8 * MIB - 1, -EEXIST},
        {7 * MIB,     -EEXIST},
        {4 * MIB,     -EEXIST}, /* a place between */
    };
    struct loop l = loop_new();
    (void)state;
    for (size_t i = 0; l.path && i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(blank(&l), 0);
        put(&l, cases[i].at, 'x');
        assert_int_equal(blank(&l), cases[i].want);
        put(&l, cases[i].at, 0);
    }
    loop_free(&l);
}

static void what_is_read_only_is_told_at_once(void **state)
{
    struct loop l = loop_new();
    int on = 1, off = 0;
    (void)state;
    CLEANUP(fd_close) int fd = l.path ? open(l.path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && ioctl(fd, BLKROSET, &on) == 0) {
        assert_int_equal(blank(&l), -EROFS);
        assert_int_equal(ioctl(fd, BLKROSET, &off), 0);
        assert_int_equal(blank(&l), 0);
    }
    loop_free(&l);
}

static void a_file_is_no_device(void **state)
{
    struct loop l = loop_new();
    struct fault why = {.err = 0};
    uint64_t bytes = 0;
    (void)state;
    assert_int_equal(device_blank(l.file, &bytes, &why), -ENOTBLK);
    assert_int_equal(device_blank("/nonexistent", &bytes, &why), -ENOTBLK);
    assert_false(device_is(l.file));
    loop_free(&l);
}

/* A loop device's file is a path, and paths prove nothing. */
static void a_path_is_no_identity(void **state)
{
    struct loop l = loop_new();
    struct stat st;
    (void)state;
    if (l.path && stat(l.path, &st) == 0) {
        CLEANUP(mem_free) char *is = device_identity(st.st_rdev);
        assert_string_equal(is, "");
    }
    loop_free(&l);
}

static void what_was_written_goes_on_the_way_back(void **state)
{
    struct loop l = loop_new();
    (void)state;
    if (l.path) {
        l.w->disk.path = l.path;
        l.w->disk.device = l.w->disk.to_device = true;
        put(&l, 0, 'x');
        assert_int_equal(order(l.w, DESTINATION, "reserve", DO), -EEXIST);
        assert_true(order(l.w, DESTINATION, "reserve", UNDO) >= 0);
        assert_int_equal(blank(&l), -EEXIST); /* it is somebody else's */
        put(&l, 0, 0);
        l.w->disk.virtual_bytes = 9 * MIB;
        assert_int_equal(order(l.w, DESTINATION, "reserve", DO), -ENOSPC);
        assert_true(order(l.w, DESTINATION, "reserve", UNDO) >= 0);
        l.w->disk.virtual_bytes = 8 * MIB;
        assert_int_equal(order(l.w, DESTINATION, "reserve", DO), 1);
        put(&l, 0, 'x');
        assert_int_equal(order(l.w, DESTINATION, "reserve", DO), 1); /* after a crash */
        assert_true(order(l.w, DESTINATION, "reserve", UNDO) >= 0);
        assert_int_equal(blank(&l), 0);
    }
    loop_free(&l);
}

/* After a new start of the kernel the name may be another device's. */
static void another_device_of_that_name_is_not_wiped(void **state)
{
    struct loop l = loop_new();
    (void)state;
    if (l.path) {
        CLEANUP(mem_free) char *now = device_now(l.path);
        put(&l, 0, 'x');
        assert_int_equal(device_wipe(l.path, "another-start 7:0"), 0);
        assert_int_equal(blank(&l), -EEXIST);
        assert_int_equal(device_wipe(l.path, ""), 0);
        assert_int_equal(blank(&l), -EEXIST);
        assert_int_equal(device_wipe(l.path, now), 0);
        assert_int_equal(blank(&l), 0);
    }
    loop_free(&l);
}

static void a_fenced_device_is_not_written(void **state)
{
    struct loop l = loop_new();
    (void)state;
    if (l.path) {
        CLEANUP(mem_free) char *xml = xml_of(l.path);
        fake_define(&l.w->here, UUID, xml);
        l.w->disk.source = l.path;
        l.w->disk.device = true;
        assert_int_equal(order(l.w, SOURCE, "fence", DO), 1);
        assert_true(device_is_locked(l.path));
        assert_false(can_write(&l));
        assert_int_equal(order(l.w, SOURCE, "fence", DO), 0);
        assert_int_equal(order(l.w, SOURCE, "fence", UNDO), 1);
        assert_false(device_is_locked(l.path));
        assert_true(can_write(&l));
        /* For good: it is its owner's again. */
        assert_int_equal(order(l.w, SOURCE, "fence", DO), 1);
        assert_int_equal(order(l.w, SOURCE, "drop", DO), 1);
        assert_int_equal(order(l.w, SOURCE, "forget", DO), 1);
        assert_false(device_is_locked(l.path));
    }
    loop_free(&l);
}

static void a_definition_names_it_as_a_device(void **state)
{
    struct loop l = loop_new();
    CLEANUP(mem_free) char *xml = xml_of(l.w->from);
    CLEANUP(mem_free) char *out = NULL;
    static char volume[] = "/dev/vg0/web";
    (void)state;
    l.w->disk.path = volume;
    l.w->disk.device = l.w->disk.to_device = true;
    assert_int_equal(redefine(xml, strlen(xml), &l.w->plan, &out), 0);
    assert_non_null(strstr(out, "type=\"block\""));
    assert_non_null(strstr(out, "dev=\"/dev/vg0/web\""));
    assert_null(strstr(out, "file="));
    loop_free(&l);
}

/* As sysfs has it: a disk, and a partition in its folder. */
static void sectors_are_those_of_the_disk(void **state)
{
    static const struct {
        const char *says;
        uint32_t want;
    } cases[] = {
        {"512\n",         512 },
        {"4096\n",        4096},
        {"",              0   },
        {"none",          0   },
        {"99999999999\n", 0   },
    };
    char dir[] = "/tmp/gw-sector-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    CLEANUP(mem_free) char *queue = xasprintf("%s/queue", dir);
    CLEANUP(mem_free) char *part = xasprintf("%s/sda1", dir);
    CLEANUP(mem_free) char *file = xasprintf("%s/logical_block_size", queue);
    assert_int_equal(device_sector_at(dir), 0);
    assert_true(mkdir(queue, 0700) == 0 && mkdir(part, 0700) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(file_write(file, 0600, cases[i].says, strlen(cases[i].says)), 0);
        assert_int_equal(device_sector_at(dir), cases[i].want);
        assert_int_equal(device_sector_at(part), cases[i].want);
    }
    assert_true(unlink(file) == 0 && rmdir(queue) == 0 && rmdir(part) == 0 && rmdir(dir) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sectors_are_those_of_the_disk),
        cmocka_unit_test(blank_is_what_has_nothing_at_its_ends),
        cmocka_unit_test(what_is_read_only_is_told_at_once),
        cmocka_unit_test(a_file_is_no_device),
        cmocka_unit_test(a_path_is_no_identity),
        cmocka_unit_test(what_was_written_goes_on_the_way_back),
        cmocka_unit_test(another_device_of_that_name_is_not_wiped),
        cmocka_unit_test(a_fenced_device_is_not_written),
        cmocka_unit_test(a_definition_names_it_as_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
