/* facts: what this host says about itself. Any thread. */
#include "agent/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/confine.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define CAPS_NEEDED                                                                                \
    0x1fULL /* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: bits 0 to 4                   \
             */

struct facts {
    Godwit__HostFacts wire;
    struct utsname uts;
    char os[128];
};

/* The value of KEY="…" in an os-release file; "" when it is not there. */
static void os_release(const char *path, const char *key, char *ret, size_t n)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    ret[0] = '\0';
    if (file_read(path, 64 << 10, &text, &len) < 0)
        return;
    size_t klen = strlen(key);
    char *rest = text;
    for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (strncmp(line, key, klen) != 0 || line[klen] != '=')
            continue;
        const char *v = line + klen + 1;
        size_t vlen = strlen(v);
        if (vlen >= 2 && (*v == '"' || *v == '\'') && v[vlen - 1] == *v) {
            v++;
            vlen -= 2;
        }
        (void)snprintf(ret, n, "%.*s", (int)(vlen < n ? vlen : n - 1), v);
        return;
    }
}

struct facts *facts_new(void)
{
    struct facts *f = xcalloc(1, sizeof *f);
    f->wire = (Godwit__HostFacts)GODWIT__HOST_FACTS__INIT;
    (void)uname(&f->uts);
    os_release("/etc/os-release", "PRETTY_NAME", f->os, sizeof f->os);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    f->wire.os = f->os;
    f->wire.kernel = f->uts.release;
    f->wire.machine = f->uts.machine;
    f->wire.hostname = f->uts.nodename;
    f->wire.cpus = cpus > 0 ? (uint32_t)cpus : 1;
    f->wire.memory_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    return f;
}

struct facts *facts_free(struct facts *f)
{
    free(f);
    return NULL;
}

Godwit__HostFacts *facts_wire(struct facts *f)
{
    return &f->wire;
}

bool facts_privileged(void)
{
    return (confine_caps() & CAPS_NEEDED) == CAPS_NEEDED;
}

uint32_t facts_load_percent(void)
{
    double load = 0;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (getloadavg(&load, 1) != 1 || cpus < 1 || load < 0)
        return 0;
    double percent = 100 * load / (double)cpus;
    return percent > 10000 ? 10000 : (uint32_t)percent;
}
