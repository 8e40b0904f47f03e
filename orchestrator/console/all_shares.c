/* all_shares: the question is put first, then its answer is asked for until it is there. Main
 * thread. */
#include "orchestrator/console/all_shares.h"

#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/console/jobspec.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define ANSWER_MS 80000

static const char command[] = "endpoint shares";

int all_shares_ask(struct run *r, const char *endpoint, const char *proxy, json_t **ret)
{
    const struct timespec moment = {.tv_nsec = 100 * 1000 * 1000};
    int64_t until = clock_mono_ms() + ANSWER_MS;
    const struct arg first[] = {
        {"endpoint", endpoint},
        {"proxy",    proxy   },
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, command, first, &doc);
    while (rc == EXIT_DONE && show_flag(doc, "asking")) {
        CLEANUP(mem_free) char *ask = xstrdup(show_str(doc, "ask"));
        const struct arg again[] = {
            {"endpoint", endpoint},
            {"ask",      ask     },
            ARGS_END
        };
        json_decref(doc);
        doc = NULL;
        if (clock_mono_ms() > until)
            return run_fail(EXIT_TIMED_OUT, "%s: no answer from its proxy", endpoint);
        (void)nanosleep(&moment, NULL);
        rc = run_ask(r, command, again, &doc);
    }
    *ret = doc;
    return rc;
}

/* Who is to ask: the endpoint's own proxy, or the host that the pair goes to. */
static int proxy_of(struct run *r, const char *endpoint, const char *destination, char **ret)
{
    const struct arg args[] = {
        {"endpoint", endpoint},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "endpoint show", args, &doc);
    if (rc)
        return rc;
    const char *proxy = show_str(doc, "proxy");
    *ret = xstrdup(*proxy ? proxy : destination);
    json_decref(doc);
    return EXIT_DONE;
}

static int add_each(struct jobspec *s, const char *endpoint, const json_t *to, const json_t *shares)
{
    struct fault f = {0};
    size_t i, n = 0;
    const json_t *one;
    json_array_foreach(shares, i, one)
    {
        const char *share = show_str(one, "share"), *path = show_str(to, "path");
        if (show_flag(one, "special") || strcmp(show_str(one, "kind"), "folder") != 0)
            continue;
        if (strchr(share, '/'))
            return run_fail(EXIT_FAILED, "%s tells of a share that cannot be one", endpoint);
        CLEANUP(mem_free) char *source = xasprintf("%s:%s", endpoint, share);
        CLEANUP(mem_free)
        char *destination =
            xasprintf("%s:%s/%s", show_str(to, "host"), strcmp(path, "/") == 0 ? "" : path, share);
        CLEANUP(mem_free) char *where = xasprintf("share %s", share);
        if (jobspec_add(s, source, destination, where, &f) < 0)
            return run_fail(EXIT_USAGE, "%s", f.text);
        n++;
    }
    return n ? EXIT_DONE : run_fail(EXIT_NOT_FOUND, "%s has no share of a folder", endpoint);
}

static int expand_one(struct run *r, struct jobspec *s, const json_t *from, const json_t *to)
{
    const char *endpoint = show_str(from, "host");
    CLEANUP(mem_free) char *proxy = NULL;
    json_t *doc = NULL;
    int rc = proxy_of(r, endpoint, show_str(to, "host"), &proxy);
    if (rc == EXIT_DONE)
        rc = all_shares_ask(r, endpoint, proxy, &doc);
    if (rc == EXIT_DONE)
        rc = add_each(s, endpoint, to, show_find(doc, "shares"));
    json_decref(doc);
    return rc;
}

int all_shares_expand(struct run *r, struct jobspec *s)
{
    int rc = EXIT_DONE;
    for (size_t i = 0; rc == EXIT_DONE && i < json_array_size(s->pairs);) {
        json_t *pair = json_incref(json_array_get(s->pairs, i));
        const json_t *from = json_object_get(pair, "source"),
                     *to = json_object_get(pair, "destination");
        if (strcmp(show_str(from, "path"), "*") == 0) {
            (void)json_array_remove(s->pairs, i);
            rc = expand_one(r, s, from, to);
        } else {
            i++;
        }
        json_decref(pair);
    }
    return rc;
}
