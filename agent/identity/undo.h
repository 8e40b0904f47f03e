/* undo: the journal of what this host was before a cutover changed it: one file, each record on
 * disk before its act. Puts nothing back by itself. Worker thread; one at a time (the caller's
 * lock). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "proto/undo.pb-c.h"

#define UNDO_FILE_MAX (64U << 20)     /* of one saved file */
#define UNDO_JOURNAL_MAX (256U << 20) /* of all */

struct undo {
    char *path;
    Godwit__UndoRecord **records; /* oldest first */
    size_t n;
};

/* Reads what is there; a torn last record does not count, for its act had not begun. -EBADMSG: the
 * file is damaged before its end. */
int undo_open(const char *path, struct undo **ret);
struct undo *undo_free(struct undo *u);
DEFINE_CLEANUP(undo_free, struct undo *)

/* Each keeps the present state unless an earlier record has it: what was first counts, so that an
 * act that a crash cut short may be done again. 0 or -errno; on disk when it returns. */
int undo_keep_file(struct undo *u, const char *path);
int undo_keep_host_name(struct undo *u, const char *name);
int undo_keep_network(struct undo *u, Godwit__UndoNetwork *n); /* borrowed */
int undo_keep_units(struct undo *u, Godwit__UndoUnits *units); /* borrowed */
int undo_keep_account(struct undo *u, Godwit__UndoAccount *a); /* borrowed */
int undo_keep_dns(struct undo *u, Godwit__UndoDns *d); /* borrowed; one of each name and type */

/* Destroys what was kept: another thing is begun. */
int undo_begin_anew(struct undo *u);

const Godwit__UndoNetwork *undo_network(const struct undo *u);
const Godwit__UndoUnits *undo_units(const struct undo *u);
const Godwit__UndoAccount *undo_account(const struct undo *u);

/* The saved file as it was. 0 or -errno. */
int undo_put_file(const Godwit__UndoFile *f);
/* Overwritten, then removed: secrets are in it. */
int undo_shred(const char *path);
