/* test_buf: bounds of the byte buffer and the cursor. */
#include "common/base/buf.h"
#include "tests/unit/test.h"

static void numbers_come_back(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        buf_put_varint(&b, values[i]);
    buf_put_u16(&b, 0x1234);
    buf_put_blob(&b, "abc", 3);
    struct cursor c = cursor_of(b.data, b.len);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_true(cursor_varint(&c) == values[i]);
    assert_int_equal(cursor_u16(&c), 0x1234);
    size_t n = 0;
    assert_memory_equal(cursor_blob(&c, 3, &n), "abc", 3);
    assert_int_equal(n, 3);
    assert_false(c.bad);
    (void)cursor_u8(&c);
    assert_true(c.bad);
    buf_done(&b);
}

static void growth_stops_at_max(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    buf_put_u64(&b, 1);
    buf_put_u8(&b, 1);
    assert_true(b.overflow);
    assert_int_equal(b.len, 8);
    buf_done(&b);
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    static const uint8_t longer_than_data[] = {0x7f, 'a'};
    static const uint8_t over_64_bits[] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0x7f};
    size_t n = 0;
    struct cursor c = cursor_of(longer_than_data, sizeof longer_than_data);
    assert_null(cursor_blob(&c, 1000, &n));
    assert_true(c.bad);
    c = cursor_of(longer_than_data, sizeof longer_than_data);
    assert_null(cursor_blob(&c, 4, &n));
    c = cursor_of(over_64_bits, sizeof over_64_bits);
    assert_true(cursor_varint(&c) == 0);
    assert_true(c.bad);
}

static void nothing_at_all_is_short(void **state)
{
    (void)state;
    struct cursor c = cursor_of(NULL, 0);
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_u8(&c), 0);
    assert_true(c.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(growth_stops_at_max),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(nothing_at_all_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
