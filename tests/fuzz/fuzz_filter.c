/* fuzz_filter: "pattern NUL path" from a console and a file system: whatever they are, there is an
 * answer, and one that holds for the same pattern behind **. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/filter.h"
#include "common/base/filter_priv.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = memchr(data, '\0', len);
    CLEANUP(filter_free) struct filter *f = NULL;
    if (!end || len > 4096)
        return 0;
    CLEANUP(mem_free) char *pattern = xmemdup(data, (size_t)(end - data));
    size_t n = len - (size_t)(end - data) - 1;
    CLEANUP(mem_free) char *path = xmemdup(end + 1, n);
    bool alone = glob_match(pattern, strlen(pattern), path, n);
    CLEANUP(mem_free) char *wider = xasprintf("**%s", pattern);
    if (alone && pattern[0] != '*' && !glob_match(wider, strlen(wider), path, n))
        abort();
    const char *const list[] = {pattern};
    const struct filter_conf conf = {.exclude = list, .nexclude = 1};
    if (filter_new(&f, &conf, NULL) == 0 && f) {
        (void)filter_path(f, path, n, true);
        (void)filter_name(f, path, n, "name", 4, false);
    }
    return 0;
}
