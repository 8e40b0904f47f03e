/* fuzz_opened: any bytes as what smbstatus and the kernel's NFS server tell of open files. */
#include <stdint.h>

#include "agent/files/traits.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    CLEANUP(locked_free) struct locked *l = locked_new();
    opened_take_smb(l, text);
    opened_take_nfs(l, text);
    return 0;
}
