/* list_user: usershares: files that users make with `net usershare`. Worker threads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/share/list_priv.h"
#include "agent/share/samba.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define USERSHARES_MAX 2000
#define USERSHARE_BYTES 16384

static char *owner_of(uid_t uid)
{
    struct passwd pw, *found = NULL;
    char room[4096];
    if (getpwuid_r(uid, &pw, room, sizeof room, &found) == 0 && found)
        return xstrdup(found->pw_name);
    return xasprintf("%u", (unsigned)uid);
}

static void add_usershare(struct listing *l, const char *file, const char *name)
{
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(smbconf_free) struct smbconf *c = NULL;
    struct fault why = {0};
    struct stat st;
    size_t len = 0;
    if (lstat(file, &st) < 0 || !S_ISREG(st.st_mode) ||
        file_read(file, USERSHARE_BYTES, &text, &len) < 0 || smbconf_parse(text, len, &c, &why) < 0)
        return;
    const struct smbconf_section *s = smbconf_find(c, "global");
    const char *shown = smbconf_value(s, "sharename"), *path = smbconf_value(s, "path");
    if (!path || path[0] != '/')
        return;
    Godwit__Share *share =
        list_add(l, shown && *shown ? shown : name, GODWIT__SHARE_ORIGIN__SHARE_USER);
    static const char *const keys[] = {"path", "comment", "usershare_acl", "guest_ok"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *value = smbconf_value(s, keys[i]);
        if (value && *value)
            list_parameter(&share->parameters, &share->n_parameters, keys[i], value);
    }
    share->owner = owner_of(st.st_uid);
    list_place(l, share);
}

void list_usershares(struct listing *l, const struct samba *s)
{
    const struct smbconf_section *g = smbconf_find(s->conf, "global");
    const char *folder = smbconf_value(g, "usershare path");
    if (!folder)
        folder = l->server->usershares;
    DIR *d = opendir(folder);
    unsigned n = 0;
    for (const struct dirent *e; d && n < USERSHARES_MAX && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' || strchr(e->d_name, ':'))
            continue;
        CLEANUP(mem_free) char *file = xasprintf("%s/%s", folder, e->d_name);
        add_usershare(l, file, e->d_name);
        n++;
    }
    if (d)
        (void)closedir(d);
}
