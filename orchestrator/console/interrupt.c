/* interrupt: notes SIGINT and SIGTERM while something long runs. Main thread. */
#include "orchestrator/console/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t seen;
static struct sigaction was_int, was_term;

static void note(int number)
{
    (void)number;
    seen = 1;
}

void interrupt_catch(void)
{
    struct sigaction sa = {.sa_handler = note}; /* no SA_RESTART: what waits wakes up */
    (void)sigemptyset(&sa.sa_mask);
    seen = 0;
    (void)sigaction(SIGINT, &sa, &was_int);
    (void)sigaction(SIGTERM, &sa, &was_term);
}

bool interrupt_seen(void)
{
    return seen != 0;
}

void interrupt_release(void)
{
    (void)sigaction(SIGINT, &was_int, NULL);
    (void)sigaction(SIGTERM, &was_term, NULL);
}
