/* ticket: a person's Kerberos ticket, by the password in a file of root's. Worker thread. */
#pragma once
#include <stdbool.h>

#include "agent/identity/site.h"
#include "common/base/fault.h"

#define PROBE_CREDENTIALS "/etc/godwit/probe.cred" /* as smbclient -A takes it */

bool ticket_file_fits(const char *credentials); /* root's, and nobody else's to read or write */
/* Of this user at this realm, into the cache; its file is the caller's to shred. */
int ticket_take(const struct site *v, const char *credentials, const char *user, const char *realm,
                const char *cache, struct fault *reterr);
/* A ticket for a service, "cifs/fs1": 1; 0: the directory knows no such service. */
int ticket_service(const struct site *v, const char *cache, const char *service);
