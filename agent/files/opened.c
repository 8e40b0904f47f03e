/* opened: which files clients of this host's Samba and NFS server have open now, as these tell.
 * Made once before a count, then only read. Worker thread. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "agent/files/traits.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define SMB_OUT_MAX (64U << 20)
#define MEMBER_BYTES 120
#define SMB_WAIT_MS 15000
#define NFS_FILE_MAX (4U << 20)
#define NFS_CLIENTS_MAX 1000

/* The number behind name within the member that begins here; 0: there is none. */
static unsigned long long number_in(const char *text, const char *name)
{
    char near[MEMBER_BYTES];
    size_t n = strnlen(text, sizeof near - 1);
    memcpy(near, text, n);
    near[n] = '\0';
    near[strcspn(near, "}")] = '\0';
    const char *at = strstr(near, name);
    return at ? strtoull(at + strlen(name) + strspn(at + strlen(name), " :"), NULL, 10) : 0;
}

/* "fileid": {"devid": 64769, "inode": 12, "extid": 0}, once for each file. A quote within a name
 * has a backslash before it, so that no name reads like this; a tree of all of it would need much
 * room. */
void opened_take_smb(struct locked *to, const char *json)
{
    static const char head[] = "\"fileid\"";
    for (const char *at = json; (at = strstr(at, head)) != NULL;) {
        at += sizeof head - 1;
        locked_add(to, (dev_t)number_in(at, "\"devid\""), (ino_t)number_in(at, "\"inode\""));
    }
}

/* - 0x12…: { type: open, access: rw, deny: --, superblock: "fd:10:13649", filename: "a", … } */
void opened_take_nfs(struct locked *to, const char *text)
{
    static const char head[] = "superblock: \"";
    for (const char *at = text; (at = strstr(at, head)) != NULL;) {
        char *end = NULL;
        at += sizeof head - 1;
        unsigned long dev_major = strtoul(at, &end, 16);
        unsigned long dev_minor = *end == ':' ? strtoul(end + 1, &end, 16) : 0;
        unsigned long long ino = *end == ':' ? strtoull(end + 1, &end, 10) : 0;
        if (*end == '"')
            locked_add(to, makedev((unsigned)dev_major, (unsigned)dev_minor), (ino_t)ino);
    }
}

/* A Samba older than 4.17 does not know -j: then nothing is told. */
static void ask_smb(struct locked *to)
{
    static const char *const argv[] = {"smbstatus", "-j", "-L", NULL};
    const struct program_call c = {
        .argv = argv, .max_out = SMB_OUT_MAX, .timeout_ms = SMB_WAIT_MS, .cancel_fd = -1};
    struct program_output o;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) < 0)
        return;
    opened_take_smb(to, o.out);
    program_done(&o);
}

static void ask_nfs(struct locked *to, const char *root)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/proc/fs/nfsd/clients", root);
    DIR *d = opendir(folder);
    unsigned n = 0;
    for (const struct dirent *e; d && n < NFS_CLIENTS_MAX && (e = readdir(d)) != NULL;) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s/states", folder, e->d_name);
        CLEANUP(mem_free) char *text = NULL;
        size_t len = 0;
        if (e->d_name[0] == '.' || file_read(path, NFS_FILE_MAX, &text, &len) < 0)
            continue;
        opened_take_nfs(to, text);
        n++;
    }
    if (d)
        (void)closedir(d);
}

struct locked *opened_read(const char *root)
{
    struct locked *l = locked_new();
    if (!*root)
        ask_smb(l);
    ask_nfs(l, root);
    return l;
}
