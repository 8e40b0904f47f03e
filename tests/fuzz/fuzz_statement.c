/* fuzz_statement: any bytes as a statement. What is taken has its body within the text, and its
 * values are lines of it. */
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/proof/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct statement s;
    if (statement_parse((const char *)data, size, &s) < 0)
        return 0;
    must(s.body_len > 0 && s.body_len <= size && s.nby <= STATEMENT_SIGNATURES);
    CLEANUP(mem_free) char *digest = statement_value(&s, "manifest");
    char again[2 * SHA256_LEN + 1];
    text_hex(s.manifest, SHA256_LEN, again);
    must(digest != NULL);
    for (size_t i = 0; i < s.nby; i++)
        must(text_is_name(s.by[i].name, STATEMENT_NAME_MAX));
    return 0;
}
