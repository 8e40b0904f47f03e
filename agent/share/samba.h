/* samba: what this host's Samba says of itself, asked by its own tools (testparm, net, sharesec).
 * Changes nothing. Blocking; worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/share/server.h"
#include "agent/share/smbconf.h"

struct program_output;

struct samba {
    char *config;         /* the file that was read */
    struct smbconf *conf; /* what is in force: includes followed, copies made, defaults left out */
    char *role;           /* "ROLE_STANDALONE" */
    char *unknown[64];    /* parameters that it did not know, each once */
    size_t nunknown;
    char *warnings[32]; /* what it complained about */
    size_t nwarnings;
};

/* Runs argv; 0, or a fault that says what the tool said when its exit code is not 0. */
int samba_tool(const struct server *v, const char *const *argv, struct program_output *ret,
               struct fault *reterr);
/* config: NULL is the server's own. -ENOENT: there is no Samba; -EINVAL: its configuration has an
 * error, which the fault names. */
int samba_ask(const struct server *v, const char *config, struct samba **ret, struct fault *reterr);
struct samba *samba_free(struct samba *s);
DEFINE_CLEANUP(samba_free, struct samba *)

/* Of what [global] sets, that which is a default of shares: as section [godwit probe]. */
int samba_share_defaults(const struct server *v, const struct samba *s, struct smbconf **ret,
                         struct fault *reterr);
/* All parameters at their built-in values, as section [global]. */
int samba_builtin(const struct server *v, struct smbconf **ret, struct fault *reterr);
/* What the registry holds; an empty one where there is none. */
int samba_registry(const struct server *v, struct smbconf **ret, struct fault *reterr);
/* "4.17.12-Debian"; malloc'd, "" when it does not say. */
char *samba_version(const struct server *v);
/* The machine's own SID and the name that goes with it; both malloc'd, "" when unknown. */
void samba_machine(const struct server *v, char **retname, char **retsid);

#define SAMBA_PROBE "godwit probe"

/* ── share security descriptors ── */

struct samba_acl {
    char *share;
    char *text; /* "NAME:TYPE/FLAGS/MASK,…" */
};
struct samba_acls {
    struct samba_acl *list;
    size_t n;
};
/* Of all shares, those that are not "everybody may all". The parser takes any bytes. */
int samba_acls(const struct server *v, struct samba_acls *ret, struct fault *reterr);
void samba_acls_parse(const char *text, size_t len, struct samba_acls *ret);
void samba_acls_done(struct samba_acls *a);
/* In SDDL; malloc'd. */
int samba_sddl(const struct server *v, const char *share, char **ret, struct fault *reterr);
bool samba_sddl_valid(const char *text);
