/* rival: a file of addresses in a cutover's folder. Any thread. */
#include "agent/identity/rival.h"

#include <errno.h>
#include <string.h>

#include "agent/identity/net.h"
#include "agent/identity/service.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define FILE_MAX 4096U
#define ANSWER_MS 1000

int rival_note(const char *folder, const Godwit__IdentityPlan *p)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" RIVAL_FILE, folder);
    struct buf b;
    if (p->n_moves || !p->n_destination_addresses)
        return 0;
    buf_init(&b, FILE_MAX);
    for (size_t i = 0; i < p->n_destination_addresses; i++) {
        const char *a = p->destination_addresses[i];
        if (!net_address_valid(a))
            continue;
        buf_put(&b, a, strcspn(a, "/"));
        buf_put(&b, "\n", 1);
    }
    int rc = b.overflow ? -E2BIG : file_write(path, 0600, b.data, b.len);
    buf_done(&b);
    return rc;
}

char *rival_serves(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" RIVAL_FILE, folder);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read(path, FILE_MAX, &text, &len) < 0)
        return NULL;
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        CLEANUP(mem_free) char *address = xmemdup(at, strcspn(at, "\n"));
        if (service_answers(address, ANSWER_MS)) {
            char *ret = address;
            address = NULL;
            return ret;
        }
    }
    return NULL;
}
