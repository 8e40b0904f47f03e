/* before: the record and the way back. Worker threads. */
#include "agent/share/before.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/share/list_priv.h"
#include "agent/share/samba.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define RECORD_MAX (16U << 20)
#define SUFFIX ".before"

Godwit__ShareBefore *before_new(void)
{
    Godwit__ShareBefore *b = xmalloc(sizeof *b);
    godwit__share_before__init(b);
    return b;
}

static void set_bytes(ProtobufCBinaryData *to, const char *text)
{
    to->len = text ? strlen(text) : 0;
    to->data = text ? xmemdup(text, to->len) : NULL;
}

int before_file(Godwit__ShareBefore *b, const char *path, const char *after, unsigned mode)
{
    CLEANUP(mem_free) char *now = NULL;
    struct stat st = {.st_mode = mode};
    size_t len = 0;
    int rc = file_read(path, SMBCONF_MAX, &now, &len);
    if (rc == 0 && stat(path, &st) < 0)
        rc = -errno;
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if ((!now && !after) || (now && after && strlen(after) == len && memcmp(now, after, len) == 0))
        return 0;
    Godwit__ShareBefore__File *f = xmalloc(sizeof *f);
    godwit__share_before__file__init(f);
    f->path = xstrdup(path);
    f->absent = !now;
    f->removed = !after;
    set_bytes(&f->before, now);
    set_bytes(&f->after, after);
    f->mode = st.st_mode & 07777;
    f->uid = st.st_uid;
    f->gid = st.st_gid;
    b->files = list_grown(b->files, b->n_files);
    b->files[b->n_files++] = f;
    return 0;
}

void before_registry(Godwit__ShareBefore *b, const char *name, const char *text)
{
    Godwit__ShareBefore__Registry *r = xmalloc(sizeof *r);
    godwit__share_before__registry__init(r);
    list_text(&r->name, name);
    r->absent = !text;
    set_bytes(&r->before, text);
    b->registry = list_grown(b->registry, b->n_registry);
    b->registry[b->n_registry++] = r;
}

void before_descriptor(Godwit__ShareBefore *b, const char *name, const char *sddl)
{
    Godwit__ShareBefore__Descriptor *d = xmalloc(sizeof *d);
    godwit__share_before__descriptor__init(d);
    list_text(&d->name, name);
    list_text(&d->sddl, sddl);
    b->descriptors = list_grown(b->descriptors, b->n_descriptors);
    b->descriptors[b->n_descriptors++] = d;
}

static char *record_path(const struct server *v, const char *pair)
{
    return xasprintf("%s/%s" SUFFIX, v->scratch, pair);
}

int before_save(const struct server *v, const char *pair, const Godwit__ShareBefore *b)
{
    CLEANUP(mem_free) char *path = record_path(v, pair);
    size_t n = godwit__share_before__get_packed_size(b);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(n + 1);
    (void)godwit__share_before__pack(b, packed);
    return n > RECORD_MAX ? -EFBIG : file_write(path, 0600, packed, n);
}

void before_forget(const struct server *v, const char *pair)
{
    CLEANUP(mem_free) char *path = record_path(v, pair);
    (void)unlink(path);
}

static int put(const Godwit__ShareBefore__File *f, const ProtobufCBinaryData *what, bool gone)
{
    if (gone)
        return unlink(f->path) == 0 || errno == ENOENT ? 0 : -errno;
    int rc = file_write(f->path, f->mode, what->data ? what->data : (const uint8_t *)"", what->len);
    if (rc == 0 && (f->uid != geteuid() || f->gid != getegid()) &&
        chown(f->path, f->uid, f->gid) < 0)
        rc = -errno;
    return rc;
}

int before_write_files(const Godwit__ShareBefore *b)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->n_files; i++)
        rc = put(b->files[i], &b->files[i]->after, b->files[i]->removed);
    return rc;
}

static bool holds(const char *path, const ProtobufCBinaryData *what, bool gone)
{
    CLEANUP(mem_free) char *now = NULL;
    size_t len = 0;
    int rc = file_read(path, SMBCONF_MAX, &now, &len);
    if (rc == -ENOENT)
        return gone;
    return rc == 0 && !gone && len == what->len && (len == 0 || memcmp(now, what->data, len) == 0);
}

static int undo_file(const Godwit__ShareBefore__File *f)
{
    if (holds(f->path, &f->before, f->absent))
        return 0;
    if (holds(f->path, &f->after, f->removed))
        return put(f, &f->before, f->absent);
    log_warning("%s was changed by somebody else: it stays as it is", f->path);
    return 0;
}

int before_import(const struct server *v, const char *name, const char *text, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/import.conf", v->scratch);
    const char *const argv[] = {"net", "conf", "import", path, name, NULL};
    struct program_output o;
    int rc = name[0] == '-' ? -EINVAL : file_write(path, 0600, text, strlen(text));
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %s: %s", path, strerror(-rc));
    rc = samba_tool(v, argv, &o, reterr);
    if (rc == 0)
        program_done(&o);
    return rc;
}

static int undo_registry(const struct server *v, const Godwit__ShareBefore__Registry *r)
{
    struct fault why = {0};
    struct program_output o;
    const char *const argv[] = {"net", "conf", "delshare", r->name, NULL};
    const char *const show[] = {"net", "conf", "showshare", r->name, NULL};
    if (!r->absent) {
        CLEANUP(mem_free) char *text = xmemdup(r->before.data, r->before.len);
        return before_import(v, r->name, text, &why);
    }
    if (r->name[0] == '-' || samba_tool(v, show, &o, &why) < 0)
        return 0; /* it never came there */
    program_done(&o);
    int rc = samba_tool(v, argv, &o, &why);
    if (rc == 0)
        program_done(&o);
    return rc;
}

static void undo_descriptor(const struct server *v, const Godwit__ShareBefore__Descriptor *d)
{
    struct fault why = {0};
    struct program_output o;
    CLEANUP(mem_free) char *set = xasprintf("--setsddl=%s", d->sddl);
    const char *const argv[] = {"sharesec", d->sddl[0] ? set : "--delete", "--", d->name, NULL};
    if (samba_tool(v, argv, &o, &why) == 0)
        program_done(&o);
}

int before_undo(const struct server *v, const Godwit__ShareBefore *b)
{
    int first = 0, rc;
    struct fault why = {0};
    bool nfs = false, samba = b->n_registry > 0;
    for (size_t i = 0; i < b->n_descriptors; i++)
        undo_descriptor(v, b->descriptors[i]);
    for (size_t i = 0; i < b->n_registry; i++) {
        rc = undo_registry(v, b->registry[i]);
        first = first ? first : rc;
    }
    for (size_t i = b->n_files; i-- > 0;) {
        rc = undo_file(b->files[i]);
        first = first ? first : rc;
        bool is_exports = strncmp(b->files[i]->path, v->exports_dir, strlen(v->exports_dir)) == 0;
        nfs = nfs || is_exports;
        samba = samba || !is_exports;
    }
    (void)before_reload(v, samba, nfs, &why);
    return first;
}

int before_reload(const struct server *v, bool samba, bool nfs, struct fault *reterr)
{
    const char *const control[] = {"smbcontrol", "smbd", "reload-config", NULL};
    const char *const exportfs[] = {"exportfs", "-ra", NULL};
    struct program_output o;
    struct fault none = {0};
    if (samba && samba_tool(v, control, &o, &none) == 0) /* one that does not run reads it later */
        program_done(&o);
    if (!nfs)
        return 0;
    int rc = samba_tool(v, exportfs, &o, reterr);
    if (rc == 0)
        program_done(&o);
    return rc;
}

void before_recover(const struct server *v)
{
    DIR *d = opendir(v->scratch);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        static const char end[] = SUFFIX;
        size_t n = strlen(e->d_name), len = 0;
        if (n <= sizeof end - 1 || strcmp(e->d_name + n - (sizeof end - 1), end) != 0)
            continue;
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", v->scratch, e->d_name);
        CLEANUP(mem_free) char *packed = NULL;
        Godwit__ShareBefore *b = NULL;
        if (file_read(path, RECORD_MAX, &packed, &len) == 0)
            b = godwit__share_before__unpack(NULL, len, (const uint8_t *)packed);
        int rc = b ? before_undo(v, b) : -EBADMSG;
        if (rc == 0)
            (void)unlink(path);
        log_warning("shares that were half put there by a run that broke off: %s",
                    rc == 0 ? "undone" : strerror(-rc));
        if (b)
            godwit__share_before__free_unpacked(b, NULL);
    }
    if (d)
        (void)closedir(d);
}
