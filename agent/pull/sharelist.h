/* sharelist: the shares of a server without an agent. A process of its own asks for them by
 * libsmbclient, with the rights of nobody: it reads what a stranger sends, and libsmbclient keeps
 * its state in globals. Blocking; worker threads. */
#pragma once
#include <stddef.h>

#include "agent/store/smb.h"

enum share_kind { SHARE_FOLDER = 0, SHARE_PRINTER = 1, SHARE_DEVICE = 2, SHARE_PIPE = 3 };

struct share_found {
    enum share_kind kind;
    const char *name, *comment; /* printable UTF-8, borrowed for the call */
};

#define SHARES_MAX 4096U
#define SHARELIST_MAX (1U << 20) /* bytes of an answer */

/* What the process is asked; it holds the secret. */
void sharelist_ask(const struct smb_place *p, struct buf *ret);
/* What it answered. -EBADMSG, or the -errno that it told. */
int sharelist_read(const void *answer, size_t len,
                   void (*each)(void *arg, const struct share_found *f), void *arg);

/* p's share is not looked at. -errno with a sentence. */
int sharelist(const struct smb_place *p, void (*each)(void *arg, const struct share_found *f),
              void *arg, struct fault *reterr);
