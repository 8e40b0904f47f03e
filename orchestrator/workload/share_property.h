/* share_property: what Windows calls the properties of an SMB share, and what Samba has for each.
 * Main thread; pure. */
#pragma once
#include <stddef.h>

#include "proto/shares.pb-c.h"

struct share_property {
    const char *windows;   /* "FolderEnumerationMode" */
    const char *parameter; /* of smb.conf; NULL: no counterpart, or none that is a parameter */
    const char *value;     /* Samba's default for it */
    const char *about;     /* how they correspond, or why there is no counterpart */
};

/* The 22 that Windows Storage Migration Service moves; docs/FILE-SERVER.md has the same table. */
#define SHARE_PROPERTIES 22
extern const struct share_property share_properties[SHARE_PROPERTIES];

/* Its value for this share as text, borrowed; NULL: it has no counterpart. */
const char *share_property_of(const Godwit__Share *s, const struct share_property *p);
