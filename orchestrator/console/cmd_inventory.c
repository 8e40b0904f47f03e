/* cmd_inventory: `godwit inventory show`. Main thread. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/inventory_host.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct inventory_opts {
    bool details;
};

static const struct column columns[] = {
    {"PAIR",        "n",                     CELL_COUNT},
    {"SOURCE",      "place",                 CELL_PLACE},
    {"FILES",       "inventory.files",       CELL_COUNT},
    {"FOLDERS",     "inventory.folders",     CELL_COUNT},
    {"BYTES",       "inventory.bytes",       CELL_BYTES},
    {"LINKS",       "inventory.symlinks",    CELL_COUNT},
    {"HARD LINKED", "inventory.hard_linked", CELL_COUNT},
    {"SPARSE",      "inventory.sparse",      CELL_COUNT},
    {"ACL",         "inventory.with_acl",    CELL_COUNT},
    {"XATTR",       "inventory.with_xattr",  CELL_COUNT},
    {"UNREADABLE",  "inventory.unreadable",  CELL_COUNT},
    {"FILE SYSTEM", "inventory.file_system", CELL_TEXT },
    {"STATE",       "state",                 CELL_TEXT },
    {NULL,          NULL,                    CELL_TEXT },
};

static const struct column details[] = {
    {"Source",            "place",                     CELL_PLACE},
    {"Files",             "inventory.files",           CELL_COUNT},
    {"Folders",           "inventory.folders",         CELL_COUNT},
    {"Symbolic links",    "inventory.symlinks",        CELL_COUNT},
    {"Devices",           "inventory.devices",         CELL_COUNT},
    {"Fifos",             "inventory.fifos",           CELL_COUNT},
    {"Sockets",           "inventory.sockets",         CELL_COUNT},
    {"Bytes",             "inventory.bytes",           CELL_BYTES},
    {"Allocated",         "inventory.allocated_bytes", CELL_BYTES},
    {"Hard linked",       "inventory.hard_linked",     CELL_COUNT},
    {"Sparse files",      "inventory.sparse",          CELL_COUNT},
    {"With ACL",          "inventory.with_acl",        CELL_COUNT},
    {"With attributes",   "inventory.with_xattr",      CELL_COUNT},
    {"With capabilities", "inventory.with_capability", CELL_COUNT},
    {"With NFSv4 ACL",    "inventory.with_nfs4_acl",   CELL_COUNT},
    {"With flags",        "inventory.with_flags",      CELL_COUNT},
    {"Project folders",   "inventory.with_project",    CELL_COUNT},
    {"Encrypted, verity", "inventory.sealed",          CELL_COUNT},
    {"With birth time",   "inventory.with_birth",      CELL_COUNT},
    {"Sharing blocks",    "inventory.shared_files",    CELL_COUNT},
    {"Bytes shared",      "inventory.shared_bytes",    CELL_BYTES},
    {"Set-id files",      "inventory.setid",           CELL_COUNT},
    {"Names not UTF-8",   "inventory.non_utf8",        CELL_COUNT},
    {"Longest path",      "inventory.longest_path",    CELL_COUNT},
    {"Deepest folder",    "inventory.deepest",         CELL_COUNT},
    {"Largest folder",    "inventory.largest_folder",  CELL_COUNT},
    {"Left out",          "inventory.left_out",        CELL_COUNT},
    {"Newest change",     "inventory.newest_ms",       CELL_DATE },
    {"Oldest change",     "inventory.oldest_ms",       CELL_DATE },
    {"Cold for 1 year",   "inventory.cold_bytes_1y",   CELL_BYTES},
    {"Cold for 3 years",  "inventory.cold_bytes_3y",   CELL_BYTES},
    {"Cold for 5 years",  "inventory.cold_bytes_5y",   CELL_BYTES},
    {"Unreadable",        "inventory.unreadable",      CELL_COUNT},
    {"File system",       "inventory.file_system",     CELL_TEXT },
    {"Its size",          "inventory.fs_size",         CELL_BYTES},
    {"Used of it",        "inventory.fs_used",         CELL_BYTES},
    {"Counting took",     "inventory.elapsed_ms",      CELL_AGE  },
    {"Memory for it",     "inventory.peak_rss",        CELL_BYTES},
    {NULL,                NULL,                        CELL_TEXT },
};

/* "[0] empty, [n] sizes below 4^n KiB, last: the rest" as lines. */
static void show_histogram(const json_t *sizes)
{
    size_t n = json_array_size(sizes);
    for (size_t i = 0; i < n; i++) {
        char count[32], limit[16];
        int64_t files = (int64_t)json_integer_value(json_array_get(sizes, i));
        if (files <= 0)
            continue;
        show_count((uint64_t)files, count);
        text_bytes(i < 20 ? 1024ULL << (2 * i) : UINT64_MAX, limit);
        if (i == 0)
            (void)printf("  %15s empty\n", count);
        else
            (void)printf("  %15s %s %s\n", count, i + 1 == n ? "larger than before" : "below",
                         i + 1 == n ? "" : limit);
    }
}

static const struct column share_columns[] = {
    {"PAIR",    "n",                     CELL_COUNT},
    {"SHARE",   "name",                  CELL_TEXT },
    {"KIND",    "kind",                  CELL_TEXT },
    {"FROM",    "origin",                CELL_TEXT },
    {"PATH",    "path",                  CELL_TEXT },
    {"INSIDE",  "inside",                CELL_YES  },
    {"MISSING", "missing",               CELL_YES  },
    {"FILES",   "counted.files",         CELL_COUNT},
    {"BYTES",   "counted.bytes",         CELL_BYTES},
    {"NEWEST",  "counted.newest_ms",     CELL_DATE },
    {"OLDEST",  "counted.oldest_ms",     CELL_DATE },
    {"COLD 1Y", "counted.cold_bytes_1y", CELL_BYTES},
    {"ACL",     "acl",                   CELL_TEXT },
    {NULL,      NULL,                    CELL_TEXT },
};

static const struct column export_columns[] = {
    {"PAIR",    "n",             CELL_COUNT},
    {"EXPORT",  "path",          CELL_TEXT },
    {"CLIENTS", "clients",       CELL_TEXT },
    {"FILE",    "file",          CELL_TEXT },
    {"INSIDE",  "inside",        CELL_YES  },
    {"FILES",   "counted.files", CELL_COUNT},
    {"BYTES",   "counted.bytes", CELL_BYTES},
    {NULL,      NULL,            CELL_TEXT },
};

static const struct column account_columns[] = {
    {"KIND",    "kind",    CELL_TEXT },
    {"NAME",    "name",    CELL_TEXT },
    {"ID",      "id",      CELL_PLAIN},
    {"GROUP",   "group",   CELL_TEXT },
    {"SID",     "sid",     CELL_TEXT },
    {"MEMBERS", "members", CELL_LIST },
    {NULL,      NULL,      CELL_TEXT },
};

/* The lists of all pairs as one, each row with its pair's number. */
static void show_list(const json_t *pairs, const char *key, const struct column *cols)
{
    json_t *rows = json_array(), *pair = NULL, *row = NULL;
    size_t i = 0, k = 0;
    json_array_foreach(pairs, i, pair)
    {
        json_array_foreach(show_find(pair, key), k, row)
        {
            json_t *one = json_copy(row);
            (void)json_object_set(one, "n", json_object_get(pair, "n"));
            (void)json_array_append_new(rows, one);
        }
    }
    if (json_array_size(rows) > 0)
        (void)fputc('\n', stdout);
    show_table(stdout, cols, rows);
    json_decref(rows);
}

static void show_shares(const json_t *pairs)
{
    size_t i = 0, k = 0;
    json_t *pair = NULL, *warning = NULL;
    show_list(pairs, "inventory.shares.list", share_columns);
    show_list(pairs, "inventory.shares.exports", export_columns);
    json_array_foreach(pairs, i, pair)
    {
        json_array_foreach(show_find(pair, "inventory.shares.warnings"), k, warning)
        {
            CLEANUP(mem_free) char *text = show_cell(warning, CELL_TEXT);
            (void)printf("Pair %lld: %s\n", (long long)show_int(pair, "n"), text);
        }
    }
}

static void add_accounts(json_t *rows, const json_t *list, const char *kind, const char *id)
{
    json_t *one = NULL;
    size_t i = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, one)
    {
        json_t *row = json_copy(one);
        (void)json_object_set_new(row, "kind", json_string(kind));
        (void)json_object_set(row, "id", json_object_get(one, id));
        (void)json_array_append_new(rows, row);
    }
}

/* Local users and groups: how many; with details each. */
static void show_accounts(const json_t *pair, bool each)
{
    const json_t *users = show_find(pair, "inventory.accounts.users");
    const json_t *groups = show_find(pair, "inventory.accounts.groups");
    long long n = (long long)show_int(pair, "n");
    if (!show_find(pair, "inventory.accounts"))
        return;
    if (*show_str(pair, "inventory.accounts.why"))
        (void)printf("Pair %lld: accounts: %s\n", n, show_str(pair, "inventory.accounts.why"));
    else
        (void)printf("Pair %lld: %zu local users, %zu local groups%s%s\n", n,
                     json_array_size(users), json_array_size(groups),
                     *show_str(pair, "inventory.accounts.no_sids") ? "; no SIDs: " : "",
                     show_str(pair, "inventory.accounts.no_sids"));
    if (!each)
        return;
    json_t *rows = json_array();
    add_accounts(rows, users, "user", "uid");
    add_accounts(rows, groups, "group", "gid");
    show_table(stdout, account_columns, rows);
    json_decref(rows);
}

/* What each share sets, as smb.conf would have it. */
static void show_parameters(const json_t *pair)
{
    size_t i = 0;
    json_t *share = NULL;
    json_array_foreach(show_find(pair, "inventory.shares.list"), i, share)
    {
        CLEANUP(mem_free) char *name = show_cell(show_find(share, "name"), CELL_TEXT);
        const char *key = NULL;
        json_t *value = NULL;
        (void)printf("  [%s]\n", name);
        json_t *all = json_object_get(share, "parameters");
        json_object_foreach(all, key, value)
        {
            CLEANUP(mem_free) char *text = show_cell(value, CELL_TEXT);
            CLEANUP(mem_free) char *clean = show_clean(key);
            (void)printf("    %s = %s\n", clean, text);
        }
        show_histogram(show_find(share, "counted.size_histogram"));
    }
}

static int inventory_show(struct run *r)
{
    const struct inventory_opts *o = r->opts;
    const struct arg args[] = {
        {"job", r->words[0]},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "inventory show", args, &doc);
    if (rc)
        return rc;
    size_t i = 0;
    json_t *pair = NULL;
    json_array_foreach(show_find(doc, "pairs"), i, pair)(void) json_object_set_new(
        pair, "place",
        json_pack("{s:s, s:s}", "host", show_str(pair, "host"), "path", show_str(pair, "path")));
    if (run_json(r))
        run_print_json(doc);
    else if (!o->details) {
        inventory_hosts(stdout, show_find(doc, "hosts"));
        show_table(stdout, columns, show_find(doc, "pairs"));
        inventory_contracts(stdout, show_find(doc, "pairs"));
    } else
        json_array_foreach(show_find(doc, "pairs"), i, pair)
        {
            show_fields(stdout, details, pair);
            show_histogram(show_find(pair, "inventory.size_histogram"));
            show_parameters(pair);
            (void)fputc('\n', stdout);
        }
    if (!run_json(r)) {
        show_shares(show_find(doc, "pairs"));
        json_array_foreach(show_find(doc, "pairs"), i, pair) show_accounts(pair, o->details);
    }
    json_decref(doc);
    return EXIT_DONE;
}

static const struct option_row options[] = {
    {.name = "details",
     .kind = OPT_BOOL,
     .off = offsetof(struct inventory_opts, details),
     .def = "no",
     .help = "All that was counted, pair by pair, with a histogram of sizes."},
    {.name = NULL},
};

static const char *const examples[] = {
    "godwit job inventory wave1 --wait",
    "godwit inventory show wave1",
    "godwit inventory show wave1 --details",
    NULL,
};

const struct command inventory_commands[] = {
    {.noun = "inventory",
     .verb = "show",
     .words = "JOB",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_JOB,
     .options = options,
     .opts_size = sizeof(struct inventory_opts),
     .help = "Shows the hosts of a job, and what its sources hold and share, as last looked at.",
     .examples = examples,
     .run = inventory_show},
    {.noun = NULL     },
};
