/* fuzz_conf: a configuration file, for options of every kind. */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/option.h"

struct conf {
    char *text, *list, *word;
    uint32_t number;
    uint64_t size, time;
    bool flag;
};

static const struct option_row rows[] = {
    {.name = "text",               .kind = OPT_STRING, .off = offsetof(struct conf, text)},
    {.name = "list", .kind = OPT_STRING, .off = offsetof(struct conf, list), .repeat = true},
    {.name = "word",                            .kind = OPT_ENUM, .off = offsetof(struct conf, word), .choices = "a|bc"},
    {.name = "number",          .kind = OPT_UINT, .off = offsetof(struct conf, number), .min = 1, .max = 9},
    {.name = "size",                       .kind = OPT_SIZE, .off = offsetof(struct conf, size)},
    {.name = "time",                            .kind = OPT_DURATION, .off = offsetof(struct conf, time)},
    {.name = "flag",.kind = OPT_BOOL, .off = offsetof(struct conf, flag)},
    {.name = NULL                      },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf c = {0};
    struct fault f = {0};
    char *text = xmemdup(data, size);
    options_defaults(rows, &c);
    (void)options_text(rows, &c, "F", text, size, &f);
    options_free(rows, &c);
    free(text);
    return 0;
}
