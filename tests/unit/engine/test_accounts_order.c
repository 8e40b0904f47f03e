/* test_accounts_order: what a destination is told of the accounts that it is to make. */
#include <jansson.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/workload.h"
#include "proto/accounts.pb-c.h"
#include "tests/unit/test.h"

static const struct stage *stage(const char *name)
{
    for (size_t i = 0; i < workload_files.nstages; i++)
        if (strcmp(workload_files.stages[i].name, name) == 0)
            return &workload_files.stages[i];
    fail_msg("no stage %s", name);
    return NULL;
}

static void homes_go_where_their_folder_goes(void **state)
{
    (void)state;
    static const struct {
        const char *source, *destination, *home, *there;
    } cases[] = {
        {"/srv/data",  "/srv/new",  "/srv/data/homes/ann", "/srv/new/homes/ann"},
        {"/srv/data/", "/srv/new/", "/srv/data/homes/ann", "/srv/new/homes/ann"},
        {"/srv/data",  "/srv/new",  "/srv/data",           "/srv/new"          },
        {"/srv/data",  "/srv/new",  "/srv/database/ann",   "/srv/database/ann" },
        {"/srv/data",  "/srv/new",  "/home/ann",           "/home/ann"         },
        {"/srv/data",  "/srv/new",  "",                    ""                  },
        {"/",          "/mnt",      "/home/ann",           "/home/ann"         },
    };
    const struct stage *making = stage("Creating accounts");
    for (size_t i = 0; making && i < ARRAY_SIZE(cases); i++) {
        json_t *options = json_pack("{s:s}", "accounts", "rename");
        json_t *facts =
            json_pack("{s:{s:[{s:s,s:i,s:i,s:s,s:s,s:s,s:s}],s:[]}}", "accounts", "users", "name",
                      "ann", "uid", 1001, "gid", 1001, "gecos", "", "home", cases[i].home, "shell",
                      "/bin/sh", "group", "ann", "groups");
        struct pair_view v = {.job = "0123456789abcdef",
                              .n = 1,
                              .source_host = "fs1",
                              .destination_host = "new1",
                              .source = cases[i].source,
                              .destination = cases[i].destination,
                              .options = options,
                              .facts = facts};
        struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
        struct fault why = {.err = 0};
        assert_int_equal(making->plan(&v, s, &why), 1);
        Godwit__AccountsOrder *o = godwit__accounts_order__unpack(NULL, s[0].args_len, s[0].args);
        if (!o || o->n_users != 1) {
            fail_msg("case %zu: no order", i);
            return;
        }
        if (strcmp(o->users[0]->home, cases[i].there) != 0)
            fail_msg("case %zu: %s", i, o->users[0]->home);
        godwit__accounts_order__free_unpacked(o, NULL);
        planned_step_done(&s[0]);
        json_decref(options);
        json_decref(facts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(homes_go_where_their_folder_goes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
