/* log: structured lines to journald or standard error. Any thread. */
#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

static const char *log_ident = "godwit";
static int log_max = LOG_INFO;
static int log_to_journal;

static const char *const level_names[] = {
    [LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

void log_init(const char *ident, int max_level)
{
    log_ident = ident;
    log_max = max_level;
    log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

int log_level_parse(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
        if (level_names[i] && strcasecmp(text, level_names[i]) == 0)
            return (int)i;
    return -EINVAL;
}

static const char *level_name(int level)
{
    if (level < 0 || level >= (int)ARRAY_SIZE(level_names) || !level_names[level])
        return "notice";
    return level_names[level];
}

static void to_stderr(int level, const struct log_about *about, const char *text)
{
    (void)fprintf(stderr, "%s: %s:%s%s%s%s%s%s %s\n", log_ident, level_name(level),
                  about && about->job ? " job=" : "", about && about->job ? about->job : "",
                  about && about->host ? " host=" : "", about && about->host ? about->host : "",
                  about && about->op ? " op=" : "", about && about->op ? about->op : "", text);
}

void log_line(int level, const struct log_about *about, const char *fmt, ...)
{
    if (level > log_max)
        return;
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    if (log_to_journal)
        (void)sd_journal_send("MESSAGE=%s", text, "PRIORITY=%d", level, "SYSLOG_IDENTIFIER=%s",
                              log_ident, "JOB_ID=%s", about && about->job ? about->job : "",
                              "HOST=%s", about && about->host ? about->host : "", "OP_ID=%s",
                              about && about->op ? about->op : "", NULL);
    else
        to_stderr(level, about, text);
    errno = saved;
}
