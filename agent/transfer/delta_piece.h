/* delta_piece: a piece of a large file in memory: as the older file of that name has it, then as
 * the source has it. Not who offers it (delta_receive.c). Lane threads. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/transfer/flight.h"
#include "agent/transfer/record.h"
#include "common/base/xxh3.h"

struct incoming;

struct delta_piece {
    struct incoming *in; /* referenced; NULL: free */
    uint32_t piece;
    uint64_t len, came;
    uint8_t *data; /* PIECE_BYTES, from delta_piece_room() */
    bool cloned;   /* the temporary file shares the older one's blocks already */
    uint64_t changed[PIECE_BLOCKS / 64];
    uint32_t nholes;
    struct hole holes[OFFER_HOLES_MAX];
    uint8_t digest[DIGEST_BYTES]; /* once it is right */
    uint64_t leaving;             /* bytes from its beginning on that are under way; 0: none */
    uint64_t turn;
    struct flight flight;
};

uint8_t *delta_piece_room(void); /* for free() */
/* Reads it from the older file, once, with the holes as zeros; makes its digest. Where the file
 * system can share blocks, the temporary file gets the older one's first, and is what is read:
 * nobody else writes to it, so what was digested is what stays. */
void delta_piece_fill(struct delta_piece *p, XXH3_state_t *hash, uint8_t retdigest[DIGEST_BYTES]);
/* The source's, within len. */
void delta_piece_change(struct delta_piece *p, uint64_t at, const void *data, size_t n);
/* Into the temporary file; holes stay holes. Of one that is cloned, only what was changed. What
 * then is leaving is there once delta_piece_land() said so; until then nothing of p changes. */
int delta_piece_write(struct delta_piece *p);
bool delta_piece_has_landed(struct delta_piece *p); /* delta_piece_land() has nothing to wait for */
int delta_piece_land(struct delta_piece *p);
void delta_piece_done(struct delta_piece *p); /* and its room */
