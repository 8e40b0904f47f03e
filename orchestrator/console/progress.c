/* progress: a job and its pairs as lines of a given width. Main thread. */
#include "orchestrator/console/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/show.h"

#define NAME_MIN 16
#define NAME_MAX 60
#define BAR_WIDTH 16
#define BAR_FROM 100    /* columns of a terminal that has room for it */
#define PERCENT_WIDTH 7 /* " 45%  " */
#define TAIL_WIDTH 58   /* "1.0 GiB/2.0 GiB  12,345 files  100.0 MiB/s  12-15 s left" */

char *progress_bar(double percent, int columns, bool utf8)
{
    int inside = columns > 2 ? columns - 2 : 0;
    double part = percent <= 0 || isnan(percent) ? 0 : percent >= 100 ? 1 : percent / 100;
    int full = (int)(part * inside);
    char *bar = xmalloc((size_t)inside * 3 + 3);
    size_t o = 0;
    bar[o++] = '[';
    for (int i = 0; i < inside; i++) {
        const char *one = i < full ? (utf8 ? "\xe2\x96\x88" : "#") : (utf8 ? "\xc2\xb7" : ".");
        size_t n = strlen(one);
        memcpy(bar + o, one, n);
        o += n;
    }
    bar[o++] = ']';
    bar[o] = '\0';
    return bar;
}

char *progress_eta(const json_t *eta_ms)
{
    if (json_array_size(eta_ms) != 2)
        return xstrdup("");
    double low = json_number_value(json_array_get(eta_ms, 0));
    double high = json_number_value(json_array_get(eta_ms, 1));
    if (!(low >= 0) || !(high >= low) || high > 1e15)
        return xstrdup("");
    char a[32], b[32];
    show_duration((uint64_t)low, a);
    show_duration((uint64_t)high, b);
    if (high < 1000)
        return xstrdup("under 1 s left");
    if (strcmp(a, b) == 0)
        return xasprintf("%s left", b);
    char *ua = strchr(a, ' '), *ub = strchr(b, ' ');
    if (ua && ub && strcmp(ua, ub) == 0)
        *ua = '\0'; /* "12-15 s", not "12 s-15 s" */
    return xasprintf("%s-%s left", a, b);
}

bool progress_over(const char *state)
{
    static const char *const ends[] = {"done", "partial", "failed", "stopped"};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (strcmp(state, ends[i]) == 0)
            return true;
    return false;
}

bool progress_active(const json_t *pair)
{
    const char *state = show_str(pair, "state");
    return strcmp(state, "running") == 0 || strcmp(state, "paused") == 0;
}

/* "1.2 GiB of 2.7 GiB", or what is known of it; malloc'd. */
static char *bytes_text(const json_t *pair, const char *between)
{
    char done[16], total[16];
    double bytes = show_num(pair, "counters.bytes") + show_num(pair, "counters.parts_bytes") +
                   show_num(pair, "counters.unchanged_bytes");
    double all = show_num(pair, "counters.total_bytes");
    text_bytes(bytes > 0 ? (uint64_t)bytes : 0, done);
    if (all <= 0)
        return xstrdup(done);
    text_bytes((uint64_t)all, total);
    return xasprintf("%s%s%s", done, between, total);
}

static char *files_text(const json_t *pair)
{
    char count[32];
    double n = show_num(pair, "counters.files") + show_num(pair, "counters.unchanged_files");
    show_count(n > 0 ? (uint64_t)n : 0, count);
    return xasprintf("%s files", count);
}

static char *rate_text(const json_t *pair)
{
    char rate[16];
    double n = show_num(pair, "rate");
    text_bytes(n > 0 ? (uint64_t)n : 0, rate);
    return xasprintf("%s/s", rate);
}

/* What the next pass has to look at, as far as the source's change feed says; malloc'd. */
static char *churn_text(const json_t *pair)
{
    double folders = show_num(pair, "counters.changed_folders");
    double ms = show_num(pair, "counters.next_pass_ms");
    if (ms <= 0)
        return xstrdup("");
    return xasprintf("%.0f changed folder%s wait%s (a pass of %.1f s)", folders,
                     folders == 1 ? "" : "s", folders == 1 ? "s" : "", ms / 1000);
}

/* What goes on now, in words. */
static const char *doing_text(const json_t *pair)
{
    const char *doing = show_str(pair, "doing");
    return *doing ? doing : show_str(pair, "stage");
}

/* What stands behind the bar: numbers while it runs, the reason when it does not. malloc'd. */
static char *facts(const json_t *pair)
{
    const char *state = show_str(pair, "state");
    const char *reason = show_str(pair, "reason");
    CLEANUP(mem_free) char *bytes = bytes_text(pair, "/");
    CLEANUP(mem_free) char *files = files_text(pair);
    if (strcmp(state, "running") != 0)
        return xasprintf("%s  %s  %s%s%s", bytes, files, state, *reason ? ": " : "", reason);
    CLEANUP(mem_free) char *rate = rate_text(pair);
    CLEANUP(mem_free) char *eta = progress_eta(show_find(pair, "eta_ms"));
    CLEANUP(mem_free) char *churn = churn_text(pair);
    bool stalled = show_flag(pair, "stalled");
    return xasprintf("%s  %s  %s  %s%s%s%s%s%s%s", bytes, files, rate, stalled ? "STALLED  " : "",
                     eta, *eta ? "" : doing_text(pair), *churn ? "  " : "", churn,
                     *reason ? "  " : "", reason);
}

static const char *tint(const json_t *pair)
{
    const char *state = show_str(pair, "state");
    if (strcmp(state, "failed") == 0)
        return "31";
    if (strcmp(state, "partial") == 0 || show_flag(pair, "stalled"))
        return "33";
    return strcmp(state, "done") == 0 ? "32" : NULL;
}

static char *pair_name(const json_t *pair, bool utf8)
{
    CLEANUP(mem_free) char *from = show_cell(show_find(pair, "source"), CELL_PLACE);
    CLEANUP(mem_free) char *to = show_cell(show_find(pair, "destination"), CELL_PLACE);
    return xasprintf("%3.0f %s %s %s", show_num(pair, "n"), from, utf8 ? "\xe2\x86\x92" : "->", to);
}

static char *painted(char *line, const char *color)
{
    if (!color)
        return line;
    char *text = xasprintf("\033[%sm%s\033[0m", color, line);
    free(line);
    return text;
}

/* Depends on the width alone, so that the bars of all pairs stand below each other. */
static int name_room(int width, bool bar)
{
    int room = width - PERCENT_WIDTH - TAIL_WIDTH - (bar ? BAR_WIDTH + 1 : 0);
    return room < NAME_MIN ? NAME_MIN : room > NAME_MAX ? NAME_MAX : room;
}

char *progress_pair(const json_t *pair, const struct look *look)
{
    CLEANUP(mem_free) char *name = pair_name(pair, look->utf8);
    CLEANUP(mem_free) char *raw = facts(pair);
    CLEANUP(mem_free) char *tail = show_clean(raw);
    bool bar = look->width >= BAR_FROM;
    int room = name_room(look->width, bar);
    show_fit(name, room);
    double percent = show_num(pair, "percent");
    CLEANUP(mem_free)
    char *drawn = bar ? progress_bar(percent, BAR_WIDTH, look->utf8) : xstrdup("");
    char *line = xasprintf("%s%*s %s%s%3.0f%%  %s", name, room - show_width(name), "", drawn,
                           bar ? " " : "", percent, tail);
    show_fit(line, look->width);
    return painted(line, look->color ? tint(pair) : NULL);
}

char *progress_plain(const json_t *pair)
{
    CLEANUP(mem_free) char *name = pair_name(pair, false);
    CLEANUP(mem_free) char *bytes = bytes_text(pair, " of ");
    CLEANUP(mem_free) char *files = files_text(pair);
    CLEANUP(mem_free) char *rate = rate_text(pair);
    CLEANUP(mem_free) char *eta = progress_eta(show_find(pair, "eta_ms"));
    const char *state = show_str(pair, "state"), *reason = show_str(pair, "reason");
    bool running = strcmp(state, "running") == 0;
    CLEANUP(mem_free)
    char *moving =
        running ? xasprintf(", %s%s%s%s%s%s", rate, show_flag(pair, "stalled") ? ", STALLED" : "",
                            *eta ? ", " : "", eta, *reason ? ", " : "", reason)
                : xasprintf("%s%s", *reason ? ": " : "", reason);
    CLEANUP(mem_free)
    char *churn = churn_text(pair);
    CLEANUP(mem_free)
    char *line =
        xasprintf("pair %s: %s %.0f%%%s%s, %s, %s%s%s%s", name + strspn(name, " "), state,
                  show_num(pair, "percent"), running ? ", " : "", running ? doing_text(pair) : "",
                  bytes, files, moving, *churn ? ", " : "", churn);
    return show_clean(line);
}

char *progress_job(const json_t *job, const struct look *look)
{
    static const char *const states[] = {"done",   "partial", "failed",  "stopped",
                                         "paused", "running", "waiting", "pending"};
    int counts[ARRAY_SIZE(states)] = {0};
    const json_t *pairs = show_find(job, "pairs"), *pair = NULL;
    size_t i = 0;
    json_array_foreach(pairs, i, pair) for (size_t s = 0; s < ARRAY_SIZE(states); s++) counts[s] +=
        strcmp(show_str(pair, "state"), states[s]) == 0;
    CLEANUP(mem_free)
    char *text = xasprintf("%s  %s  %.0f%%  %zu pair%s:", show_str(job, "job"),
                           show_str(job, "state"), show_num(job, "percent"), json_array_size(pairs),
                           json_array_size(pairs) == 1 ? "" : "s");
    const char *comma = " ";
    for (size_t s = 0; s < ARRAY_SIZE(states); s++) {
        if (counts[s] == 0)
            continue;
        char *more = xasprintf("%s%s%d %s", text, comma, counts[s], states[s]);
        free(text);
        text = more;
        comma = ", ";
    }
    char *line = show_clean(text);
    show_fit(line, look->width);
    return line;
}
