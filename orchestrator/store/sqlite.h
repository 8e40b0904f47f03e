/* sqlite: the adapter: the one file that knows SQLite and its codes. Knows no tables. One
 * connection, which also keeps every other process out. Main thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct db;
struct db_rows;

/* Creates path (0600) when it is missing. WAL, synchronous FULL, foreign keys. -EBUSY: another
 * process has it open. */
int db_open(struct db **ret, const char *path, struct fault *reterr);
struct db *db_close(struct db *d);
DEFINE_CLEANUP(db_close, struct db *)

/* Any number of statements without parameters. */
int db_script(struct db *d, const char *sql);

/* One statement. types has a letter for each parameter: 't' const char * (NULL is NULL),
 * 'i' int64_t, 'b' const void * and size_t. sql is a literal: statements are kept by its address.
 * 0 or -errno; -EEXIST when a constraint says no. */
int db_run(struct db *d, const char *sql, const char *types, ...);
int64_t db_changed(struct db *d); /* rows that the last db_run() changed */
int64_t db_last_id(struct db *d);

/* Rows of a query; parameters as in db_run(). Close before the transaction ends. */
int db_query(struct db_rows **ret, struct db *d, const char *sql, const char *types, ...);
int db_next(struct db_rows *r); /* 1: a row; 0: no more; -errno */
struct db_rows *db_rows_close(struct db_rows *r);
DEFINE_CLEANUP(db_rows_close, struct db_rows *)

/* Columns from 0. Borrowed until the next db_next(). NULL reads as 0 and "". */
int64_t db_int(struct db_rows *r, int column);
const char *db_text(struct db_rows *r, int column);
const void *db_blob(struct db_rows *r, int column, size_t *retlen);
/* Copies, cut to size. */
void db_copy(struct db_rows *r, int column, char *ret, size_t size);

/* What the last failure was, for a fault's sentence. */
const char *db_error(struct db *d);
