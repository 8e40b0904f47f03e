/* share: the table of the steps of shares. No work is done here. */
#include "agent/share/share.h"

#include "agent/step.h"
#include "common/base/file.h"
#include "common/base/mem.h"

const struct step_kind share_steps[] = {
    {"shares.inventory", share_inventory},
    {"shares.check",     share_check    },
    {"shares.apply",     share_apply    },
    {NULL,               NULL           },
};

char *share_scratch(const struct agent_env *env)
{
    return xasprintf("%s/share", env->state_dir);
}

int share_server(const struct step *s, const char *scratch, struct server *ret)
{
    *ret = (struct server){.exports = "/etc/exports",
                           .exports_dir = "/etc/exports.d",
                           .ganesha = "/etc/ganesha/ganesha.conf",
                           .passwd = "/etc/passwd",
                           .usershares = "/var/lib/samba/usershares",
                           .scratch = scratch,
                           .cancel_fd = s ? step_cancel_fd(s) : -1};
    return file_mkdirs(scratch, 0700);
}
