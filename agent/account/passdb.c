/* passdb: keys USER_name, RID_%.8x, NEXT_RID; UNIXGROUP/SID, MEMBEROF/SID. Worker threads. */
#include "agent/account/passdb.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tdb.h>
#include <unistd.h>

#include "agent/account/samu.h"
#include "common/base/buf.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define VERSION 4
#define ENTRIES_MAX 20000U
#define VALUE_MAX (64U << 10)

/* One data base may be open once in a process: its locks are the process's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ── where ── */

struct where {
    char *users, *groups, *name;
    struct sid machine;
};

static void where_done(struct where *w)
{
    free(w->users);
    free(w->groups);
    free(w->name);
}

/* The first line that a tool says; NULL: it did not. malloc'd. */
static char *tool_line(const char *const *argv, struct fault *reterr)
{
    const struct program_call call = {.argv = argv, .max_out = 64U << 10};
    struct program_output o;
    if (program_run(&call, &o, reterr) < 0)
        return NULL;
    char *line = o.code == 0 ? xmemdup(o.out, strcspn(o.out, "\n")) : NULL;
    if (!line) {
        CLEANUP(mem_free) char *words = program_words(&o);
        (void)fault_set(reterr, FAULT_STOP_JOB, EIO, "%s ended with %d: %.120s", argv[0], o.code,
                        words);
    }
    program_done(&o);
    return line;
}

static char *parameter(const char *name, struct fault *reterr)
{
    CLEANUP(mem_free) char *option = xasprintf("--parameter-name=%s", name);
    const char *const argv[] = {"testparm", "-s", option, NULL};
    return tool_line(argv, reterr);
}

static int where_users(struct where *w, struct fault *reterr)
{
    CLEANUP(mem_free) char *backend = parameter("passdb backend", reterr);
    CLEANUP(mem_free) char *dir = backend ? parameter("private dir", reterr) : NULL;
    if (!dir)
        return -EIO;
    if (strcmp(backend, "tdbsam") == 0)
        w->users = xasprintf("%s/passdb.tdb", dir);
    else if (strncmp(backend, "tdbsam:/", 8) == 0)
        w->users = xstrdup(backend + 7);
    else
        return fault_set(reterr, FAULT_STOP_JOB, ENOTSUP,
                         "its Samba keeps users by '%.40s', not in a passdb.tdb", backend);
    return 0;
}

/* "SID for domain FS1 is: S-1-5-21-…" */
static int where_machine(struct where *w, struct fault *reterr)
{
    const char *const argv[] = {"net", "getlocalsid", NULL};
    CLEANUP(mem_free) char *line = tool_line(argv, reterr);
    const char *at = line ? strstr(line, "S-1-5-21-") : NULL;
    if (!line)
        return -EIO;
    if (!at || sid_parse(at, strlen(at), &w->machine) < 0 || w->machine.nsubs != 4)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "its Samba does not tell its own SID");
    return 0;
}

static int where_is(struct where *ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *found = NULL;
    if (program_find("testparm", NULL, &found) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no Samba");
    int rc = where_users(ret, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *state = parameter("state directory", reterr);
    ret->name = state ? parameter("netbios name", reterr) : NULL;
    if (!ret->name)
        return -EIO;
    ret->groups = xasprintf("%s/group_mapping.tdb", state);
    return where_machine(ret, reterr);
}

/* ── reading ── */

static bool has_prefix(TDB_DATA key, const char *prefix)
{
    size_t n = strlen(prefix);
    return key.dsize > n + 1 && memcmp(key.dptr, prefix, n) == 0 && key.dptr[key.dsize - 1] == '\0';
}

static bool is_key(TDB_DATA key, const char *text)
{
    return key.dsize == strlen(text) + 1 && memcmp(key.dptr, text, key.dsize) == 0;
}

static uint32_t number(TDB_DATA value)
{
    uint32_t v = 0;
    if (value.dsize >= sizeof v)
        memcpy(&v, value.dptr, sizeof v);
    return le32toh(v);
}

struct reader {
    struct passdb *p;
    uint32_t version;
};

static void *more(void *list, size_t n, size_t size)
{
    return n & (n - 1) ? list : xrealloc(list, (n ? 2 * n : 1) * size);
}

static int take_user(struct tdb_context *db, TDB_DATA key, TDB_DATA value, void *arg)
{
    struct reader *r = arg;
    struct passdb *p = r->p;
    struct samu u;
    (void)db;
    if (is_key(key, "INFO/version"))
        r->version = number(value);
    if (is_key(key, "NEXT_RID"))
        p->next_rid = number(value);
    if (!has_prefix(key, "USER_") || samu_read(value.dptr, value.dsize, &u) < 0 ||
        p->nusers >= ENTRIES_MAX)
        return 0;
    p->users = more(p->users, p->nusers, sizeof *p->users);
    p->users[p->nusers++] = (struct passdb_user){.name = xmemdup(key.dptr + 5, key.dsize - 5),
                                                 .record = xmemdup(value.dptr, value.dsize),
                                                 .len = value.dsize,
                                                 .rid = u.rid,
                                                 .set = u.times[SAMU_PASSWORD_SET]};
    return 0;
}

static void take_mapping(struct passdb *p, const struct sid *sid, TDB_DATA value)
{
    const uint8_t *at = value.dptr, *end = at + value.dsize;
    const uint8_t *nul = value.dsize > 8 ? memchr(at + 8, '\0', value.dsize - 8) : NULL;
    if (!nul || nul + 1 >= end || end[-1] != '\0' || p->ngroups >= ENTRIES_MAX)
        return;
    TDB_DATA type = {.dptr = value.dptr + 4, .dsize = 4};
    p->groups = more(p->groups, p->ngroups, sizeof *p->groups);
    p->groups[p->ngroups++] = (struct passdb_group){.sid = *sid,
                                                    .gid = number(value),
                                                    .type = number(type),
                                                    .name = xstrdup((const char *)at + 8),
                                                    .comment = xstrdup((const char *)nul + 1)};
}

static int take_group(struct tdb_context *db, TDB_DATA key, TDB_DATA value, void *arg)
{
    static const char group[] = "UNIXGROUP/", member[] = "MEMBEROF/";
    struct reader *r = arg;
    struct passdb *p = r->p;
    struct sid sid;
    (void)db;
    if (value.dsize > VALUE_MAX)
        return 0;
    if (has_prefix(key, group)) {
        const char *text = (const char *)key.dptr + sizeof group - 1;
        if (sid_parse(text, strlen(text), &sid) == 0)
            take_mapping(p, &sid, value);
    } else if (has_prefix(key, member) && value.dsize > 1 && p->nmembers < ENTRIES_MAX) {
        p->members = more(p->members, p->nmembers, sizeof *p->members);
        p->members[p->nmembers++] =
            (struct passdb_member){.sid = xstrdup((const char *)key.dptr + sizeof member - 1),
                                   .groups = xmemdup(value.dptr, value.dsize)};
    }
    return 0;
}

static int read_one(const char *path, tdb_traverse_func take, struct reader *r,
                    struct fault *reterr)
{
    if (access(path, F_OK) < 0)
        return errno == ENOENT ? 0
                               : fault_set(reterr, FAULT_STOP_JOB, errno, "cannot read %.100s: %s",
                                           path, strerror(errno));
    struct tdb_context *db = tdb_open(path, 0, TDB_DEFAULT, O_RDONLY | O_CLOEXEC, 0);
    if (!db)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot read %.100s: %s", path,
                         strerror(errno));
    int rc = tdb_traverse_read(db, take, r) < 0
                 ? fault_set(reterr, FAULT_STOP_JOB, EIO, "cannot read %.100s", path)
                 : 0;
    (void)tdb_close(db);
    return rc;
}

static int read_both(const struct where *w, struct reader *r, struct fault *reterr)
{
    (void)pthread_mutex_lock(&lock);
    int rc = read_one(w->users, take_user, r, reterr);
    if (rc == 0)
        rc = read_one(w->groups, take_group, r, reterr);
    (void)pthread_mutex_unlock(&lock);
    if (rc == 0 && r->p->nusers > 0 && r->version != VERSION)
        rc = fault_set(reterr, FAULT_STOP_JOB, ENOTSUP,
                       "its passdb.tdb has version %u, which is not known", r->version);
    return rc;
}

/* Samba's own tools make what is not there. */
static int make_both(const struct where *w, struct fault *reterr)
{
    const char *const users[] = {"pdbedit", "-L", NULL};
    const char *const groups[] = {"net", "groupmap", "list", NULL};
    CLEANUP(mem_free) char *a = access(w->users, F_OK) < 0 ? tool_line(users, reterr) : xstrdup("");
    CLEANUP(mem_free)
    char *b = a && access(w->groups, F_OK) < 0 ? tool_line(groups, reterr) : xstrdup("");
    return a && b ? 0 : -EIO;
}

int passdb_read(bool create, struct passdb **ret, struct fault *reterr)
{
    CLEANUP(passdb_free) struct passdb *p = xcalloc(1, sizeof *p);
    struct where w = {.users = NULL};
    struct reader r = {.p = p};
    int rc = where_is(&w, reterr);
    if (rc == 0 && create)
        rc = make_both(&w, reterr);
    if (rc == 0)
        rc = read_both(&w, &r, reterr);
    if (rc == 0) {
        p->netbios_name = xstrdup(w.name);
        p->machine = w.machine;
        *ret = p;
        p = NULL;
    }
    where_done(&w);
    return rc;
}

struct passdb *passdb_free(struct passdb *p)
{
    if (!p)
        return NULL;
    for (size_t i = 0; i < p->nusers; i++) {
        explicit_bzero(p->users[i].record, p->users[i].len);
        free(p->users[i].record);
        free(p->users[i].name);
    }
    for (size_t i = 0; i < p->ngroups; i++) {
        free(p->groups[i].name);
        free(p->groups[i].comment);
    }
    for (size_t i = 0; i < p->nmembers; i++) {
        free(p->members[i].sid);
        free(p->members[i].groups);
    }
    free(p->users);
    free(p->groups);
    free(p->members);
    free(p->netbios_name);
    free(p);
    return NULL;
}

const struct passdb_user *passdb_named(const struct passdb *p, const char *name)
{
    for (size_t i = 0; i < p->nusers; i++)
        if (strcasecmp(p->users[i].name, name) == 0)
            return &p->users[i];
    return NULL;
}

/* ── writing ── */

static int store(struct tdb_context *db, const char *key, const void *value, size_t len)
{
    TDB_DATA k = {.dsize = strlen(key) + 1}, v = {.dsize = len};
    memcpy(&k.dptr, &key, sizeof k.dptr);
    memcpy(&v.dptr, &value, sizeof v.dptr);
    return tdb_store(db, k, v, TDB_REPLACE) == 0 ? 0 : -EIO;
}

static char *user_key(const char *name)
{
    char *key = xasprintf("USER_%s", name);
    for (char *c = key + 5; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return key;
}

static int put_user(struct tdb_context *db, const struct passdb_user *u)
{
    char rid[16];
    CLEANUP(mem_free) char *key = user_key(u->name);
    (void)snprintf(rid, sizeof rid, "RID_%.8x", u->rid);
    int rc = store(db, key, u->record, u->len);
    return rc < 0 ? rc : store(db, rid, key + 5, strlen(key + 5) + 1);
}

static int put_users(struct tdb_context *db, const struct passdb *what)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < what->nusers; i++)
        rc = put_user(db, &what->users[i]);
    TDB_DATA key = {.dsize = sizeof "NEXT_RID"};
    const char *name = "NEXT_RID";
    memcpy(&key.dptr, &name, sizeof key.dptr);
    TDB_DATA had = tdb_fetch(db, key);
    uint32_t le = htole32(what->next_rid);
    if (rc == 0 && number(had) < what->next_rid)
        rc = store(db, name, &le, sizeof le);
    free(had.dptr);
    return rc;
}

static int put_groups(struct tdb_context *db, const struct passdb *what)
{
    int rc = 0;
    char sid[SID_TEXT_MAX];
    for (size_t i = 0; rc == 0 && i < what->ngroups; i++) {
        const struct passdb_group *g = &what->groups[i];
        struct buf b;
        buf_init(&b, VALUE_MAX);
        buf_put_u32(&b, g->gid);
        buf_put_u32(&b, g->type);
        buf_put(&b, g->name, strlen(g->name) + 1);
        buf_put(&b, g->comment, strlen(g->comment) + 1);
        sid_text(&g->sid, sid);
        CLEANUP(mem_free) char *key = xasprintf("UNIXGROUP/%s", sid);
        rc = b.overflow ? -E2BIG : store(db, key, b.data, b.len);
        buf_done(&b);
    }
    for (size_t i = 0; rc == 0 && i < what->nmembers; i++) {
        const struct passdb_member *m = &what->members[i];
        CLEANUP(mem_free) char *key = xasprintf("MEMBEROF/%s", m->sid);
        rc = store(db, key, m->groups, strlen(m->groups) + 1);
    }
    return rc;
}

static int put_into(const char *path, int (*put)(struct tdb_context *, const struct passdb *),
                    const struct passdb *what, struct fault *reterr)
{
    struct tdb_context *db = tdb_open(path, 0, TDB_DEFAULT, O_RDWR | O_CLOEXEC, 0600);
    if (!db)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot write %.100s: %s", path,
                         strerror(errno));
    bool ok = tdb_transaction_start(db) == 0;
    if (ok && put(db, what) < 0) {
        (void)tdb_transaction_cancel(db);
        ok = false;
    }
    FAULT_POINT("samba-written");
    ok = ok && tdb_transaction_commit(db) == 0;
    int rc = ok ? 0
                : fault_set(reterr, FAULT_STOP_JOB, EIO, "cannot write %.100s: %.80s", path,
                            tdb_errorstr(db));
    (void)tdb_close(db);
    return rc;
}

int passdb_put(const struct passdb *what, struct fault *reterr)
{
    struct where w = {.users = NULL};
    int rc = where_is(&w, reterr);
    (void)pthread_mutex_lock(&lock);
    if (rc == 0)
        rc = put_into(w.users, put_users, what, reterr);
    FAULT_POINT("samba-users-made");
    if (rc == 0)
        rc = put_into(w.groups, put_groups, what, reterr);
    (void)pthread_mutex_unlock(&lock);
    where_done(&w);
    return rc;
}
