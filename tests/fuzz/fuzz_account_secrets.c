/* fuzz_account_secrets: what a source says of its accounts over the lane, up to the plan of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/samba_plan.h"
#include "agent/account/secrets.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void plan(const struct secrets *s)
{
    struct passdb here = {.next_rid = 1000};
    struct account_row rows[] = {
        {.name = "daemon", .as = "daemon", .to = 3001, .fate = FATE_SAME, .recorded = true },
        { .group = true, .name = "sales",  .as = "sales",  .id = 100,         .to = 100, .fate = FATE_SAME},
    };
    struct samba_plan p;
    char name[] = "NEW";
    (void)sid_parse("S-1-5-21-9-9-9", 14, &here.machine);
    here.netbios_name = name;
    const struct samba_ask a = {
        .from = s->samba, .here = &here, .rows = rows, .nrows = ARRAY_SIZE(rows), .suffix = "fs1"};
    samba_plan(&a, &p);
    samba_plan_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct secrets s = {.nparts = 0};
    if (secrets_add(&s, data, size) >= 0 && secrets_join(&s) == 0 && s.samba)
        plan(&s);
    secrets_done(&s);
    return 0;
}
