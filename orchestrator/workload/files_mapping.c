/* files_mapping: what an id map would change on a source, page by page. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"

int files_map_page(const struct pair_view *p, const char *after, struct planned_step *ret,
                   struct fault *reterr)
{
    CLEANUP(mem_free) char *map = files_map_text(p);
    struct files_filter filter;
    if (!*map)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the job has no map, and no account got another id");
    int rc = files_check_map_known(p, reterr);
    if (rc < 0)
        return rc;
    Godwit__MapOrder o = GODWIT__MAP_ORDER__INIT;
    if (!p->endpoint) /* an agent that knows no shares here finds no such folder */
        o.path = files_bytes(p->source, strlen(p->source));
    o.map = files_bytes(map, strlen(map));
    o.filter = files_filter(p->options, &filter);
    o.one_file_system = json_is_true(json_object_get(p->options, "one_file_system"));
    o.after = files_text(after);
    Godwit__SmbSource smb;
    CLEANUP(mem_free) char *share = xmalloc(strlen(p->source) + 1);
    o.smb = files_fill_smb(p, &smb, share);
    files_plan_step(ret, SIDE_SOURCE, "files.map", &o.base);
    return 1;
}

json_t *files_mapped(const Godwit__Result *r)
{
    Godwit__MapPage *body = godwit__map_page__unpack(NULL, r->body.len, r->body.data);
    json_t *o = body ? message_json(&body->base) : NULL;
    if (body)
        godwit__map_page__free_unpacked(body, NULL);
    return o;
}
