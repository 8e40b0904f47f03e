/* fuzz_exports: any bytes as /etc/exports. What was read is written and read as the same. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/exports.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void again(const struct export_line *l)
{
    struct fault why = {0};
    struct exports e = {.n = 0};
    CLEANUP(mem_free) char *path = exports_escape(l->path);
    CLEANUP(mem_free) char *line = xasprintf("%s %s\n", path, l->clients);
    must(exports_parse(line, strlen(line), &e, &why) == 0 && e.n == 1);
    must(strcmp(e.list[0].path, l->path) == 0 && strcmp(e.list[0].clients, l->clients) == 0);
    exports_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault why = {0};
    struct exports e = {.n = 0};
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    if (exports_parse(text, size, &e, &why) < 0)
        must(why.err > 0);
    for (size_t i = 0; i < e.n; i++)
        again(&e.list[i]);
    exports_done(&e);
    return 0;
}
