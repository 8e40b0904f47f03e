/* take_user: usershares come as the files that they are, owned by the user of the same name. Worker
 * threads. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/before.h"
#include "agent/share/sid.h"
#include "agent/share/take_priv.h"
#include "common/base/mem.h"

static const char *value_of(const Godwit__Share *s, const char *name)
{
    for (size_t i = 0; i < s->n_parameters; i++)
        if (strcmp(s->parameters[i]->name, name) == 0)
            return s->parameters[i]->value;
    return "";
}

static char *file_text(const struct take *t, const struct taken *one)
{
    const Godwit__Share *s = one->share;
    CLEANUP(mem_free) char *acl = sid_map_list(t->map, value_of(s, "usershare_acl"));
    const char *guest = value_of(s, "guest_ok");
    return xasprintf(
        "#VERSION 2\npath=%s\ncomment=%s\nusershare_acl=%s\nguest_ok=%s\nsharename=%s\n", one->path,
        value_of(s, "comment"), *acl ? acl : "S-1-1-0:R", *guest ? guest : "n", s->name);
}

static bool leave(struct taken *one, const char *why)
{
    free(one->outcome->outcome);
    one->outcome->outcome = xstrdup("left out");
    take_note(one->outcome, why);
    return false;
}

static bool find_owner(struct taken *one, uid_t *retuid, gid_t *retgid)
{
    struct passwd pw, *found = NULL;
    char room[4096];
    if (getpwnam_r(one->share->owner, &pw, room, sizeof room, &found) != 0 || !found)
        return leave(one, "its owner is no account of this server");
    *retuid = found->pw_uid;
    *retgid = found->pw_gid;
    return true;
}

int take_user_plan(struct take *t, struct taken *one, struct fault *reterr)
{
    const char *folder = smbconf_value(smbconf_find(t->now->conf, "global"), "usershare path");
    uid_t uid = 0;
    gid_t gid = 0;
    if (!folder)
        folder = t->server->usershares;
    if (!find_owner(one, &uid, &gid))
        return 0;
    for (size_t i = 0; i < one->share->n_parameters; i++)
        if (strpbrk(one->share->parameters[i]->value, "\r\n")) {
            (void)leave(one, "it cannot be written as a file");
            return 0;
        }
    CLEANUP(mem_free) char *name = xstrdup(one->share->name);
    for (char *p = name; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", folder, name);
    CLEANUP(mem_free) char *text = file_text(t, one);
    size_t had = t->before->n_files;
    int rc = before_file(t->before, path, text, 0644);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot look at the usershare %s: %s", path,
                         strerror(-rc));
    free(one->outcome->outcome);
    one->outcome->outcome = xstrdup(t->before->n_files == had ? "same" : "new");
    if (t->before->n_files == had)
        return 0;
    Godwit__ShareBefore__File *f = t->before->files[had];
    free(one->outcome->outcome);
    one->outcome->outcome = xstrdup(f->absent ? "new" : "changed");
    f->uid = uid;
    f->gid = gid;
    return 0;
}
