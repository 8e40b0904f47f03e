/* fuzz_samu: a user's record of a passdb.tdb: what is read and written again is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/samu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct samu u;
    struct buf b;
    if (samu_read(data, size, &u) < 0)
        return 0;
    buf_init(&b, SAMU_BYTES_MAX);
    samu_write(&u, &b);
    if (b.overflow || b.len != size || memcmp(b.data, data, size) != 0)
        abort();
    for (int i = 0; i < SAMU_DIAL; i++)
        (void)strlen(samu_string(&u, (enum samu_text)i));
    buf_done(&b);
    return 0;
}
