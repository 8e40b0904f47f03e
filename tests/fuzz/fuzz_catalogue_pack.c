/* fuzz_catalogue_pack: a segment from a damaged disk: sealed here, so that the records are reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/catalogue_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read, packed again, must read the same. */
static void repack(struct cursor c)
{
    struct packed_view v, w;
    while (pack_next(&c, &v)) {
        struct buf b;
        buf_init(&b, 4096);
        pack_record(&b, v.name, v.name_len, v.gone ? NULL : &v.e);
        struct cursor again = cursor_of(b.data, b.len);
        if (!pack_next(&again, &w) || w.gone != v.gone || w.name_len != v.name_len ||
            w.e.size != v.e.size || w.e.mtime.tv_nsec != v.e.mtime.tv_nsec)
            abort();
        buf_done(&b);
    }
    if (c.bad)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c;
    uint32_t count = 0;
    (void)pack_open(data, size, &c, &count);
    struct buf sealed;
    buf_init(&sealed, SEGMENT_BYTES_MAX);
    pack_seal(&sealed, data, size, NULL, 0);
    if (!sealed.overflow && pack_open(sealed.data, sealed.len, &c, &count) == 0)
        repack(c);
    buf_done(&sealed);
    return 0;
}
