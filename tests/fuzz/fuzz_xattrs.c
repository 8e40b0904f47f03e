/* fuzz_xattrs: packed attributes of a peer: what passes the check can be walked to its end. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/store/meta.h"
#include "agent/store/meta_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!xattrs_valid(data, size))
        return 0;
    struct cursor c = cursor_of(data, size);
    struct xattr_view x;
    size_t taken = 0;
    while (xattrs_next(&c, &x)) {
        if (x.name_len == 0 || x.name_len > 255)
            abort();
        taken += x.name_len + x.value_len;
    }
    if (c.bad || taken > size)
        abort();
    return 0;
}
