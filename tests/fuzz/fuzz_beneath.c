/* fuzz_beneath: paths of a peer: what is let through has no way out, by a second, simpler rule. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/beneath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = (const char *)data;
    if (size == 0 || !beneath_valid(path, size))
        return 0;
    char *text = malloc(size + 3);
    if (!text)
        return 0;
    text[0] = '/';
    memcpy(text + 1, path, size);
    memcpy(text + 1 + size, "/", 2);
    if (strlen(text) != size + 2 || strstr(text, "//") || strstr(text, "/./") ||
        strstr(text, "/../"))
        abort();
    free(text);
    return 0;
}
