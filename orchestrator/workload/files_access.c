/* files_access: who may do what with a pair's files: the question to each host, and where their
 * answers differ. Main thread, pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/files_priv.h"
#include "proto/access.pb-c.h"

#define FINDINGS_MAX 500
#define NO_SHARE "?no share has it" /* agent/access/ask.py */

static const char *const rights[] = {"read", "write", "delete"};
static const char *const ways[] = {"smb", "local"};

static const char *str(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : "";
}

/* As it is called at the destination, where accounts were brought along by other names. */
static const char *name_there(const json_t *facts, const char *user)
{
    const json_t *rows = json_object_get(json_object_get(facts, "accounts"), "rows"), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(str(row, "kind"), "user") == 0 && strcmp(str(row, "name"), user) == 0 &&
            *str(row, "as"))
            return str(row, "as");
    }
    return user;
}

static json_t *users_there(const json_t *facts, const json_t *users)
{
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)users, i, one)(void) json_array_append_new(
        list, json_string(name_there(facts, json_string_value(one) ? json_string_value(one) : "")));
    return list;
}

int files_access(const struct pair_view *p, enum step_side side, const json_t *about,
                 struct planned_step *ret)
{
    const char *path = side == SIDE_SOURCE ? p->source : p->destination;
    CLEANUP(mem_free) char *root = text_printable(path, strlen(path));
    json_t *request = side == SIDE_SOURCE ? json_deep_copy(about) : json_object();
    if (side == SIDE_DESTINATION) {
        (void)json_object_set_new(request, "users",
                                  users_there(p->facts, json_object_get(about, "users")));
        (void)json_object_set(request, "paths", json_object_get(about, "paths"));
    }
    (void)json_object_set_new(request, "root", json_string(root));
    CLEANUP(mem_free) char *text = json_dumps(request, JSON_COMPACT);
    Godwit__AccessOrder o = GODWIT__ACCESS_ORDER__INIT;
    json_decref(request);
    if (!text)
        return 0;
    o.request = files_bytes(text, strlen(text));
    files_plan_step(ret, side, "access.ask", &o.base);
    return 1;
}

json_t *files_accessed(const Godwit__Result *r)
{
    Godwit__AccessResult *body = godwit__access_result__unpack(NULL, r->body.len, r->body.data);
    json_t *o =
        body ? json_loadb((const char *)body->answer.data, body->answer.len, 0, NULL) : NULL;
    if (body)
        godwit__access_result__free_unpacked(body, NULL);
    if (json_is_object(o) && json_is_array(json_object_get(o, "users")) &&
        json_is_array(json_object_get(o, "paths")))
        return o;
    json_decref(o);
    return NULL;
}

/* ── comparing ── */

struct compare {
    const json_t *from, *to;
    const char *way;
    size_t user, path, right;
    json_t *findings;
    json_int_t same, unknown, differ, outside;
};

/* NULL: nothing was said. */
static const char *said(const struct compare *c, const json_t *host)
{
    const json_t *user = json_array_get(json_object_get(host, c->way), c->user);
    return json_string_value(json_array_get(json_array_get(user, c->path), c->right));
}

static json_t *words(const char *answer)
{
    CLEANUP(mem_free) char *text = *answer ? xasprintf("no: %.100s", answer) : xstrdup("yes");
    json_t *o = json_string(text);
    return o ? o : json_string("no");
}

static void note(struct compare *c, const char *a, const char *b)
{
    c->differ++;
    if (json_array_size(c->findings) >= FINDINGS_MAX)
        return;
    const json_t *path = json_array_get(json_object_get(c->from, "paths"), c->path);
    bool folder = json_is_true(json_object_get(path, "d"));
    const char *right = folder && c->right == 0 ? "list" : rights[c->right];
    (void)json_array_append_new(
        c->findings, json_pack("{s:O?,s:s,s:s,s:s,s:o,s:o}", "user",
                               json_array_get(json_object_get(c->from, "users"), c->user), "path",
                               *str(path, "p") ? str(path, "p") : ".", "right", right, "asked",
                               c->way, "source", words(a), "destination", words(b)));
}

static void compare_one(struct compare *c)
{
    const char *a = said(c, c->from), *b = said(c, c->to);
    if (a && b && strcmp(a, NO_SHARE) == 0 && strcmp(b, NO_SHARE) == 0)
        c->outside++;
    else if (!a || !b || *a == '?' || *b == '?')
        c->unknown++;
    else if ((*a == '\0') != (*b == '\0'))
        note(c, a, b);
    else
        c->same++;
}

static json_t *compare_way(struct compare *c)
{
    size_t users = json_array_size(json_object_get(c->from, "users"));
    size_t paths = json_array_size(json_object_get(c->from, "paths"));
    c->same = c->unknown = c->differ = c->outside = 0;
    for (c->user = 0; c->user < users; c->user++)
        for (c->path = 0; c->path < paths; c->path++)
            for (c->right = 0; c->right < ARRAY_SIZE(rights); c->right++)
                compare_one(c);
    return json_pack("{s:I,s:I,s:I,s:I}", "same", c->same, "unknown", c->unknown, "different",
                     c->differ, "outside", c->outside);
}

/* The first reason for which something was not known, by either host; "" none. */
static const char *why_unknown(const struct compare *c, const json_t *host)
{
    const json_t *user = json_array_get(json_object_get(host, c->way), 0), *path;
    size_t i;
    json_array_foreach(user, i, path)
    {
        const char *s = json_string_value(json_array_get(path, 0));
        if (s && *s == '?' && strcmp(s, NO_SHARE) != 0)
            return s + 1;
    }
    return "";
}

json_t *files_access_compare(const json_t *source, const json_t *destination)
{
    struct compare c = {.from = source, .to = destination, .findings = json_array()};
    json_t *o = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        c.way = ways[i];
        json_t *sums = compare_way(&c);
        const char *here = why_unknown(&c, source), *there = why_unknown(&c, destination);
        if (c.unknown)
            (void)json_object_set_new(sums, "why",
                                      json_pack("{s:s,s:s}", "source", here, "destination", there));
        (void)json_object_set_new(o, ways[i], sums);
    }
    (void)json_object_set(o, "users", json_object_get(source, "users"));
    (void)json_object_set_new(
        o, "paths", json_integer((json_int_t)json_array_size(json_object_get(source, "paths"))));
    (void)json_object_set(o, "smb_how", json_object_get(source, "smb_how"));
    (void)json_object_set(o, "local_how", json_object_get(source, "local_how"));
    (void)json_object_set_new(o, "findings", c.findings);
    return o;
}
