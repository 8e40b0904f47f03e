/* spec: what one run of a transfer is asked to do, the same for both sides. Plain data. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/lane/lane.h"
#include "agent/store/rootid.h"

struct filter;

enum compress_policy { COMPRESS_AUTO = 0, COMPRESS_ON, COMPRESS_OFF };

struct idmap;

struct transfer_options {
    bool delete_extras, dry_run, one_file_system, only_failed, checksum, full_scan,
        delta,    /* of a large file that is there in an older state, only what differs */
        evidence; /* the catalogue keeps what a manifest and a later look at the destination need */
    const char *only_cause; /* with only_failed: of what failed, only this cause; NULL: all */
    enum compress_policy compress;
    uint32_t lanes;                 /* 0: adapt */
    uint32_t max_source_latency_ms; /* 0: not measured */
    struct idmap *map;              /* sender only; NULL: all ids stay */
    const char *snapshot;           /* policy of the source's step; NULL is "" */
    struct filter *filter;          /* what is left out; NULL: nothing is */
    bool any_root;                  /* the source's folder may be another than it was */
    bool delete_excluded;           /* what it leaves out is an extra like any other */
};

struct source_ops; /* sender_priv.h */

struct transfer_spec {
    const struct source_ops *source; /* sender only; NULL: the folder path */
    void *source_of;                 /* what it is about */
    const char *path;                /* absolute; not NUL-terminated */
    size_t path_len;
    bool is_snapshot;     /* path is not the source itself but shows it as it was */
    struct rootid origin; /* with is_snapshot: of the source itself */
    bool hurry;           /* somebody stands still until it is over: lane_hurry() */
    const char *ticket_id;
    const uint8_t *secret; /* LANE_SECRET_BYTES */
    int64_t not_after_ms;
    const uint8_t *peer_pin; /* LANE_PIN_BYTES */
    const char *pair;        /* "JOB.N", fit for a file name */
    struct transfer_options options;
    char *const *endpoints; /* sender only */
    size_t nendpoints;
};
