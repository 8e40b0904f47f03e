/* fuzz_share_acls: any bytes as what sharesec prints. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/samba.h"
#include "agent/share/sid.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct samba_acls a;
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    samba_acls_parse(text, size, &a);
    for (size_t i = 0; i < a.n; i++) {
        for (unsigned k = 0; k < 4; k++) {
            CLEANUP(mem_free) char *name = sid_name(a.list[i].text, k);
            if (name && strpbrk(name, ":,\n"))
                abort();
        }
    }
    (void)samba_sddl_valid(text);
    samba_acls_done(&a);
    return 0;
}
