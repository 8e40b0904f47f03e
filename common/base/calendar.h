/* calendar: which rate holds when: windows of the week in a time zone's clock. Pure but for the
 * zone's file. Any thread once it is read. */
#pragma once
#include <stdint.h>

#include "common/base/cleanup.h"

#define CALENDAR_MAX (16 << 10) /* bytes of text */
#define CALENDAR_WINDOWS 200

struct calendar;

struct calendar_error {
    unsigned line, column; /* from 1 */
    char text[160];
};

/* Lines: "zone Europe/Zurich" (at most one; else this machine's), and windows such as
 * "Mon-Fri 08:00-18:00 50MiB/s", "Sat,Sun 00:00-24:00 none", "daily 22:00-06:00 unlimited" (into
 * the next day). Of windows that overlap the first holds; outside of all of them otherwise. '#'
 * begins a comment. -EINVAL with *reterr. */
int calendar_parse(const char *text, uint64_t otherwise, struct calendar **ret,
                   struct calendar_error *reterr);
struct calendar *calendar_free(struct calendar *c);
DEFINE_CLEANUP(calendar_free, struct calendar *)

uint64_t calendar_rate(const struct calendar *c, int64_t wall_ms); /* as rate_parse() */
/* The first time after wall_ms when another rate holds; INT64_MAX: never. */
int64_t calendar_next(const struct calendar *c, int64_t wall_ms);
