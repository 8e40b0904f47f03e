/* prompt: `godwit console`: the same commands at a prompt, with history and completion. Main
 * thread. */
#include <errno.h>
#include <histedit.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/complete.h"
#include "orchestrator/console/interrupt.h"
#include "orchestrator/console/place.h"
#include "orchestrator/console/run.h"

#define HISTORY_LINES 1000
#define SHOWN_MAX 200

extern char **environ;

struct prompt {
    EditLine *edit;
    History *history;
    char *file; /* of the history; NULL: none */
    int worst;
};

static char *prompt_text(EditLine *edit)
{
    static char text[] = "godwit> ";
    (void)edit;
    return text;
}

/* As long as all words agree; malloc'd. */
static char *common_start(const json_t *list)
{
    char *start = xstrdup(json_string_value(json_array_get(list, 0)));
    size_t i = 0;
    const json_t *one = NULL;
    json_array_foreach(list, i, one)
    {
        const char *word = json_string_value(one);
        size_t n = 0;
        while (start[n] && start[n] == word[n])
            n++;
        start[n] = '\0';
    }
    return start;
}

static void list_words(const json_t *list)
{
    size_t i = 0;
    const json_t *one = NULL;
    (void)fputc('\n', stdout);
    json_array_foreach(list, i, one) if (i < SHOWN_MAX)(void)
        printf("%s  ", json_string_value(one));
    (void)puts("");
}

/* What TAB does, with the words of the line up to the cursor. */
static unsigned char complete_at(EditLine *edit, int n, char **words, const char *part)
{
    json_t *list = complete_words(n, words, part);
    size_t found = json_array_size(list);
    unsigned char what = CC_ERROR;
    CLEANUP(mem_free) char *start = found ? common_start(list) : NULL;
    if (start && start[0] != ':' && strlen(start) > strlen(part)) {
        CLEANUP(mem_free)
        char *rest = xasprintf("%s%s", start + strlen(part), found == 1 ? " " : "");
        what = el_insertstr(edit, rest) == 0 ? CC_REFRESH : CC_ERROR;
    } else if (found > 1) {
        list_words(list);
        what = CC_REDISPLAY;
    }
    json_decref(list);
    return what;
}

static unsigned char on_tab(EditLine *edit, int key)
{
    (void)key;
    const LineInfo *line = el_line(edit);
    CLEANUP(mem_free) char *text = xmemdup(line->buffer, (size_t)(line->cursor - line->buffer));
    CLEANUP(mem_free) char **words = xcalloc(strlen(text) + 1, sizeof *words);
    int n = 0;
    bool open = *text && text[strlen(text) - 1] != ' ';
    char *save = NULL;
    for (char *one = strtok_r(text, " \t", &save); one; one = strtok_r(NULL, " \t", &save))
        words[n++] = one;
    const char *part = open && n ? words[n - 1] : "";
    return complete_at(edit, open && n ? n - 1 : n, words, part);
}

/* A command that forks needs a process without ZeroMQ's threads: start this program anew. */
static int run_apart(int argc, const char **argv)
{
    CLEANUP(mem_free) char **args = xcalloc((size_t)argc + 2, sizeof *args);
    args[0] = (char *)(uintptr_t) "godwit";
    for (int i = 0; i < argc; i++)
        args[i + 1] = (char *)(uintptr_t)argv[i];
    pid_t pid = 0;
    int err = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ);
    if (err)
        return run_fail(EXIT_FAILED, "cannot start %s: %s", argv[0], strerror(err));
    int status = 0;
    interrupt_catch(); /* Ctrl-C is for the command */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    interrupt_release();
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static bool wants_own_process(int argc, const char **argv)
{
    for (int i = 0; i < argc; i++) {
        const struct noun *n = noun_find(argv[i]);
        if (n)
            return n->commands->own_process;
    }
    return false;
}

/* False: the prompt ends. */
static bool run_line(struct prompt *p, const char *line)
{
    Tokenizer *tok = tok_init(NULL);
    int argc = 0;
    const char **argv = NULL;
    bool more = true;
    int rc = EXIT_DONE;
    if (tok_str(tok, line, &argc, &argv) != 0)
        rc = run_fail(EXIT_USAGE, "a quote is not closed");
    else if (argc == 0 || argv[0][0] == '#')
        rc = EXIT_DONE;
    else if (strcmp(argv[0], "exit") == 0 || strcmp(argv[0], "quit") == 0)
        more = false;
    else if (strcmp(argv[0], "console") == 0)
        rc = run_fail(EXIT_USAGE, "this is the console; exit leaves it");
    else if (wants_own_process(argc, argv))
        rc = run_apart(argc, argv);
    else
        rc = command_main(argc, (char **)(uintptr_t)argv);
    (void)fflush(stdout);
    p->worst = rc > p->worst ? rc : p->worst;
    tok_end(tok);
    return more;
}

static void history_open(struct prompt *p)
{
    HistEvent ev;
    p->history = history_init();
    (void)history(p->history, &ev, H_SETSIZE, HISTORY_LINES);
    (void)history(p->history, &ev, H_SETUNIQUE, 1);
    CLEANUP(mem_free) char *dir = place_user();
    if (!dir)
        return;
    p->file = xasprintf("%s/history", dir);
    (void)history(p->history, &ev, H_LOAD, p->file);
}

static void history_keep(struct prompt *p, const char *line)
{
    HistEvent ev;
    if (line[strspn(line, " \t\n")] == '\0')
        return;
    (void)history(p->history, &ev, H_ENTER, line);
    if (p->file)
        (void)history(p->history, &ev, H_SAVE, p->file); /* libedit makes it 0600 */
}

static void terminal_loop(struct prompt *p)
{
    for (bool more = true; more;) {
        int n = 0;
        interrupt_catch();
        errno = 0;
        const char *line = el_gets(p->edit, &n);
        bool interrupted = interrupt_seen() || errno == EINTR;
        interrupt_release();
        if (!line && interrupted) {
            (void)puts("");
            el_reset(p->edit);
            continue;
        }
        if (!line || n <= 0)
            break;
        CLEANUP(mem_free) char *copy = xstrdup(line);
        history_keep(p, copy);
        more = run_line(p, copy);
    }
    (void)puts("");
}

static int at_terminal(struct prompt *p)
{
    history_open(p);
    p->edit = el_init("godwit", stdin, stdout, stderr);
    if (!p->edit)
        return run_fail(EXIT_FAILED, "this terminal cannot be used for a prompt");
    (void)el_set(p->edit, EL_PROMPT, prompt_text);
    (void)el_set(p->edit, EL_EDITOR, "emacs");
    (void)el_set(p->edit, EL_HIST, history, p->history);
    (void)el_set(p->edit, EL_ADDFN, "godwit-complete", "Completes the word", on_tab);
    (void)el_set(p->edit, EL_BIND, "^I", "godwit-complete", NULL);
    (void)el_source(p->edit, NULL);
    run_say("Godwit " GODWIT_VERSION "; help lists the commands, TAB completes, exit leaves.");
    terminal_loop(p);
    el_end(p->edit);
    history_end(p->history);
    free(p->file);
    return EXIT_DONE; /* each command has told its own */
}

/* A script on standard input: the worst exit code counts. */
static int from_pipe(struct prompt *p)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) >= 0 && run_line(p, line))
        continue;
    free(line);
    return p->worst;
}

static int prompt_run(struct run *r)
{
    struct prompt p = {0};
    if (setenv("GODWIT_STATE", r->globals->state, 1) < 0)
        return run_fail(EXIT_FAILED, "out of memory");
    return isatty(STDIN_FILENO) ? at_terminal(&p) : from_pipe(&p);
}

static const char *const examples[] = {
    "godwit console             # a prompt; TAB completes, exit leaves",
    "godwit console < script    # one command a line; ends with the worst exit code",
    NULL,
};

const struct command prompt_commands[] = {
    {.noun = "console",
     .words = "",
     .help = "Takes the same commands at a prompt, with history and completion.",
     .examples = examples,
     .run = prompt_run},
    {.noun = NULL},
};
