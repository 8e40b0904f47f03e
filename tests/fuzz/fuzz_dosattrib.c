/* fuzz_dosattrib: smbd's attribute with DOS attributes, as a user may have written it. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/store/smb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smb_info i = {.attributes = 0};
    if (smb_dosattrib_take(data, size, &i) == 0 &&
        ((i.attributes & SMB_ATTR_REPARSE) || i.birth.tv_nsec < 0 || i.birth.tv_nsec > 999999999))
        abort();
    return 0;
}
