/* watch_view: draws a job again and again: in place on a terminal, else as plain lines when
 * something changed. Main thread. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/console/progress.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/watch.h"

#define PLAIN_EVERY_MS 5000 /* progress of running pairs; a change of state is told at once */

struct told {
    char *state;
    char *line;
    int64_t at;
};

struct watch_view {
    FILE *out;
    bool live;
    struct look look;
    int height;
    int drawn;         /* lines of the last frame */
    struct told *told; /* plain: one per pair */
    size_t ntold;
};

struct watch_view *watch_view_new(FILE *out)
{
    struct watch_view *v = xcalloc(1, sizeof *v);
    const char *term = getenv("TERM");
    v->out = out;
    v->live = isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
    v->look = (struct look){.width = 80, .utf8 = show_utf8(), .color = show_color(out)};
    v->height = 24;
    return v;
}

struct watch_view *watch_view_free(struct watch_view *v)
{
    if (!v)
        return NULL;
    for (size_t i = 0; i < v->ntold; i++) {
        free(v->told[i].state);
        free(v->told[i].line);
    }
    free(v->told);
    free(v);
    return NULL;
}

/* Asked for at each frame: a resized window needs no signal. */
static void measure(struct watch_view *v)
{
    struct winsize size = {0};
    if (ioctl(fileno(v->out), TIOCGWINSZ, &size) < 0 || size.ws_col < 20 || size.ws_row < 4)
        return;
    v->look.width = size.ws_col - 1; /* the last column would wrap on some terminals */
    v->height = size.ws_row;
}

static void put_line(struct watch_view *v, char *line)
{
    (void)fprintf(v->out, "%s\033[K\n", line);
    v->drawn++;
    free(line);
}

/* Pairs that a screen of that many lines shows; active ones first, in their order. */
static void put_pairs(struct watch_view *v, const json_t *pairs, int room)
{
    size_t n = json_array_size(pairs), i = 0;
    bool all = n <= (size_t)room;
    int shown = 0;
    const json_t *pair = NULL;
    json_array_foreach(pairs, i, pair)
    {
        if (!all && (!progress_active(pair) || shown >= room - 1))
            continue;
        put_line(v, progress_pair(pair, &v->look));
        shown++;
    }
    if (all)
        return;
    char *more = xasprintf("    and %zu more pairs; godwit job show lists them", n - (size_t)shown);
    show_fit(more, v->look.width);
    put_line(v, more);
}

static void draw_live(struct watch_view *v, const json_t *doc)
{
    measure(v);
    int up = v->drawn;
    v->drawn = 0;
    if (up)
        (void)fprintf(v->out, "\r\033[%dA", up);
    const json_t *pairs = show_find(doc, "pairs");
    put_line(v, progress_job(doc, &v->look));
    put_pairs(v, pairs, v->height - 2);
    (void)fputs("\033[J", v->out);
    (void)fflush(v->out);
}

static void tell(struct watch_view *v, const json_t *doc, const json_t *pair, struct told *t)
{
    const char *state = show_str(pair, "state");
    bool changed = !t->state || strcmp(t->state, state) != 0;
    int64_t now = clock_mono_ms();
    if (!changed && (!progress_active(pair) || now - t->at < PLAIN_EVERY_MS))
        return;
    char *line = progress_plain(pair);
    if (!changed && t->line && strcmp(t->line, line) == 0) {
        free(line);
        return;
    }
    char at[24];
    clock_format(clock_wall_ms(), at);
    (void)fprintf(v->out, "%s %s %s\n", at, show_str(doc, "job"), line);
    free(t->state);
    free(t->line);
    *t = (struct told){.state = xstrdup(state), .line = line, .at = now};
}

static void draw_plain(struct watch_view *v, const json_t *doc)
{
    const json_t *pairs = show_find(doc, "pairs"), *pair = NULL;
    size_t n = json_array_size(pairs), i = 0;
    if (n > v->ntold) {
        v->told = xrealloc(v->told, n * sizeof *v->told);
        memset(v->told + v->ntold, 0, (n - v->ntold) * sizeof *v->told);
        v->ntold = n;
    }
    json_array_foreach(pairs, i, pair) tell(v, doc, pair, &v->told[i]);
    (void)fflush(v->out);
}

void watch_view_draw(struct watch_view *v, const json_t *doc)
{
    if (v->live)
        draw_live(v, doc);
    else
        draw_plain(v, doc);
}
