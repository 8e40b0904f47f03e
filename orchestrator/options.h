/* options: what the daemon can be told, by file or command line. Only a table; any thread. */
#pragma once
#include "common/conf/option.h"

/* Of struct orchestrator_conf: the configuration file's keys and the command line's options. */
extern const struct option_row orchestrator_options[];
