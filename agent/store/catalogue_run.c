/* catalogue_run: the one row about the run that fills the catalogue. It joins the transaction that
 * the next commit ends. One thread at a time. */
#include <errno.h>

#include "agent/store/catalogue_priv.h"

int catalogue_run_get(struct catalogue *c, struct catalogue_run *ret)
{
    sqlite3_stmt *st = c->st[ST_RUN_GET];
    int got = sqlite3_step(st), rc = got == SQLITE_DONE ? -ENOENT : catalogue_errno(got);
    if (rc == 0)
        *ret = (struct catalogue_run){.instance = (uint64_t)sqlite3_column_int64(st, 0),
                                      .durable = (uint64_t)sqlite3_column_int64(st, 1),
                                      .order = (uint64_t)sqlite3_column_int64(st, 2),
                                      .began_s = sqlite3_column_int64(st, 3)};
    (void)sqlite3_reset(st);
    return rc;
}

int catalogue_run_put(struct catalogue *c, const struct catalogue_run *r)
{
    const int64_t values[] = {(int64_t)r->instance, (int64_t)r->durable, (int64_t)r->order,
                              r->began_s};
    int rc = catalogue_begin(c);
    for (int i = 0; rc == 0 && i < 4; i++)
        rc = catalogue_errno(sqlite3_bind_int64(c->st[ST_RUN_PUT], i + 1, values[i]));
    return rc == 0 ? catalogue_step(c, ST_RUN_PUT) : rc;
}
