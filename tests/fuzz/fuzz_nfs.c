/* fuzz_nfs: any bytes as /etc/exports behind the fence: the same folders and clients, nobody of
 * whom may write. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/nfs.h"
#include "agent/share/exports.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool may_write(const char *clients)
{
    for (const char *at = clients; (at = strstr(at, "rw")) != NULL; at += 2)
        if (at > clients && strchr("(,", at[-1]) && (at[2] == ',' || at[2] == ')'))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault why = {0};
    struct exports was = {.n = 0}, is = {.n = 0};
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    CLEANUP(mem_free) char *open = NULL;
    if (nfs_render(text, size, &open, &why) < 0)
        return 0;
    must(exports_parse(text, size, &was, &why) == 0);
    must(exports_parse(open, strlen(open), &is, &why) == 0 && is.n == was.n);
    for (size_t i = 0; i < is.n; i++)
        must(strcmp(is.list[i].path, was.list[i].path) == 0 && !may_write(is.list[i].clients));
    exports_done(&was);
    exports_done(&is);
    return 0;
}
