/* take: this server takes over the shares and exports of another. Worker threads. */
#pragma once
#include <stdbool.h>

#include "agent/share/server.h"
#include "common/base/fault.h"
#include "proto/shares.pb-c.h"

/* dry: looks, and says what would be; folders that copying is to bring need not be there yet. Else
 * all is put there or nothing. -EEXIST: a share of that name has another folder; -ENOENT: a folder
 * or the server's programs are not there; -EINVAL: a configuration has an error. *ret is freed with
 * godwit__share_apply_result__free_unpacked(). */
int take_over(const struct server *v, const Godwit__ShareApplyOrder *o, bool dry,
              Godwit__ShareApplyResult **ret, struct fault *reterr);
