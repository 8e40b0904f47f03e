/* fuzz_calendar: a calendar from a console; what is read must answer. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/calendar.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(mem_free) char *text = xmemdup(len ? data : (const uint8_t *)"", len);
    CLEANUP(calendar_free) struct calendar *c = NULL;
    struct calendar_error e;
    if (memchr(text, '\0', len))
        return 0;
    if (calendar_parse(text, 1, &c, &e) < 0) {
        if (e.line == 0 || e.column == 0 || !e.text[0])
            abort();
        return 0;
    }
    (void)calendar_rate(c, INT64_C(1795000000000));
    return 0;
}
