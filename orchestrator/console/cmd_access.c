/* cmd_access: `godwit job access`. Main thread. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/console/cmd_job.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define WAIT_MS 320000

static const struct column columns[] = {
    {"PAIR",        "n",           CELL_COUNT},
    {"USER",        "user",        CELL_TEXT },
    {"PATH",        "path",        CELL_TEXT },
    {"RIGHT",       "right",       CELL_TEXT },
    {"ASKED",       "asked",       CELL_TEXT },
    {"SOURCE",      "source",      CELL_TEXT },
    {"DESTINATION", "destination", CELL_TEXT },
    {NULL,          NULL,          CELL_TEXT },
};

struct sums {
    int64_t same, different, silent; /* silent: pairs and answers that are not known */
};

static void show_way(const json_t *pair, const char *way, const char *what)
{
    const json_t *w = show_find(pair, way);
    int64_t same = show_int(w, "same"), different = show_int(w, "different");
    (void)printf("Pair %lld, %s: %lld answers are the same, %lld differ",
                 (long long)show_int(pair, "n"), what, (long long)same, (long long)different);
    if (show_int(w, "unknown") > 0)
        (void)printf(", %lld are not known (source: %s; destination: %s)",
                     (long long)show_int(w, "unknown"), show_str(w, "why.source"),
                     show_str(w, "why.destination"));
    if (show_int(w, "outside") > 0)
        (void)printf(", %lld are of paths that no share has", (long long)show_int(w, "outside"));
    (void)fputc('\n', stdout);
}

static void show_pair(const json_t *pair)
{
    const json_t *user;
    size_t i;
    (void)printf("Pair %lld: asked of %lld paths as", (long long)show_int(pair, "n"),
                 (long long)show_int(pair, "paths"));
    json_array_foreach(show_find(pair, "users"), i, user)
    {
        CLEANUP(mem_free) char *name = show_cell(user, CELL_TEXT);
        (void)printf("%s %s", i ? "," : "", name);
    }
    (void)fputc('\n', stdout);
    show_way(pair, "smb", "through smbd");
    show_way(pair, "local", "of the kernel");
}

/* The findings of all pairs as one list, each with its pair's number. */
static json_t *findings_of(const json_t *pairs)
{
    json_t *rows = json_array(), *pair, *row;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)pairs, i, pair)
    {
        json_array_foreach(show_find(pair, "findings"), k, row)
        {
            json_t *one = json_copy(row);
            (void)json_object_set(one, "n", json_object_get(pair, "n"));
            (void)json_array_append_new(rows, one);
        }
    }
    return rows;
}

static void add_sums(const json_t *pair, struct sums *sums)
{
    sums->same += show_int(pair, "smb.same") + show_int(pair, "local.same");
    sums->different += show_int(pair, "smb.different") + show_int(pair, "local.different");
    sums->silent += show_int(pair, "smb.unknown") + show_int(pair, "local.unknown");
}

static void show_all(struct run *r, const json_t *doc, struct sums *sums)
{
    const json_t *pairs = show_find(doc, "pairs");
    json_t *pair, *rows;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)pairs, i, pair)
    {
        sums->silent += *show_str(pair, "why") != '\0';
        add_sums(pair, sums);
        if (run_json(r))
            continue;
        if (*show_str(pair, "why"))
            (void)printf("Pair %lld: %s\n", (long long)show_int(pair, "n"), show_str(pair, "why"));
        else
            show_pair(pair);
    }
    if (run_json(r))
        return;
    rows = findings_of(pairs);
    if (json_array_size(rows) > 0)
        (void)fputc('\n', stdout);
    show_table(stdout, columns, rows);
    json_decref(rows);
}

static int verdict(const struct sums *sums)
{
    if (sums->different > 0)
        return run_fail(EXIT_FAILED, "%lld answers differ", (long long)sums->different);
    if (sums->silent > 0 || sums->same == 0)
        return run_fail(EXIT_PARTLY, "not everything could be asked");
    return EXIT_DONE;
}

int job_access(struct run *r)
{
    const struct access_opts *o = r->opts;
    const struct timespec moment = {.tv_nsec = 200 * 1000 * 1000};
    const struct arg first[] = {
        {"job",   r->words[0]},
        {"begin", "yes"      },
        {"user",  o->user    },
        {"paths", o->paths   },
        {"users", o->users   },
        {"seed",  o->seed    },
        ARGS_END
    };
    const struct arg again[] = {
        {"job", r->words[0]},
        ARGS_END
    };
    int64_t until = clock_mono_ms() + WAIT_MS;
    struct sums sums = {.same = 0};
    json_t *doc = NULL;
    int rc = run_ask(r, "job access", first, &doc);
    while (rc == 0 && show_flag(doc, "asking") && clock_mono_ms() < until) {
        (void)nanosleep(&moment, NULL);
        json_decref(doc);
        doc = NULL;
        rc = run_ask(r, "job access", again, &doc);
    }
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    show_all(r, doc, &sums);
    json_decref(doc);
    return verdict(&sums);
}

const struct option_row access_options[] = {
    {.name = "user",
     .kind = OPT_STRING,
     .off = offsetof(struct access_opts, user),
     .value = "NAME",
     .repeat = true,
     .help = "Asks as this user, named as the source knows it. Default: sampled from owners, ACL "
             "entries and groups."},
    {.name = "users",
     .kind = OPT_STRING,
     .off = offsetof(struct access_opts, users),
     .value = "N",
     .help = "At most so many users, up to 20. Default: 5, or those that are named."},
    {.name = "paths",
     .kind = OPT_STRING,
     .off = offsetof(struct access_opts, paths),
     .value = "N",
     .help = "So many files and folders of each pair, up to 200. Default: 40."},
    {.name = "seed",
     .kind = OPT_STRING,
     .off = offsetof(struct access_opts, seed),
     .value = "N",
     .help = "Another number, another sample; the same number, the same sample of the same tree."},
    {.name = NULL                   },
};
