/* fuzz_sudoers: any bytes as a file of sudo's rules, next to two accounts. */
#include <stdint.h>

#include "agent/account/beside.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "ann", team[] = "team";
    struct account_user user = {.name = name, .uid = 1001};
    struct account_group group = {.name = team, .gid = 1001};
    const struct account_list l = {.users = &user,
                                   .groups = &group,
                                   .nusers = 1,
                                   .ngroups = 1,
                                   .uid_min = 1000,
                                   .uid_max = 60000,
                                   .gid_min = 1000,
                                   .gid_max = 60000};
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    struct beside b = {.n = 0};
    beside_take_sudoers(&b, "sudoers", text, &l);
    beside_done(&b);
    return 0;
}
