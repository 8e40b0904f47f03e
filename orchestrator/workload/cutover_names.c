/* cutover_names: what a source may be called afterwards, and one that nobody has. Pure but for
 * chance. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "orchestrator/workload/cutover_plan.h"

#define NAME_MAX_LEN 15

int cutover_check_name(const char *name)
{
    size_t n = strlen(name);
    if (n < 1 || n > NAME_MAX_LEN || name[0] == '-' || name[n - 1] == '-')
        return -EINVAL;
    bool letter = false;
    for (const char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '-')
            return -EINVAL;
        letter = letter || isalpha((unsigned char)*c);
    }
    return letter ? 0 : -EINVAL;
}

void cutover_new_name(const char *netbios, char ret[16])
{
    uint8_t r[2] = {0};
    char stem[11];
    size_t n = 0;
    for (const char *c = netbios; *c && n < sizeof stem - 1; c++)
        if (isalnum((unsigned char)*c) || (*c == '-' && n > 0))
            stem[n++] = (char)toupper((unsigned char)*c);
    stem[n] = '\0';
    (void)text_random(r, sizeof r);
    (void)snprintf(ret, 16, "%s-%02X%02X", n ? stem : "OLD", r[0], r[1]);
}
