/* test_calendar: windows of the week, over its end, over changes of the clock; and what is wrong is
 * named with line and column. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/calendar.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "tests/unit/test.h"

#define MIB (1ULL << 20)
#define OTHERWISE (200 * MIB)

/* "2026-03-29T01:30:00Z" */
static int64_t at(const char *text)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int y = 0, mo = 0, d = 0, h = 0, mi = 0;
    assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d", &y, &mo, &d, &h, &mi), 5); /* NOLINT */
    int64_t days = (y - 1970) * 365 + (y - 1969) / 4 + before[mo - 1] + d - 1;
    days += mo > 2 && y % 4 == 0;
    return ((days * 24 + h) * 60 + mi) * 60000;
}

static struct calendar *must_read(const char *text)
{
    struct calendar *c = NULL;
    struct calendar_error err;
    if (calendar_parse(text, OTHERWISE, &c, &err) < 0)
        fail_msg("line %u column %u: %s", err.line, err.column, err.text);
    return c;
}

static void windows_hold_when_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *text, *when;
        uint64_t want;
        const char *next; /* NULL: never */
    } cases[] = {
  /* 2026-11-21 is a Saturday */
        {"zone UTC\nMon-Fri 08:00-18:00 50MiB/s",                                                   "2026-11-20T07:59Z", OTHERWISE,
         "2026-11-20T08:00"                                                                                                                                },
        {"zone UTC\nMon-Fri 08:00-18:00 50MiB/s",                                                   "2026-11-20T08:00Z", 50 * MIB,
         "2026-11-20T18:00"                                                                                                                                },
        {"zone UTC\nMon-Fri 08:00-18:00 50MiB/s",                                                   "2026-11-20T18:00Z", OTHERWISE,
         "2026-11-23T08:00"                                                                                                                                },
        {"zone UTC\nMon-Fri 08:00-18:00 50MiB/s",                                                   "2026-11-21T10:00Z", OTHERWISE,
         "2026-11-23T08:00"                                                                                                                                },
        {"zone UTC\ndaily 22:00-06:00 unlimited",                                                   "2026-11-21T23:00Z", RATE_UNLIMITED,
         "2026-11-22T06:00"                                                                                                                                },
        {"zone UTC\ndaily 22:00-06:00 unlimited",                                                   "2026-11-22T05:59Z", RATE_UNLIMITED,
         "2026-11-22T06:00"                                                                                                                                },
 /* over the end of the week, from both sides */
        {"zone UTC\nSun 22:00-06:00 none",                                                          "2026-11-22T21:59Z", OTHERWISE,      "2026-11-22T22:00"},
        {"zone UTC\nSun 22:00-06:00 none",                                                          "2026-11-23T05:00Z", 0,              "2026-11-23T06:00"},
        {"zone UTC\nSun 22:00-06:00 none",                                                          "2026-11-24T05:00Z", OTHERWISE,      "2026-11-29T22:00"},
        {"zone UTC\nSat-Mon 00:00-24:00 none",                                                      "2026-11-23T23:59Z", 0,              "2026-11-24T00:00"},
        {"zone UTC\nSat-Mon 00:00-24:00 none",                                                      "2026-11-21T00:00Z", 0,              "2026-11-24T00:00"},
 /* the first of two holds; what touches with the same rate is one */
        {"zone UTC\nSat 10:00-12:00 none\nSat 00:00-24:00 1MiB/s",                                  "2026-11-21T11:00Z", 0,
         "2026-11-21T12:00"                                                                                                                                },
        {"zone UTC\nSat 10:00-12:00 none\nSat 00:00-24:00 1MiB/s",                                  "2026-11-21T12:00Z", MIB,
         "2026-11-22T00:00"                                                                                                                                },
        {"zone UTC\nSat 00:00-12:00 1MiB/s\nSat 12:00-24:00 1MiB/s",                                "2026-11-21T01:00Z", MIB,
         "2026-11-22T00:00"                                                                                                                                },
        {"zone UTC\ndaily 00:00-24:00 1MiB/s",                                                      "2026-11-21T01:00Z", MIB,            NULL              },
        {"zone UTC\n",                                                                              "2026-11-21T01:00Z", OTHERWISE,      NULL              },
        {"# nothing\n\n  # but this\nzone UTC # here\r\nsat,SUN 00:00-24:00 100 Mbit/s # slow\r\n",
         "2026-11-22T01:00Z",                                                                                            12500000,       "2026-11-23T00:00"},
 /* Zurich: summer begins 2026-03-29 01:00 UTC, ends 2026-10-25 01:00 UTC */
        {"zone Europe/Zurich\nMon-Fri 08:00-18:00 none",                                            "2026-03-27T07:00Z", 0,
         "2026-03-27T17:00"                                                                                                                                },
        {"zone Europe/Zurich\nMon-Fri 08:00-18:00 none",                                            "2026-03-30T05:59Z", OTHERWISE,
         "2026-03-30T06:00"                                                                                                                                },
 /* 02:30 does not exist that night: the window begins with the hour that does */
        {"zone Europe/Zurich\nSun 02:30-04:00 none",                                                "2026-03-29T00:59Z", OTHERWISE,
         "2026-03-29T01:00"                                                                                                                                },
        {"zone Europe/Zurich\nSun 02:30-04:00 none",                                                "2026-03-29T01:59Z", 0,              "2026-03-29T02:00"},
 /* a window in the hour that is left out does not happen */
        {"zone Europe/Zurich\nSun 02:10-02:50 none",                                                "2026-03-28T12:00Z", OTHERWISE,
         "2026-04-05T00:10"                                                                                                                                },
 /* 02:30 comes twice: the window too */
        {"zone Europe/Zurich\nSun 02:15-02:45 none",                                                "2026-10-25T00:20Z", 0,              "2026-10-25T00:45"},
        {"zone Europe/Zurich\nSun 02:15-02:45 none",                                                "2026-10-25T01:20Z", 0,              "2026-10-25T01:45"},
        {"zone Europe/Zurich\nSun 01:00-04:00 none",                                                "2026-10-24T23:30Z", 0,              "2026-10-25T03:00"},
 /* half an hour of summer time, a quarter of an hour of zone */
        {"zone Australia/Lord_Howe\ndaily 08:00-09:00 none",                                        "2026-11-20T21:15Z", 0,
         "2026-11-20T22:00"                                                                                                                                },
        {"zone Pacific/Chatham\ndaily 08:00-09:00 none",                                            "2026-06-30T19:15Z", 0,
         "2026-06-30T20:15"                                                                                                                                },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(calendar_free) struct calendar *c = must_read(cases[i].text);
        int64_t now = at(cases[i].when);
        uint64_t got = calendar_rate(c, now + 59999);
        int64_t next = calendar_next(c, now), want = cases[i].next ? at(cases[i].next) : INT64_MAX;
        char shown[24];
        clock_format(next, shown);
        if (got != cases[i].want || next != want)
            fail_msg("'%s' at %s: %llu until %s", cases[i].text, cases[i].when,
                     (unsigned long long)got, shown);
    }
}

static void what_is_wrong_is_named_where_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
    } cases[] = {
        {"Mun 08:00-18:00 1MiB/s",         1, 1,  "a day is"         },
        {"\n  Mon-Fry 08:00-18:00 1MiB/s", 2, 7,  "a day is"         },
        {"Mon,, 08:00-18:00 1MiB/s",       1, 5,  "a day is"         },
        {"Mon08:00-18:00 1MiB/s",          1, 4,  "after the days"   },
        {"Mon 8:00-18:00 1MiB/s",          1, 5,  "a time is HH:MM"  },
        {"Mon 24:00-08:00 1MiB/s",         1, 5,  "00:00 to 23:59"   },
        {"Mon 08:00-24:01 1MiB/s",         1, 11, "00:00 to 24:00"   },
        {"Mon 08:60-18:00 1MiB/s",         1, 5,  "a time is"        },
        {"Mon 08:00 18:00 1MiB/s",         1, 10, "a window is"      },
        {"Mon 08:00-08:00 1MiB/s",         1, 5,  "without length"   },
        {"Mon 08:00-18:00",                1, 16, "after the time"   },
        {"Mon 08:00-18:00 fast",           1, 17, "a rate is"        },
        {"Mon 08:00-18:00 1MiB/s please",  1, 17, "a rate is"        },
        {"daily",                          1, 6,  "after the days"   },
        {"zone",                           1, 5,  "after zone"       },
        {"zone  ",                         1, 7,  "no name"          },
        {"zone ../../etc/passwd",          1, 6,  "no name"          },
        {"zone Mars/Olympus",              1, 6,  "no such time zone"},
        {"zone UTC\nzone UTC",             2, 1,  "twice"            },
        {"Mon 08:00-18:00 1MiB/s\nwhat",   2, 1,  "a day is"         },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct calendar *c = NULL;
        struct calendar_error e;
        assert_int_equal(calendar_parse(cases[i].text, OTHERWISE, &c, &e), -EINVAL);
        if (e.line != cases[i].line || e.column != cases[i].column ||
            !strstr(e.text, cases[i].says))
            fail_msg("'%s': line %u column %u: %s", cases[i].text, e.line, e.column, e.text);
    }
}

static void a_calendar_has_limits(void **state)
{
    (void)state;
    static const char line[] = "Mon 08:00-09:00 1MiB/s\n";
    struct calendar *c = NULL;
    struct calendar_error e;
    CLEANUP(mem_free) char *text = xcalloc(1, CALENDAR_MAX + 2);
    for (int i = 0; i < CALENDAR_WINDOWS + 1; i++)
        memcpy(text + (size_t)i * (sizeof line - 1), line, sizeof line);
    assert_int_equal(calendar_parse(text, 0, &c, &e), -EINVAL);
    assert_int_equal(e.line, CALENDAR_WINDOWS + 1);
    text[(size_t)CALENDAR_WINDOWS * (sizeof line - 1)] = '\0';
    assert_int_equal(calendar_parse(text, 0, &c, &e), 0);
    (void)calendar_free(c);
    memset(text, '#', CALENDAR_MAX + 1);
    assert_int_equal(calendar_parse(text, 0, &c, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_hold_when_they_say),
        cmocka_unit_test(what_is_wrong_is_named_where_it_is),
        cmocka_unit_test(a_calendar_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
