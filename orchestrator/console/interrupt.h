/* interrupt: notes SIGINT and SIGTERM while something long runs. Main thread. */
#pragma once
#include <stdbool.h>

void interrupt_catch(void); /* from now on they are only noted */
bool interrupt_seen(void);
void interrupt_release(void); /* as it was before interrupt_catch() */
