/* report_accounts: counts of each pair, and each account that is not as it was. Main thread. */
#include "orchestrator/console/report_accounts.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/show.h"

static void show_row(FILE *out, const json_t *row)
{
    CLEANUP(mem_free) char *name = show_clean(show_str(row, "name"));
    CLEANUP(mem_free) char *as = show_clean(show_str(row, "as"));
    CLEANUP(mem_free) char *reason = show_clean(show_str(row, "reason"));
    const char *kind = show_str(row, "kind");
    long long id = (long long)show_int(row, "id"), to = (long long)show_int(row, "to");
    if (*reason)
        (void)fprintf(out, "    %s %s (%lld) was left alone: %s\n", kind, name, id, reason);
    else if (id != to || strcmp(name, as) != 0)
        (void)fprintf(out, "    %s %s (%lld) is %s (%lld) there\n", kind, name, id, as, to);
}

static void show_pair(FILE *out, const json_t *pair, const json_t *accounts)
{
    CLEANUP(mem_free) char *to = show_cell(show_find(pair, "destination"), CELL_PLACE);
    const json_t *counts = show_find(accounts, "counts"), *row = NULL;
    size_t i = 0;
    (void)fprintf(out, "  %s: %lld created, %lld there already, %lld merged, %lld left alone\n", to,
                  (long long)show_int(counts, "created"), (long long)show_int(counts, "same"),
                  (long long)show_int(counts, "merged"), (long long)show_int(counts, "skipped"));
    json_array_foreach(show_find(accounts, "rows"), i, row) show_row(out, row);
}

void report_accounts(FILE *out, const json_t *pairs)
{
    size_t i = 0;
    bool titled = false;
    const json_t *pair = NULL;
    json_array_foreach(pairs, i, pair)
    {
        const json_t *accounts = show_find(pair, "accounts");
        if (!accounts)
            continue;
        if (!titled)
            (void)fprintf(out, "\nUsers and groups (passwords are not carried: users that were "
                               "created are locked):\n");
        titled = true;
        show_pair(out, pair, accounts);
    }
}
