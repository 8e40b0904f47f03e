/* bundle: reading and installing. Worker thread, or a process of its own. */
#include "agent/identity/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tdb.h>
#include <unistd.h>

#include "agent/identity/hostkeys.h"
#include "agent/identity/names.h"
#include "agent/identity/rejoin.h"
#include "agent/identity/service.h"
#include "agent/identity/share_info.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define SHARE_INFO "state/share_info.tdb"

/* "FOLDER/NAME": the folder is one of Samba's, which two hosts may have in other places. Shares are
 * the shares.* steps': their paths may be others there. Of their descriptors, which these steps
 * have set for the destination's own SID, those that name the source's accounts are taken. */
static const char *const databases[] = {
    "private/secrets.tdb",      "private/passdb.tdb",
    "state/group_mapping.tdb",  "state/account_policy.tdb",
    "state/winbindd_idmap.tdb", "state/autorid.tdb",
    "etc/krb5.keytab",          SHARE_INFO,
};
static const char *const caches[] = {"state/winbindd_cache.tdb", "cache/winbindd_cache.tdb",
                                     "lock/winbindd_cache.tdb",  "private/netlogon_creds_cli.tdb",
                                     "lock/gencache.tdb",        "cache/gencache.tdb"};

static const struct {
    const char *folder, *parameter, *usual;
} rows[] = {
    {"private/", "private dir",     "/var/lib/samba/private"},
    {"state/",   "state directory", "/var/lib/samba"        },
    {"cache/",   "cache directory", "/var/cache/samba"      },
    {"lock/",    "lock directory",  "/run/samba"            },
};

/* Samba's folders on this host; asked for once, for each question costs a process. */
struct places {
    const struct site *site;
    const char *sid;            /* of the source's machine */
    char *at[ARRAY_SIZE(rows)]; /* NULL: not asked yet */
};

static void places_done(struct places *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        free(p->at[i]);
}

/* Where that is on this host; malloc'd. */
static char *place_of(struct places *p, const char *name)
{
    const char *root = p->site->root;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t n = strlen(rows[i].folder);
        if (strncmp(name, rows[i].folder, n) != 0)
            continue;
        if (!p->at[i])
            p->at[i] = names_ask_conf(p->site, rows[i].parameter);
        return xasprintf("%s%s/%s", root, p->at[i][0] == '/' ? p->at[i] : rows[i].usual, name + n);
    }
    return strncmp(name, "ssh/", 4) == 0 ? xasprintf("%s/etc/ssh/%s", root, name + 4)
                                         : xasprintf("%s/%s", root, name);
}

char *bundle_place(const struct site *v, const char *name)
{
    struct places places = {.site = v};
    char *path = place_of(&places, name);
    places_done(&places);
    return path;
}

/* What comes from the other host may name nothing else. */
static bool name_known(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(databases); i++)
        if (strcmp(name, databases[i]) == 0)
            return true;
    for (size_t i = 0; i < HOSTKEY_KINDS; i++) {
        CLEANUP(mem_free) char *key = xasprintf("ssh/ssh_host_%s_key", hostkey_kinds[i]);
        if (strncmp(name, key, strlen(key)) == 0 &&
            (!name[strlen(key)] || strcmp(name + strlen(key), ".pub") == 0))
            return true;
    }
    return false;
}

/* Whole, also while Samba runs: nothing is written to it meanwhile. What is no data base of a kind
 * that can be held still is read as it is. */
static int read_still(const char *path, char **ret, size_t *retlen)
{
    size_t n = strlen(path);
    bool data = n > 4 && strcmp(path + n - 4, ".tdb") == 0;
    struct tdb_context *db = data ? tdb_open(path, 0, TDB_DEFAULT, O_RDONLY | O_CLOEXEC, 0) : NULL;
    bool held = db && tdb_lockall_read(db) == 0;
    int rc = file_read(path, UNDO_FILE_MAX, ret, retlen);
    if (held)
        (void)tdb_unlockall_read(db);
    if (db)
        (void)tdb_close(db);
    return rc;
}

static int add_file(struct places *v, const char *name, Godwit__UndoBundle *b, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = place_of(v, name);
    struct stat st = {.st_mode = 0};
    char *data = NULL;
    size_t len = 0;
    int rc = read_still(path, &data, &len);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0 || stat(path, &st) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, rc < 0 ? -rc : errno, "cannot read %.120s", path);
    Godwit__UndoFile *f = xmalloc(sizeof *f);
    godwit__undo_file__init(f);
    f->path = xstrdup(name);
    f->content = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)data};
    f->mode = st.st_mode & 07777;
    f->uid = st.st_uid;
    f->gid = st.st_gid;
    b->files[b->n_files++] = f;
    return 0;
}

static void wipe(Godwit__UndoBundle *b)
{
    for (size_t i = 0; i < b->n_files; i++)
        if (b->files[i]->content.data)
            explicit_bzero(b->files[i]->content.data, b->files[i]->content.len);
    godwit__undo_bundle__free_unpacked(b, NULL);
}

static int add_ssh(struct places *v, Godwit__UndoBundle *b, struct fault *reterr)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < HOSTKEY_KINDS; i++) {
        CLEANUP(mem_free) char *key = xasprintf("ssh/ssh_host_%s_key", hostkey_kinds[i]);
        CLEANUP(mem_free) char *pub = xasprintf("%s.pub", key);
        rc = add_file(v, key, b, reterr);
        if (rc == 0)
            rc = add_file(v, pub, b, reterr);
    }
    return rc;
}

int bundle_make(const struct site *v, const Godwit__IdentityPlan *p, uint8_t **ret, size_t *retlen,
                struct fault *reterr)
{
    Godwit__UndoBundle *b = xmalloc(sizeof *b);
    struct places places = {.site = v};
    int rc = 0;
    godwit__undo_bundle__init(b);
    b->files = xcalloc(BUNDLE_FILES, sizeof(Godwit__UndoFile *));
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(databases); i++)
        rc = add_file(&places, databases[i], b, reterr);
    if (rc == 0 && p->ssh_keys)
        rc = add_ssh(&places, b, reterr);
    if (rc == 0 && b->n_files == 0)
        rc = fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                       "no database of Samba is where it ought to be: nothing to take over");
    if (rc == 0) {
        *retlen = godwit__undo_bundle__get_packed_size(b);
        *ret = xmalloc(*retlen + 1);
        (void)godwit__undo_bundle__pack(b, *ret);
    }
    wipe(b);
    places_done(&places);
    return rc;
}

static int load(const struct site *v, Godwit__UndoBundle **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", v->folder);
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    int rc = file_read(path, UNDO_JOURNAL_MAX, &data, &len);
    Godwit__UndoBundle *b =
        rc == 0 ? godwit__undo_bundle__unpack(NULL, len, (const uint8_t *)data) : NULL;
    if (data)
        explicit_bzero(data, len);
    if (!b)
        return fault_set(reterr, FAULT_STOP_JOB, rc < 0 ? -rc : EBADMSG,
                         "what the source sent is not here, or not readable");
    for (size_t i = 0; i < b->n_files; i++)
        if (!name_known(b->files[i]->path) || b->n_files > BUNDLE_FILES) {
            wipe(b);
            return fault_set(reterr, FAULT_STOP_JOB, EBADMSG,
                             "the source sent a file that it ought not to");
        }
    *ret = b;
    return 0;
}

/* 1: the file holds this already. */
static int holds(const char *path, const Godwit__UndoFile *f)
{
    CLEANUP(mem_free) char *now = NULL;
    size_t len = 0;
    int rc = file_read(path, UNDO_FILE_MAX, &now, &len);
    bool same = rc == 0 && len == f->content.len && memcmp(now, f->content.data, len) == 0;
    if (now)
        explicit_bzero(now, len);
    return same;
}

static int drop_caches(struct places *v)
{
    for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
        CLEANUP(mem_free) char *path = place_of(v, caches[i]);
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* 1: this host's has all of the source's that count. */
static int merged(struct places *v, const Godwit__UndoFile *f, const char *path, char **ret,
                  size_t *retlen)
{
    *ret = NULL;
    if (strncmp(v->sid, "S-1-5-21-", 9) != 0)
        return 1; /* the source did not tell its own */
    int rc = share_info_merge(path, f->content.data, f->content.len, v->sid, v->site->folder, ret,
                              retlen);
    return rc < 0 ? rc : *ret == NULL;
}

static int put_share_info(struct places *v, const Godwit__UndoFile *f, const char *path)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = merged(v, f, path, &text, &len);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = undo_keep_file(v->site->undo, path);
    if (rc == 0)
        rc = file_write(path, 0600, text, len);
    return rc < 0 ? rc : 1;
}

static bool is_there(struct places *v, const Godwit__UndoFile *f)
{
    CLEANUP(mem_free) char *path = place_of(v, f->path);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (strcmp(f->path, SHARE_INFO) == 0)
        return merged(v, f, path, &text, &len) == 1;
    return holds(path, f);
}

/* A key is nobody's but root's; a database has the owner that it had: root, there as here. */
static int put_file(struct places *v, const Godwit__UndoFile *f)
{
    CLEANUP(mem_free) char *path = place_of(v, f->path);
    CLEANUP(mem_free) char *folder = xmemdup(path, (size_t)(strrchr(path, '/') - path));
    if (strcmp(f->path, SHARE_INFO) == 0)
        return put_share_info(v, f, path);
    if (holds(path, f))
        return 0;
    int rc = undo_keep_file(v->site->undo, path);
    if (rc == 0)
        rc = file_mkdirs(folder, 0700);
    if (rc == 0)
        rc = file_write(path, f->mode & 0644, f->content.data, f->content.len);
    return rc < 0 ? rc : 1;
}

int bundle_install(const struct site *v, const char *sid, bool anew, struct fault *reterr)
{
    Godwit__UndoBundle *b = NULL;
    struct places places = {.site = v, .sid = sid};
    int changed = 0, rc = load(v, &b, reterr);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < b->n_files; i++) {
        rc = put_file(&places, b->files[i]);
        changed = changed || rc > 0;
    }
    if (rc >= 0 && anew)
        rc = drop_caches(&places);
    wipe(b);
    places_done(&places);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot install a database: %s",
                              strerror(-rc))
                  : changed;
}

int bundle_installed(const struct site *v, const char *sid, struct fault *reterr)
{
    Godwit__UndoBundle *b = NULL;
    struct places places = {.site = v, .sid = sid};
    int rc = load(v, &b, reterr);
    if (rc < 0)
        return 0;
    bool all = true;
    for (size_t i = 0; all && i < b->n_files; i++)
        all = is_there(&places, b->files[i]);
    wipe(b);
    places_done(&places);
    return all;
}

int bundle_forget_secrets(const struct site *v, struct fault *reterr)
{
    static const char *const secrets[] = {"private/secrets.tdb", "etc/krb5.keytab"};
    struct places places = {.site = v};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(secrets); i++) {
        CLEANUP(mem_free) char *path = place_of(&places, secrets[i]);
        rc = undo_shred(path);
        if (rc < 0)
            rc = fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot shred %.120s", path);
    }
    places_done(&places);
    return rc;
}

int bundle_probe(struct stage_run *r)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", r->site.folder);
    bool source = r->order->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE;
    return source || access(path, F_OK) == 0;
}

int stage_join(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    bool source = r->order->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE;
    if (!p)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    bool rejoin = p->method == GODWIT__IDENTITY_METHOD__IDENTITY_REJOIN;
    if ((source || rejoin) && !p->domain)
        return 0;
    if (!*r->site.root && service_count() > 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                         "Samba runs: its databases cannot be replaced");
    if (source || rejoin)
        return rejoin_join(r);
    int rc = bundle_install(&r->site, p->local_sid, true, r->reterr);
    if (rc >= 0 &&
        p->ssh_keys) /* also where they were in place: a crash may have come before this */
        hostkeys_reload(&r->site);
    return rc;
}

int stage_join_undone(struct stage_run *r)
{
    if (hostkeys_noted(r->site.undo))
        hostkeys_reload(&r->site);
    return rejoin_join_undone(r);
}

int stage_join_probe(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    bool source = r->order->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE;
    bool rejoin = p && p->method == GODWIT__IDENTITY_METHOD__IDENTITY_REJOIN;
    if (p && (source || rejoin))
        return p->domain ? rejoin_join_probe(r) : 1;
    return bundle_installed(&r->site, p ? p->local_sid : "", r->reterr);
}
