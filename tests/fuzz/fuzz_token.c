/* fuzz_token: any line as an enrolment token. What is taken has exactly one spelling. */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "common/wire/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The fuzzer rarely guesses base64 of a whole token: raw bytes are also tried as its content. */
static void try_content(const uint8_t *data, size_t size)
{
    struct token t, back;
    if (size < sizeof t)
        return;
    memcpy(&t, data, sizeof t);
    t.endpoint[sizeof t.endpoint - 1] = t.host[sizeof t.host - 1] = t.id[TEXT_ID_LEN] = '\0';
    CLEANUP(mem_free) char *line = token_format(&t);
    if (token_parse(line, &back) == 0) {
        must(strcmp(back.endpoint, t.endpoint) == 0 && strcmp(back.host, t.host) == 0);
        must(memcmp(back.secret, t.secret, sizeof t.secret) == 0);
        must(memcmp(back.server_key, t.server_key, sizeof t.server_key) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    struct token t;
    memset(&t, 0xa5, sizeof t);
    try_content(data, size);
    if (token_parse(text, &t) < 0) {
        must(t.host[0] == (char)0xa5 && t.secret[31] == 0xa5);
        return 0;
    }
    must(text_is_name(t.host, LIMIT_HOST_NAME) && strlen(t.id) == TEXT_ID_LEN);
    must(strlen(t.endpoint) < sizeof t.endpoint);
    CLEANUP(mem_free) char *line = token_format(&t);
    must(strcmp(line, text) == 0);
    return 0;
}
