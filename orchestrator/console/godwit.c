/* godwit: the console's main(). Main thread. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "common/base/log.h"
#include "orchestrator/console/command.h"
#include "orchestrator/console/run.h"

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, ""); /* only that: numbers stay with a point */
    (void)signal(SIGPIPE, SIG_IGN);
    log_init("godwit", LOG_WARNING);
    int rc = command_main(argc > 0 ? argc - 1 : 0, argv + 1);
    if (fflush(stdout) != 0 && rc == EXIT_DONE)
        rc = run_fail(EXIT_FAILED, "cannot write to standard output");
    return rc;
}
