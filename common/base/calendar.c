/* calendar: which rate holds when. A week is a table of its minutes, so that windows that wrap or
 * overlap cost nothing to think about; the zone says which minute a moment is. Any thread once it
 * is read. */
#include "common/base/calendar.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "common/base/rate.h"
#include "common/base/zone.h"

#define DAY_MINUTES 1440
#define WEEK_MINUTES (7 * DAY_MINUTES)
#define LOOK_MINUTES (WEEK_MINUTES + 2 * DAY_MINUTES) /* a week, and what a zone may shift */

struct calendar {
    struct zone *zone;
    uint64_t rates[CALENDAR_WINDOWS + 1]; /* [0]: otherwise */
    unsigned nwindows;
    uint8_t at[WEEK_MINUTES]; /* index of rates; the week begins on Monday 00:00 */
};

/* Where the reader is; each function that fails has said why. */
struct reader {
    struct calendar *c;
    const char *begin, *p, *end; /* of the line, without its comment */
    unsigned line;
    bool has_zone;
    struct calendar_error *err;
};

struct calendar *calendar_free(struct calendar *c)
{
    if (!c)
        return NULL;
    (void)zone_free(c->zone);
    free(c);
    return NULL;
}

static int wrong(const struct reader *r, const char *at, const char *what)
{
    r->err->line = r->line;
    r->err->column = (unsigned)(at - r->begin) + 1;
    (void)snprintf(r->err->text, sizeof r->err->text, "%s", what);
    return -EINVAL;
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && isblank((unsigned char)*r->p))
        r->p++;
}

static size_t word_length(const struct reader *r)
{
    size_t n = 0;
    while (r->p + n < r->end && isalpha((unsigned char)r->p[n]))
        n++;
    return n;
}

/* ── days: "Mon-Fri", "Sat,Sun", "daily" ── */

static int read_day(struct reader *r, int *ret)
{
    static const char *const names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    size_t n = word_length(r);
    for (int i = 0; i < 7; i++) {
        if (n != 3 || strncasecmp(r->p, names[i], 3) != 0)
            continue;
        *ret = i;
        r->p += n;
        return 0;
    }
    return wrong(r, r->p, "a day is Mon, Tue, Wed, Thu, Fri, Sat or Sun (or daily)");
}

static int read_days(struct reader *r, unsigned *ret)
{
    *ret = 0;
    if (word_length(r) == 5 && strncasecmp(r->p, "daily", 5) == 0) {
        r->p += 5;
        *ret = 0x7f;
        return 0;
    }
    for (;;) {
        int from = 0, to = 0;
        if (read_day(r, &from) < 0)
            return -EINVAL;
        to = from;
        if (r->p < r->end && *r->p == '-') {
            r->p++;
            if (read_day(r, &to) < 0)
                return -EINVAL;
        }
        for (int d = from;; d = (d + 1) % 7) { /* Sat-Mon goes over the week's end */
            *ret |= 1U << d;
            if (d == to)
                break;
        }
        if (r->p == r->end || *r->p != ',')
            return 0;
        r->p++;
    }
}

/* ── times ── */

static bool two_digits(const char *p, int *ret)
{
    if (!isdigit((unsigned char)p[0]) || !isdigit((unsigned char)p[1]))
        return false;
    *ret = (p[0] - '0') * 10 + (p[1] - '0');
    return true;
}

/* Minutes of the day; 24:00 only as an end. */
static int read_time(struct reader *r, bool is_end, int *ret)
{
    int h = 0, m = 0;
    const char *p = r->p;
    bool ok = r->end - p >= 5 && two_digits(p, &h) && p[2] == ':' && two_digits(p + 3, &m);
    ok = ok && m < 60 && (h < 24 || (is_end && h == 24 && m == 0));
    if (!ok)
        return wrong(
            r, p, is_end ? "a time is HH:MM, 00:00 to 24:00" : "a time is HH:MM, 00:00 to 23:59");
    r->p += 5;
    *ret = h * 60 + m;
    return 0;
}

static int read_times(struct reader *r, int *retfrom, int *retto)
{
    const char *at = r->p;
    if (read_time(r, false, retfrom) < 0)
        return -EINVAL;
    if (r->p == r->end || *r->p != '-')
        return wrong(r, r->p, "a window is HH:MM-HH:MM");
    r->p++;
    if (read_time(r, true, retto) < 0)
        return -EINVAL;
    if (*retfrom == *retto)
        return wrong(r, at, "a window without length (a whole day is 00:00-24:00)");
    return 0;
}

/* ── lines ── */

static char *rest_of(const struct reader *r)
{
    const char *end = r->end;
    while (end > r->p && isblank((unsigned char)end[-1]))
        end--;
    return xmemdup(r->p, (size_t)(end - r->p));
}

static int need_blank(struct reader *r, const char *what)
{
    if (r->p == r->end || !isblank((unsigned char)*r->p))
        return wrong(r, r->p, what);
    skip_blanks(r);
    return 0;
}

static void fill(struct calendar *c, unsigned days, int from, int to, uint8_t index)
{
    int len = to > from ? to - from : to + DAY_MINUTES - from;
    for (int d = 0; d < 7; d++) {
        for (int i = 0; (days >> d & 1) && i < len; i++) {
            uint8_t *slot = &c->at[(d * DAY_MINUTES + from + i) % WEEK_MINUTES];
            if (*slot == 0)
                *slot = index;
        }
    }
}

static int read_window(struct reader *r)
{
    struct calendar *c = r->c;
    unsigned days = 0;
    int from = 0, to = 0;
    if (c->nwindows == CALENDAR_WINDOWS)
        return wrong(r, r->p, "too many windows: 200 at most");
    if (read_days(r, &days) < 0 ||
        need_blank(r, "after the days comes the time: Mon-Fri 08:00-18:00 50MiB/s") < 0 ||
        read_times(r, &from, &to) < 0 ||
        need_blank(r, "after the time comes a rate: Mon-Fri 08:00-18:00 50MiB/s") < 0)
        return -EINVAL;
    CLEANUP(mem_free) char *rate = rest_of(r);
    uint64_t v = 0;
    if (rate_parse(rate, &v) < 0)
        return wrong(r, r->p,
                     "a rate is such as 50MiB/s or 100Mbit/s (1 KiB/s at least), none or "
                     "unlimited");
    c->rates[++c->nwindows] = v;
    fill(c, days, from, to, (uint8_t)c->nwindows);
    return 0;
}

static int read_zone(struct reader *r)
{
    if (r->has_zone)
        return wrong(r, r->p, "the zone is given twice");
    r->p += 4;
    if (need_blank(r, "after zone comes its name, such as Europe/Zurich") < 0)
        return -EINVAL;
    CLEANUP(mem_free) char *name = rest_of(r);
    int rc = *name ? zone_open(name, &r->c->zone) : -EINVAL;
    if (rc == -EINVAL)
        return wrong(r, r->p, "this is no name of a time zone");
    if (rc < 0)
        return wrong(r, r->p,
                     rc == -ENOENT ? "this machine knows no such time zone (is tzdata "
                                     "installed?)"
                                   : "this machine's file of that time zone is damaged");
    r->has_zone = true;
    return 0;
}

static int read_line(struct reader *r)
{
    skip_blanks(r);
    if (r->p == r->end)
        return 0;
    if (word_length(r) == 4 && strncasecmp(r->p, "zone", 4) == 0)
        return read_zone(r);
    return read_window(r);
}

static int read_lines(struct reader *r, const char *text)
{
    if (strlen(text) > CALENDAR_MAX)
        return wrong(r, r->begin, "the calendar is too large: 16 KiB at most");
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n"), use = strcspn(line, "#\r\n");
        r->line++;
        r->begin = r->p = line;
        r->end = line + use;
        if (read_line(r) < 0)
            return -EINVAL;
        line += n + (line[n] == '\n');
    }
    return 0;
}

int calendar_parse(const char *text, uint64_t otherwise, struct calendar **ret,
                   struct calendar_error *reterr)
{
    CLEANUP(calendar_free) struct calendar *c = xcalloc(1, sizeof *c);
    struct reader r = {.c = c, .begin = text, .p = text, .end = text, .err = reterr};
    *reterr = (struct calendar_error){.line = 1, .column = 1};
    c->rates[0] = otherwise;
    if (read_lines(&r, text) < 0)
        return -EINVAL;
    if (!c->zone && zone_open(NULL, &c->zone) < 0)
        return wrong(&r, r.begin, "this machine's own time zone cannot be read: name one");
    *ret = c;
    c = NULL;
    return 0;
}

/* ── asking ── */

static uint64_t rate_at(const struct calendar *c, int64_t utc_s)
{
    int64_t local = utc_s + zone_offset(c->zone, utc_s);
    int64_t minute = local / 60 - (local % 60 < 0);
    int64_t monday = minute + INT64_C(3) * DAY_MINUTES; /* 1970-01-01 was a Thursday */
    return c->rates[c->at[(monday % WEEK_MINUTES + WEEK_MINUTES) % WEEK_MINUTES]];
}

static int64_t floor_minutes(int64_t wall_ms)
{
    int64_t s = wall_ms / 1000 - (wall_ms % 1000 < 0);
    return s / 60 - (s % 60 < 0);
}

uint64_t calendar_rate(const struct calendar *c, int64_t wall_ms)
{
    return rate_at(c, floor_minutes(wall_ms) * 60);
}

int64_t calendar_next(const struct calendar *c, int64_t wall_ms)
{
    int64_t minute = floor_minutes(wall_ms);
    uint64_t now = rate_at(c, minute * 60);
    for (int i = 1; i <= LOOK_MINUTES; i++)
        if (rate_at(c, (minute + i) * 60) != now)
            return (minute + i) * 60000;
    return INT64_MAX;
}
