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

/* Passwords, and Samba's users and groups. */
static void show_passwords(FILE *out, const json_t *p)
{
    size_t i = 0;
    const json_t *note = NULL;
    (void)fprintf(out,
                  "    passwords: %lld set, %lld kept as they were changed there, %lld users "
                  "have none: locked\n",
                  (long long)show_int(p, "passwords"), (long long)show_int(p, "passwords_kept"),
                  (long long)show_int(p, "passwords_none"));
    if (show_flag(p, "samba"))
        (void)fprintf(
            out,
            "    Samba: users %lld created, %lld updated, %lld there already, %lld left; "
            "groups %lld created, %lld there already, %lld left\n",
            (long long)show_int(p, "users_created"), (long long)show_int(p, "users_updated"),
            (long long)show_int(p, "users_same"), (long long)show_int(p, "users_skipped"),
            (long long)show_int(p, "groups_created"), (long long)show_int(p, "groups_same"),
            (long long)show_int(p, "groups_skipped"));
    const char *from = show_str(p, "source_sid"), *to = show_str(p, "sid");
    if (*from && strcmp(from, to) != 0)
        (void)fprintf(out,
                      "    the machine's SID is another: %s-RID in NT ACLs and share descriptors "
                      "becomes %s-RID\n",
                      from, to);
    json_array_foreach(show_find(p, "notes"), i, note)
    {
        CLEANUP(mem_free) char *text = show_clean(json_string_value(note));
        (void)fprintf(out, "    %s\n", text);
    }
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
    json_array_foreach(show_find(accounts, "beside"), i, row)
    {
        CLEANUP(mem_free) char *text = show_clean(json_string_value(row));
        (void)fprintf(out, "    %s\n", text);
    }
    const json_t *passwords = show_find(accounts, "passwords");
    if (passwords)
        show_passwords(out, passwords);
    else if (show_flag(accounts, "locks"))
        (void)fprintf(out, "    passwords are not carried: users that were created are locked\n");
    else
        (void)fprintf(out, "    passwords, and Samba's users and groups, would come along\n");
}

static void show_quotas(FILE *out, const json_t *pair, const json_t *quotas)
{
    CLEANUP(mem_free) char *to = show_cell(show_find(pair, "destination"), CELL_PLACE);
    const json_t *note = NULL;
    size_t i = 0;
    (void)fprintf(out,
                  "  %s: quotas: %lld set, %lld there already, %lld cleared, %lld left as they are "
                  "there, %lld not possible\n",
                  to, (long long)show_int(quotas, "set"), (long long)show_int(quotas, "same"),
                  (long long)show_int(quotas, "cleared"), (long long)show_int(quotas, "kept"),
                  (long long)show_int(quotas, "failed"));
    if (show_int(quotas, "graces_set") > 0)
        (void)fprintf(out, "    grace times of %lld kinds of quotas were set\n",
                      (long long)show_int(quotas, "graces_set"));
    json_array_foreach(show_find(quotas, "notes"), i, note)
    {
        CLEANUP(mem_free) char *text = show_cell(note, CELL_TEXT);
        (void)fprintf(out, "    %s\n", text);
    }
}

void report_accounts(FILE *out, const json_t *pairs)
{
    size_t i = 0;
    bool titled = false;
    const json_t *pair = NULL;
    json_array_foreach(pairs, i, pair)
    {
        const json_t *accounts = show_find(pair, "accounts");
        const json_t *quotas = show_find(pair, "quotas");
        if (!accounts && !quotas)
            continue;
        if (!titled)
            (void)fprintf(out, "\nUsers and groups:\n");
        titled = true;
        if (accounts)
            show_pair(out, pair, accounts);
        if (quotas)
            show_quotas(out, pair, quotas);
    }
}
