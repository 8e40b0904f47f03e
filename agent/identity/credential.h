/* credential: as whom this host may change a domain: a file of root's alone, written as smbclient
 * -A takes it. Programs are given the file, or its password on standard input. Worker thread. */
#pragma once
#include "agent/identity/site.h"
#include "common/base/cleanup.h"
#include "common/base/fault.h"

#define CREDENTIAL_FILE "/etc/godwit/cutover.cred"

struct credential {
    char *path;
    char *user;     /* "Administrator" */
    char *domain;   /* "" when the file does not say */
    char *password; /* wiped when it is freed */
};

/* -ENOKEY: there is none; -EPERM: others than root may read or change it; -EBADMSG: no user or no
 * password in it. */
int credential_read(const struct site *v, struct credential **ret, struct fault *reterr);
struct credential *credential_free(struct credential *c);
DEFINE_CLEANUP(credential_free, struct credential *)

/* What the file says. Hostile bytes; -EBADMSG. */
int credential_parse(const char *text, struct credential **ret);
