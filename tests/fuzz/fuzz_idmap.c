/* fuzz_idmap: a map from a console or a peer; what is read must answer, what is wrong has a place.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(idmap_free) struct idmap *m = NULL;
    struct idmap_error e = {.line = 0};
    struct sid s = {.nsubs = 1, .authority = 5, .sub = {32}}, to;
    if (idmap_parse((const char *)data, len, &m, &e) < 0) {
        if (e.line == 0 || e.column == 0 || !e.text[0] || m)
            abort();
        return 0;
    }
    if (idmap_uid(m, 7) == UINT32_MAX || idmap_gid(m, UINT32_MAX) != UINT32_MAX)
        abort();
    for (; s.nsubs <= SID_SUBS_MAX; s.nsubs++)
        if (idmap_sid(m, &s, &to) && to.nsubs > SID_SUBS_MAX)
            abort();
    return 0;
}
