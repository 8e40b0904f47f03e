/* enrol_rate: how many enrolment requests are answered: a bucket for all, and one for each address,
 * so that one that floods does not take the others' turn. Fixed memory, whoever comes. Main thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct enrol_rate;

struct enrol_rate *enrol_rate_new(void);
struct enrol_rate *enrol_rate_free(struct enrol_rate *r); /* NULL is fine */
DEFINE_CLEANUP(enrol_rate_free, struct enrol_rate *)

struct enrol_limits {
    uint32_t all, each; /* a second */
};

/* One request from this address, as text (IPv6: its /64 counts). True: answer it. A clock that
 * never goes back. */
bool enrol_rate_take(struct enrol_rate *r, const struct enrol_limits *l, const char *address,
                     int64_t now_ms);
