/* nbd_server: a program of the hypervisor's that takes a machine's disks into images here while the
 * machine runs elsewhere: images are its to write, in whatever format. It lives no longer than this
 * process. A thread of its own. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct nbd_disk {
    const char *name, *path, *format;
    uint64_t bytes; /* how much of a device is the disk's; 0: all of it */
};
struct nbd_server;

/* Listens on a unix socket there, soon. -ENOENT: the program is not installed. */
int nbd_server_start(const char *socket, const struct nbd_disk *disks, size_t n,
                     struct nbd_server **ret, struct fault *reterr);
/* It writes all that it has and ends. -EIO: it had ended before, or did not end well. */
int nbd_server_stop(struct nbd_server *s);
struct nbd_server *nbd_server_free(struct nbd_server *s); /* ends it; NULL is fine; returns NULL */
DEFINE_CLEANUP(nbd_server_free, struct nbd_server *)
