/* fuzz_idents: what wbinfo and net print about ids, and the ACLs whose ids they are asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/access/identity.h"
#include "agent/access/idents.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char sid[] = "S-1-5-21-1-2-3-1105";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct idents *t;
    if (!t)
        t = idents_new();
    idents_acl(t, data, size);
    idents_ntacl(t, data, size);
    for (int how = 0; how < 3; how++) {
        Godwit__Identity row = GODWIT__IDENTITY__INIT, *at[] = {&row};
        char *out = xmemdup(data, size);
        row.sid = sid;
        if (how == 0)
            (void)identity_take_sids(out, at, 1);
        else if (how == 1)
            identity_take_ids(out, at, 1);
        else
            identity_take_dump(out, at, 1);
        if (row.has_sid != protobuf_c_empty_string)
            free(row.has_sid);
        free(out);
    }
    return 0;
}
