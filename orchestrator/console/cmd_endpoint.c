/* cmd_endpoint: `godwit endpoint …` and `godwit credential …`. A secret is read from the terminal,
 * standard input or a file, never from an argument. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/console/all_shares.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define LINE_MAX_BYTES 1024

struct endpoint_opts {
    char *address, *credentials, *proxy;
};
struct shares_opts {
    char *proxy;
};
struct credential_opts {
    char *user, *keytab, *ccache;
};

static const struct column endpoint_columns[] = {
    {"ENDPOINT",    "endpoint",    CELL_TEXT},
    {"ADDRESS",     "address",     CELL_TEXT},
    {"CREDENTIALS", "credentials", CELL_TEXT},
    {"PROXY",       "proxy",       CELL_TEXT},
    {NULL,          NULL,          CELL_TEXT},
};
static const struct column share_columns[] = {
    {"SHARE",   "share",   CELL_TEXT},
    {"KIND",    "kind",    CELL_TEXT},
    {"COMMENT", "comment", CELL_TEXT},
    {NULL,      NULL,      CELL_TEXT},
};
static const struct column credential_columns[] = {
    {"CREDENTIAL", "credential", CELL_TEXT},
    {"KIND",       "kind",       CELL_TEXT},
    {"USER",       "user",       CELL_TEXT},
    {NULL,         NULL,         CELL_TEXT},
};

static int ask_and_say(struct run *r, const struct arg *args, const char *done)
{
    CLEANUP(mem_free) char *name = command_name(r->cmd);
    json_t *doc = NULL;
    int rc = run_ask(r, name, args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("%s: %s", r->words[0], done);
    json_decref(doc);
    return EXIT_DONE;
}

static int list(struct run *r, const char *command, const struct column *columns, const char *key)
{
    json_t *doc = NULL;
    int rc = run_ask(r, command, NULL, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        show_table(stdout, columns, show_find(doc, key));
    json_decref(doc);
    return EXIT_DONE;
}

/* ── endpoints ── */

static int endpoint_add(struct run *r)
{
    const struct endpoint_opts *o = r->opts;
    if (!o->address || !o->credentials)
        return run_fail(EXIT_USAGE, "--address and --credentials are both needed");
    const struct arg args[] = {
        {"endpoint",    r->words[0]   },
        {"address",     o->address    },
        {"credentials", o->credentials},
        {"proxy",       o->proxy      },
        ARGS_END
    };
    return ask_and_say(r, args, "a job may take its shares: --pair ENDPOINT:SHARE=HOST:PATH");
}

static int endpoint_list(struct run *r)
{
    return list(r, "endpoint list", endpoint_columns, "endpoints");
}

static int endpoint_show(struct run *r)
{
    const struct arg args[] = {
        {"endpoint", r->words[0]},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "endpoint show", args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        show_fields(stdout, endpoint_columns, doc);
    json_decref(doc);
    return EXIT_DONE;
}

static int endpoint_remove(struct run *r)
{
    const struct arg args[] = {
        {"endpoint", r->words[0]},
        ARGS_END
    };
    return ask_and_say(r, args, "removed");
}

static int endpoint_shares(struct run *r)
{
    const struct shares_opts *o = r->opts;
    json_t *doc = NULL;
    int rc = all_shares_ask(r, r->words[0], o->proxy, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        show_table(stdout, share_columns, show_find(doc, "shares"));
    json_decref(doc);
    return EXIT_DONE;
}

/* ── credentials ── */

struct secret {
    char *text;
    size_t len;
};

static void secret_wipe(struct secret *s)
{
    if (s->text)
        explicit_bzero(s->text, s->len);
    free(s->text);
    *s = (struct secret){.text = NULL};
}

static void echo(bool on)
{
    struct termios t;
    if (tcgetattr(STDIN_FILENO, &t) < 0)
        return;
    t.c_lflag = on ? t.c_lflag | ECHO : t.c_lflag & ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &t);
}

/* One line of standard input; byte by byte, since what follows belongs to the next question. */
static int read_line(const char *ask, bool hidden, struct secret *ret)
{
    bool terminal = isatty(STDIN_FILENO);
    char *line = xcalloc(1, LINE_MAX_BYTES + 1);
    size_t n = 0;
    if (terminal)
        (void)fprintf(stderr, "%s: ", ask);
    if (terminal && hidden)
        echo(false);
    ssize_t k;
    while ((k = read(STDIN_FILENO, line + n, 1)) == 1 && line[n] != '\n' && n < LINE_MAX_BYTES)
        n++;
    if (terminal && hidden) {
        echo(true);
        (void)fputc('\n', stderr);
    }
    line[n] = '\0';
    *ret = (struct secret){line, n};
    return k < 0 || n == LINE_MAX_BYTES || n == 0
               ? run_fail(EXIT_USAGE, "no %s on standard input", ask)
               : EXIT_DONE;
}

static int send_credential(struct run *r, const char *kind, const char *user,
                           const struct secret *s)
{
    CLEANUP(mem_free) char *hex = xmalloc(2 * s->len + 1);
    text_hex(s->text, s->len, hex);
    const struct arg args[] = {
        {"credential", r->words[0]     },
        {"kind",       kind            },
        {"user",       user ? user : ""},
        {"secret",     hex             },
        ARGS_END
    };
    int rc = ask_and_say(r, args, "kept");
    explicit_bzero(hex, 2 * s->len);
    return rc;
}

static int from_file(struct run *r, const char *kind, const char *path)
{
    const struct credential_opts *o = r->opts;
    struct secret s = {.text = NULL};
    int rc = file_read(path, LIMIT_SECRET, &s.text, &s.len);
    if (rc < 0)
        return run_fail(rc == -ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "cannot read %s: %s", path,
                        rc == -EFBIG ? "larger than 64 KiB" : strerror(-rc));
    rc = send_credential(r, kind, o->user, &s);
    secret_wipe(&s);
    return rc;
}

static int credential_add(struct run *r)
{
    const struct credential_opts *o = r->opts;
    struct secret user = {.text = NULL}, password = {.text = NULL};
    if (o->keytab && o->ccache)
        return run_fail(EXIT_USAGE, "--keytab and --ccache do not go together");
    if (o->keytab && !o->user)
        return run_fail(EXIT_USAGE, "--keytab needs --user: whose of its keys to use");
    if (o->keytab)
        return from_file(r, "keytab", o->keytab);
    if (o->ccache)
        return from_file(r, "ccache", o->ccache);
    int rc = o->user ? EXIT_DONE : read_line("user", false, &user);
    if (rc == EXIT_DONE)
        rc = read_line("password", true, &password);
    if (rc == EXIT_DONE)
        rc = send_credential(r, "password", o->user ? o->user : user.text, &password);
    secret_wipe(&user);
    secret_wipe(&password);
    return rc;
}

static int credential_list(struct run *r)
{
    return list(r, "credential list", credential_columns, "credentials");
}

static int credential_remove(struct run *r)
{
    const struct arg args[] = {
        {"credential", r->words[0]},
        ARGS_END
    };
    return ask_and_say(r, args, "removed");
}

/* ── tables ── */

static const struct option_row endpoint_options[] = {
    {.name = "address",
     .kind = OPT_STRING,
     .off = offsetof(struct endpoint_opts, address),
     .value = "ADDRESS",
     .help = "Host name or IP address of the server, with :PORT when it is not 445. Kerberos wants "
             "the name."},
    {.name = "credentials",
     .kind = OPT_STRING,
     .off = offsetof(struct endpoint_opts, credentials),
     .value = "REF",
     .help = "Name of the credential to log on with, as godwit credential add gave it."},
    {.name = "proxy",
     .kind = OPT_STRING,
     .off = offsetof(struct endpoint_opts, proxy),
     .value = "HOST",
     .help =
         "Host whose agent reads from it and writes to it. Default: the other host of each pair."},
    {.name = NULL                                   },
};
static const struct option_row shares_options[] = {
    {.name = "proxy",
     .kind = OPT_STRING,
     .off = offsetof(struct shares_opts, proxy),
     .value = "HOST",
     .help = "Host whose agent asks. Default: the endpoint's own proxy."},
    {.name = NULL},
};
static const struct option_row credential_options[] = {
    {.name = "user",
     .kind = OPT_STRING,
     .off = offsetof(struct credential_opts, user),
     .value = "USER",
     .help = "DOMAIN\\user, user@realm or user. Default: the first line of standard input."},
    {.name = "keytab",
     .kind = OPT_STRING,
     .off = offsetof(struct credential_opts, keytab),
     .value = "FILE",
     .help = "Kerberos keys instead of a password."},
    {.name = "ccache",
     .kind = OPT_STRING,
     .off = offsetof(struct credential_opts, ccache),
     .value = "FILE",
     .help = "Kerberos tickets instead of a password; they end by themselves."},
    {.name = NULL                                     },
};

static const char *const add_examples[] = {
    "godwit endpoint add nas1 --address nas1.example.com --credentials nas-reader", NULL};
static const char *const list_examples[] = {"godwit endpoint list -o json", NULL};
static const char *const show_examples[] = {"godwit endpoint show nas1", NULL};
static const char *const remove_examples[] = {"godwit endpoint remove nas1", NULL};
static const char *const shares_examples[] = {"godwit endpoint shares nas1 --proxy new1", NULL};
static const char *const cred_add_examples[] = {
    "godwit credential add nas-reader                   # asks for user and password",
    "godwit credential add nas-reader < FILE            # user and password, a line each",
    "godwit credential add ad --user svc@EXAMPLE.COM --keytab svc.keytab", NULL};
static const char *const cred_list_examples[] = {"godwit credential list", NULL};
static const char *const cred_remove_examples[] = {"godwit credential remove nas-reader", NULL};

const struct command endpoint_commands[] = {
    {.noun = "endpoint",
     .verb = "add",
     .words = "ENDPOINT",
     .min_words = 1,
     .max_words = 1,
     .options = endpoint_options,
     .opts_size = sizeof(struct endpoint_opts),
     .help = "Names a server without an agent; again: changes it.",
     .examples = add_examples,
     .run = endpoint_add},
    {.noun = "endpoint",
     .verb = "list",
     .words = "",
     .examples = list_examples,
     .help = "Lists the servers without an agent.",
     .run = endpoint_list},
    {.noun = "endpoint",
     .verb = "show",
     .words = "ENDPOINT",
     .min_words = 1,
     .max_words = 1,
     .examples = show_examples,
     .help = "Shows one of them.",
     .run = endpoint_show},
    {.noun = "endpoint",
     .verb = "shares",
     .words = "ENDPOINT",
     .min_words = 1,
     .max_words = 1,
     .options = shares_options,
     .opts_size = sizeof(struct shares_opts),
     .examples = shares_examples,
     .help = "Lists the shares that it has, as its proxy sees them.",
     .run = endpoint_shares},
    {.noun = "endpoint",
     .verb = "remove",
     .words = "ENDPOINT",
     .min_words = 1,
     .max_words = 1,
     .examples = remove_examples,
     .help = "Forgets it; refused while a job uses it.",
     .run = endpoint_remove},
    {.noun = NULL                                        },
};

const struct command credential_commands[] = {
    {.noun = "credential",
     .verb = "add",
     .words = "REF",
     .min_words = 1,
     .max_words = 1,
     .options = credential_options,
     .opts_size = sizeof(struct credential_opts),
     .help = "Keeps a secret, encrypted, for endpoints; again: replaces it.",
     .more = "User and password are asked for at a terminal, or read from standard input, a line "
             "each. The orchestrator seals them with a key that lies in its state folder "
             "(vault.key) or comes as the systemd credential godwit-vault. They go to the proxy's "
             "agent with each order that needs them, and are stored nowhere else.", .examples = cred_add_examples,
     .run = credential_add},
    {.noun = "credential",
     .verb = "list",
     .words = "",
     .examples = cred_list_examples,
     .help = "Lists the credentials, without their secrets.",
     .run = credential_list},
    {.noun = "credential",
     .verb = "remove",
     .words = "REF",
     .min_words = 1,
     .max_words = 1,
     .examples = cred_remove_examples,
     .help = "Forgets a credential.",
     .run = credential_remove},
    {.noun = NULL},
};
