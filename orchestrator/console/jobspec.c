/* jobspec: one job as a user described it. Main thread. */
#include "orchestrator/console/jobspec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/console/mapfile.h"

const struct option_row jobspec_options[] = {
    {.name = "file",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, file),
     .value = "FILE",
     .letter = 'f',
     .help = "Job file: YAML, or CSV lines of source,destination (by its name's end, .csv)."},
    {.name = "pair",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, pair),
     .value = "HOST:PATH=HOST:PATH",
     .repeat = true,
     .help = "One source and its destination."},
    {.name = "name",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, name),
     .value = "NAME",
     .help = "What the job is called. Default: the name of the file, or job-TIME."},
    {.name = "delete",
     .kind = OPT_BOOL,
     .off = offsetof(struct jobspec, delete_extras),
     .def = "no",
     .help = "Removes from the destination what the source does not have."},
    {.name = "dry-run",
     .kind = OPT_BOOL,
     .off = offsetof(struct jobspec, dry_run),
     .def = "no",
     .help = "Says what would be done, and changes nothing."},
    {.name = "compress",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, compress),
     .def = "auto",
     .choices = "auto|on|off",
     .help = "Compression on the way; auto stops trying where it does not pay."},
    {.name = "lanes",
     .kind = OPT_UINT,
     .off = offsetof(struct jobspec, lanes),
     .def = "0",
     .max = 64,
     .help = "Connections for each pair; 0 adapts."},
    {.name = "one-file-system",
     .kind = OPT_BOOL,
     .off = offsetof(struct jobspec, one_file_system),
     .def = "no",
     .help = "Stays on the file system of the source folder."},
    {.name = "checksum",
     .kind = OPT_BOOL,
     .off = offsetof(struct jobspec, checksum),
     .def = "no",
     .help = "Reads both sides instead of trusting size and times."},
    {.name = "verify",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, verify),
     .def = "in-flight",
     .value = "in-flight|full|sample:N%",
     .help =
         "What is read again from the destination's disk after each pass, and compared: nothing "
         "more than was checked on the way, all, or some of it."},
    {.name = "manifest",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, manifest),
     .def = "off",
     .choices = "off|sha256",
     .help = "A list of all files with their SHA-256 for each pass, signed by both hosts and the "
             "orchestrator."},
    {.name = "shares",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, shares),
     .def = "list",
     .choices = "off|list|pair|all",
     .help = "Shares of a Samba server: list reads them with `--phase inventory`; pair moves those "
             "that lie in the source folder; all moves every one of the server."},
    {.name = "nfs",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, nfs),
     .def = "list",
     .choices = "off|list|pair|all",
     .help = "The same for NFS exports."},
    {.name = "full-scan",
     .kind = OPT_BOOL,
     .off = offsetof(struct jobspec, full_scan),
     .def = "no",
     .help = "Looks at everything in every pass, whatever the source's change feed knows."},
    {.name = "delta",
     .kind = OPT_BOOL,
     .off = offsetof(struct jobspec, delta),
     .def = "no",
     .help = "Of files over 8 MiB that were changed in place (databases, disks of VMs), sends only "
             "the blocks that differ from the destination's older file."},
    {.name = "snapshot",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, snapshot),
     .value = "HOW",
     .def = "none",
     .help = "none reads the source as it is; auto from a snapshot where the file system takes one "
             "(btrfs); hook:NAME runs a program of the source's host before and after."},
    {.name = "accounts",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, accounts),
     .def = "none",
     .choices = "none|rename|merge|skip",
     .help = "Creates the source's local users and groups at the destination, with their ids; "
             "where a name or an id is taken: a new name, the account that is there, or "
             "nothing."},
    {.name = "passwords",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, passwords),
     .def = "move",
     .choices = "move|lock",
     .help = "With --accounts: move lets users log on with the passwords that they have (digests "
             "travel from agent to agent only; Samba's own users and groups come with their SIDs); "
             "lock leaves them locked, and Samba's behind."},
    {.name = "quotas",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, quotas),
     .def = "keep",
     .choices = "keep|off",
     .help = "keep sets the limits that users, groups and projects have on the source's file "
             "system on the destination's, where that counts quotas; off leaves them behind."},
    {.name = "map",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, map),
     .value = "FILE",
     .help = "Which owners, groups and SIDs become which at the destination: CSV lines of "
             "kind,from,to (uid, gid or sid; numbers, ranges, SIDs, S-…-*), or the same as a list "
             "of rows in YAML."},
    {.name = "max-pairs",
     .kind = OPT_UINT,
     .off = offsetof(struct jobspec, max_pairs),
     .def = "0",
     .max = LIMIT_PAIRS,
     .help = "Pairs at once; 0 leaves it to the orchestrator."},
    {.name = "rate",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, rate),
     .value = "RATE",
     .help = "Bandwidth of the whole job, such as 200MiB/s; godwit limit set changes it later."},
    {.name = "max-source-latency",
     .kind = OPT_UINT,
     .off = offsetof(struct jobspec, max_source_latency),
     .def = "0",
     .max = 60000,
     .value = "MS",
     .help = "The source holds itself back while its own reads take longer than that; 0 does not "
             "look."},
    {.name = "lock-tries",
     .kind = OPT_UINT,
     .off = offsetof(struct jobspec, lock_tries),
     .def = "0",
     .max = 64,
     .value = "N",
     .help = "How often a file of an endpoint is tried that somebody has locked; 0 is 3."},
    {.name = "lock-wait",
     .kind = OPT_UINT,
     .off = offsetof(struct jobspec, lock_wait),
     .def = "0",
     .max = 3600,
     .value = "SECONDS",
     .help = "Between two of these tries; 0 is 60."},
    FILTER_ROWS(jobspec),
    {.name = "pre-existing",
     .kind = OPT_ENUM,
     .off = offsetof(struct jobspec, pre_existing),
     .def = "keep",
     .choices = "keep|aside|mirror",
     .help =
         "What stands in the destination before the first pass: stays, goes into a dated folder "
         "in it, or is removed where the source has no such name (as --delete does)."},
    {.name = "override",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, override),
     .value = "ID",
     .repeat = true,
     .help = "A check that need not pass, in job validate and job start."},
    {.name = "accept-loss",
     .kind = OPT_STRING,
     .off = offsetof(struct jobspec, accept_loss),
     .value = "CLASS",
     .repeat = true,
     .help = "Moves although this destination cannot keep that: posix-acl, owners …, or all; "
             "inventory show names them."},
    {.name = NULL                                                                      },
};

bool jobspec_in_file(const struct option_row *row)
{
    static const char *const not_options[] = {"file", "pair", "name", "max-pairs", "rate"};
    for (size_t i = 0; i < ARRAY_SIZE(not_options); i++)
        if (strcmp(row->name, not_options[i]) == 0)
            return false;
    return true;
}

void jobspec_done(struct jobspec *s)
{
    json_decref(s->pairs);
    json_decref(s->destinations);
    free(s->calendar);
    free(s->map_text);
    s->calendar = s->map_text = NULL;
    s->pairs = s->destinations = NULL;
}

/* before 'text' after */
static int refuse(struct fault *reterr, const char *before, const char *text, const char *after)
{
    CLEANUP(mem_free) char *shown = text_quote(text, strnlen(text, 100));
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s%s%s", before, shown, after);
}

/* The length of what stands for one byte of a path at p: itself, or \xNN; 0 when it is no such. */
static size_t path_unit(const char *p)
{
    if ((unsigned char)*p < 0x20 || *p == 0x7f)
        return 0;
    if (*p != '\\')
        return 1;
    bool hex = p[1] == 'x' && isxdigit((unsigned char)p[2]) && isxdigit((unsigned char)p[3]);
    return hex && !(p[2] == '0' && p[3] == '0') ? 4 : 0;
}

static bool has_dotdot(const char *path)
{
    for (const char *p = path; *p; p += *p == '/') {
        size_t n = strcspn(p, "/");
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return true;
        p += n;
    }
    return false;
}

/* path without doubled slashes and the one at the end, in place. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *p = path; *p; p++)
        if (*p != '/' || to == path || to[-1] != '/')
            *to++ = *p;
    if (to > path + 1 && to[-1] == '/')
        to--;
    *to = '\0';
}

int place_parse(const char *text, char **rethost, char **retpath, size_t *retat,
                struct fault *reterr)
{
    const char *colon = strchr(text, ':');
    *retat = 0;
    if (!colon)
        return refuse(reterr, "", text, " is not HOST:PATH");
    CLEANUP(mem_free) char *host = xmemdup(text, (size_t)(colon - text));
    if (!text_is_name(host, LIMIT_HOST_NAME))
        return refuse(reterr, "", host, " is not a host name");
    const char *path = colon + 1;
    *retat = (size_t)(path - text);
    if (*path == '\0')
        return refuse(reterr, "the path ", path, " does not start with /");
    if (strlen(path) > LIMIT_PATH)
        return refuse(reterr, "the path ", path, " (cut) is too long");
    for (const char *p = path; *p; p += path_unit(p)) {
        *retat = (size_t)(p - text);
        if (path_unit(p) == 0)
            return refuse(reterr, "", p,
                          ": write control bytes, and \\ itself, as \\xNN (two hex digits)");
    }
    *retat = (size_t)(path - text);
    if (has_dotdot(path))
        return refuse(reterr, "the path ", path, " has . or .. in it");
    *rethost = host;
    host = NULL;
    *retpath = xstrdup(path);
    tidy(*retpath);
    return 0;
}

static json_t *place_json(const char *host, const char *path)
{
    return json_pack("{s:s, s:s}", "host", host, "path", path);
}

static const char *text_of(const json_t *place, const char *key)
{
    const char *text = json_string_value(json_object_get(place, key));
    return text ? text : "";
}

static int add_checked(struct jobspec *s, json_t *from, json_t *to, const char *where,
                       struct fault *reterr)
{
    CLEANUP(mem_free)
    char *key = xasprintf("%s:%s", text_of(to, "host"), text_of(to, "path"));
    const char *earlier = json_string_value(json_object_get(s->destinations, key));
    if (earlier) {
        CLEANUP(mem_free) char *shown = text_quote(key, strnlen(key, 100));
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "destination %s is already that of %s",
                         shown, earlier);
    }
    if (json_equal(from, to))
        return refuse(reterr, "", key, " is both source and destination");
    if (json_array_size(s->pairs) >= LIMIT_PAIRS)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "more than %d pairs: make several jobs",
                         LIMIT_PAIRS);
    json_t *pair = json_pack("{s:O, s:O}", "source", from, "destination", to);
    if (!pair || json_array_append_new(s->pairs, pair) < 0 ||
        json_object_set_new(s->destinations, key, json_string(where)) < 0)
        return refuse(reterr, "", key, " is not UTF-8: write such bytes as \\xNN");
    return 0;
}

int jobspec_add(struct jobspec *s, const char *source, const char *destination, const char *where,
                struct fault *reterr)
{
    CLEANUP(mem_free) char *shost = NULL;
    CLEANUP(mem_free) char *spath = NULL;
    CLEANUP(mem_free) char *dhost = NULL;
    CLEANUP(mem_free) char *dpath = NULL;
    size_t at = 0;
    if (place_parse(source, &shost, &spath, &at, reterr) < 0 ||
        place_parse(destination, &dhost, &dpath, &at, reterr) < 0)
        return -EINVAL;
    if (!s->pairs) {
        s->pairs = json_array();
        s->destinations = json_object();
    }
    if (dpath[0] == '\0') /* without a slash it is a share of an endpoint */
        return refuse(reterr, "the path ", dpath, " does not start with /");
    json_t *from = place_json(shost, spath), *to = place_json(dhost, dpath);
    int rc = from && to ? add_checked(s, from, to, where, reterr)
                        : refuse(reterr, "", from ? destination : source,
                                 " is not UTF-8: write such bytes as \\xNN");
    json_decref(from);
    json_decref(to);
    return rc;
}

/* Next to the file that names it, when that is a job file. */
int jobspec_read_map(struct jobspec *s, const char *from, struct fault *reterr)
{
    const char *slash = from && s->map[0] != '/' ? strrchr(from, '/') : NULL;
    CLEANUP(mem_free)
    char *path = slash ? xasprintf("%.*s/%s", (int)(slash - from), from, s->map) : xstrdup(s->map);
    free(s->map_text);
    s->map_text = NULL;
    return mapfile_read(path, &s->map_text, reterr);
}

/* slash: what follows the host is a path of it; else it may be a share of an endpoint. */
static int split_at(const char *text, bool slash, size_t *ret)
{
    for (const char *eq = strchr(text, '='); eq; eq = strchr(eq + 1, '=')) {
        const char *colon = strchr(eq, ':');
        if (!colon)
            return -EINVAL;
        CLEANUP(mem_free) char *host = xmemdup(eq + 1, (size_t)(colon - eq - 1));
        if (colon[1] == '\0' || (slash && colon[1] != '/') || !text_is_name(host, LIMIT_HOST_NAME))
            continue;
        *ret = (size_t)(eq - text);
        return 0;
    }
    return -EINVAL;
}

int pair_split(const char *text, size_t *ret)
{
    int rc = split_at(text, true, ret);
    return rc == 0 ? 0 : split_at(text, false, ret);
}

char *jobspec_name_of(const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t n = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    char *name = xmemdup(base, n < LIMIT_JOB_NAME ? n : LIMIT_JOB_NAME);
    for (char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            *p = '-';
    if (!isalnum((unsigned char)name[0]))
        name[0] = 'j';
    return name;
}

/* With deletion, a destination inside another would be removed as an extra of the outer one. */
static int check_nested(const struct jobspec *s, struct fault *reterr)
{
    const char *key = NULL;
    json_t *where = NULL;
    json_object_foreach(s->destinations, key, where)
    {
        CLEANUP(mem_free) char *outer = xstrdup(key);
        for (char *slash; (slash = strrchr(outer, '/')) != NULL;) {
            bool root = slash == outer || slash[-1] == ':';
            slash[root ? 1 : 0] = '\0';
            if (strcmp(outer, key) != 0 && json_object_get(s->destinations, outer))
                return refuse(
                    reterr, "", key,
                    " lies inside another destination: that does not go together with delete");
            if (root)
                break;
        }
    }
    return 0;
}

/* Is something removed or moved because the source does not have it? */
static bool goes_by_absence(const struct jobspec *s)
{
    return s->delete_extras || (s->pre_existing && strcmp(s->pre_existing, "keep") != 0);
}

static json_t *whole(const struct jobspec *s)
{
    json_t *options = json_pack(
        "{s:b, s:b, s:s, s:I, s:b, s:b, s:b, s:s, s:s}", "delete", s->delete_extras, "dry_run",
        s->dry_run, "compress", s->compress, "lanes", (json_int_t)s->lanes, "one_file_system",
        s->one_file_system, "checksum", s->checksum, "full_scan", s->full_scan, "verify",
        s->verify ? s->verify : "in-flight", "manifest", s->manifest ? s->manifest : "off");
    if (s->delta)
        (void)json_object_set_new(options, "delta", json_true());
    if (s->max_source_latency)
        (void)json_object_set_new(options, "max_source_latency",
                                  json_integer((json_int_t)s->max_source_latency));
    if (s->shares && strcmp(s->shares, "list") != 0)
        (void)json_object_set_new(options, "shares", json_string(s->shares));
    if (s->nfs && strcmp(s->nfs, "list") != 0)
        (void)json_object_set_new(options, "nfs", json_string(s->nfs));
    if (s->lock_tries)
        (void)json_object_set_new(options, "lock_tries", json_integer(s->lock_tries));
    if (s->lock_wait)
        (void)json_object_set_new(options, "lock_wait", json_integer(s->lock_wait));
    if (s->snapshot && strcmp(s->snapshot, "none") != 0)
        (void)json_object_set_new(options, "snapshot", json_string(s->snapshot));
    jobspec_filter_json(&s->filter, options);
    if (s->accounts && strcmp(s->accounts, "none") != 0)
        (void)json_object_set_new(options, "accounts", json_string(s->accounts));
    if (s->passwords && strcmp(s->passwords, "move") != 0)
        (void)json_object_set_new(options, "passwords", json_string(s->passwords));
    if (s->quotas && strcmp(s->quotas, "keep") != 0)
        (void)json_object_set_new(options, "quotas", json_string(s->quotas));
    if (s->map_text && *s->map_text)
        (void)json_object_set_new(options, "map", json_string(s->map_text));
    jobspec_list_json(options, "accept_loss", s->accept_loss);
    jobspec_list_json(options, "override", s->override);
    if (s->pre_existing && strcmp(s->pre_existing, "keep") != 0)
        (void)json_object_set_new(options, "pre_existing", json_string(s->pre_existing));
    json_t *limits = json_object();
    if (s->max_pairs)
        (void)json_object_set_new(limits, "pairs", json_integer(s->max_pairs));
    if (s->rate)
        (void)json_object_set_new(limits, "rate", json_string(s->rate));
    if (s->calendar)
        (void)json_object_set_new(limits, "calendar", json_string(s->calendar));
    return json_pack("{s:s, s:s, s:o, s:o, s:O}", "name", s->name, "workload",
                     s->workload ? s->workload : "files", "options", options, "limits", limits,
                     "pairs", s->pairs);
}

int jobspec_json(struct jobspec *s, char **ret, struct fault *reterr)
{
    if (!s->name || !text_is_name(s->name, LIMIT_JOB_NAME))
        return refuse(reterr, "", s->name ? s->name : "",
                      " is not a job name: letters, digits, '.', '_' and '-', at most 63");
    if (s->workload && strcmp(s->workload, "files") != 0)
        return refuse(reterr, "there is no workload ", s->workload, "; there is: files");
    if (json_array_size(s->pairs) == 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "no pair: give --pair HOST:PATH=HOST:PATH or a job file with pairs");
    uint64_t rate = 0;
    if (s->rate && rate_parse(s->rate, &rate) < 0)
        return refuse(reterr, "the rate ", s->rate,
                      " is not such as 200MiB/s, 100Mbit/s, none or unlimited");
    int rc = goes_by_absence(s) ? check_nested(s, reterr) : 0;
    if (rc < 0)
        return rc;
    json_t *doc = whole(s);
    char *text = json_dumps(doc, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(doc);
    if (!text || strlen(text) > LIMIT_CONSOLE_OPENED) {
        free(text);
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the list of pairs is too large (8 MiB at most): make several jobs");
    }
    *ret = text;
    return 0;
}
