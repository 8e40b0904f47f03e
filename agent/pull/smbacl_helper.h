/* smbacl_helper: the long-lived process that lets smbd's own code set security descriptors (through
 * Samba's Python bindings). One caller at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

#define SMB_CONF "/etc/samba/smb.conf"

struct smbacl_helper;

/* -ENOENT: no Samba with its Python bindings here. *retopen: smbd ignores system ACLs for that
 * folder, so every user needs the file system's leave. *retdepot: where the share keeps streams as
 * files, malloc'd; NULL: it does not. */
int smbacl_helper_new(struct smbacl_helper **ret, const char *destination, const char *scratch,
                      bool *retopen, char **retdepot);
struct smbacl_helper *smbacl_helper_free(struct smbacl_helper *h);
DEFINE_CLEANUP(smbacl_helper_free, struct smbacl_helper *)
/* On the entry of scratch that is called by this number. -EINVAL: smbd does not take it. */
int smbacl_helper_set(struct smbacl_helper *h, uint32_t number, const void *descriptor, size_t len);
/* What smbd reads there; *retlen at most size. */
int smbacl_helper_get(struct smbacl_helper *h, uint32_t number, void *to, size_t size,
                      size_t *retlen);
