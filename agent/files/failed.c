/* failed: the step "files.failures": a page of what failed in a pair's last run, as the source
 * keeps it. Changes nothing. Worker thread. */
#include <errno.h>
#include <string.h>

#include "agent/files/files.h"
#include "agent/step.h"
#include "agent/store/pairname.h"
#include "agent/transfer/faillist.h"
#include "agent/transfer/temp.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"

#define PAGE_BYTES (96U << 10) /* of paths and codes; with what packing adds, a result holds it */
#define PAGE_ITEMS 4000U

struct page {
    Godwit__FailedItem items[PAGE_ITEMS], *list[PAGE_ITEMS];
    size_t n;
};

static int keep(void *arg, const char *path, size_t len, const char *code)
{
    struct page *p = arg;
    Godwit__FailedItem *x = &p->items[p->n];
    *x = (Godwit__FailedItem)GODWIT__FAILED_ITEM__INIT;
    x->path = (ProtobufCBinaryData){.data = xmemdup(path, len), .len = len};
    x->code = xstrdup(code);
    p->list[p->n++] = x;
    return 0;
}

static void page_free(struct page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].path.data);
        free(p->items[i].code);
    }
    free(p);
}

static void tell(struct step *s, const Godwit__FailuresOrder *o, struct step_result *ret)
{
    CLEANUP(mem_free)
    char *path = temp_state_path(step_env(s)->state_dir, o->pair, "failed");
    struct page *p = xcalloc(1, sizeof *p);
    struct faillist_part from = {.from = o->from,
                                 .list = o->list,
                                 .max = PAGE_BYTES,
                                 .rows = PAGE_ITEMS},
                         next;
    Godwit__FailuresResult r = GODWIT__FAILURES_RESULT__INIT;
    int rc = faillist_page(path, &from, keep, p, &next);
    r.none = rc == -ENOENT;
    if (rc == 0) {
        r.next = next.from;
        r.list = next.list;
        r.items = p->list;
        r.n_items = p->n;
    }
    ret->status = rc == 0 || r.none ? STEP_DONE : STEP_FAILED;
    if (ret->status == STEP_FAILED)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "cannot read the list of failures: %s",
                        rc == -ESTALE ? "another run wrote a new one meanwhile" : strerror(-rc));
    ret->body_len = godwit__failures_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len + 1);
    (void)godwit__failures_result__pack(&r, ret->body);
    page_free(p);
}

void files_failures(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__FailuresOrder *o = godwit__failures_order__unpack(NULL, len, args);
    if (o && pair_valid(o->pair)) {
        tell(s, o, ret);
    } else {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    }
    if (o)
        godwit__failures_order__free_unpacked(o, NULL);
}
