/* zone: offsets from UTC by RFC 8536: a table of changes, and a rule for the years after it. Any
 * thread once it is open. */
#include "common/base/zone.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define FOLDER "/usr/share/zoneinfo"
#define FILE_MAX (64U << 10)
#define TYPES_MAX 256U
#define DAY 86400

/* "M3.5.0/2": month, week of it (5: the last), weekday, seconds of that day. */
struct change {
    int month, week, day;
    int32_t at;
};

struct zone {
    size_t n; /* changes, ascending */
    int64_t *at;
    uint8_t *type;
    int32_t offset[TYPES_MAX];
    bool has_rule, has_summer; /* for what comes after the last change */
    int32_t winter, summer;
    struct change begins, ends;
};

struct zone *zone_free(struct zone *z)
{
    if (!z)
        return NULL;
    free(z->at);
    free(z->type);
    free(z);
    return NULL;
}

static uint64_t be(struct cursor *c, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | cursor_u8(c);
    return v;
}

/* ── the table ── */

struct counts {
    uint64_t ut, std, leaps, times, types, chars;
    uint8_t version;
};

static int read_header(struct cursor *c, struct counts *ret)
{
    const void *magic = cursor_bytes(c, 4);
    if (!magic || memcmp(magic, "TZif", 4) != 0)
        return -EBADMSG;
    ret->version = cursor_u8(c);
    (void)cursor_bytes(c, 15);
    uint64_t *const all[] = {&ret->ut,    &ret->std,   &ret->leaps,
                             &ret->times, &ret->types, &ret->chars};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        *all[i] = be(c, 4);
        if (*all[i] > FILE_MAX)
            return -EBADMSG;
    }
    return c->bad || ret->types == 0 || ret->types > TYPES_MAX ? -EBADMSG : 0;
}

static void skip_rest(struct cursor *c, const struct counts *n, size_t width)
{
    (void)cursor_bytes(c, n->chars + n->leaps * (width + 4) + n->std + n->ut);
}

static int read_table(struct cursor *c, const struct counts *n, size_t width, struct zone *z)
{
    if (cursor_left(c) < n->times * (width + 1))
        return -EBADMSG;
    z->n = n->times;
    z->at = xcalloc(z->n + 1, sizeof *z->at);
    z->type = xcalloc(z->n + 1, 1);
    for (size_t i = 0; i < z->n; i++) {
        uint64_t v = be(c, width);
        z->at[i] = width == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
        if (i > 0 && z->at[i] <= z->at[i - 1])
            return -EBADMSG;
    }
    for (size_t i = 0; i < z->n; i++) {
        z->type[i] = cursor_u8(c);
        if (z->type[i] >= n->types)
            return -EBADMSG;
    }
    for (size_t i = 0; i < n->types; i++) {
        z->offset[i] = (int32_t)(uint32_t)be(c, 4);
        (void)cursor_bytes(c, 2);
        if (z->offset[i] > 2 * DAY || z->offset[i] < -2 * DAY)
            return -EBADMSG;
    }
    skip_rest(c, n, width);
    return c->bad ? -EBADMSG : 0;
}

/* ── the rule: "CET-1CEST,M3.5.0,M10.5.0/3" ── */

static const char *skip_abbreviation(const char *p)
{
    const char *from = p;
    if (*p == '<') {
        const char *end = strchr(p, '>');
        return end ? end + 1 : NULL;
    }
    while (isalpha((unsigned char)*p))
        p++;
    return p - from >= 3 ? p : NULL;
}

/* [+-]H[H[H]][:MM[:SS]] in seconds. */
static const char *read_hours(const char *p, int32_t *ret)
{
    int sign = *p == '-' ? -1 : 1;
    int32_t v = 0, unit = 3600;
    p += *p == '-' || *p == '+';
    if (!isdigit((unsigned char)*p))
        return NULL;
    for (; unit > 0; unit /= 60) {
        int32_t part = 0;
        for (int i = 0; i < 3 && isdigit((unsigned char)*p); i++)
            part = part * 10 + (*p++ - '0');
        v += part * unit;
        if (*p != ':')
            break;
        p++;
    }
    *ret = sign * v;
    return v <= 167 * 3600 + 3599 ? p : NULL;
}

static const char *read_change(const char *p, struct change *ret)
{
    char *end = NULL;
    if (p[0] != ',' || p[1] != 'M')
        return NULL;
    ret->month = (int)strtol(p + 2, &end, 10);
    if (*end == '.')
        ret->week = (int)strtol(end + 1, &end, 10);
    if (*end == '.')
        ret->day = (int)strtol(end + 1, &end, 10);
    ret->at = 2 * 3600;
    p = end;
    if (*p == '/')
        p = read_hours(p + 1, &ret->at);
    bool sane = ret->month >= 1 && ret->month <= 12 && ret->week >= 1 && ret->week <= 5 &&
                ret->day >= 0 && ret->day <= 6;
    return sane ? p : NULL;
}

static int read_rule(const char *p, struct zone *z)
{
    struct zone r = *z;
    p = skip_abbreviation(p);
    p = p ? read_hours(p, &r.winter) : NULL;
    if (!p)
        return -EBADMSG;
    r.winter = -r.winter; /* POSIX counts west of Greenwich */
    r.has_rule = true;
    if (*p) {
        r.has_summer = true;
        r.summer = r.winter + 3600;
        p = skip_abbreviation(p);
        if (p && *p != ',') {
            p = read_hours(p, &r.summer);
            r.summer = -r.summer;
        }
        p = p ? read_change(p, &r.begins) : NULL;
        p = p ? read_change(p, &r.ends) : NULL;
        if (!p || *p)
            return -EBADMSG;
    }
    *z = r;
    return 0;
}

/* Between two newlines at the end of the file; may be empty. */
static int read_footer(struct cursor *c, struct zone *z)
{
    char text[128];
    size_t n = cursor_left(c);
    const char *p = cursor_bytes(c, n);
    if (n < 2 || n - 2 >= sizeof text || p[0] != '\n' || p[n - 1] != '\n')
        return n == 0 ? 0 : -EBADMSG;
    memcpy(text, p + 1, n - 2);
    text[n - 2] = '\0';
    return *text ? read_rule(text, z) : 0;
}

static int read_zone(const void *data, size_t len, struct zone *z)
{
    struct cursor c = cursor_of(data, len);
    struct counts n;
    int rc = read_header(&c, &n);
    if (rc < 0)
        return rc;
    if (n.version == 0)
        return read_table(&c, &n, 4, z);
    (void)cursor_bytes(&c, n.times * 5 + n.types * 6);
    skip_rest(&c, &n, 4);
    rc = read_header(&c, &n);
    if (rc == 0)
        rc = read_table(&c, &n, 8, z);
    return rc < 0 ? rc : read_footer(&c, z);
}

int zone_of(const void *data, size_t len, struct zone **ret)
{
    CLEANUP(zone_free) struct zone *z = xcalloc(1, sizeof *z);
    int rc = read_zone(data, len, z);
    if (rc < 0)
        return rc;
    *ret = z;
    z = NULL;
    return 0;
}

/* ── opening ── */

/* "Europe/Zurich", "Etc/GMT+5": nothing that leaves the folder. */
static bool is_name(const char *s)
{
    if (!*s || strlen(s) > ZONE_NAME_MAX)
        return false;
    for (const char *p = s; *p; p++) {
        bool first = p == s || p[-1] == '/';
        if (!isalnum((unsigned char)*p) && (first || !strchr("_+-/", *p)))
            return false;
    }
    return s[strlen(s) - 1] != '/';
}

static int open_file(const char *path, struct zone **ret)
{
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    int rc = file_read(path, FILE_MAX, &data, &len);
    if (rc == -EISDIR || rc == -ENOTDIR || rc == -EFBIG)
        rc = -ENOENT;
    return rc < 0 ? rc : zone_of(data, len, ret);
}

static int open_named(const char *name, struct zone **ret)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", FOLDER, name);
    return open_file(path, ret);
}

static int open_own(struct zone **ret)
{
    const char *tz = getenv("TZ"); /* NOLINT: nobody changes it */
    int rc = -ENOENT;
    if (tz && *tz == ':')
        tz++;
    if (tz && *tz)
        rc = *tz == '/' ? open_file(tz, ret) : is_name(tz) ? open_named(tz, ret) : -ENOENT;
    else if (!tz)
        rc = open_file("/etc/localtime", ret);
    if (rc == -ENOENT) { /* as the C library does */
        *ret = xcalloc(1, sizeof **ret);
        rc = 0;
    }
    return rc;
}

int zone_open(const char *name, struct zone **ret)
{
    if (!name || !*name)
        return open_own(ret);
    if (!is_name(name))
        return -EINVAL;
    if (strcmp(name, "UTC") == 0) {
        *ret = xcalloc(1, sizeof **ret);
        return 0;
    }
    return open_named(name, ret);
}

/* ── asking ── */

/* Days since 1970 of a date of the Gregorian calendar; month from 1. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, y = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + y * 365 + y / 4 - y / 100 + doy - 719468;
}

static int64_t year_of(int64_t s)
{
    int64_t days = s / DAY - (s % DAY < 0);
    int64_t year = 1970 + days / 366 - (days < 0);
    while (days_of(year + 1, 1, 1) <= days)
        year++;
    return year;
}

/* Local seconds since 1970 at which it is due in that year. */
static int64_t due(const struct change *c, int64_t year)
{
    int64_t first = days_of(year, c->month, 1);
    int64_t next = c->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, c->month + 1, 1);
    int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    int64_t day = first + (c->day - weekday + 7) % 7 + 7 * (int64_t)(c->week - 1);
    while (day >= next)
        day -= 7;
    return day * DAY + c->at;
}

static int32_t by_rule(const struct zone *z, int64_t utc_s)
{
    if (!z->has_summer)
        return z->winter;
    int64_t year = year_of(utc_s + z->winter);
    int64_t begins = due(&z->begins, year) - z->winter, ends = due(&z->ends, year) - z->summer;
    bool summer =
        begins < ends ? utc_s >= begins && utc_s < ends : !(utc_s >= ends && utc_s < begins);
    return summer ? z->summer : z->winter;
}

int32_t zone_offset(const struct zone *z, int64_t utc_s)
{
    if (z->has_rule && (z->n == 0 || utc_s >= z->at[z->n - 1]))
        return by_rule(z, utc_s);
    if (z->n == 0 || utc_s < z->at[0])
        return z->offset[0];
    size_t low = 0, high = z->n; /* at[low] ≤ utc_s < at[high] */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (z->at[mid] <= utc_s)
            low = mid;
        else
            high = mid;
    }
    return z->offset[z->type[low]];
}
