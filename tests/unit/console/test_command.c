/* test_command: the table is whole, the parser finds its rows, and completion offers them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "orchestrator/console/command.h"
#include "orchestrator/console/complete.h"
#include "orchestrator/console/help.h"
#include "tests/unit/test.h"

static void every_row_can_be_run_and_explained(void **state)
{
    (void)state;
    for (const struct noun *n = nouns; n->name; n++)
        for (const struct command *c = n->commands; c->noun; c++) {
            assert_string_equal(c->noun, n->name);
            assert_non_null(c->run);
            assert_non_null(c->words);
            assert_true(c->help && c->help[strlen(c->help) - 1] == '.');
            assert_true(c->max_words < 0 || c->min_words <= c->max_words);
            assert_ptr_equal(command_find(noun_find(n->name), c->verb), c);
            struct option_row *rows = command_rows(c);
            for (const struct option_row *r = rows; r->name; r++) {
                assert_non_null(r->help);
                for (const struct option_row *other = r + 1; other->name; other++) {
                    assert_string_not_equal(r->name, other->name);
                    assert_true(!r->letter || r->letter != other->letter);
                }
            }
            free(rows);
        }
}

static void help_and_manual_name_every_command(void **state)
{
    (void)state;
    for (const struct noun *n = nouns; n->name; n++) {
        char *all = NULL, *man = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&all, &len);
        help_all(out);
        (void)fclose(out);
        out = open_memstream(&man, &len);
        man_noun(n, out);
        (void)fclose(out);
        for (const struct command *c = n->commands; c->noun; c++) {
            char *name = command_name(c);
            assert_true(c->hidden || (strstr(all, name) && strstr(man, name)));
            free(name);
        }
        free(all);
        free(man);
    }
}

static int run_line(const char *line)
{
    char *copy = xstrdup(line), *argv[16], *save = NULL;
    int argc = 0;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    int rc = command_main(argc, argv);
    free(copy);
    return rc;
}

/* Standard output and error go nowhere meanwhile. */
static void the_command_line_gives_the_documented_codes(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        {"--help",                                       0},
        {"--version",                                    0},
        {"help",                                         0},
        {"job --help",                                   0},
        {"job create --help",                            0},
        {"-o json job create --help",                    0},
        {"completion bash",                              0},
        {"man",                                          0},
        {"",                                             2},
        {"job",                                          2},
        {"nothing",                                      2},
        {"job nothing",                                  2},
        {"job show",                                     2},
        {"job show a b",                                 2},
        {"job show a --none",                            2},
        {"job list -o xml",                              2},
        {"agent rename a",                               2},
        {"job create",                                   2},
        {"job create vm --pair a:/x=b:/y",               2},
        {"job create files --pair a:/x",                 2},
        {"job create files --pair a:/x=b:/y --name a/b", 2},
        {"job create -f /nonexistent/wave.yaml",         2},
        {"token create",                                 2},
        {"migrate /",                                    2},
        {"migrate /nonexistent/a /tmp/b",                6},
        {"vm plan web",                                  2},
        {"vm plan web --to kvm2 --rate fast",            2},
        {"status --state /nonexistent/state",            1},
        {"--state /nonexistent/state job list",          1},
        {"agent approve a b --state /nonexistent/state", 1},
        {"agent install a --package /nonexistent/p.deb", 2},
    };
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    int got[ARRAY_SIZE(cases)];
    (void)fflush(NULL);
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        got[i] = run_line(cases[i].line);
    (void)fflush(NULL);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)close(null);
    (void)close(out);
    (void)close(err);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (got[i] != cases[i].code)
            fail_msg("godwit %s: %d, not %d", cases[i].line, got[i], cases[i].code);
}

static void completion_offers_what_may_follow(void **state)
{
    (void)state;
    static const struct {
        const char *before, *part, *want;
    } cases[] = {
        {"",                       "st",  "status"                          },
        {"",                       "m",   "migrate"                         }, /* man is hidden */
        {"",                       "--v", "--version"                       },
        {"job",                    "re",  "resume retry report"             },
        {"completion",             "",    "bash"                            },
        {"-o json job",            "wa",  "watch"                           },
        {"-o",                     "",    "table json"                      },
        {"job list --output",      "j",   "json"                            },
        {"job create",             "f",   "files"                           },
        {"job create",             "--l", "--lanes --lock-tries --lock-wait"},
        {"job create --compress",  "o",   "on off"                          },
        {"job create -f",          "wav", ":files"                          },
        {"job create --delete",    "fi",  "files"                           },
        {"migrate",                "/t",  ":files"                          },
        {"job show --state /none", "",    ""                                },
        {"nothing",                "",    ""                                },
        {"job nothing",            "",    ""                                },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *copy = xstrdup(cases[i].before), *words[16], *save = NULL, got[512] = "";
        int n = 0;
        for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
            words[n++] = w;
        json_t *list = complete_words(n, words, cases[i].part), *one = NULL;
        size_t k = 0;
        json_array_foreach(list, k, one)
        {
            (void)strncat(got, k ? " " : "", 2);
            (void)strncat(got, json_string_value(one), 60);
        }
        assert_string_equal(got, cases[i].want);
        json_decref(list);
        free(copy);
    }
}

/* engine_job_delete() keeps them. */
static void the_help_of_delete_says_that_reports_stay(void **state)
{
    (void)state;
    assert_non_null(strstr(command_find(noun_find("job"), "delete")->help, "reports are kept"));
}

int main(void)
{
    (void)unsetenv("GODWIT_STATE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_help_of_delete_says_that_reports_stay),
        cmocka_unit_test(every_row_can_be_run_and_explained),
        cmocka_unit_test(help_and_manual_name_every_command),
        cmocka_unit_test(the_command_line_gives_the_documented_codes),
        cmocka_unit_test(completion_offers_what_may_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
