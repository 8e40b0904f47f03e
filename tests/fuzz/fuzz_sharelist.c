/* fuzz_sharelist: the answer of the process that lists a server's shares. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pull/sharelist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_share(void *arg, const struct share_found *f)
{
    unsigned *n = arg;
    if (++*n > SHARES_MAX || f->kind > SHARE_PIPE || !*f->name || strchr(f->comment, '\n'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned n = 0;
    (void)sharelist_read(data, size, on_share, &n);
    return 0;
}
