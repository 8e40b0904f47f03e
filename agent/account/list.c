/* list: reads passwd, group and login.defs. What is not fit to be made elsewhere is counted, not
 * guessed at. Any thread. */
#include "agent/account/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define FILE_BYTES_MAX (8U << 20)
#define FIELDS_MAX 8

bool account_text_fits(const char *text)
{
    size_t n = strlen(text);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == ':')
            return false;
    return n <= ACCOUNT_TEXT_MAX;
}

bool account_name_fits(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$";
    size_t n = strlen(name);
    bool number = strspn(name, "0123456789") == n;
    return n > 0 && n <= ACCOUNT_NAME_MAX && strspn(name, letters) == n && name[0] != '-' &&
           name[0] != '.' && name[0] != '$' && !number;
}

/* Fields of a line, in place; how many there are. */
static size_t split(char *line, char sep, char *ret[FIELDS_MAX])
{
    size_t n = 0;
    for (char *p = line; p && n < FIELDS_MAX; n++) {
        char *end = strchr(p, sep);
        ret[n] = p;
        if (end)
            *end++ = '\0';
        p = end;
    }
    return n;
}

static int id_of(const char *text, uint32_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || n >= UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)n;
    return 0;
}

static int take_user(struct account_list *l, char *line)
{
    char *f[FIELDS_MAX];
    struct account_user u = {.name = NULL};
    if (split(line, ':', f) != 7 || id_of(f[2], &u.uid) < 0 || id_of(f[3], &u.gid) < 0 || !f[0][0])
        return -EINVAL;
    u.name = xstrdup(f[0]);
    u.gecos = xstrdup(f[4]);
    u.home = xstrdup(f[5]);
    u.shell = xstrdup(f[6]);
    l->users = xrealloc(l->users, (l->nusers + 1) * sizeof *l->users);
    l->users[l->nusers++] = u;
    return 0;
}

static int take_group(struct account_list *l, char *line)
{
    char *f[FIELDS_MAX], *save = NULL;
    struct account_group g = {.name = NULL};
    if (split(line, ':', f) != 4 || id_of(f[2], &g.gid) < 0 || !f[0][0])
        return -EINVAL;
    g.name = xstrdup(f[0]);
    for (char *m = strtok_r(f[3], ",", &save); m; m = strtok_r(NULL, ",", &save)) {
        g.members = xrealloc(g.members, (g.nmembers + 1) * sizeof *g.members);
        g.members[g.nmembers++] = xstrdup(m);
    }
    l->groups = xrealloc(l->groups, (l->ngroups + 1) * sizeof *l->groups);
    l->groups[l->ngroups++] = g;
    return 0;
}

static int take_limit(struct account_list *l, char *line)
{
    const struct {
        const char *name;
        uint32_t *to;
    } limits[] = {
        {"UID_MIN", &l->uid_min},
        {"UID_MAX", &l->uid_max},
        {"GID_MIN", &l->gid_min},
        {"GID_MAX", &l->gid_max},
    };
    char *save = NULL;
    const char *name = strtok_r(line, " \t", &save), *value = strtok_r(NULL, " \t", &save);
    for (size_t i = 0; name && value && i < ARRAY_SIZE(limits); i++)
        if (strcmp(name, limits[i].name) == 0)
            (void)id_of(value, limits[i].to);
    return 0;
}

static int read_lines(struct account_list *l, const char *etc, const char *name,
                      int (*take)(struct account_list *, char *), struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", etc, name);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(path, FILE_BYTES_MAX, &text, &len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read %s: %s", path, strerror(-rc));
    for (char *p = text, *end = text + len; p < end;) {
        char *eol = memchr(p, '\n', (size_t)(end - p));
        char *next = eol ? eol + 1 : end;
        if (eol)
            *eol = '\0';
        if (*p && *p != '#' && *p != '+' && *p != '-' && take(l, p) < 0)
            l->unfit++;
        p = next;
    }
    return 0;
}

int account_list_read(const char *etc, struct account_list **ret, struct fault *reterr)
{
    CLEANUP(account_list_free) struct account_list *l = xcalloc(1, sizeof *l);
    struct fault unused = {.err = 0};
    l->uid_min = l->gid_min = 1000;
    l->uid_max = l->gid_max = 60000;
    int rc = read_lines(l, etc, "passwd", take_user, reterr);
    if (rc == 0)
        rc = read_lines(l, etc, "group", take_group, reterr);
    if (rc < 0)
        return rc;
    (void)read_lines(l, etc, "login.defs", take_limit, &unused); /* not everywhere */
    *ret = l;
    l = NULL;
    return 0;
}

struct account_list *account_list_free(struct account_list *l)
{
    if (!l)
        return NULL;
    for (size_t i = 0; i < l->nusers; i++) {
        free(l->users[i].name);
        free(l->users[i].gecos);
        free(l->users[i].home);
        free(l->users[i].shell);
    }
    for (size_t i = 0; i < l->ngroups; i++) {
        for (size_t k = 0; k < l->groups[i].nmembers; k++)
            free(l->groups[i].members[k]);
        free(l->groups[i].members);
        free(l->groups[i].name);
    }
    free(l->users);
    free(l->groups);
    free(l);
    return NULL;
}

const struct account_user *account_user_named(const struct account_list *l, const char *name)
{
    for (size_t i = 0; i < l->nusers; i++)
        if (strcmp(l->users[i].name, name) == 0)
            return &l->users[i];
    return NULL;
}

const struct account_user *account_user_of(const struct account_list *l, uint32_t uid)
{
    for (size_t i = 0; i < l->nusers; i++)
        if (l->users[i].uid == uid)
            return &l->users[i];
    return NULL;
}

const struct account_group *account_group_named(const struct account_list *l, const char *name)
{
    for (size_t i = 0; i < l->ngroups; i++)
        if (strcmp(l->groups[i].name, name) == 0)
            return &l->groups[i];
    return NULL;
}

const struct account_group *account_group_of(const struct account_list *l, uint32_t gid)
{
    for (size_t i = 0; i < l->ngroups; i++)
        if (l->groups[i].gid == gid)
            return &l->groups[i];
    return NULL;
}

bool account_is_person(const struct account_list *l, const struct account_user *u)
{
    return u->uid >= l->uid_min && u->uid <= l->uid_max;
}

bool account_is_told(const struct account_list *l, const struct account_user *u)
{
    return account_is_person(l, u) && account_group_of(l, u->gid) && account_name_fits(u->name) &&
           account_text_fits(u->gecos) && account_text_fits(u->home) && account_text_fits(u->shell);
}
