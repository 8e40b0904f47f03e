/* cmd_completion: `godwit completion bash`, and the hidden question that its script asks. Main
 * thread. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/complete.h"
#include "orchestrator/console/run.h"

/* The table is asked at each TAB: a script that is older than the program still tells the truth. */
static const char bash_script[] =
    "# bash completion for godwit; made by: godwit completion bash\n"
    "_godwit() {\n"
    "    local part=${COMP_WORDS[COMP_CWORD]} line\n"
    "    local -a found\n"
    "    mapfile -t found < <(\"${COMP_WORDS[0]}\" completion words -- \\\n"
    "        \"${COMP_WORDS[@]:1:COMP_CWORD-1}\" \"$part\" 2>/dev/null)\n"
    "    COMPREPLY=()\n"
    "    for line in \"${found[@]}\"; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$part\")\n"
    "        else\n"
    "            COMPREPLY+=(\"$line\")\n"
    "        fi\n"
    "    done\n"
    "}\n"
    "complete -F _godwit godwit\n";

static int completion_bash(struct run *r)
{
    (void)r;
    (void)fputs(bash_script, stdout);
    return EXIT_DONE;
}

static int completion_words(struct run *r)
{
    const char *part = r->nwords ? r->words[r->nwords - 1] : "";
    json_t *list = complete_words(r->nwords ? r->nwords - 1 : 0, r->words, part), *one = NULL;
    size_t i = 0;
    json_array_foreach(list, i, one)(void) puts(json_string_value(one));
    json_decref(list);
    return EXIT_DONE;
}

static const char *const examples[] = {
    "source <(godwit completion bash)    # for this shell",
    "godwit completion bash > /etc/bash_completion.d/godwit",
    NULL,
};

const struct command completion_commands[] = {
    {.noun = "completion",
     .verb = "bash",
     .words = "",
     .help = "Prints the script that completes godwit's commands, options, jobs and hosts in bash.",
     .examples = examples,
     .run = completion_bash},
    {.noun = "completion",
     .verb = "words",
     .words = "[WORD...]",
     .max_words = -1,
     .help = "Prints what may follow these words; the last one is begun.",
     .hidden = true,
     .run = completion_words},
    {.noun = NULL},
};
