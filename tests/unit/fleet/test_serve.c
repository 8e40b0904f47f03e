/* test_serve: console commands about hosts, tokens and keys: arguments, codes, documents. */
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/serve/serve.h"
#include "tests/unit/fleet/world.h"
#include "tests/unit/test.h"

/* Asks with "name=value" words; the reply's JSON is the caller's. */
static struct serve_reply ask(struct world *w, const char *command, const char *const *words)
{
    const struct engine_limits limits = {8, 4, 4, 0};
    struct serve s = {.store = w->store, .fleet = w->fleet};
    Godwit__ConsoleRequest r = GODWIT__CONSOLE_REQUEST__INIT;
    Godwit__ConsoleArg args[4], *list[4];
    char texts[4][128];
    for (size_t i = 0; i < 4 && words[i]; i++) {
        args[i] = (Godwit__ConsoleArg)GODWIT__CONSOLE_ARG__INIT;
        (void)snprintf(texts[i], sizeof texts[i], "%s", words[i]);
        args[i].name = texts[i];
        args[i].value = strchr(texts[i], '=') + 1;
        *strchr(texts[i], '=') = '\0';
        list[i] = &args[i];
        r.n_args = i + 1;
    }
    r.args = list;
    r.command = wire_text(command);
    struct serve_reply reply;
    assert_int_equal(engine_new(&s.engine, w->store, w->fleet, &limits, NULL), 0);
    serve_request(&s, &r, &reply);
    (void)engine_free(s.engine);
    return reply;
}

#define ASK(w, command, ...)                                                                       \
    ask(w, command, (const char *const[]){__VA_ARGS__, NULL, NULL, NULL, NULL})

static const char *text(const json_t *doc, const char *name)
{
    const char *value = json_string_value(json_object_get(doc, name));
    return value ? value : "";
}

static void arguments_are_known_single_and_present(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *command;
        const char *words[4];
        enum serve_code want;
    } cases[] = {
        {"no such",       {NULL},                                   SERVE_USAGE    },
        {"",              {NULL},                                   SERVE_USAGE    },
        {"status",        {NULL},                                   SERVE_DONE     },
        {"status",        {"x=1"},                                  SERVE_USAGE    },
        {"agent list",    {NULL},                                   SERVE_DONE     },
        {"agent list",    {"host=fs1"},                             SERVE_USAGE    },
        {"agent show",    {NULL},                                   SERVE_USAGE    },
        {"agent show",    {"host=fs1"},                             SERVE_NOT_FOUND},
        {"agent show",    {"host=fs1", "host=fs2"},                 SERVE_USAGE    },
        {"agent revoke",  {"host=fs1"},                             SERVE_NOT_FOUND},
        {"agent approve", {"host=fs1"},                             SERVE_NOT_FOUND},
        {"agent deny",    {"host=fs1"},                             SERVE_NOT_FOUND},
        {"agent rename",  {"host=fs1"},                             SERVE_USAGE    },
        {"agent rename",  {"host=fs1", "to=fs2"},                   SERVE_NOT_FOUND},
        {"agent rotate",  {"host=fs1"},                             SERVE_NOT_FOUND},
        {"token create",  {NULL},                                   SERVE_USAGE    },
        {"token create",  {"host=../x"},                            SERVE_USAGE    },
        {"token create",  {"host="},                                SERVE_USAGE    },
        {"token create",  {"host=fs1", "ttl=x"},                    SERVE_USAGE    },
        {"token create",  {"host=fs1", "ttl=-5"},                   SERVE_USAGE    },
        {"token create",  {"host=fs1", "ttl=999"},                  SERVE_USAGE    },
        {"token create",  {"host=fs1", "ttl=99999999999999999999"}, SERVE_USAGE    },
        {"token create",  {"host=fs1", "uses=0"},                   SERVE_USAGE    },
        {"token create",  {"host=fs1", "uses=65537"},               SERVE_USAGE    },
        {"token create",  {"host=fs1", "ttl=60000"},                SERVE_DONE     },
        {"key list",      {NULL},                                   SERVE_DONE     },
        {"key rotate",    {"overlap=1"},                            SERVE_USAGE    },
        {"key retire",    {NULL},                                   SERVE_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct serve_reply r = ask(w, cases[i].command, cases[i].words);
        if (r.code != cases[i].want)
            fail_msg("%s: %d '%s'", cases[i].command, r.code, r.error);
        assert_true((r.code == SERVE_DONE) == (r.json != NULL));
        assert_true((r.code == SERVE_DONE) == (*r.error == '\0'));
        json_decref(r.json);
    }
}

static void every_document_names_its_schema(void **state)
{
    struct world *w = *state;
    static const char *const commands[] = {"status", "agent list", "key list", "job list"};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        struct serve_reply r = ASK(w, commands[i], NULL);
        assert_int_equal(r.code, SERVE_DONE);
        assert_int_equal(json_integer_value(json_object_get(r.json, "schema")), 1);
        json_decref(r.json);
    }
}

static void a_host_is_shown_as_it_stands(void **state)
{
    struct world *w = *state;
    struct peer p;
    world_join(w, "fs1", &p);
    struct serve_reply r = ASK(w, "agent show", "host=fs1");
    assert_string_equal(text(r.json, "state"), "approved");
    assert_string_equal(text(r.json, "presence"), "online");
    assert_string_equal(text(r.json, "reason"), "said hello");
    assert_int_equal(json_array_size(json_object_get(r.json, "key_list")), 1);
    json_decref(r.json);
    r = ASK(w, "agent rename", "host=fs1", "to=fs9");
    assert_string_equal(text(r.json, "host"), "fs9");
    json_decref(r.json);
    r = ASK(w, "agent approve", "host=fs9");
    assert_int_equal(r.code, SERVE_CONFLICT);
    r = ASK(w, "agent revoke", "host=fs9");
    assert_string_equal(text(r.json, "state"), "revoked");
    assert_string_equal(text(r.json, "presence"), "lost");
    json_decref(r.json);
    r = ASK(w, "agent revoke", "host=fs9");
    assert_int_equal(r.code, SERVE_CONFLICT);
    r = ASK(w, "status", NULL);
    json_t *hosts = json_object_get(r.json, "hosts");
    assert_int_equal(json_integer_value(json_object_get(hosts, "revoked")), 1);
    assert_int_equal(json_integer_value(json_object_get(hosts, "online")), 0);
    json_decref(r.json);
    peer_close(&p);
}

static void the_server_key_is_rotated_once_at_a_time(void **state)
{
    struct world *w = *state;
    struct serve_reply r = ASK(w, "key rotate", "overlap=60000");
    json_t *keys = json_object_get(r.json, "keys");
    assert_int_equal(json_array_size(keys), 2);
    assert_string_equal(text(json_array_get(keys, 0), "slot"), "b");
    assert_true(json_is_true(json_object_get(json_array_get(keys, 0), "current")));
    json_decref(r.json);
    r = ASK(w, "key rotate", "overlap=60000");
    assert_int_equal(r.code, SERVE_CONFLICT);
    r = ASK(w, "key retire", NULL);
    assert_int_equal(r.code, SERVE_DONE);
    json_decref(r.json);
    world_pump(w, 1200);
    r = ASK(w, "key list", NULL);
    assert_int_equal(json_array_size(json_object_get(r.json, "keys")), 1);
    json_decref(r.json);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(arguments_are_known_single_and_present),
        CASE(every_document_names_its_schema),
        CASE(a_host_is_shown_as_it_stands),
        CASE(the_server_key_is_rotated_once_at_a_time),
    };
    log_init("test", LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
