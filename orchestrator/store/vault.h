/* vault: seals secrets before they are written: AES-256-GCM under a key that lies in a file of its
 * own (0600), or that systemd hands over as the credential "godwit-vault". Main thread. */
#pragma once
#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct vault;

/* The key is made in state_dir when there is none. A file that others may read is refused. */
int vault_open(struct vault **ret, const char *state_dir, struct fault *reterr);
struct vault *vault_close(struct vault *v); /* wipes the key; NULL is fine */
DEFINE_CLEANUP(vault_close, struct vault *)

/* label is bound to what is sealed: under another one it does not open. *ret is malloc'd. */
int vault_seal(const struct vault *v, const char *label, const void *secret, size_t len, void **ret,
               size_t *retlen);
/* -EBADMSG: not sealed by this key and label. *ret is malloc'd: vault_wipe() it. */
int vault_unseal(const struct vault *v, const char *label, const void *sealed, size_t len,
                 void **ret, size_t *retlen);
void vault_wipe(void *secret, size_t len); /* and frees */
