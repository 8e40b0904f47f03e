/* fault_point: dies by SIGKILL, or stands still, where a test says so. Any thread. */
#include "common/base/fault_point.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef GODWIT_FAULT_POINTS

#define LINE_MAX_BYTES 128

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char seen[LINE_MAX_BYTES]; /* the line that hits counts for */
static unsigned long hits;

static void look(void)
{
    file = getenv("GODWIT_FAULT_FILE");
}

/* Under lock. True: now. */
static bool is_due(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0 || line[n] != ' ')
        return false;
    if (strcmp(seen, line) != 0) {
        (void)snprintf(seen, sizeof seen, "%s", line);
        hits = 0;
    }
    return ++hits >= strtoul(line + n, NULL, 10);
}

void fault_point(const char *name)
{
    char line[LINE_MAX_BYTES] = "";
    (void)pthread_once(&once, look);
    if (!file)
        return;
    FILE *in = fopen(file, "re");
    if (!in)
        return;
    bool some = fgets(line, sizeof line, in) != NULL;
    (void)fclose(in);
    (void)pthread_mutex_lock(&lock);
    if (some && is_due(line, name)) {
        (void)unlink(file);
        (void)kill(getpid(), strstr(line, " halt") ? SIGSTOP : SIGKILL); /* every thread */
    }
    (void)pthread_mutex_unlock(&lock);
}

#endif
