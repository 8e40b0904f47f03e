/* names: what a host is called: /etc/hostname, /etc/hosts, smb.conf. The editors are pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/identity/site.h"
#include "common/base/fault.h"

#define NAMES_FILE_MAX (4U << 20)
#define NAMES_CONF "/etc/samba/smb.conf"

/* A host name of one label; a NetBIOS name of at most 15. What is neither becomes no argument. */
bool names_host_valid(const char *s);
bool names_netbios_valid(const char *s);
bool names_full_valid(const char *s); /* "fs1.example.org" */

struct hosts_edit {
    const char *before, *after; /* the host's own name */
    const char *full;           /* "fs1.example.org"; NULL: none */
    const char *address;        /* "192.0.2.7": whose line it gets; NULL: only its loopback lines */
    bool forget;                /* before is nobody's name afterwards */
    bool moved;                 /* after is the name of no address but this */
};
/* malloc'd. Hostile bytes. */
char *names_hosts(const char *text, const struct hosts_edit *e);

struct conf_set {
    const char *name, *value; /* value NULL or "": the parameter goes */
};
/* smb.conf with these in [global] and nowhere else in it; malloc'd. Hostile bytes. */
char *names_globals(const char *text, const struct conf_set *sets, size_t n);

/* Kernel and /etc/hostname, the file kept before; 1 when it changed. */
int names_set_host(const struct site *v, const char *name, struct fault *reterr);
int names_restore_host(const struct site *v, const char *name);
/* Reads, edits, keeps, writes; 1 when it changed. A file that is not there is empty. */
int names_edit_hosts(const struct site *v, const struct hosts_edit *e, struct fault *reterr);
/* The same of smb.conf; testparm has to read it as meant, else it is as before and a fault. */
int names_edit_conf(const struct site *v, const struct conf_set *sets, size_t n,
                    struct fault *reterr);
/* One value in force; malloc'd, "" when nobody says. */
char *names_ask_conf(const struct site *v, const char *parameter);
/* A whole file: kept, then written if it differs. 1, 0, -errno. */
int names_write(const struct site *v, const char *path, const char *text, unsigned mode);
