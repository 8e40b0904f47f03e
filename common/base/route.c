/* route: see the header. */
#include "common/base/route.h"

#include <string.h>

bool route_read(const char *text, struct route *ret)
{
    const char *via = text ? strstr(text, " via ") : NULL;
    size_t n = via ? (size_t)(via - text) : 0, m = via ? strcspn(via + 5, " ") : 0;
    if (n == 0 || n >= sizeof ret->to || m == 0 || m >= sizeof ret->via)
        return false;
    memcpy(ret->to, text, n);
    ret->to[n] = '\0';
    memcpy(ret->via, via + 5, m);
    ret->via[m] = '\0';
    ret->six = strchr(ret->via, ':') != NULL;
    ret->whole = strcmp(ret->to, "default") == 0 || strcmp(ret->to, "::/0") == 0;
    return true;
}
