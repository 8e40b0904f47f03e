/* commit: the end of a cutover on a host: what is final, and what is left to people; the notes and
 * secrets of it are destroyed. Worker thread, or a process of its own. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/bundle.h"
#include "agent/identity/dns.h"
#include "agent/identity/former.h"
#include "agent/identity/hostkeys.h"
#include "agent/identity/keytab.h"
#include "agent/identity/names.h"
#include "agent/identity/rejoin.h"
#include "agent/identity/rival.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "agent/identity/staged.h"
#include "agent/identity/undo.h"
#include "agent/share/smbconf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define TIMEOUT "machine password timeout"

/* What was known of rights: "rights.…" */
static void drop_rights(const char *folder)
{
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, "rights.", 7) == 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        (void)closedir(d);
}

/* All that is in the folder: notes and the bundle, which hold secrets. */
int stage_drop_all(struct stage_run *r)
{
    static const char *const files[] = {"bundle",      "guard",   "sprung",     "commit.note",
                                        "forget.note", "ticket",  "ticket.dns", RIVAL_FILE,
                                        FORMER_FILE,   KEYTAB_DUE};
    int rc = 0;
    for (const struct stage_row *w = stage_rows; w->name && rc == 0; w++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s.note", r->site.folder, w->name);
        rc = undo_shred(path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(files) && rc == 0; i++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", r->site.folder, files[i]);
        rc = undo_shred(path);
    }
    drop_rights(r->site.folder);
    if (rc == 0)
        (void)rmdir(r->site.folder);
    return rc < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot remove the notes: %s",
                              strerror(-rc))
                  : 1;
}

/* What the source's administrators wrote goes with no note: it stands beside the closed one. */
static int keep_conf(struct stage_run *r)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/fence.note", r->site.folder);
    CLEANUP(undo_free) struct undo *u = NULL;
    int rc = undo_open(path, &u);
    for (size_t i = 0; rc == 0 && i < u->n; i++) {
        const Godwit__UndoFile *f = u->records[i]->file;
        CLEANUP(mem_free) char *to = f ? xasprintf("%s.before-cutover", f->path) : NULL;
        if (f)
            rc = file_write(to, 0644, f->content.data ? f->content.data : (const uint8_t *)"",
                            f->content.len);
    }
    return rc < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, -rc,
                              "cannot keep what smb.conf and the exports were: %s", strerror(-rc))
                  : 0;
}

/* The names stage set it for the time between: as this host's administrators had it. Nothing where
 * the note is gone: then this was done before. */
static int restore_timeout(struct stage_run *r)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/names.note", r->site.folder);
    CLEANUP(mem_free) char *mine = xasprintf("%s" NAMES_CONF, r->site.root);
    CLEANUP(undo_free) struct undo *u = NULL;
    CLEANUP(smbconf_free) struct smbconf *conf = NULL;
    int rc = undo_open(path, &u);
    for (size_t i = 0; rc == 0 && !conf && i < u->n; i++) {
        const Godwit__UndoFile *f = u->records[i]->file;
        if (f && strcmp(f->path, mine) == 0)
            rc = smbconf_parse((const char *)f->content.data, f->content.len, &conf, r->reterr);
    }
    if (rc < 0 || !conf)
        return rc;
    const struct smbconf_section *s = smbconf_find(conf, "global");
    const struct conf_set set[] = {
        {TIMEOUT, s ? smbconf_value(s, TIMEOUT) : NULL}
    };
    return names_edit_conf(&r->site, set, 1, r->reterr);
}

/* The account that the destination had: nobody is that any more. Who has no right to remove it is
 * told, and nothing else hangs on it. */
static void remove_own(struct stage_run *r, const Godwit__IdentityPlan *p)
{
    const char *name = p->destination_old ? p->destination_old->netbios : "";
    struct fault why = {.err = 0}, *real = r->reterr;
    if (!*name || (p->old && strcasecmp(name, p->old->netbios) == 0) ||
        (p->source_new && strcasecmp(name, p->source_new->netbios) == 0))
        return;
    r->reterr = &why;
    if (rejoin_remove(r, p->dc, name) < 0)
        stage_text(&r->result->after,
                   xasprintf("the computer account %.20s stays in the directory: remove it by hand "
                             "(%.200s)",
                             name, why.text));
    r->reterr = real;
}

int stage_commit(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    int rc = p ? 0 : -EBADMSG;
    const char *const change[] = {
        "net", "ads", "changetrustpw", p && *p->dc ? "-S" : NULL, p ? p->dc : NULL, NULL};
    if (rc == 0 && *p->dc && !names_full_valid(p->dc))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no domain controller", p->dc);
    if (rc == 0 && p->domain && !stage_is_source(r)) {
        /* Joining has made a new one. */
        if (p->method != GODWIT__IDENTITY_METHOD__IDENTITY_REJOIN)
            rc = service_tool(&r->site, change, 60000, r->reterr);
        if (rc == 0)
            rc = restore_timeout(r);
        if (rc >= 0)
            remove_own(r, p);
        if (rc >= 0)
            (void)dns_raise(r);
    }
    if (rc >= 0 && stage_is_source(r))
        rc = keep_conf(r);
    if (rc >= 0 && stage_is_source(r))
        staged_end(r);
    /* Once it has joined by its new name, what it has is its own. Where the notes had begun to go,
     * which begin with fence's, this was done, and nothing tells any more whether it has joined. */
    if (rc >= 0 && p->domain && stage_is_source(r) && stage_has_note(r, "fence") &&
        !stage_has_note(r, "join"))
        rc = bundle_forget_secrets(&r->site, r->reterr);
    /* What had moved is the destination's alone; the notes say whether this was done before. */
    if (rc >= 0 && stage_is_source(r) && p->ssh_keys && stage_has_note(r, "fence"))
        hostkeys_renew(r);
    if (rc >= 0)
        rc = stage_drop_all(r);
    /* For the report; that it is final does not hang on it. */
    struct fault unused = {.err = 0}, *real = r->reterr;
    r->reterr = &unused;
    if (rc >= 0 && !stage_is_source(r))
        (void)stage_capture(r);
    r->reterr = real;
    return rc;
}
