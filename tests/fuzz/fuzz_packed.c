/* fuzz_packed: an argument of a console that is packed. What opens is what it says, and packs
 * again. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "common/wire/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void packs_again(const char *text)
{
    Godwit__ConsoleArg a = GODWIT__CONSOLE_ARG__INIT, *list[] = {&a};
    Godwit__ConsoleRequest req = GODWIT__CONSOLE_REQUEST__INIT;
    req.n_args = 1;
    req.args = list;
    if (packed_put(&a, text) < 0)
        return;
    must(packed_open(&req) == 0 && strcmp(a.value, text) == 0);
    free(a.packed.data);
    free(a.value);
}

/* The first three bytes are the size that it claims. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Godwit__ConsoleArg a = GODWIT__CONSOLE_ARG__INIT, *list[] = {&a};
    Godwit__ConsoleRequest req = GODWIT__CONSOLE_REQUEST__INIT;
    if (size < 4)
        return 0;
    req.n_args = 1;
    req.args = list;
    a.packed_size = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
    a.packed.data = xmemdup(data + 3, size - 3);
    a.packed.len = size - 3;
    if (packed_open(&req) == 0) {
        must(strlen(a.value) == a.packed_size);
        packs_again(a.value);
        free(a.value);
    } else {
        must(a.value == protobuf_c_empty_string);
    }
    free(a.packed.data);
    return 0;
}
