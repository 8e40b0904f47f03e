/* fuzz_envelope: any bytes, as one role sends them. What passes the gate must be of that role, and
 * mean the same once more when it is packed and read again. */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Text that passed may go to a terminal, a log or a JSON document as it is. */
static void check_text(const char *s)
{
    for (const uint8_t *p = (const uint8_t *)s; p && *p; p++)
        must((*p >= ' ' || *p == '\n' || *p == '\t') && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Godwit__Envelope *untouched = (Godwit__Envelope *)(uintptr_t)8, *e = untouched;
    if (wire_unpack(data, size, ROLE, &e) < 0) {
        must(e == untouched);
        return 0;
    }
    must(size <= LIMIT_CONTROL_BYTES && e->version >= WIRE_VERSION_MIN);
    must(strcmp(wire_type_name(e->body_case), "unknown") != 0);
    check_text(e->op_id);
    check_text(e->trace_id);

    size_t n = godwit__envelope__get_packed_size(e);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(n + 1);
    must(godwit__envelope__pack(e, packed) == n);
    CLEANUP(wire_free) Godwit__Envelope *again = NULL;
    must(n <= size || n <= LIMIT_CONTROL_BYTES);
    must(wire_unpack(packed, n, ROLE, &again) == 0);
    must(again->body_case == e->body_case && godwit__envelope__get_packed_size(again) == n);
    CLEANUP(mem_free) uint8_t *packed_again = xmalloc(n + 1);
    must(godwit__envelope__pack(again, packed_again) == n);
    must(memcmp(packed, packed_again, n) == 0);
    wire_free(e);
    return 0;
}
