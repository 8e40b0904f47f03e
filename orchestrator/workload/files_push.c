/* files_push: a pair whose destination is a share of a server without an agent: the source's agent
 * writes there itself. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/files_contract.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/workload.h"
#include "proto/files.pb-c.h"

/* Every other way of an option needs an agent at the destination. */
int files_check_to_endpoint(const json_t *options, struct fault *reterr)
{
    static const struct {
        const char *name, *only[3];
    } texts[] = {
        {"verify",       {"in-flight", NULL, NULL}},
        {"manifest",     {"off", NULL, NULL}      },
        {"snapshot",     {"none", NULL, NULL}     },
        {"accounts",     {"none", NULL, NULL}     },
        {"shares",       {"off", "list", NULL}    },
        {"nfs",          {"off", "list", NULL}    },
        {"pre_existing", {"keep", "mirror", NULL} },
    };
    static const char *const switches[] = {"checksum", "delta"};
    const char *bad = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *v = json_string_value(json_object_get(options, texts[i].name));
        bool known = !v;
        for (size_t k = 0; !known && k < 3 && texts[i].only[k]; k++)
            known = strcmp(v, texts[i].only[k]) == 0;
        bad = known ? bad : texts[i].name;
    }
    for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
        if (json_is_true(json_object_get(options, switches[i])))
            bad = switches[i];
    if (!bad)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "options.%s: needs an agent at the destination, which an endpoint has not: "
                     "leave it out",
                     bad);
}

void files_fill_share(const struct pair_view *p, const char *endpoint, const char *place,
                      Godwit__SmbSource *ret, char *share)
{
    godwit__smb_source__init(ret);
    const char *path = place + strspn(place, "/");
    size_t n = strcspn(path, "/");
    memcpy(share, path, n);
    share[n] = '\0';
    path += n + (path[n] == '/');
    ret->endpoint = files_text(endpoint);
    ret->address = files_text(p->address);
    ret->share = share;
    ret->folder = files_bytes(path, strlen(path));
}

int files_plan_push(const struct pair_view *p, struct planned_step *ret, struct fault *reterr)
{
    char pair[32];
    struct files_filter filter;
    Godwit__TransferOptions options;
    Godwit__SmbSource smb;
    int rc = files_check_losses(p, reterr);
    if (rc == 0)
        rc = files_check_map_known(p, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *map = files_map_text(p);
    CLEANUP(mem_free) char *share = xmalloc(strlen(p->destination) + 1);
    Godwit__PushOrder o = GODWIT__PUSH_ORDER__INIT;
    files_pair_name(p, pair);
    files_fill_options(p, &options);
    options.map = files_bytes(map, strlen(map));
    options.filter = files_filter(p->options, &filter);
    options.delete_excluded = json_is_true(json_object_get(p->options, "delete_excluded"));
    files_fill_share(p, p->to_endpoint, p->destination, &smb, share);
    o.path = files_bytes(p->source, strlen(p->source));
    o.pair = pair;
    o.options = &options;
    o.to = &smb;
    files_plan_step(ret, SIDE_SOURCE, "files.push", &o.base);
    return 1;
}
