/* job_map: `godwit job map`: pages of what an id map would change, printed as they come. Main
 * thread. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/cmd_job.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct printer {
    struct run *run;
    unsigned pair;
    uint64_t entries, affected, unreadable;
    bool some; /* rows were printed: JSON wants commas */
};

static void print_row(struct printer *p, const json_t *row)
{
    size_t i = 0;
    const json_t *one = NULL;
    if (run_json(p->run)) {
        CLEANUP(mem_free) char *text = json_dumps(row, JSON_COMPACT);
        (void)printf("%s\n{\"pair\":%u,%s", p->some ? "," : "", p->pair, text ? text + 1 : "}");
        p->some = true;
        return;
    }
    CLEANUP(mem_free) char *path = show_clean(show_str(row, "path"));
    (void)printf("%u %s\n", p->pair, *path ? path : ".");
    json_array_foreach(show_find(row, "changes"), i, one)
    {
        CLEANUP(mem_free) char *text = show_clean(json_string_value(one));
        (void)printf("    %s\n", text);
    }
}

static int ask(struct printer *p, const char *after, json_t **ret)
{
    char token[TEXT_ID_LEN + 1], pair[16];
    text_new_id(token);
    (void)snprintf(pair, sizeof pair, "%u", p->pair);
    const struct arg args[] = {
        {"job",   p->run->words[0]},
        {"pair",  pair            },
        {"after", after           },
        {"token", token           },
        ARGS_END
    };
    return run_ask(p->run, "job map", args, ret);
}

/* *retpairs: of the job. */
static int print_pair(struct printer *p, unsigned *retpairs)
{
    CLEANUP(mem_free) char *after = xstrdup("");
    for (;;) {
        json_t *page = NULL;
        size_t i = 0;
        const json_t *row = NULL;
        int rc = ask(p, after, &page);
        if (rc != EXIT_DONE)
            return rc;
        json_array_foreach(show_find(page, "rows"), i, row) print_row(p, row);
        p->entries += (uint64_t)show_int(page, "entries");
        p->affected += (uint64_t)show_int(page, "affected");
        p->unreadable += (uint64_t)show_int(page, "unreadable");
        *retpairs = (unsigned)show_int(page, "pairs");
        bool done = show_flag(page, "done");
        free(after);
        after = xstrdup(show_str(page, "next"));
        json_decref(page);
        if (done || !*after)
            return EXIT_DONE;
    }
}

int job_map(struct run *r)
{
    const struct map_opts *o = r->opts;
    struct printer p = {.run = r, .pair = o->pair ? o->pair : 1};
    unsigned pairs = 1;
    int rc = EXIT_DONE;
    if (run_json(r))
        (void)printf("{\"rows\": [");
    for (; rc == EXIT_DONE && p.pair <= pairs; p.pair++) {
        rc = print_pair(&p, &pairs);
        if (o->pair)
            break;
    }
    if (run_json(r))
        (void)printf("],\n\"entries\": %" PRIu64 ", \"affected\": %" PRIu64
                     ", \"unreadable\": %" PRIu64 "}\n",
                     p.entries, p.affected, p.unreadable);
    else if (rc == EXIT_DONE)
        (void)printf("%" PRIu64 " of %" PRIu64 " entries would change; %" PRIu64
                     " could not be read\n",
                     p.affected, p.entries, p.unreadable);
    return rc;
}
