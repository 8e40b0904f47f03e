/* test_smb: names, times and lists of the SMB client, and what it makes of a server's bytes. */
#include <errno.h>
#include <string.h>

#include "agent/store/smb_priv.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static void names_go_to_utf16_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t units;
        int rc;
    } cases[] = {
        {"a/b",              3, 0      },
        {"Gr\xc3\xbc\xc3\x9f"
         "e",       5, 0      },
        {"\xf0\x9f\x90\xa6", 2, 0      }, /* beyond the first 65,536 */
        {"\xed\xa0\x80",     1, 0      }, /* half of a pair */
        {"\xff",             0, -EILSEQ},
        {"\xc0\xaf",         0, -EILSEQ}, /* a slash, written too long */
        {"\xe2\x82",         0, -EILSEQ},
        {"",                 0, 0      },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b;
        char back[64];
        size_t n = strlen(cases[i].name);
        buf_init(&b, 256);
        assert_int_equal(smb_utf16(cases[i].name, n, &b), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(b.len, 2 * cases[i].units);
            size_t len = smb_utf8(b.data, b.len, back, sizeof back);
            assert_int_equal(len, n);
            if (i > 0)
                assert_memory_equal(back, cases[i].name, n);
            else
                assert_memory_equal(back, "a\\b", 3);
        }
        buf_done(&b);
    }
}

static void a_name_that_does_not_fit_is_none(void **state)
{
    (void)state;
    static const uint8_t le[] = {0xac, 0x20, 0xac, 0x20};
    char small[5];
    assert_int_equal(smb_utf8(le, sizeof le, small, sizeof small), 0);
    assert_int_equal(smb_utf8(le, sizeof le, small, 3), 0);
}

/* As smbd of Samba 4.17 wrote it for a file of that time. */
static void dos_attributes_are_as_smbd_writes_them(void **state)
{
    (void)state;
    static const uint8_t want[] = {0x00, 0x00, 0x05, 0x00, 0x05, 0x00, 0x00, 0x00,
                                   0x11, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00,
                                   0xe9, 0x21, 0x0d, 0xf6, 0xab, 0x79, 0xdd, 0x01};
    uint64_t nt = 0x01dd79abf60d21e9ULL - 116444736000000000ULL;
    struct smb_info i = {
        .attributes = 0x20,
        .birth = {.tv_sec = (time_t)(nt / 10000000), .tv_nsec = (long)(nt % 10000000) * 100}
    };
    struct buf b;
    buf_init(&b, 64);
    smb_dosattrib(&i, &b);
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    buf_done(&b);
}

static size_t entry(uint8_t *to, const char *name, uint32_t next)
{
    struct buf b;
    buf_init(&b, 512);
    assert_int_equal(smb_utf16(name, strlen(name), &b), 0);
    memset(to, 0, 104);
    put32(to, next);
    put64(to + 40, 1234);
    put32(to + 60, (uint32_t)b.len);
    memcpy(to + 104, b.data, b.len);
    size_t n = 104 + b.len;
    buf_done(&b);
    return n;
}

static void a_list_is_read_within_its_bounds(void **state)
{
    (void)state;
    uint8_t data[1024];
    struct smb_entry e;
    (void)entry(data, ".", 128);
    (void)entry(data + 128, "one", 128);
    size_t n = 256 + entry(data + 256, "..two", 0);
    struct cursor c = cursor_of(data, n);
    assert_int_equal(smb_entry_next(&c, &e), 1);
    assert_string_equal(e.name, "one");
    assert_false(e.odd);
    assert_int_equal(e.info.size, 1234);
    assert_int_equal(smb_entry_next(&c, &e), 1);
    assert_string_equal(e.name, "..two");
    assert_int_equal(smb_entry_next(&c, &e), 0);
    for (size_t cut = 1; cut < 104; cut++) {
        c = cursor_of(data + 256, cut);
        assert_int_equal(smb_entry_next(&c, &e), -EBADMSG);
    }
    put32(data + 60, 4096);
    c = cursor_of(data, n);
    assert_int_equal(smb_entry_next(&c, &e), -EBADMSG);
    put32(data + 60, 2);
    put32(data, 3);
    c = cursor_of(data, n);
    assert_int_equal(smb_entry_next(&c, &e), -EBADMSG);
}

static void a_name_that_leads_elsewhere_is_odd(void **state)
{
    (void)state;
    static const uint16_t names[][3] = {
        {'a', '/', 'b'},
        {'a', 0,   'b'},
    };
    uint8_t data[256];
    struct smb_entry e;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        memset(data, 0, sizeof data);
        put32(data + 60, 6);
        for (size_t k = 0; k < 3; k++)
            put16(data + 104 + 2 * k, names[i][k]);
        struct cursor c = cursor_of(data, 110);
        assert_int_equal(smb_entry_next(&c, &e), 1);
        assert_true(e.odd);
    }
}

/* What libsmbclient cannot say: open with backup intent, and for the audit ACL where that is
 * allowed. No link is followed, and others may go on with the file. */
static void every_open_is_for_backup(void **state)
{
    (void)state;
    for (int audit = 0; audit < 2; audit++) {
        struct smb s = {.fd = -1, .audit = audit};
        CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(&s);
        assert_int_equal(smb_put_open(c, "a/b", 3, SMB_OPEN_FILE), 0);
        assert_int_equal(smb_put_descriptor(c, NULL), 0);
        const uint8_t *open = c->out.data + c->parts[0].at + SMB_HEADER;
        assert_int_equal(le32(open + 40), 0x00204040U);
        assert_int_equal(le32(open + 24) & 0x01000000U, audit ? 0x01000000U : 0);
        assert_int_equal(le32(open + 32), 7);
        const uint8_t *query = c->out.data + c->parts[1].at + SMB_HEADER;
        assert_int_equal(le32(query + 16), audit ? 0xf : 0x7);
    }
}

static void a_signature_is_of_every_byte(void **state)
{
    (void)state;
    static const uint16_t dialects[] = {0x0210, 0x0302, 0x0311, 0x0311};
    static const enum smb_signing by[] = {SMB_SIGN_HMAC, SMB_SIGN_CMAC, SMB_SIGN_CMAC,
                                          SMB_SIGN_GMAC};
    for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
        struct smb s = {.dialect = dialects[i], .signing = by[i]};
        uint8_t m[96] = {0xfe, 'S', 'M', 'B'};
        smb_keys(&s, (const uint8_t *)"0123456789abcdef");
        smb_sign(&s, m, sizeof m);
        uint8_t good[sizeof m];
        memcpy(good, m, sizeof m);
        assert_true(smb_signature_good(&s, m, sizeof m));
        for (size_t at = 0; at < sizeof m; at++) {
            memcpy(m, good, sizeof m);
            m[at] ^= 0x10;
            assert_false(smb_signature_good(&s, m, sizeof m));
        }
        smb_sign_done(&s);
    }
}

/* Of any length: where vectors end, and where a message is longer than they are. */
static void both_libraries_sign_alike(void **state)
{
    (void)state;
    static const size_t lengths[] = {64, 80, 127, 1024, 4097, 65616, 1048656};
    const uint8_t *key = (const uint8_t *)"0123456789abcdef", nonce[SMB_NONCE_BYTES] = {1, 2, 3};
    struct smb_gmac *a = smb_gmac_new(key), *b = smb_gmac_new_openssl(key);
    CLEANUP(mem_free) uint8_t *m = xcalloc(1, lengths[ARRAY_SIZE(lengths) - 1] + 1);
    assert_non_null(a);
    assert_non_null(b);
    for (size_t i = 0; i < lengths[ARRAY_SIZE(lengths) - 1]; i++)
        m[i + 1] = (uint8_t)(i * 2654435761U >> 13);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        uint8_t of[2][SMB_GMAC_BYTES];
        assert_true(smb_gmac_of(a, nonce, m + 1, lengths[i], of[0]));
        assert_true(smb_gmac_of(b, nonce, m + 1, lengths[i], of[1]));
        assert_memory_equal(of[0], of[1], SMB_GMAC_BYTES);
    }
    (void)smb_gmac_free(a);
    (void)smb_gmac_free(b);
}

static void what_is_sealed_opens_only_whole(void **state)
{
    (void)state;
    struct smb s = {.session = 7, .dialect = 0x0311};
    uint8_t m[SMB_HEADER + 9] = {0xfe, 'S', 'M', 'B'};
    struct buf b;
    smb_keys(&s, (const uint8_t *)"0123456789abcdef");
    memcpy(s.open_key, s.seal_key, sizeof s.open_key);
    buf_init(&b, 4096);
    assert_int_equal(smb_seal(&s, m, sizeof m, &b), 0);
    CLEANUP(mem_free) uint8_t *copy = xmemdup(b.data, b.len);
    assert_int_equal(smb_unseal(&s, copy, b.len), 0);
    assert_memory_equal(copy + SMB_TRANSFORM, m, sizeof m);
    memcpy(copy, b.data, b.len);
    copy[SMB_TRANSFORM + 3] ^= 1;
    assert_int_equal(smb_unseal(&s, copy, b.len), -EBADMSG);
    assert_int_equal(smb_unseal(&s, copy, SMB_TRANSFORM), -EBADMSG);
    buf_done(&b);
}

static void dos_attributes_are_read_as_smbd_wrote_them(void **state)
{
    (void)state;
    struct buf b;
    const struct smb_info want = {
        .attributes = 0x22, .birth = {.tv_sec = 1700000000, .tv_nsec = 1234500}
    };
    struct smb_info got = {.attributes = 0};
    buf_init(&b, 64);
    smb_dosattrib(&want, &b);
    assert_int_equal(smb_dosattrib_take(b.data, b.len, &got), 0);
    assert_int_equal(got.attributes, want.attributes);
    assert_int_equal(got.birth.tv_sec, want.birth.tv_sec);
    assert_int_equal(got.birth.tv_nsec, want.birth.tv_nsec);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(smb_dosattrib_take(b.data, n, &got), -EBADMSG);
    b.data[2] = 9; /* a version that nobody knows */
    assert_int_equal(smb_dosattrib_take(b.data, b.len, &got), -EBADMSG);
    assert_int_equal(smb_dosattrib_take("0x22", 4, &got), -EBADMSG);
    buf_done(&b);
}

static void a_file_goes_as_one_message(void **state)
{
    (void)state;
    struct smb s = {
        .fd = -1, .cancel_fd = -1, .max_write = SMB_READ_MAX, .audit = false, .lost = true};
    const struct smb_info info = {.attributes = 0x20, .write = {.tv_sec = 1700000000}};
    struct smb_call *c = smb_call_new(&s);
    uint8_t sd[20] = {1, 0, 4, 0x84};
    assert_int_equal(smb_put_make(c, "a/t", 3, SMB_MAKE_FILE), 0);
    assert_int_equal(smb_put_write(c, NULL, 7, "content", 7), 0);
    assert_int_equal(smb_put_set_descriptor(c, NULL, sd, sizeof sd, SMB_SD_ALL), 0);
    assert_int_equal(smb_put_rename(c, NULL, "a/name", 6, true), 0);
    assert_int_equal(smb_put_basic(c, NULL, &info), 0);
    assert_int_equal(smb_put_close(c, NULL), 0);
    static const unsigned commands[] = {SMB_CREATE,   SMB_WRITE,    SMB_SET_INFO,
                                        SMB_SET_INFO, SMB_SET_INFO, SMB_CLOSE};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        assert_int_equal(le16(c->out.data + c->parts[i].at + 12), commands[i]);
    const uint8_t *w = c->out.data + c->parts[1].at;
    assert_int_equal(le32(w + SMB_HEADER + 4), 7);
    assert_int_equal(le64(w + SMB_HEADER + 8), 7);
    assert_memory_equal(w + le16(w + SMB_HEADER + 2), "content", 7);
    const uint8_t *d = c->out.data + c->parts[2].at + SMB_HEADER;
    assert_int_equal(le32(d + 4), sizeof sd);
    assert_int_equal(le32(d + 12), 7); /* who may not write the audit ACL leaves it out */
    const uint8_t *r = c->out.data + c->parts[3].at + SMB_HEADER;
    assert_int_equal(r[3], 10);
    assert_int_equal(le32(r + 4), 20 + 12);
    assert_int_equal(r[32], 1);
    assert_int_equal(le32(r + 32 + 16), 12);
    assert_memory_equal(r + 32 + 20, "a\0\\\0n\0a\0m\0e\0", 12);
    const uint8_t *b = c->out.data + c->parts[4].at + SMB_HEADER;
    assert_int_equal(le64(b + 32), 0); /* a time that nobody knows stays as it is */
    assert_int_equal(le64(b + 32 + 16), 116444736000000000ULL + 17000000000000000ULL);
    assert_int_equal(smb_put_close(c, NULL), -EMSGSIZE);
    assert_int_equal(smb_put_write(c, NULL, 0, "", SMB_READ_MAX + 1), -EINVAL);
    (void)smb_call_free(c);
}

/* FileStandardInformation as a server answers: names of one file, within the bytes that came. */
static void how_many_names_a_file_has(void **state)
{
    (void)state;
    struct smb s = {.fd = -1, .cancel_fd = -1, .max_read = SMB_READ_MAX, .lost = true};
    struct smb_call *c = smb_call_new(&s);
    assert_int_equal(smb_put_standard(c, NULL), 0);
    const uint8_t *q = c->out.data + c->parts[0].at + SMB_HEADER;
    assert_int_equal(q[2], 1);
    assert_int_equal(q[3], 5);
    assert_int_equal(le32(q + 4), 24);
    struct smb_frame *f = calloc(1, sizeof *f + 200);
    *f = (struct smb_frame){.s = &s, .refs = 1, .len = SMB_HEADER + 8 + 24};
    put16(f->data + SMB_HEADER, 9);
    put16(f->data + SMB_HEADER + 2, SMB_HEADER + 8);
    put32(f->data + SMB_HEADER + 4, 24);
    put32(f->data + SMB_HEADER + 8 + 16, 3);
    c->parts[0].frame = f;
    c->parts[0].answered = true;
    c->parts[0].len = f->len;
    uint32_t links = 0;
    assert_int_equal(smb_get_links(c, 0, &links), 0);
    assert_int_equal(links, 3);
    put32(f->data + SMB_HEADER + 4, 20); /* too short to have it */
    assert_int_equal(smb_get_links(c, 0, &links), -EBADMSG);
    put32(f->data + SMB_HEADER + 4, 4000); /* beyond the message */
    assert_true(smb_get_links(c, 0, &links) < 0);
    (void)smb_call_free(c);
}

/* Where a read's data begins the server says: in front of it there may be less than is asked for.
 */
static void what_was_read_may_be_written_to(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        uint32_t n;
        int rc;
    } cases[] = {
        {SMB_HEADER + 16, 40,   0       },
        {20,              40,   0       },
        {19,              40,   -EBADMSG},
        {0,               40,   -EBADMSG},
        {SMB_HEADER + 16, 41,   -EBADMSG},
        {SMB_HEADER + 16, 4000, -EBADMSG},
        {0,               0,    0       },
    };
    struct smb s = {.fd = -1, .cancel_fd = -1, .max_read = SMB_READ_MAX, .lost = true};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct smb_call *c = smb_call_new(&s);
        assert_int_equal(smb_put_read(c, NULL, 0, 40), 0);
        struct smb_frame *f = xcalloc(1, sizeof *f + 200);
        /* Behind 52 bytes of what it was sealed in, which are not the answer's. */
        *f = (struct smb_frame){.s = &s, .refs = 1, .len = SMB_TRANSFORM + SMB_HEADER + 16 + 40};
        uint8_t *h = f->data + SMB_TRANSFORM;
        put16(h + SMB_HEADER, 17);
        h[SMB_HEADER + 2] = (uint8_t)cases[i].at;
        put32(h + SMB_HEADER + 4, cases[i].n);
        c->parts[0].frame = f;
        c->parts[0].answered = true;
        c->parts[0].from = SMB_TRANSFORM;
        c->parts[0].len = f->len - SMB_TRANSFORM;
        uint8_t *data = NULL;
        size_t len = 0;
        assert_int_equal(smb_take_data(c, 0, 20, &data, &len), cases[i].rc);
        if (cases[i].rc == 0 && cases[i].n > 0) {
            assert_int_equal(len, cases[i].n);
            assert_ptr_equal(data, h + cases[i].at);
        }
        (void)smb_call_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_to_utf16_and_back),
        cmocka_unit_test(a_name_that_does_not_fit_is_none),
        cmocka_unit_test(dos_attributes_are_as_smbd_writes_them),
        cmocka_unit_test(a_list_is_read_within_its_bounds),
        cmocka_unit_test(a_name_that_leads_elsewhere_is_odd),
        cmocka_unit_test(every_open_is_for_backup),
        cmocka_unit_test(a_signature_is_of_every_byte),
        cmocka_unit_test(both_libraries_sign_alike),
        cmocka_unit_test(what_is_sealed_opens_only_whole),
        cmocka_unit_test(dos_attributes_are_read_as_smbd_wrote_them),
        cmocka_unit_test(a_file_goes_as_one_message),
        cmocka_unit_test(how_many_names_a_file_has),
        cmocka_unit_test(what_was_read_may_be_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
