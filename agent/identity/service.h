/* service: Samba's processes on this host: stopped for certain, kept from starting, started, and
 * asked whether they answer. Worker thread. */
#pragma once
#include <stdbool.h>

#include "agent/identity/site.h"
#include "common/base/fault.h"
#include "proto/undo.pb-c.h"

/* What `systemctl show` said of Samba's units. Hostile bytes; malloc'd. */
Godwit__UndoUnits *service_parse(const char *text);
int service_look(const struct site *v, Godwit__UndoUnits **ret, struct fault *reterr);
void service_free(Godwit__UndoUnits *u);
bool service_active(const Godwit__UndoUnits *u, const char *name); /* "smbd.service" */

/* Notes what ran, masks the units, stops them, and sees to it that no process is left. 1, 0. */
int service_stop(const struct site *v, struct fault *reterr);
/* Starts these of "smbd", "nmbd", "winbind"; their masks go first. */
int service_start(const struct site *v, bool smbd, bool nmbd, bool winbind, struct fault *reterr);
/* As the note says. */
int service_restore(const struct site *v, const Godwit__UndoUnits *was, struct fault *reterr);

int service_count(void); /* processes of Samba in this host's own PID namespace */
/* Does something accept on address:445? address: "192.0.2.7" or with "/24". */
bool service_answers(const char *address, int timeout_ms);
/* wbinfo -t holds, tried for so long. */
bool service_trusted(const struct site *v, int timeout_ms);
/* Runs a program; 0 when it ended with 0, else a fault with its words. */
int service_tool(const struct site *v, const char *const *argv, int timeout_ms,
                 struct fault *reterr);
