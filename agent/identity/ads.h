/* ads: what the directory says of an account, and the calls of Samba's `net` that change it: always
 * at one controller, with a limit, nobody's password in an argument. Worker thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/identity/credential.h"

#define ADS_DISABLED 0x2U /* of userAccountControl */
#define ADS_WORKSTATION 0x1000U
#define ADS_SERVER_TRUST 0x2000U /* a domain controller */
#define ADS_NAMES 1000           /* of one list */
#define ADS_MS 30000

/* How one asks: by the file of a person's credential, or by the machine's own key. */
struct ads {
    const struct site *v;
    const char *dc;
    const struct credential *who; /* NULL: the machine */
    const char *base;             /* "DC=lab,DC=test", for quicker questions; NULL: unknown */
};

struct ads_account {
    char *dn, *sid, *dns_name;
    uint32_t control, key_version;
    char **spns, **groups, **writable, **children; /* what the asking one may write and create */
    size_t nspns, ngroups, nwritable, nchildren;
};

/* `net ads WORDS… -S DC` with whose rights; words end with NULL. retout: malloc'd, or NULL. */
int ads_net(const struct ads *a, const char *const *words, int timeout_ms, char **retout,
            struct fault *reterr);
/* 1: there is one; 0: none; -EMLINK: several. */
int ads_find(const struct ads *a, const char *netbios, struct ads_account **ret,
             struct fault *reterr);
/* The object at a name: 1, 0, -errno. */
int ads_look(const struct ads *a, const char *dn, struct ads_account **ret, struct fault *reterr);
struct ads_account *ads_account_free(struct ads_account *c);
DEFINE_CLEANUP(ads_account_free, struct ads_account *)
/* What `net ads search` printed; *retn: how many objects. Hostile bytes. */
struct ads_account *ads_parse(const char *text, size_t *retn);
bool ads_has(char *const *list, size_t n, const char *name); /* whatever its case */

/* Makes a computer account that nobody can use yet, disabled and without a password, in the
 * container; full: its name in DNS, or NULL. */
int ads_make(const struct ads *a, const char *netbios, const char *container, const char *full,
             struct fault *reterr);
/* Removes a computer account; 0 when it is gone afterwards. */
int ads_remove(const struct ads *a, const char *netbios, struct fault *reterr);

/* Where tickets of a cutover's stages lie until its end; malloc'd. */
char *ads_cache(const struct site *v);
/* "DC=lab,DC=test" of an object's name; NULL: none. */
const char *ads_base(const char *dn);

/* Does the machine's password hold at the controller? Kerberos decides: nothing falls back. */
bool ads_key_holds(const struct ads *a);
/* A ticket of this one in a file of its own, for programs that take nothing else. */
int ads_ticket(const struct ads *a, const char *cache, struct fault *reterr);

/* Owner and rules of an object, as bytes; a ticket of this one is in the cache. malloc'd. */
int ads_descriptor(const struct ads *a, const char *dn, uint8_t **ret, size_t *retlen,
                   struct fault *reterr);
int ads_base64(const char *text, size_t n, uint8_t **ret, size_t *retlen); /* -EBADMSG */

/* "OU=b,OU=a,DC=x" -> "a/b", as createcomputer= wants it; malloc'd, NULL: it cannot be said so. */
char *ads_ou_words(const char *dn);
/* A text as a value of a filter; malloc'd. */
char *ads_escape(const char *text);
