/* godwit_agent: the program: commands, options, configuration file. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/identity/identity.h"
#include "agent/status.h"
#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/option.h"
#include "common/wire/limits.h"

#define TOKEN_MAX 4096

struct command_line {
    struct agent_conf conf; /* first: its table is used for the configuration file too */
    char *config;
    char *token_file;
    char *output;
    char *order;
    uint64_t wait_ms;
    bool again, help, version, man;
};

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define CONF(member) offsetof(struct agent_conf, member)
#define LINE(member) offsetof(struct command_line, member)

static const struct option_row conf_rows[] = {
    {.name = "state-dir",
     .kind = OPT_STRING,
     .off = CONF(state_dir),
     .value = "DIR",
     .def = "/var/lib/godwit/agent",
     .help = "Where keys, the op log and the catalogues are kept."},
    {.name = "lane-listen",
     .kind = OPT_STRING,
     .off = CONF(lane_listen),
     .value = "ADDRESS",
     .def = "",
     .help = "Address on which other agents' data comes in; empty is every address."},
    {.name = "lane-port",
     .kind = OPT_UINT,
     .off = CONF(lane_port),
     .value = "PORT",
     .def = TEXT(PORT_LANES),
     .max = 65535,
     .help = "TCP port for other agents' data; 0 is any free one."},
    {.name = "lane-address",
     .kind = OPT_STRING,
     .off = CONF(lane_address),
     .value = "ADDRESS",
     .def = "",
     .help = "Address that other agents are told to send to; empty is the one that the "
             "orchestrator sees."},
    {.name = "workers",
     .kind = OPT_UINT,
     .off = CONF(workers),
     .value = "N",
     .def = "32",
     .min = 1,
     .max = 1024,
     .help = "Steps that run at once; more wait in line."},
    {.name = "hooks",
     .kind = OPT_STRING,
     .off = CONF(hooks),
     .value = "DIR",
     .def = "/etc/godwit/hooks",
     .help = "Folder of the programs that a job may name with snapshot: hook:NAME. DIR/NAME is run "
             "with pre before the source is read and with post after; empty allows none."},
    {.name = "io-priority",
     .kind = OPT_ENUM,
     .off = CONF(io_priority),
     .value = "HOW",
     .def = "normal",
     .choices = "normal|low|idle",
     .help = "How steps share disk and processor with what else runs here: low is the last place "
             "among equals and nice 10, idle only takes what nobody wants."},
    {.name = "log-level",
     .kind = OPT_ENUM,
     .off = CONF(log_level),
     .value = "LEVEL",
     .def = "info",
     .choices = "error|warning|info|debug",
     .help = "What is logged."},
    {0                                                         },
};

static const struct option_row line_rows[] = {
    {.name = "config",
     .letter = 'c',
     .kind = OPT_STRING,
     .off = LINE(config),
     .value = "FILE",
     .def = "/etc/godwit/agent.conf",
     .help = "The configuration file; it may be missing."},
    {.name = "token-file",
     .kind = OPT_STRING,
     .off = LINE(token_file),
     .value = "FILE",
     .def = "",
     .help = "enrol: read the token from this file; without it, from standard input."},
    {.name = "wait",
     .kind = OPT_DURATION,
     .off = LINE(wait_ms),
     .value = "TIME",
     .def = "1m",
     .help = "enrol: how long to wait for an operator's approval."},
    {.name = "again",
     .kind = OPT_BOOL,
     .off = LINE(again),
     .def = "no",
     .help = "enrol: also when this host is enrolled already; it gets a new key."},
    {.name = "output",
     .letter = 'o',
     .kind = OPT_ENUM,
     .off = LINE(output),
     .value = "FORM",
     .def = "table",
     .choices = "table|json",
     .help = "status: how to print."},
    {.name = "order",
     .kind = OPT_STRING,
     .off = LINE(order),
     .value = "NAME",
     .def = "",
     .help = "stage: the order in STATE_DIR/cutover/run; given by the unit godwit-identity@."},
    {.name = "help",
     .letter = 'h',
     .kind = OPT_BOOL,
     .off = LINE(help),
     .def = "no",
     .help = "Print this text."},
    {.name = "version",
     .kind = OPT_BOOL,
     .off = LINE(version),
     .def = "no",
     .help = "Print the version."},
    {.name = "man",
     .kind = OPT_BOOL,
     .off = LINE(man),
     .def = "no",
     .help = "Print the manual page (troff)."},
    {0                                     },
};

static struct option_row all_rows[ARRAY_SIZE(conf_rows) + ARRAY_SIZE(line_rows) - 1];

static void join_rows(void)
{
    size_t n = ARRAY_SIZE(conf_rows) - 1;
    memcpy(all_rows, conf_rows, n * sizeof *conf_rows);
    memcpy(all_rows + n, line_rows, sizeof line_rows);
}

static const char commands_text[] =
    "Usage: godwit-agent [run] [OPTION...]\n"
    "       godwit-agent enrol [--token-file FILE] [--wait TIME] [--again]\n"
    "       godwit-agent status [-o table|json]\n"
    "       godwit-agent stage --order NAME\n"
    "       godwit-agent boot\n"
    "\n"
    "The agent of a Godwit fleet: dials its orchestrator and does the steps of migrations.\n"
    "\n"
    "  run      (default) the daemon; before this host is enrolled it waits for that\n"
    "  enrol    redeem a token of `godwit token create`, read from standard input\n"
    "  status   what this host's agent is and does\n"
    "  stage    one stage of a cutover; the agent starts it as a unit of its own\n"
    "  boot     before the network is up: what a cutover that nobody ended left; started by "
    "godwit-boot.service\n"
    "\n";

static const char tail_text[] =
    "\n"
    "Examples:\n"
    "  sudo godwit-agent enrol <<< 'godwit1.…'\n"
    "  sudo godwit-agent status -o json\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 4 not permitted or denied, 5 enrolled already or\n"
    "another agent runs, 6 no state directory, 7 not approved or not reached in time.\n";

static int show_help(void)
{
    (void)fputs(commands_text, stdout);
    (void)puts("Options:");
    options_help(all_rows, stdout);
    (void)fputs(tail_text, stdout);
    return 0;
}

static int show_man(void)
{
    (void)puts(
        ".TH GODWIT-AGENT 8 \"\" \"godwit " GODWIT_VERSION "\" \"Godwit\"\n"
        ".SH NAME\ngodwit-agent \\- agent of a Godwit fleet\n"
        ".SH SYNOPSIS\n.B godwit-agent\n[run|enrol|status|stage|boot] [\\fIOPTION\\fR...]\n"
        ".SH DESCRIPTION\n"
        "Dials its orchestrator and does the steps of migrations on this host.\n"
        ".TP\n.B run\nThe daemon (default). Before this host is enrolled it waits for that.\n"
        ".TP\n.B enrol\nRedeems a token of \\fBgodwit token create\\fR, read from standard "
        "input.\n"
        ".TP\n.B status\nShows what this host's agent is and does.\n"
        ".TP\n.B stage\nDoes one stage of a cutover that the agent left in "
        "\\fISTATE_DIR/cutover/run\\fR. The agent starts it as godwit\\-identity@.service, which "
        "has the rights to change names and addresses; it is not for people.\n"
        ".TP\n.B boot\nRun by godwit\\-boot.service at the start of the host, before Samba and the "
        "network: a destination that restarts in the middle of a cutover is itself again before "
        "anybody sees it.\n"
        ".SH OPTIONS");
    options_man(all_rows, stdout);
    (void)puts(".SH CONFIGURATION\nThe file holds \\fIkey = value\\fR lines; keys are these:");
    options_man(conf_rows, stdout);
    (void)puts(".SH EXIT STATUS\n0 done, 1 failed, 2 usage, 4 not permitted or denied, 5 enrolled "
               "already or another agent runs, 6 no state directory, 7 not in time.\n"
               ".SH FILES\n.I /etc/godwit/agent.conf\n.br\n.I /var/lib/godwit/agent\n"
               ".SH SEE ALSO\n.BR godwit (1),\n.BR godwitd (8)");
    return 0;
}

static int usage(const char *text)
{
    (void)fprintf(stderr, "godwit-agent: %s\nTry 'godwit-agent --help'.\n", text);
    return 2;
}

/* The command line says where the file is, and wins over it: so it is read twice. */
static int read_options(struct command_line *line, int argc, char **argv, char **words, int *nwords)
{
    struct fault f = {0};
    options_defaults(all_rows, line);
    if (options_args(all_rows, line, argc - 1, argv + 1, words, nwords, &f) < 0)
        return usage(f.text);
    int rc = options_file(conf_rows, line, line->config, &f);
    if (rc < 0 && rc != -ENOENT) {
        (void)fprintf(stderr, "godwit-agent: %s\n", f.text);
        return 2;
    }
    *nwords = 0;
    (void)options_args(all_rows, line, argc - 1, argv + 1, words, nwords, &f);
    return 0;
}

/* Up to the end of the first line; the rest, and blanks around it, are not looked at. */
static void first_line(char *text)
{
    char *from = text + strspn(text, " \t\r\n");
    size_t n = strcspn(from, " \t\r\n");
    memmove(text, from, n);
    text[n] = '\0';
}

static int read_token(const char *file, char token[TOKEN_MAX + 1])
{
    const char *path = *file ? file : "/dev/stdin";
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (!*file && isatty(STDIN_FILENO))
        (void)fprintf(stderr, "Paste the token and press Enter, then Ctrl-D:\n");
    int rc = file_read(path, TOKEN_MAX, &text, &len);
    if (rc < 0)
        return rc;
    memcpy(token, text, len + 1);
    explicit_bzero(text, len);
    first_line(token);
    return 0;
}

static int do_enrol(const struct command_line *line)
{
    char token[TOKEN_MAX + 1];
    int rc = read_token(line->token_file, token);
    if (rc < 0) {
        (void)fprintf(stderr, "godwit-agent: cannot read the token: %s\n", strerror(-rc));
        return 2;
    }
    if (!*token)
        return usage("no token on standard input");
    int64_t wait = (int64_t)line->wait_ms;
    int code = line->again ? agent_enrol_again(&line->conf, token, wait)
                           : agent_enrol(&line->conf, token, wait);
    explicit_bzero(token, sizeof token);
    return code;
}

static int run_daemon(const struct agent_conf *conf)
{
    struct agent_conf whole = *conf;
    whole.more = vm_steps;
    return agent_run(&whole);
}

static int run_command(const struct command_line *line, const char *word)
{
    log_init("godwit-agent", log_level_parse(line->conf.log_level));
    if (strcmp(word, "run") == 0)
        return run_daemon(&line->conf);
    if (strcmp(word, "enrol") == 0 || strcmp(word, "enroll") == 0)
        return do_enrol(line);
    if (strcmp(word, "status") == 0)
        return status_show(line->conf.state_dir, strcmp(line->output, "json") == 0);
    if (strcmp(word, "stage") == 0)
        return *line->order ? identity_helper(line->conf.state_dir, line->order)
                            : usage("stage needs --order");
    if (strcmp(word, "boot") == 0)
        return identity_boot(line->conf.state_dir, "");
    CLEANUP(mem_free) char *text = xasprintf("unknown command '%s'", word);
    return usage(text);
}

int main(int argc, char **argv)
{
    struct command_line line = {0};
    CLEANUP(mem_free) char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int nwords = 0;
    join_rows();
    int code = read_options(&line, argc, argv, words, &nwords);
    if (code == 0 && line.help)
        code = show_help();
    else if (code == 0 && line.man)
        code = show_man();
    else if (code == 0 && line.version)
        (void)puts("godwit-agent " GODWIT_VERSION);
    else if (code == 0 && nwords > 1)
        code = usage("more than one command");
    else if (code == 0)
        code = run_command(&line, nwords ? words[0] : "run");
    options_free(all_rows, &line);
    return code;
}
