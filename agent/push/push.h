/* push: a tree of this host to a share of a server without an agent: content, streams, attributes,
 * times and whole security descriptors, over SMB. Compares with what is there, so it may be run
 * again at any point. Blocking; its own threads. */
#pragma once
#include "agent/store/smb.h"

struct step;
struct step_result;
struct transfer_options;

struct push_order {
    const char *path; /* absolute; not NUL-terminated */
    size_t path_len;
    const char *pair;
    struct smb_place place; /* cancel_fd is set by push_run() */
    const char *base;       /* folder below the share, made when it is not there */
    size_t base_len;
    const struct transfer_options *options;
};

void push_run(struct step *step, struct push_order *o, struct step_result *ret);

/* Can a server of Windows hold an entry of this name? */
bool push_name_good(const char *name, size_t len);
