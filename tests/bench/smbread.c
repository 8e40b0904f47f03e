/* smbread: reads a tree of a share by libsmbclient, in some processes at once, and throws it away:
 * what an adapter made of that library could reach at best. The password is in PASSWD. */
#include <fcntl.h>
#include <libsmbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define READ_BYTES (1U << 20)
#define PROCESSES_MAX 16

static const char *user;

static void on_auth(SMBCCTX *x, const char *server, const char *share, char *domain, int domain_max,
                    char *name, int name_max, char *secret, int secret_max)
{
    (void)x;
    (void)server;
    (void)share;
    (void)domain;
    (void)domain_max;
    (void)snprintf(name, (size_t)name_max, "%s", user);
    (void)snprintf(secret, (size_t)secret_max, "%s", getenv("PASSWD"));
}

static SMBCCTX *context(void)
{
    SMBCCTX *x = smbc_new_context();
    smbc_setFunctionAuthDataWithContext(x, on_auth);
    smbc_setOptionNoAutoAnonymousLogin(x, 1);
    if (!smbc_init_context(x))
        exit(1);
    (void)smbc_setOptionProtocols(x, "SMB2_10", "SMB3_11");
    return x;
}

/* ── one process ── */

struct part {
    SMBCCTX *x;
    unsigned number, of, seen, files;
    unsigned long long bytes;
    char *room;
};

static void read_one(struct part *p, const char *url)
{
    SMBCFILE *f = smbc_getFunctionOpen(p->x)(p->x, url, O_RDONLY, 0);
    if (!f) {
        perror(url);
        _exit(1);
    }
    ssize_t n;
    while ((n = smbc_getFunctionRead(p->x)(p->x, f, p->room, READ_BYTES)) > 0)
        p->bytes += (unsigned long long)n;
    (void)smbc_getFunctionClose(p->x)(p->x, f);
    p->files++;
    if (n < 0)
        _exit(1);
}

/* Every process lists all; each reads its share of the files. */
static void walk(struct part *p, const char *url) // NOLINT(misc-no-recursion)
{
    SMBCFILE *d = smbc_getFunctionOpendir(p->x)(p->x, url);
    struct smbc_dirent *e;
    while (d && (e = smbc_getFunctionReaddir(p->x)(p->x, d))) {
        if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
            continue;
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", url, e->name);
        if (e->smbc_type == SMBC_DIR)
            walk(p, path);
        else if (p->seen++ % p->of == p->number)
            read_one(p, path);
    }
    if (d)
        (void)smbc_getFunctionClosedir(p->x)(p->x, d);
}

static int run(const char *url, unsigned number, unsigned of, int to)
{
    struct part p = {.x = context(), .number = number, .of = of, .room = xmalloc(READ_BYTES)};
    walk(&p, url);
    free(p.room);
    (void)dprintf(to, "%u %llu\n", p.files, p.bytes);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long n = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (n == 0 || n > PROCESSES_MAX || !getenv("PASSWD")) {
        (void)fprintf(stderr, "usage: PASSWD=… smbread smb://HOST/SHARE/FOLDER USER PROCESSES\n");
        return 2;
    }
    user = argv[2];
    for (unsigned i = 0; i < n; i++)
        if (fork() == 0)
            _exit(run(argv[1], i, (unsigned)n, STDOUT_FILENO));
    int bad = 0, status = 0;
    while (wait(&status) > 0)
        bad |= status != 0;
    return bad;
}
