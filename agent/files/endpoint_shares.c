/* endpoint_shares: the step "endpoint.shares": which shares a server without an agent has. Changes
 * nothing. Worker thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/endpoint.h"
#include "agent/files/files.h"
#include "agent/pull/sharelist.h"
#include "agent/step.h"
#include "common/base/mem.h"

struct found {
    Godwit__SmbShare *at[SHARES_MAX];
    size_t n;
};

static void on_share(void *arg, const struct share_found *f)
{
    struct found *list = arg;
    Godwit__SmbShare *s = xmalloc(sizeof *s);
    godwit__smb_share__init(s);
    s->kind = (uint32_t)f->kind;
    s->name = xstrdup(f->name);
    s->comment = xstrdup(f->comment);
    list->at[list->n++] = s;
}

static void found_done(struct found *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->at[i]->name);
        free(list->at[i]->comment);
        free(list->at[i]);
    }
    free(list);
}

static void pack(struct found *list, struct step_result *ret)
{
    Godwit__SmbShareList all = GODWIT__SMB_SHARE_LIST__INIT;
    all.shares = list->at;
    all.n_shares = list->n;
    ret->body_len = godwit__smb_share_list__get_packed_size(&all);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__smb_share_list__pack(&all, ret->body);
    ret->status = STEP_DONE;
}

void endpoint_shares(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct smb_place place = {.share = "", .cancel_fd = step_cancel_fd(s)};
    Godwit__SmbServer *o = godwit__smb_server__unpack(NULL, len, args);
    struct found *list = xcalloc(1, sizeof *list);
    int rc = 0;
    ret->status = STEP_FAILED;
    if (!o || !endpoint_address_good(o->address))
        rc = fault_set(&ret->fault, FAULT_STOP_JOB, EINVAL,
                       "the order of endpoint is not well formed");
    if (rc == 0)
        rc = endpoint_login(s, o->endpoint, &place.login, &ret->fault);
    if (rc == 0) {
        place.address = o->address;
        rc = sharelist(&place, on_share, list, &ret->fault);
    }
    if (rc == 0)
        pack(list, ret);
    found_done(list);
    if (o)
        godwit__smb_server__free_unpacked(o, NULL);
}
