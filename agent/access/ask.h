/* ask: may these users do this with these files? Asked of the kernel by a child with the user's ids
 * and nothing else, and of the host's own smbd in a session of the user. Nothing is changed: rights
 * are asked for by opening with them. Blocking; worker threads.
 *
 * Request: {"root":PATH,"users":[NAME…],"paths":[{"p":REL,"d":IS-FOLDER}…]}, or, to be sampled,
 * "count":N,"most_users":N,"seed":N instead of paths, and users may be []. Paths are printable,
 * \xNN for other bytes. Answer:
 * {"users":[…],"paths":[…],"local":[USER[PATH[read,write,delete]]],"smb":likewise,
 * "local_how":TEXT,"smb_how":[TEXT of each user]}: "" is yes, "?…" unknown and why, else no and
 * why.
 */
#pragma once
#include <stddef.h>

#include "common/base/fault.h"

#define ACCESS_REQUEST_MAX (256U << 10)
#define ACCESS_ANSWER_MAX (800U << 10)

/* scratch: a folder of ours, in which a folder is made and removed. *ret: malloc'd. */
int access_ask(const char *scratch, int cancel_fd, const void *request, size_t len, char **ret,
               size_t *retlen, struct fault *reterr);
