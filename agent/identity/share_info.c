/* share_info: reads one data base and writes a copy of another. Worker thread, or a process of its
 * own; one at a time (the caller's lock). */
#include "agent/identity/share_info.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <tdb.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sid.h"

#define FILE_MAX (64U << 20)
#define VALUE_MAX (64U << 10)

struct merging {
    struct tdb_context *to;
    uint8_t sid[SID_BYTES_MAX];
    size_t sidlen;
    bool changed;
};

#define COUNT 2 /* bytes before the authority: an account's SID has another count */

static int pack_sid(struct merging *m, const char *text)
{
    struct sid s;
    if (sid_parse(text, strlen(text), &s) < 0 || s.nsubs != 4 || s.authority != 5)
        return -EINVAL;
    m->sidlen = sid_pack(&s, m->sid);
    return 0;
}

static bool equal(TDB_DATA a, TDB_DATA b)
{
    return a.dsize == b.dsize && (a.dsize == 0 || memcmp(a.dptr, b.dptr, a.dsize) == 0);
}

static int take(struct tdb_context *db, TDB_DATA key, TDB_DATA value, void *arg)
{
    static const char head[] = "SECDESC/";
    struct merging *m = arg;
    (void)db;
    if (key.dsize < sizeof head || memcmp(key.dptr, head, sizeof head - 1) != 0 ||
        value.dsize > VALUE_MAX ||
        !memmem(value.dptr, value.dsize, m->sid + COUNT, m->sidlen - COUNT))
        return 0;
    TDB_DATA had = tdb_fetch(m->to, key);
    bool same = had.dptr && equal(had, value);
    free(had.dptr);
    if (same)
        return 0;
    m->changed = true;
    return tdb_store(m->to, key, value, TDB_REPLACE) == 0 ? 0 : -1;
}

static int merge(const char *source, const char *copy, struct merging *m)
{
    struct tdb_context *from = tdb_open(source, 0, TDB_NOLOCK, O_RDONLY | O_CLOEXEC, 0);
    if (!from)
        return -EBADMSG;
    m->to = tdb_open(copy, 0, TDB_NOLOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = !m->to ? -EBADMSG : tdb_traverse_read(from, take, m) < 0 ? -EIO : 0;
    if (m->to && tdb_close(m->to) < 0 && rc == 0)
        rc = -EIO;
    (void)tdb_close(from);
    return rc;
}

int share_info_merge(const char *here, const void *from, size_t fromlen, const char *sid,
                     const char *folder, char **ret, size_t *retlen)
{
    CLEANUP(mem_free) char *source = xasprintf("%s/share_info.from", folder);
    CLEANUP(mem_free) char *copy = xasprintf("%s/share_info.to", folder);
    CLEANUP(mem_free) char *now = NULL;
    struct merging m = {.changed = false};
    size_t len = 0;
    *ret = NULL;
    int rc = pack_sid(&m, sid);
    if (rc < 0)
        return rc;
    (void)unlink(copy);
    rc = file_read(here, FILE_MAX, &now, &len);
    if (rc == 0)
        rc = file_write(copy, 0600, now, len);
    if (rc == 0 || rc == -ENOENT)
        rc = file_write(source, 0600, from, fromlen);
    if (rc == 0)
        rc = merge(source, copy, &m);
    if (rc == 0 && m.changed)
        rc = file_read(copy, FILE_MAX, ret, retlen);
    (void)unlink(source);
    (void)unlink(copy);
    return rc;
}
