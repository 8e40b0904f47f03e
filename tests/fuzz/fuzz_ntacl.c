/* fuzz_ntacl: an NT descriptor of a user's file: what is mapped can be read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/ntacl.h"
#include "common/base/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "uid,1001,5001\ngid,1002,5002\nsid,S-1-1-0,S-1-5-21-1-2-3-4\n"
                               "sid,S-1-5-21-1-2-3-*,S-1-5-32-*\n";
    static struct idmap *map;
    struct idmap_error e;
    if (!map && idmap_parse(text, sizeof text - 1, &map, &e) < 0)
        abort();
    /* Half of the bytes as an ACL, so that the digest is made of hostile bytes as well. */
    struct ntacl_posix before = {.uid = 1001,
                                 .gid = 1002,
                                 .mode = 040755,
                                 .access = data,
                                 .access_len = size / 2,
                                 .inherit = data + size / 2,
                                 .inherit_len = size - size / 2};
    struct ntacl_posix plain = {.uid = 1001, .gid = 1002, .mode = 040755}, after = plain;
    struct buf b;
    enum ntacl_fate fate = NTACL_KEPT;
    uint8_t sum[NTACL_HASH_BYTES];
    (void)ntacl_posix_hash(&before, sum);
    after.uid = 5001;
    buf_init(&b, 1U << 20);
    if (ntacl_map(data, size, map, &plain, &after, &b, &fate) == 0 && fate == NTACL_MAPPED &&
        ntacl_each(b.data, b.len, NULL, NULL) < 0)
        abort();
    buf_clear(&b);
    if (ntacl_map_descriptor(data, size, map, &b) == 1 &&
        ntacl_map_descriptor(b.data, b.len, map, &b) < 0)
        abort();
    buf_done(&b);
    return 0;
}
