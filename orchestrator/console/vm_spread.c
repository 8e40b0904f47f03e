/* vm_spread: sorting and choosing. Pure. */
#include "orchestrator/console/vm_spread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/show.h"

static int by_memory(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    int64_t n = show_int(x, "memory_bytes"), m = show_int(y, "memory_bytes");
    if (n != m)
        return n < m ? 1 : -1;
    return strcmp(show_str(x, "name"), show_str(y, "name"));
}

static json_t *sorted(const json_t *domains)
{
    size_t n = json_array_size(domains);
    CLEANUP(mem_free) json_t **list = xcalloc(n + 1, sizeof(json_t *));
    json_t *ret = json_array();
    for (size_t i = 0; i < n; i++)
        list[i] = json_array_get(domains, i);
    qsort(list, n, sizeof *list, by_memory);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append(ret, list[i]);
    return ret;
}

int spread_new(const json_t *inventory, const char *from, const char *to, struct spread *ret)
{
    const json_t *hosts = json_object_get(inventory, "hosts"), *host;
    size_t i;
    *ret = (struct spread){.hosts = xcalloc(json_array_size(hosts) + 1, sizeof *ret->hosts)};
    json_array_foreach(hosts, i, host)
    {
        const json_t *answer = json_object_get(host, "answer");
        const char *name = show_str(host, "host");
        if (!answer)
            continue;
        if (strcmp(name, from) == 0)
            ret->machines = sorted(json_object_get(answer, "domains"));
        else if (!to || strcmp(name, to) == 0)
            ret->hosts[ret->nhosts++] = (struct spread_host){
                .name = name, .free = (uint64_t)show_int(answer, "host.memory_free_bytes")};
    }
    if (ret->machines)
        return 0;
    spread_done(ret);
    return -ENOENT;
}

void spread_done(struct spread *s)
{
    free(s->hosts);
    json_decref(s->machines);
    *s = (struct spread){.hosts = NULL};
}

void spread_begin(struct spread *s)
{
    for (size_t i = 0; i < s->nhosts; i++)
        s->hosts[i].tried = false;
}

struct spread_host *spread_next(struct spread *s, uint64_t memory)
{
    struct spread_host *best = NULL;
    for (size_t i = 0; i < s->nhosts; i++) {
        struct spread_host *h = &s->hosts[i];
        if (!h->tried && h->free >= memory && (!best || h->free > best->free))
            best = h;
    }
    if (best)
        best->tried = true;
    return best;
}
