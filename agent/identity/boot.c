/* boot: what a start of this host finds of a cutover that nobody ended. Before Samba and the
 * network start: it does only what files can, and asks nobody but the segment, where this host was
 * the server when it went off. The agent does the rest. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/former.h"
#include "agent/identity/guard.h"
#include "agent/identity/identity.h"
#include "agent/identity/service.h"
#include "agent/identity/site.h"
#include "agent/identity/stage.h"
#include "agent/store/pairname.h"
#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define TOOL_MS 20000

/* Until the next start: this one must not offer what it cannot say whose it is. */
static void keep_shut(const struct site *v)
{
    static const char *const units[] = {"smbd.service", "nmbd.service", "winbind.service"};
    static const char *const reload[] = {"systemctl", "daemon-reload", NULL};
    CLEANUP(mem_free) char *folder = xasprintf("%s/run/systemd/system", v->root);
    struct fault why = {.err = 0};
    (void)file_mkdirs(folder, 0755);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", folder, units[i]);
        if (symlink("/dev/null", path) < 0 && errno != EEXIST)
            log_error("cannot mask %s: %s", units[i], strerror(errno));
    }
    if (service_tool(v, reload, TOOL_MS, &why) < 0)
        log_error("Samba may start: %s", why.text);
}

/* Its files were written already for this start, from what is no more so. */
static void render_netplan(const struct site *v)
{
    static const char *const generate[] = {"netplan", "generate", NULL};
    CLEANUP(mem_free) char *folder = xasprintf("%s/etc/netplan", v->root);
    struct fault why = {.err = 0};
    if (access(folder, F_OK) == 0 && service_tool(v, generate, TOOL_MS, &why) < 0)
        log_error("netplan: %s", why.text);
}

/* The mark first: whatever orders come from now on change nothing. */
static int be_itself(const char *home, const char *root, const char *cutover, const char *folder)
{
    struct fault why = {.err = 0};
    int rc = guard_spring(folder);
    if (rc == 0)
        rc = stage_put_files(home, root, cutover, &why);
    if (rc < 0)
        log_error("cutover %s: cannot go back at this start: %s", cutover,
                  why.err ? why.text : strerror(-rc));
    else
        log_warning("cutover %s: this host restarted in the middle of it and is itself again",
                    cutover);
    return rc;
}

/* Its timer was put away, so it comes up as the server; unless the source was brought back while it
 * was off. Armed anew and run out, the agent takes back what files cannot. */
static bool was_replaced(const char *cutover, const char *folder)
{
    if (!stage_has_swapped(folder) || guard_is_set(folder) || guard_sprung(folder) ||
        !former_is_back(folder))
        return false;
    log_warning("cutover %s: the source has its addresses again", cutover);
    if (guard_set(folder, 1) < 0)
        log_error("cutover %s: the timer cannot be written", cutover);
    return true;
}

int identity_boot(const char *state_dir, const char *root)
{
    CLEANUP(mem_free) char *home = xasprintf("%s/cutover", state_dir);
    const struct site v = {.root = root};
    int all = 0;
    bool some = false;
    DIR *d = opendir(home);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        CLEANUP(mem_free) char *folder = stage_folder(home, e->d_name);
        if (e->d_name[0] == '.' || !pair_valid(e->d_name) ||
            (!stage_holds_server(folder) && !was_replaced(e->d_name, folder)))
            continue;
        int rc = be_itself(home, root, e->d_name, folder);
        all = rc < 0 ? rc : all;
        some = true;
    }
    if (d)
        (void)closedir(d);
    if (some)
        render_netplan(&v);
    if (all < 0)
        keep_shut(&v);
    return all < 0 ? 1 : 0;
}
