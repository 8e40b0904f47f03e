/* beside: looks at the source's files. Worker threads. */
#include "agent/account/beside.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define FILE_BYTES_MAX (256U << 10)
#define FILES_MAX 64
#define WORDS_SHOWN 5
#define NAME_SHOWN 60

__attribute__((format(printf, 2, 3))) static void say(struct beside *b, const char *fmt, ...)
{
    va_list ap;
    if (b->n == BESIDE_MAX)
        return;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    b->lines[b->n++] = text_printable(text, strnlen(text, 300));
}

/* ── names ── */

static void look_names(struct beside *b, const struct account_list *l)
{
    for (size_t i = 0; i < l->nusers; i++) {
        const struct account_user *u = &l->users[i];
        if (account_is_person(l, u) && !account_is_told(l, u))
            say(b,
                "user %.*s (%u) stays behind: no other host can make it by this name, group, home "
                "or shell",
                NAME_SHOWN, u->name, u->uid);
    }
    for (size_t i = 0; i < l->ngroups; i++) {
        const struct account_group *g = &l->groups[i];
        if (g->gid >= l->gid_min && g->gid <= l->gid_max && !account_name_fits(g->name))
            say(b, "group %.*s (%u) stays behind: no other host can make it by this name",
                NAME_SHOWN, g->name, g->gid);
    }
}

/* ── sudo ── */

static bool is_moved(const struct account_list *l, const char *word)
{
    const struct account_group *g = *word == '%' ? account_group_named(l, word + 1) : NULL;
    const struct account_user *u = *word == '%' ? NULL : account_user_named(l, word);
    return (u && account_is_person(l, u)) || (g && g->gid >= l->gid_min && g->gid <= l->gid_max);
}

static bool is_named(char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

void beside_take_sudoers(struct beside *b, const char *name, const char *text,
                         const struct account_list *l)
{
    CLEANUP(mem_free) char *copy = xstrdup(text);
    char *found[WORDS_SHOWN], *save = NULL, *inner = NULL;
    size_t n = 0;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (line[strspn(line, " \t")] == '#')
            continue;
        for (char *w = strtok_r(line, " \t,=:()!", &inner); w;
             w = strtok_r(NULL, " \t,=:()!", &inner))
            if (n < WORDS_SHOWN && is_moved(l, w) && !is_named(found, n, w))
                found[n++] = w;
    }
    if (n == 0)
        return;
    CLEANUP(mem_free) char *all = xstrdup(found[0]);
    for (size_t i = 1; i < n; i++) {
        char *more = xasprintf("%s, %s", all, found[i]);
        free(all);
        all = more;
    }
    say(b, "%.80s gives rights to %s: rules of sudo do not move", name, all);
}

static void look_sudoers(struct beside *b, const char *root, const struct account_list *l)
{
    CLEANUP(mem_free) char *main_file = xasprintf("%s/etc/sudoers", root);
    CLEANUP(mem_free) char *folder = xasprintf("%s/etc/sudoers.d", root);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read(main_file, FILE_BYTES_MAX, &text, &len) == 0)
        beside_take_sudoers(b, "/etc/sudoers", text, l);
    DIR *d = opendir(folder);
    unsigned n = 0;
    for (const struct dirent *e; d && n < FILES_MAX && (e = readdir(d)) != NULL; n++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", folder, e->d_name);
        CLEANUP(mem_free) char *name = xasprintf("/etc/sudoers.d/%s", e->d_name);
        CLEANUP(mem_free) char *part = NULL;
        if (strpbrk(e->d_name, ".~") || file_read(path, FILE_BYTES_MAX, &part, &len) < 0)
            continue; /* as sudo passes over them */
        beside_take_sudoers(b, name, part, l);
    }
    if (d)
        (void)closedir(d);
}

/* ── crontabs ── */

static void look_crontabs(struct beside *b, const char *root, const struct account_list *l)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/var/spool/cron/crontabs", root);
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && is_moved(l, e->d_name))
            say(b, "the crontab of %.*s does not move", NAME_SHOWN, e->d_name);
    if (d)
        (void)closedir(d);
}

/* ── Samba's account policies ── */

static const struct {
    const char *name, *usual;
} policies[] = {
    {"min password length",                "5"         },
    {"password history",                   "0"         },
    {"user must logon to change password", "0"         },
    {"maximum password age",               "4294967295"},
    {"minimum password age",               "0"         },
    {"lockout duration",                   "30"        },
    {"reset count minutes",                "30"        },
    {"bad lockout attempt",                "0"         },
    {"disconnect time",                    "4294967295"},
    {"refuse machine password change",     "0"         },
};

/* account policy "min password length" value is: 5 */
static void look_policies(struct beside *b, const char *search)
{
    static const char is[] = "value is: ";
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        const char *const argv[] = {"pdbedit", "-P", policies[i].name, NULL};
        const struct program_call c = {.argv = argv, .search = search, .max_out = 4096};
        struct program_output o;
        struct fault unused = {.err = 0};
        if (program_run(&c, &o, &unused) < 0)
            return;
        char *at = o.code == 0 ? strstr(o.out, is) : NULL;
        if (at) {
            at += sizeof is - 1;
            at[strspn(at, "0123456789")] = '\0';
            if (*at && strcmp(at, policies[i].usual) != 0)
                say(b,
                    "Samba's account policy \"%s\" is %s: set it there by pdbedit -P \"%s\" -C %s",
                    policies[i].name, at, policies[i].name, at);
        }
        program_done(&o);
    }
}

void beside_look(const char *root, const char *search, bool samba, const struct account_list *l,
                 struct beside *ret)
{
    *ret = (struct beside){.n = 0};
    look_names(ret, l);
    look_sudoers(ret, root, l);
    look_crontabs(ret, root, l);
    if (samba)
        look_policies(ret, search);
}

void beside_done(struct beside *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->lines[i]);
    b->n = 0;
}
