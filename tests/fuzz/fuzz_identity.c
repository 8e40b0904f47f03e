/* fuzz_identity: any bytes as a configuration file or a tool's output of a cutover; the first byte
 * says which. What an editor wrote it does not want to change again. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/fence.h"
#include "agent/identity/keep.h"
#include "agent/identity/names.h"
#include "agent/identity/service.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void keep(const char *text, bool ifupdown)
{
    char add[] = "192.0.2.7/24", drop[] = "192.0.2.8/24", route[] = "default via 192.0.2.1";
    char *adds[] = {add}, *drops[] = {drop}, *routes[] = {route};
    const struct net_want w = {.mac = "",
                               .name = "eth0",
                               .add = adds,
                               .nadd = 1,
                               .drop = drops,
                               .ndrop = 1,
                               .routes = routes,
                               .nroutes = 1};
    struct fault why = {.err = 0};
    CLEANUP(mem_free) char *once = NULL;
    if ((ifupdown ? keep_ifupdown : keep_networkd)(text, &w, &once, &why) < 0)
        must(why.err > 0);
    else
        must(strstr(once, add) != NULL);
}

static void names(const char *text, bool conf)
{
    const struct hosts_edit e = {"new1", "fs1", "fs1.lab.test", "192.0.2.7", true, true};
    const struct conf_set s = {"netbios name", "FS1"};
    CLEANUP(mem_free) char *once = conf ? names_globals(text, &s, 1) : names_hosts(text, &e);
    must(strstr(once, conf ? "FS1" : "192.0.2.7") != NULL);
}

static void outputs(const char *text)
{
    struct fault why = {.err = 0};
    Godwit__UndoNetwork *n = NULL;
    Godwit__IdentityOpenFile **list = NULL;
    size_t len = 0, count = 0;
    if (net_parse(text, text, text, &n, &why) == 0)
        net_free(n);
    (void)fence_parse_open(text, 3, &list, &len, &count);
    must(len <= 3 && len <= count);
    for (size_t i = 0; i < len; i++)
        godwit__identity_open_file__free_unpacked(list[i], NULL);
    free(list);
    service_free(service_parse(text));
    (void)net_route_valid(text);
    (void)net_address_valid(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    CLEANUP(mem_free) char *text = xmemdup(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        keep(text, false);
        break;
    case 1:
        keep(text, true);
        break;
    case 2:
        names(text, false);
        break;
    case 3:
        names(text, true);
        break;
    default:
        outputs(text);
        break;
    }
    return 0;
}
