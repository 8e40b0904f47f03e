/* fuzz_smbconf: any bytes as smb.conf, and as godwit.conf. What is one pair's is no other's. */
#include <stdlib.h>
#include <string.h>

#include "agent/share/managed.h"
#include "agent/share/smbconf.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void as_managed(const char *text)
{
    static const char block[] = "[x]\n\tpath = /x\n";
    CLEANUP(mem_free) char *rest = managed_without(text, "a.1");
    CLEANUP(mem_free) char *with = managed_with(rest, "a.1", block);
    CLEANUP(mem_free) char *back = managed_block(with, "a.1");
    CLEANUP(mem_free) char *include = managed_include(text, "/etc/godwit.conf");
    CLEANUP(mem_free) char *twice = managed_include(include, "/etc/godwit.conf");
    must(strcmp(include, twice) == 0);
    if (!strstr(rest, "# godwit: "))
        must(strcmp(back, block) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault why = {0};
    CLEANUP(smbconf_free) struct smbconf *c = NULL;
    CLEANUP(mem_free) char *text = xmemdup(data, size);
    int rc = smbconf_parse(text, size, &c, &why);
    must((rc == 0) == (c != NULL));
    for (size_t i = 0; c && i < c->nsections; i++) {
        const struct smbconf_section *s = &c->sections[i];
        must(smbconf_find(c, s->name) == s);
        for (size_t k = 0; k < s->nparams; k++)
            must(!strpbrk(s->params[k].name, "\n=") && !strchr(s->params[k].value, '\n') &&
                 smbconf_value(s, s->params[k].name));
    }
    as_managed(text);
    return 0;
}
