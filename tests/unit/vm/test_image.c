/* test_image: headers of images as guests may write them, and chains of images. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/image.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define HEADER 4096

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

/* What a test wants of a header; all else is as QEMU writes it. */
struct qcow2 {
    const char *backing, *backing_format, *data_file;
    uint64_t must;
    uint32_t version, snapshots, crypt;
};

static size_t extension(uint8_t *p, size_t at, uint32_t kind, const char *text)
{
    size_t n = strlen(text);
    put32(p + at, kind);
    put32(p + at + 4, (uint32_t)n);
    memcpy(p + at + 8, text, n);
    return at + 8 + ((n + 7) & ~(size_t)7);
}

static void write_header(uint8_t p[HEADER], const struct qcow2 *q)
{
    size_t at = q->version == 2 ? 72 : 104;
    memset(p, 0, HEADER);
    memcpy(p, "QFI\xfb", 4);
    put32(p + 4, q->version ? q->version : 3);
    put32(p + 20, 16);
    put64(p + 24, 64 << 20);
    put32(p + 32, q->crypt);
    put32(p + 60, q->snapshots);
    put64(p + 72, q->version == 2 ? 0 : q->must);
    if (q->version != 2)
        put32(p + 100, 104);
    if (q->backing_format)
        at = extension(p, at, 0xe2792aca, q->backing_format);
    if (q->data_file)
        at = extension(p, at, 0x44415441, q->data_file);
    at += 8; /* the end of extensions */
    if (q->backing) {
        put64(p + 8, at);
        put32(p + 16, (uint32_t)strlen(q->backing));
        memcpy(p + at, q->backing, strlen(q->backing));
    }
}

static Godwit__VmImage *read_it(const uint8_t *p, size_t n, const char *format)
{
    Godwit__VmImage *i = xcalloc(1, sizeof *i);
    godwit__vm_image__init(i);
    image_header(p, n, 1234, format, i);
    return i;
}

static void headers_are_read(void **state)
{
    static const struct {
        struct qcow2 q;
        const char *backing, *backing_format, *data_file;
        bool dirty, snapshots, encrypted, trouble;
    } cases[] = {
        {{.version = 3},                                                     "", "",      "",            false, false, false, false},
        {{.version = 2, .backing = "base.qcow2", .backing_format = "qcow2"},
         "base.qcow2",                                                           "qcow2",
         "",                                                                                             false,
         false,                                                                                                        false,
         false                                                                                                                     },
        {{.backing = "/etc/shadow", .backing_format = "raw"},
         "/etc/shadow",                                                          "raw",
         "",                                                                                             false,
         false,                                                                                                        false,
         false                                                                                                                     },
        {{.data_file = "/etc/shadow", .must = 4},
         "",                                                                     "",
         "/etc/shadow",                                                                                  false,
         false,                                                                                                        false,
         false                                                                                                                     },
        {{.must = 4},                                                        "", "",      "(not named)", false, false, false, false},
        {{.must = 1},                                                        "", "",      "",            true,  false, false, false},
        {{.must = 2},                                                        "", "",      "",            true,  false, false, false},
        {{.must = 1 << 20},                                                  "", "",      "",            false, false, false, true },
        {{.snapshots = 2, .crypt = 2},                                       "", "",      "",            false, true,  true,  false},
        {{.version = 9},                                                     "", "",      "",            false, false, false, true },
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        uint8_t p[HEADER];
        write_header(p, &cases[k].q);
        CLEANUP(image_free) Godwit__VmImage *i = read_it(p, sizeof p, "qcow2");
        assert_string_equal(i->format, "qcow2");
        assert_string_equal(i->backing, cases[k].backing);
        assert_string_equal(i->backing_format, cases[k].backing_format);
        assert_string_equal(i->data_file, cases[k].data_file);
        assert_int_equal(i->dirty, cases[k].dirty);
        assert_int_equal(i->snapshots, cases[k].snapshots);
        assert_int_equal(i->encrypted, cases[k].encrypted);
        assert_int_equal(*i->trouble != '\0', cases[k].trouble);
    }
}

/* Names and lengths that point beyond what was read; bytes that are no text. */
static void headers_that_lie_are_found_out(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
    } cases[] = {
        {12,  HEADER    }, /* the name begins at the end */
        {16,  0xffffffff}, /* and is longer than all */
        {16,  2000      }, /* longer than the format allows */
        {20,  63        }, /* clusters of 8 EiB */
        {100, 0xfffffff0}, /* the header does not end */
        {108, 0xffffffff}, /* an extension that does not end */
    };
    static const struct qcow2 q = {.backing = "base", .backing_format = "qcow2"};
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        uint8_t p[HEADER];
        write_header(p, &q);
        put32(p + cases[k].at, cases[k].value);
        CLEANUP(image_free) Godwit__VmImage *i = read_it(p, sizeof p, "qcow2");
        assert_true(*i->trouble);
    }
    uint8_t p[HEADER];
    const struct qcow2 bytes = {.backing = "a\x1b[2J", .backing_format = "qcow2"};
    write_header(p, &bytes);
    CLEANUP(image_free) Godwit__VmImage *i = read_it(p, sizeof p, "qcow2");
    assert_true(*i->trouble);
    for (size_t n = 0; n < 104; n++) {
        CLEANUP(image_free) Godwit__VmImage *cut = read_it(p, n, "qcow2");
        assert_true(*cut->trouble);
    }
}

static void what_is_called_raw_is_content(void **state)
{
    uint8_t p[HEADER];
    const struct qcow2 q = {.backing = "/etc/shadow", .backing_format = "raw"};
    (void)state;
    write_header(p, &q);
    CLEANUP(image_free) Godwit__VmImage *i = read_it(p, sizeof p, "raw");
    assert_string_equal(i->format, "qcow2"); /* it looks like that, which is told */
    assert_string_equal(i->backing, "");
    assert_true(i->virtual_bytes == 1234);
    CLEANUP(image_free) Godwit__VmImage *no = read_it((const uint8_t *)"MZ", 2, "qcow2");
    assert_true(*no->trouble);
}

/* ── chains, on disk ── */

static char folder[] = "/tmp/gw-image-XXXXXX";

static char *at(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void make(const char *name, const struct qcow2 *q)
{
    uint8_t p[HEADER];
    CLEANUP(mem_free) char *path = at(name);
    write_header(p, q);
    assert_int_equal(file_write(path, 0600, p, sizeof p), 0);
}

static void a_chain_is_followed_to_its_end(void **state)
{
    static const struct {
        const char *name;
        struct qcow2 top, below; /* of "base" */
        size_t images;
        const char *trouble; /* of the last one; "": none */
    } cases[] = {
        {"alone",                       {.version = 3},                                 {.version = 3}, 1, ""            },
        {"on a base",                   {.backing = "base", .backing_format = "qcow2"}, {.version = 3}, 2, ""            },
        {"on two",
         {.backing = "base", .backing_format = "qcow2"},
         {.backing = "last", .backing_format = "raw"},
         3,                                                                                                ""            },
        {"on one that is gone",
         {.backing = "gone", .backing_format = "qcow2"},
         {.version = 3},
         2,                                                                                                "No such file"},
        {"on itself",
         {.backing = "base", .backing_format = "qcow2"},
         {.backing = "base", .backing_format = "qcow2"},
         IMAGE_CHAIN_MAX,                                                                                  "too many"    },
        {"on a place of the network",
         {.backing = "nbd://example.org/x", .backing_format = "raw"},
         {.version = 3},
         2,                                                                                                "no path"     },
        {"on JSON",
         {.backing = "json:{\"driver\":\"null-co\"}", .backing_format = "raw"},
         {.version = 3},
         2,                                                                                                "no path"     },
        {"on a device that is no disk",
         {.backing = "/dev/zero", .backing_format = "raw"},
         {.version = 3},
         2,                                                                                                "neither"     },
        {"on a folder",                 {.backing = "/etc", .backing_format = "raw"},   {.version = 3}, 2, "neither"     },
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        make("top", &cases[k].top);
        make("base", &cases[k].below);
        make("last", &(struct qcow2){.backing = "/nonexistent"}); /* raw: no header counts */
        CLEANUP(mem_free) char *path = at("top");
        Godwit__VmDiskFacts *f = xcalloc(1, sizeof *f);
        godwit__vm_disk_facts__init(f);
        image_chain(path, "qcow2", f);
        assert_int_equal(f->n_images, cases[k].images);
        const char *trouble = f->images[f->n_images - 1]->trouble;
        assert_true(*cases[k].trouble ? strstr(trouble, cases[k].trouble) != NULL : !*trouble);
        godwit__vm_disk_facts__free_unpacked(f, NULL);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    static const char *const names[] = {"top", "base", "last"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP(mem_free) char *path = at(names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(headers_that_lie_are_found_out),
        cmocka_unit_test(what_is_called_raw_is_content),
        cmocka_unit_test(a_chain_is_followed_to_its_end),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
