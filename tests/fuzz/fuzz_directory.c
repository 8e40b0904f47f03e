/* fuzz_directory: any bytes as what the directory and the name server say, as a credential's file,
 * or as a file of NetworkManager or netplan; the first byte says which. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/ads.h"
#include "agent/identity/check.h"
#include "agent/identity/dns.h"
#include "agent/identity/dns_set.h"
#include "agent/identity/keep.h"
#include "agent/identity/rights.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void keep(const char *text, bool netplan)
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
    if ((netplan ? keep_netplan : keep_networkmanager)(text, &w, &once, &why) < 0)
        must(why.err > 0);
    else
        must(strstr(once, add) != NULL);
}

static void directory(const char *text)
{
    size_t n = 0;
    long skew = 0;
    CLEANUP(ads_account_free) struct ads_account *c = ads_parse(text, &n);
    must(c->nspns <= ADS_NAMES && c->ngroups <= ADS_NAMES);
    (void)check_offset(text, &skew);
    CLEANUP(mem_free) char *words = ads_ou_words(text);
    must(!words || !strpbrk(words, "\n,=\""));
    CLEANUP(mem_free) char *safe = ads_escape(text);
    must(!strpbrk(safe, "()*"));
}

static void descriptor(const uint8_t *data, size_t size)
{
    char sid[] = "S-1-1-0", *sids[] = {sid};
    uint8_t *out = NULL;
    size_t n = 0;
    (void)rights_may_reset(data, size, sids, 1);
    if (ads_base64((const char *)data, size, &out, &n) == 0)
        (void)rights_may_reset(out, n, sids, 1);
    free(out);
}

static void names(const char *text)
{
    Godwit__UndoDns d;
    dns_parse(text, "fs1.lab.test", "A", &d);
    must(d.n_values <= DNS_VALUES);
    d.dc = xstrdup("dc1.lab.test");
    CLEANUP(mem_free) char *script = dns_script(&d);
    must(script != NULL);
    dns_done(&d);
    free(dns_reverse(text));
    (void)dns_is_zone(text, "7.2.0.192.in-addr.arpa");
}

static void credentials(const char *text)
{
    CLEANUP(credential_free) struct credential *c = NULL;
    if (credential_parse(text, &c) == 0)
        must(c->user[0] && c->user[0] != '-' && c->password[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    CLEANUP(mem_free) char *text = xmemdup(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        keep(text, false);
        break;
    case 1:
        keep(text, true);
        break;
    case 2:
        directory(text);
        break;
    case 3:
        names(text);
        break;
    case 4:
        descriptor(data + 1, size - 1);
        break;
    default:
        credentials(text);
        break;
    }
    return 0;
}
