/* rows: what the catalogue has of one entry, one folder in memory at a time: for callers that go
 * folder by folder. Lane threads. */
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/mem.h"

void rows_done(struct rows *k)
{
    (void)catalogue_folder_free(k->known);
    free(k->folder);
    *k = (struct rows){.folder = NULL};
}

const struct catalogue_entry *rows_find(struct receiver *r, struct rows *k, struct bytes folder,
                                        struct bytes name)
{
    if (!k->folder || k->len != folder.n || memcmp(k->folder, folder.p, folder.n) != 0) {
        rows_done(k);
        k->folder = xmemdup(folder.p, folder.n);
        k->len = folder.n;
        (void)pthread_mutex_lock(&r->cat_lock);
        (void)catalogue_load(r->cat, folder.p, folder.n, &k->known);
        (void)pthread_mutex_unlock(&r->cat_lock);
    }
    return k->known ? catalogue_find(k->known, name.p, name.n) : NULL;
}
