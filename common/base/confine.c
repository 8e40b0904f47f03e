/* confine: what this process may do, and how a helper gets rights that its caller lacks. */
#include "common/base/confine.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define CAP_SETGID_BIT 6
#define CAP_SETUID_BIT 7

static const char *const unit[] = {
    "systemd-run",
    "--quiet",
    "--pipe",
    "--wait",
    "--collect",
    "--property=NoNewPrivileges=yes",
    "--property=UMask=0077",
    "--property=RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "--property=RestrictNamespaces=yes",
    "--property=RestrictRealtime=yes",
    "--property=RestrictSUIDSGID=yes",
    "--property=LockPersonality=yes",
    "--property=ProtectClock=yes",
    "--property=ProtectKernelTunables=yes",
    "--property=ProtectKernelModules=yes",
    "--property=ProtectKernelLogs=yes",
    "--property=ProtectControlGroups=yes",
    "--property=SystemCallArchitectures=native",
    "--property=SystemCallFilter=@system-service",
};
_Static_assert(ARRAY_SIZE(unit) <= CONFINE_ARGS, "more than callers have room for");

uint64_t confine_caps(void)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read("/proc/self/status", 64U << 10, &text, &len) < 0)
        return 0;
    const char *line = strstr(text, "\nCapEff:");
    return line ? strtoull(line + 8, NULL, 16) : 0;
}

bool confine_may_set_user(void)
{
    uint64_t caps = confine_caps();
    return (caps >> CAP_SETUID_BIT & 1) && (caps >> CAP_SETGID_BIT & 1);
}

size_t confine_unit(const char **argv)
{
    for (size_t i = 0; i < ARRAY_SIZE(unit); i++)
        argv[i] = unit[i];
    return ARRAY_SIZE(unit);
}
