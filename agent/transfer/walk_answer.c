/* walk_answer: what is done with what the destination says to a listing. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

void walk_count_unchanged(struct worker *w, const struct item *i)
{
    if (!S_ISREG(i->meta.mode) || (i->flags & ENTRY_LINKED))
        return;
    (void)pthread_mutex_lock(&w->s->lock);
    w->s->counters.unchanged_files++;
    w->s->counters.unchanged_bytes += i->meta.size;
    (void)pthread_mutex_unlock(&w->s->lock);
}

/* It is sent by this name: the others become links to it. A run of only what failed does not look
 * for them: the next pass finds the name on its list, and them by it. */
static void other_names_due(struct worker *w, const struct folder *f, const char *name,
                            const struct meta *m)
{
    if (!w->s->spec->options.only_failed) {
        changes_linked(w->s, m);
        return;
    }
    CLEANUP(mem_free) char *path = xasprintf("%.*s/%s", (int)f->len, f->path, name);
    const char *from = f->len ? path : path + 1;
    faillist_list_only(w->s->failures, from, strlen(from), "");
}

static int answer_one(struct worker *w, struct listing *l, uint32_t i)
{
    struct folder *f = l->folder;
    const struct item *it = &l->items[i];
    const char *name = (const char *)l->names.data + it->name;
    enum verdict v = l->verdicts[i];
    if (v == VERDICT_EXISTS || v == VERDICT_FRESH || v == VERDICT_NEW) {
        if (!S_ISDIR(it->meta.mode))
            return -EPROTO;
        bool settled = it->flags & ENTRY_SETTLED; /* it came here now, with all below it */
        if (v == VERDICT_EXISTS && f->changed && !settled && !changes_descend(w->s, f, name))
            return 0;
        return walk_push(w, f, name, v == VERDICT_FRESH ? WALK_FRESH : 0);
    }
    if (v == VERDICT_SAME || v == VERDICT_META)
        walk_count_unchanged(w, it);
    if (S_ISDIR(it->meta.mode) || w->s->spec->options.dry_run)
        return 0;
    if (it->meta.nlink > 1 && (v == VERDICT_DATA || v == VERDICT_CHECK))
        other_names_due(w, f, name, &it->meta);
    struct answered was;
    switch (v) {
    case VERDICT_DATA:
        return batch_entry(w, f, name, false, NULL);
    case VERDICT_CHECK:
        was = (struct answered){&it->meta, l->digests + (size_t)i * DIGEST_BYTES};
        return batch_entry(w, f, name, false, &was);
    case VERDICT_META:
        return batch_meta(w, f, name, &it->meta);
    case VERDICT_SAME:
    case VERDICT_SKIP:
    case VERDICT_MOVED:
    case VERDICT_EXISTS:
    case VERDICT_FRESH:
    case VERDICT_NEW:
        break;
    }
    return 0;
}

/* What the destination has, before what may share its blocks is sent. */
static void note_reflinks(struct worker *w, const struct listing *l)
{
    for (uint32_t i = 0; w->s->reflinks && i < l->count; i++)
        if (l->verdicts[i] == VERDICT_SAME || l->verdicts[i] == VERDICT_META)
            reflink_note(w, l->folder, (const char *)l->names.data + l->items[i].name,
                         &l->items[i].meta);
}

int walk_answer(struct worker *w, struct listing *l)
{
    /* What moves away first: something else may come to its place. */
    int rc = l->came ? moved_tell(w, l) : 0;
    note_reflinks(w, l);
    for (uint32_t i = 0; rc == 0 && i < l->count; i++)
        rc = answer_one(w, l, i);
    if (l->came) { /* maybe within this very folder: its own listing is to end first */
        l->next = w->again;
        w->again = l;
    } else {
        listing_free(w, l);
    }
    return rc;
}
