/* job_create: `godwit job create`. Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/console/all_shares.h"
#include "orchestrator/console/cmd_job.h"
#include "orchestrator/console/jobfile.h"
#include "orchestrator/console/jobspec.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

static int add_flag(struct jobspec *s, const char *text, int n, struct fault *reterr)
{
    size_t eq = 0;
    if (pair_split(text, &eq) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "--pair wants HOST:PATH=HOST:PATH, not \"%.100s\"", text);
    CLEANUP(mem_free) char *source = xmemdup(text, eq);
    CLEANUP(mem_free) char *where = xasprintf("--pair %d", n);
    return jobspec_add(s, source, text + eq + 1, where, reterr);
}

static int add_flags(struct jobspec *s, struct fault *reterr)
{
    CLEANUP(mem_free) char *list = xstrdup(s->pair);
    int rc = 0, n = 1;
    char *save = NULL;
    for (char *one = list ? strtok_r(list, "\n", &save) : NULL; one && rc == 0;
         one = strtok_r(NULL, "\n", &save))
        rc = add_flag(s, one, n++, reterr);
    return rc;
}

/* What the file says, then what the command line says over it. */
static int gather(struct run *r, struct jobspec *s, struct fault *reterr)
{
    bool in_file = false; /* the map is named by the job file */
    int rc = 0;
    if (s->file) {
        CLEANUP(mem_free) char *path = xstrdup(s->file);
        rc = jobfile_read(s, path, reterr);
        CLEANUP(mem_free) char *its_map = xstrdup(s->map);
        if (rc == 0)
            rc = run_options_again(r, reterr);
        in_file = rc == 0 && its_map && s->map && strcmp(its_map, s->map) == 0;
    }
    if (rc == 0 && s->map && *s->map)
        rc = jobspec_read_map(s, in_file ? s->file : NULL, reterr);
    if (rc == 0)
        rc = add_flags(s, reterr);
    if (rc == 0 && !s->name) {
        char at[24];
        clock_format(clock_wall_ms(), at);
        for (char *p = at; *p; p++)
            if (*p == ':')
                *p = '-';
        s->name = xasprintf("job-%s", at);
    }
    return rc;
}

int job_create(struct run *r)
{
    struct jobspec *s = (struct jobspec *)(void *)((char *)r->conf + opts_offset());
    CLEANUP(mem_free) char *text = NULL;
    struct fault f = {0};
    s->workload = r->nwords ? r->words[0] : NULL;
    int rc = gather(r, s, &f);
    int code = rc == 0 ? all_shares_expand(r, s) : EXIT_DONE;
    if (rc == 0 && code == EXIT_DONE)
        rc = jobspec_json(s, &text, &f);
    jobspec_done(s);
    if (code != EXIT_DONE)
        return code;
    if (rc < 0)
        return run_fail(EXIT_USAGE, "%s", f.text);
    const struct arg args[] = {
        {"spec", text},
        ARGS_END
    };
    json_t *doc = NULL;
    rc = run_ask(r, "job create", args, &doc);
    if (rc)
        return rc;
    const char *job = show_str(doc, "job");
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("job %s has %lld pair%s; godwit job start %s starts it", job,
                (long long)show_int(doc, "pairs"), show_int(doc, "pairs") == 1 ? "" : "s", job);
    json_decref(doc);
    return EXIT_DONE;
}
