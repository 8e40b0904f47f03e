/* hostkeys: files in /etc/ssh, and the word to sshd. */
#include "agent/identity/hostkeys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/service.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define FOLDER "/etc/ssh/"
#define TOOL_MS 10000
#define MAKE_MS 30000

const char *const hostkey_kinds[HOSTKEY_KINDS] = {"rsa", "ecdsa", "ed25519"};

void hostkeys_reload(const struct site *v)
{
    /* Two names of one unit, of which a host may have one; by a socket each connection reads them.
     */
    static const char *const argv[] = {"systemctl",   "--no-block",   "try-reload-or-restart",
                                       "ssh.service", "sshd.service", NULL};
    struct fault unused = {.err = 0};
    (void)service_tool(v, argv, TOOL_MS, &unused);
}

bool hostkeys_noted(const struct undo *u)
{
    for (size_t i = 0; u && i < u->n; i++)
        if (u->records[i]->file && strstr(u->records[i]->file->path, FOLDER "ssh_host_"))
            return true;
    return false;
}

/* The old one is destroyed: it is another server's now. */
static int take_place(const char *fresh, const char *path)
{
    CLEANUP(mem_free) char *fresh_pub = xasprintf("%s.pub", fresh);
    CLEANUP(mem_free) char *pub = xasprintf("%s.pub", path);
    CLEANUP(mem_free) char *old = xasprintf("%s.moved", path);
    int rc = undo_shred(old);
    if (rc < 0)
        return rc;
    if (link(path, old) < 0 || rename(fresh, path) < 0 || rename(fresh_pub, pub) < 0)
        return -errno;
    return undo_shred(old);
}

static int renew(const struct site *v, const char *kind, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s" FOLDER "ssh_host_%s_key", v->root, kind);
    CLEANUP(mem_free) char *fresh = xasprintf("%s.fresh", path);
    CLEANUP(mem_free) char *fresh_pub = xasprintf("%s.pub", fresh);
    const char *const argv[] = {"ssh-keygen", "-q", "-t", kind, "-N", "", "-f", fresh, NULL};
    if (access(path, F_OK) < 0)
        return 0;
    (void)unlink(fresh); /* of one that was broken off */
    (void)unlink(fresh_pub);
    int rc = service_tool(v, argv, MAKE_MS, reterr);
    if (rc < 0)
        return rc;
    rc = take_place(fresh, path);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot replace %.120s: %s", path,
                              strerror(-rc))
                  : 1;
}

void hostkeys_renew(struct stage_run *r)
{
    struct fault why = {.err = 0};
    bool some = false;
    for (size_t i = 0; i < HOSTKEY_KINDS; i++) {
        int rc = renew(&r->site, hostkey_kinds[i], &why);
        some = some || rc > 0;
        if (rc < 0)
            stage_text(&r->result->after,
                       xasprintf("the source still has SSH host keys that moved: ssh-keygen makes "
                                 "others (%.200s)",
                                 why.text));
    }
    if (some)
        hostkeys_reload(&r->site);
}
