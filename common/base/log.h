/* log: structured lines to journald when the daemon runs under systemd, else to standard error.
 * common/ never logs above debug. No secrets; paths quoted with path_quote(). Any thread. */
#pragma once
#include <syslog.h>

/* What a line is about; any member may be NULL. Becomes JOB_ID, HOST, OP_ID in the journal. */
struct log_about {
    const char *job;
    const char *host;
    const char *op;
};

/* ident: program name. max_level: LOG_ERR … LOG_DEBUG. Call once, before any thread starts. */
void log_init(const char *ident, int max_level);
int log_level_parse(const char *text); /* "error" "warning" "info" "debug"; -EINVAL */
void log_line(int level, const struct log_about *about, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, NULL, __VA_ARGS__)
