/* render: one share as a section of smb.conf for this destination. Pure; any thread. */
#pragma once
#include <stdbool.h>

#include "agent/share/smbconf.h"
#include "common/base/buf.h"
#include "proto/shares.pb-c.h"

/* What the destination has by itself, against which the share's settings are to hold. */
struct render_ground {
    const struct smbconf_section
        *defaults; /* what its [global] sets for all shares; NULL: nothing */
    const struct smbconf_section *builtin; /* Samba's own values of everything */
    const struct smbconf_section *same;    /* a section of this name that stays there; NULL: none */
    char *const *unknown;                  /* what this Samba does not know; ends with NULL */
};

struct render_note {
    void (*say)(void *arg, const char *text); /* what was not kept, and why */
    void *arg;
};

/* path: at the destination; NULL: it has none ([homes]). Appends "[name]" and its parameters. */
void render_share(const Godwit__Share *s, const char *path, const struct render_ground *g,
                  const struct render_note *note, struct buf *to);
/* Does smbd run the value of this parameter as a program, or load it as code? Such a thing never
 * comes into force by our hand. */
bool render_is_program(const char *name, const char *value);
/* Can it stand in smb.conf as one line that means itself? */
bool render_is_plain(const char *name, const char *value);
