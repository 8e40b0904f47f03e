/* proof: each signature against the keys that are believed, each list against its digest. */
#include "orchestrator/console/proof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define READ_BYTES (1U << 20)
#define KEYS_MAX 100000
#define LINE_MAX_BYTES 256

struct believed {
    bool orchestrator;
    char name[STATEMENT_NAME_MAX + 1];
    uint8_t key[SIGN_PUBLIC_BYTES];
};

struct proof_keys {
    struct believed *list;
    size_t n, cap;
};

/* ── keys ── */

static int take_line(const char *line, struct believed *ret)
{
    char role[16], name[STATEMENT_NAME_MAX + 2], key[2 * SIGN_PUBLIC_BYTES + 2], more;
    if (sscanf(line, "%15s %64s %65s %c", role, name, key, &more) != 3)
        return -EBADMSG;
    bool host = strcmp(role, "host") == 0;
    ret->orchestrator = strcmp(role, "orchestrator") == 0;
    if ((!host && !ret->orchestrator) || !text_is_name(name, STATEMENT_NAME_MAX) ||
        text_unhex(key, ret->key, sizeof ret->key) < 0)
        return -EBADMSG;
    memcpy(ret->name, name, strlen(name) + 1);
    return 0;
}

static int add_line(struct proof_keys *k, const char *at, size_t len)
{
    char line[LINE_MAX_BYTES];
    if (len == 0 || *at == '#')
        return 0;
    if (len >= sizeof line || k->n == KEYS_MAX)
        return -EBADMSG;
    memcpy(line, at, len);
    line[len] = '\0';
    if (k->n == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 16;
        k->list = xrealloc(k->list, k->cap * sizeof *k->list);
    }
    int rc = take_line(line, &k->list[k->n]);
    k->n += rc == 0;
    return rc;
}

int proof_keys_parse(const char *text, size_t len, struct proof_keys **ret, struct fault *reterr)
{
    struct proof_keys *k = xcalloc(1, sizeof *k);
    unsigned number = 1;
    int rc = 0;
    for (const char *at = text, *end = text + len; rc == 0 && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        rc = add_line(k, at, (size_t)(stop - at));
        at = stop + 1;
    }
    if (rc < 0) {
        (void)proof_keys_free(k);
        return fault_set(
            reterr, FAULT_STOP_JOB, -rc,
            "line %u of the keys is not \"host NAME KEY\" or \"orchestrator NAME KEY\"",
            number - 1);
    }
    *ret = k;
    return 0;
}

struct proof_keys *proof_keys_free(struct proof_keys *k)
{
    if (k) {
        free(k->list);
        free(k);
    }
    return NULL;
}

static bool is_believed(const struct proof_keys *k, const struct statement_signature *by)
{
    bool orchestrator = by->role == SIGNED_ORCHESTRATOR;
    for (size_t i = 0; i < k->n; i++)
        if (k->list[i].orchestrator == orchestrator && strcmp(k->list[i].name, by->name) == 0 &&
            memcmp(k->list[i].key, by->public_key, SIGN_PUBLIC_BYTES) == 0)
            return true;
    return false;
}

/* ── checks ── */

static void set(struct proof_line *l, enum proof_result result, const char *says)
{
    l->result = result;
    l->says = says;
}

/* A host signs as the source only when the statement names it so: "source fs1 /srv/data". */
static bool is_named(const struct statement *s, const struct statement_signature *by)
{
    if (by->role == SIGNED_ORCHESTRATOR)
        return true;
    CLEANUP(mem_free) char *place = statement_value(s, statement_role_name(by->role));
    size_t n = strlen(by->name);
    return place && strncmp(place, by->name, n) == 0 && place[n] == ' ';
}

static void check_signature(const struct statement *s, enum statement_role role,
                            const struct proof_keys *keys, struct proof_line *ret)
{
    const struct statement_signature *by = NULL;
    *ret = (struct proof_line){.what = statement_role_name(role)};
    for (size_t i = 0; i < s->nby && !by; i++)
        by = s->by[i].role == role ? &s->by[i] : NULL;
    if (!by) {
        set(ret, PROOF_MISSING, "has not signed");
        return;
    }
    memcpy(ret->name, by->name, sizeof ret->name);
    text_hex(by->public_key, SIGN_PUBLIC_BYTES, ret->key);
    if (!by->good)
        set(ret, PROOF_WRONG, "this is not its signature of this text");
    else if (!is_named(s, by))
        set(ret, PROOF_WRONG, "signed by another host than the statement names");
    else if (!keys)
        set(ret, PROOF_OPEN,
            "right by the key that stands beside it; whose key it is was not checked");
    else if (!is_believed(keys, by))
        set(ret, PROOF_WRONG, "signed with a key that is not in the list of keys");
    else
        set(ret, PROOF_GOOD, "signed");
}

static int digest_of(const char *path, uint8_t ret[SHA256_LEN])
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    CLEANUP(mem_free) void *space = xmalloc(READ_BYTES);
    struct sha256 *sha = sha256_new();
    ssize_t n;
    sha256_begin(sha);
    while ((n = read(fd, space, READ_BYTES)) > 0)
        sha256_add(sha, space, (size_t)n);
    int rc = n < 0 ? -errno : 0;
    sha256_end(sha, ret);
    (void)sha256_free(sha);
    return rc;
}

static void check_list(const char *dir, const char *name, const uint8_t want[SHA256_LEN],
                       struct proof_line *ret)
{
    uint8_t digest[SHA256_LEN];
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", dir, name);
    int rc = digest_of(path, digest);
    *ret = (struct proof_line){.what = name};
    if (rc == -ENOENT)
        set(ret, PROOF_OPEN, "is not here; copy it beside the statement to check it");
    else if (rc < 0)
        set(ret, PROOF_WRONG, "cannot be read");
    else if (memcmp(digest, want, SHA256_LEN) != 0)
        set(ret, PROOF_WRONG, "is not the list that was signed");
    else
        set(ret, PROOF_GOOD, "is the list that was signed");
}

enum proof_result proof_check(const struct statement *s, const struct proof_keys *keys,
                              const char *dir, struct proof_line ret[PROOF_LINES])
{
    enum proof_result worst = PROOF_GOOD;
    for (int i = 0; i < STATEMENT_SIGNATURES; i++)
        check_signature(s, (enum statement_role)i, keys, &ret[i]);
    check_list(dir, "SHA256SUMS", s->manifest, &ret[3]);
    check_list(dir, "METADATA", s->metadata, &ret[4]);
    for (int i = 0; i < PROOF_LINES; i++)
        worst = ret[i].result > worst ? ret[i].result : worst;
    return worst;
}
