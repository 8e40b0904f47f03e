/* smbconf: text in the form of smb.conf: sections of parameters. Reads what people and Samba's
 * tools write; knows no meaning of any parameter, follows no include. Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

#define SMBCONF_MAX (4U << 20) /* bytes of text */
#define SMBCONF_SECTIONS 4000
#define SMBCONF_PARAMETERS 200000

struct smbconf_param {
    char *name, *value; /* trimmed */
};

struct smbconf_section {
    char *name;
    struct smbconf_param *params;
    size_t nparams;
};

struct smbconf {
    struct smbconf_section *sections; /* in order; a name that comes again goes on with the first */
    size_t nsections;
    unsigned bad_line; /* the first that is neither a section, a parameter nor a comment; 0: none */
};

/* Parameters before the first section belong to [global], as Samba has it. -EINVAL, -E2BIG. */
int smbconf_parse(const char *text, size_t len, struct smbconf **ret, struct fault *reterr);
struct smbconf *smbconf_free(struct smbconf *c);
DEFINE_CLEANUP(smbconf_free, struct smbconf *)

/* As Samba compares names: upper and lower case are one, white space counts nothing. */
bool smbconf_same(const char *a, const char *b);
const struct smbconf_section *smbconf_find(const struct smbconf *c, const char *name);
/* The last one counts. NULL: there is none. */
const char *smbconf_value(const struct smbconf_section *s, const char *name);
