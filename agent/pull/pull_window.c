/* pull_window: small files under way: opened, described, read and closed by one message each, many
 * at once, so that the way to the server and back is waited for once and not for each. And those
 * that somebody had locked, for later. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pull/pull_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

/* Larger ones are described only: pull_large() reads them. */
bool pull_reads(const struct fetch *f)
{
    return f->want != FETCH_META && f->size > 0 && f->size <= BATCH_FILE_MAX;
}

static uint64_t asked(const struct fetch *f)
{
    return pull_reads(f) ? f->size : 0;
}

static void fetch_done(struct worker *w, struct fetch *f)
{
    (void)smb_call_free(f->call);
    free(f->name);
    if (f->folder)
        folder_unref(w, f->folder);
    *f = (struct fetch){.call = NULL};
}

static int ask(struct worker *w, struct fetch *f)
{
    struct puller *k = w->own;
    const char *path = NULL;
    size_t len = 0;
    int rc = pull_path(w, f->folder, f->name, &path, &len);
    f->call = smb_call_new(k->smb);
    if (rc == 0)
        rc = smb_put_open(f->call, path, len, SMB_OPEN_FILE);
    if (rc == 0)
        rc = smb_put_descriptor(f->call, NULL);
    if (rc == 0)
        rc = smb_put_streams(f->call, NULL);
    if (rc == 0 && pull_reads(f))
        rc = smb_put_read(f->call, NULL, 0, (uint32_t)f->size);
    if (rc == 0)
        rc = smb_put_close(f->call, NULL);
    return rc == 0 ? smb_send(f->call) : rc;
}

/* -errno of the connection only. */
static int ask_or_fail(struct worker *w, struct fetch *f)
{
    struct puller *k = w->own;
    int rc = ask(w, f);
    if (rc < 0 && !smb_is_lost(k->smb)) { /* its name cannot be said */
        worker_failed(w, f->folder, f->name, -rc, "open");
        fetch_done(w, f);
        return 0;
    }
    return rc < 0 ? rc : 1;
}

static int open_failed(struct worker *w, struct fetch *f, int err)
{
    if (err == -ETXTBSY)
        return pull_locked(w, f);
    if (err == -ENOENT)
        return 0; /* gone since its folder was read */
    worker_failed(w, f->folder, f->name, -err, err == -EBUSY ? "changed while read" : "read");
    return 0;
}

/* Takes f: 0, or -errno of a connection. */
static int settle(struct worker *w, struct fetch *f)
{
    struct puller *k = w->own;
    int err = 0, rc = 0;
    for (;;) {
        rc = pull_wait(w, f->call);
        if (rc == 0)
            rc = pull_emit(w, f, &err);
        if (rc < 0 || err != -EBUSY || ++f->tries >= CHANGED_TRIES)
            break;
        f->call = smb_call_free(f->call);
        rc = ask(w, f);
        if (rc < 0)
            break;
    }
    if (rc == 0 && err == -ENOTCONN && smb_is_lost(k->smb))
        rc = err;
    if (rc == 0 && err < 0)
        rc = open_failed(w, f, err);
    fetch_done(w, f);
    return rc;
}

static int take_oldest(struct worker *w)
{
    struct puller *k = w->own;
    struct fetch f = k->window[k->head];
    k->window[k->head] = (struct fetch){.call = NULL};
    k->head = (k->head + 1) % WINDOW_FILES;
    k->n--;
    k->bytes -= asked(&f);
    return settle(w, &f);
}

static int enter(struct worker *w, struct fetch *f)
{
    struct puller *k = w->own;
    uint64_t bytes = asked(f);
    int rc = 0;
    while (rc == 0 && k->n > 0 && (k->n == WINDOW_FILES || k->bytes + bytes > WINDOW_BYTES))
        rc = take_oldest(w);
    if (rc == 0)
        rc = ask_or_fail(w, f);
    if (rc != 1) {
        fetch_done(w, f);
        return rc;
    }
    k->window[(k->head + k->n) % WINDOW_FILES] = *f;
    k->n++;
    k->bytes += bytes;
    return 0;
}

int pull_fetch(struct worker *w, struct folder *f, const char *name, const struct smb_info *info,
               enum fetch_want want, const uint8_t *digest)
{
    struct fetch x = {.folder = f,
                      .name = xstrdup(name),
                      .size = info->size,
                      .id = info->id,
                      .want = want,
                      .check = digest != NULL};
    f->refs++;
    if (digest)
        memcpy(x.digest, digest, DIGEST_BYTES);
    return enter(w, &x);
}

int pull_drain(struct worker *w)
{
    struct puller *k = w->own;
    int rc = 0;
    while (rc == 0 && k->n > 0)
        rc = take_oldest(w);
    return rc;
}

/* ── locked ones ── */

int pull_locked(struct worker *w, struct fetch *f)
{
    struct puller *k = w->own;
    const struct pull_source *from = k->p->from;
    if (f->lock_tries + 1 >= from->lock_tries || k->nlocked >= LOCKED_MAX) {
        worker_failed(w, f->folder, f->name, ETXTBSY, "locked");
        return 0;
    }
    struct locked *l = xcalloc(1, sizeof *l);
    l->fetch = *f;
    l->fetch.call = NULL;
    l->fetch.lock_tries++;
    l->fetch.tries = 0;
    l->at_ms = clock_mono_ms() + from->lock_wait_ms;
    struct locked **at = &k->locked;
    while (*at)
        at = &(*at)->next;
    *at = l;
    k->nlocked++;
    f->folder = NULL; /* the folder is in hand until then, so the walk goes on */
    f->name = NULL;
    return 0;
}

int pull_later(struct worker *w)
{
    struct puller *k = w->own;
    struct locked *l = k->locked;
    if (!l || clock_mono_ms() < l->at_ms)
        return 0;
    k->locked = l->next;
    k->nlocked--;
    struct fetch f = l->fetch;
    free(l);
    int rc = enter(w, &f);
    if (rc == 0)
        rc = pull_drain(w);
    return rc < 0 ? rc : 1;
}

void pull_forget(struct worker *w)
{
    struct puller *k = w->own;
    for (; k->n > 0; k->n--) {
        fetch_done(w, &k->window[k->head]);
        k->head = (k->head + 1) % WINDOW_FILES;
    }
    while (k->locked) {
        struct locked *l = k->locked;
        k->locked = l->next;
        fetch_done(w, &l->fetch);
        free(l);
    }
}
