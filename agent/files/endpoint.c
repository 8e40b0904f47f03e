/* endpoint: an order's endpoint and the credential that came beside it. */
#include "agent/files/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/step.h"
#include "agent/store/beneath.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"

#define ADDRESS_MAX 255
#define LOCK_TRIES_MAX 100U
#define LOCK_WAIT_MAX_MS 3600000U

/* No control bytes: they go into messages. */
static bool plain(const char *s, size_t max)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return n > 0 && n <= max;
}

static bool well_formed(const Godwit__SmbSource *o)
{
    return plain(o->address, ADDRESS_MAX) && plain(o->share, 240) && !strpbrk(o->share, "/\\") &&
           (o->folder.len == 0 || beneath_valid((const char *)o->folder.data, o->folder.len)) &&
           !memchr(o->destination.data ? (const void *)o->destination.data : "", '\0',
                   o->destination.len) &&
           o->lock_tries <= LOCK_TRIES_MAX && o->lock_wait_ms <= LOCK_WAIT_MAX_MS;
}

bool endpoint_address_good(const char *address)
{
    return plain(address, ADDRESS_MAX);
}

int endpoint_login(const struct step *s, const char *endpoint, struct smb_login *ret,
                   struct fault *reterr)
{
    struct step_secret secret;
    step_secret(s, &secret);
    if (!secret.user || secret.proof > SMB_KEYTAB)
        return fault_set(reterr, FAULT_STOP_JOB, ENOKEY,
                         "no credential came for endpoint %.60s: godwit endpoint show names it, "
                         "godwit credential add makes it",
                         endpoint);
    *ret = (struct smb_login){.proof = (enum smb_proof)secret.proof,
                              .user = secret.user,
                              .secret = secret.secret,
                              .secret_len = secret.secret_len};
    return 0;
}

int endpoint_of_order(const struct step *s, const Godwit__SmbSource *o, struct endpoint_source *ret,
                      struct fault *reterr)
{
    struct smb_login login;
    *ret = (struct endpoint_source){.destination = NULL};
    if (!well_formed(o))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the order of endpoint is not well formed");
    int rc = endpoint_login(s, o->endpoint, &login, reterr);
    if (rc < 0)
        return rc;
    if (o->destination.len > 0)
        ret->destination = xmemdup(o->destination.data, o->destination.len);
    ret->pull = (struct pull_source){
        .place = {.address = o->address,
                  .share = o->share,
                  .login = login,
                  .cancel_fd = step_cancel_fd(s)},
        .base = (const char *)o->folder.data,
        .base_len = o->folder.len,
        .lock_tries = o->lock_tries ? o->lock_tries : 1,
        .lock_wait_ms = o->lock_wait_ms,
        .destination = ret->destination
    };
    return 0;
}

void endpoint_source_done(struct endpoint_source *e)
{
    free(e->destination);
    e->destination = NULL;
}
