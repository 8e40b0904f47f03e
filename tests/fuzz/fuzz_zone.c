/* fuzz_zone: a file of the time zone database, damaged in any way; what is read must answer. */
#include <stdint.h>

#include "common/base/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int64_t times[] = {INT64_C(-3000000000), 0, INT64_C(1795000000),
                                    INT64_C(4000000000)};
    CLEANUP(zone_free) struct zone *z = NULL;
    for (size_t i = 0; zone_of(data, len, &z) == 0 && i < sizeof times / sizeof *times; i++) {
        (void)zone_offset(z, times[i]);
        z = zone_free(z);
    }
    return 0;
}
