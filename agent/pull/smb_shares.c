/* smb_shares: the program godwit-smb-shares: reads a log-on from its standard input, lists the
 * server's shares by libsmbclient, answers there. Not for people: sharelist.c starts it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <krb5.h>
#include <libsmbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/pull/sharelist.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define ASK_MAX (256U << 10)
#define FIRST_UID 61184 /* of those that belong to nobody and are taken by the process */
#define UIDS 4096
#define TIMEOUT_MS 20000

static struct asked {
    enum smb_proof proof;
    char *host, *user, *domain, *secret;
    size_t secret_len;
    uint16_t port; /* 0: the usual */
} asked;

/* "disable netbios": no broadcast may answer for a name. */
static const char conf[] = "[global]\n"
                           "client min protocol = SMB2_10\n"
                           "client ipc min protocol = SMB2_10\n"
                           "client signing = required\n"
                           "client ipc signing = required\n"
                           "name resolve order = host\n"
                           "disable netbios = yes\n"
                           "lock directory = /nonexistent\n";

/* ── the question ── */

static char *take(struct cursor *c, size_t *retlen)
{
    const void *p = cursor_blob(c, ASK_MAX, retlen);
    return p ? xmemdup(p, *retlen) : NULL;
}

static int parse(const struct buf *b)
{
    struct cursor c = cursor_of(b->data, b->len);
    size_t n = 0;
    asked.proof = (enum smb_proof)cursor_u8(&c);
    asked.host = take(&c, &n);
    asked.user = take(&c, &n);
    asked.secret = take(&c, &asked.secret_len);
    if (c.bad || asked.proof > SMB_KEYTAB)
        return -EBADMSG;
    char *colon = strrchr(asked.host, ':');
    if (colon && strchr(asked.host, ':') == colon) { /* else an IPv6 address */
        *colon = '\0';
        asked.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    }
    char *slash = strchr(asked.user, '\\');
    asked.domain = xmemdup(asked.user, slash ? (size_t)(slash - asked.user) : 0);
    if (slash)
        memmove(asked.user, slash + 1, strlen(slash + 1) + 1);
    return 0;
}

static int read_question(void)
{
    struct buf b;
    ssize_t n;
    buf_init(&b, ASK_MAX);
    for (;;) {
        uint8_t *to = buf_reserve(&b, 4096);
        n = to ? read(STDIN_FILENO, to, 4096) : -1;
        if (n <= 0)
            break;
        b.len += (size_t)n;
    }
    int rc = n < 0 ? -EBADMSG : parse(&b);
    explicit_bzero(b.data, b.len);
    buf_done(&b);
    return rc;
}

/* ── Kerberos ── */

static int memory_file(const void *p, size_t n, char ret[40])
{
    int fd = memfd_create("godwit", 0);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n)
        return -EIO;
    (void)snprintf(ret, 40, "/proc/self/fd/%d", fd);
    return 0;
}

/* Samba's own Kerberos takes tickets only of a file that has a name and one owner, unless it is
 * told not to look: ours is in memory, and is read when we are somebody else. */
static int allow_nameless(void)
{
    static const char lines[] = "[libdefaults]\n  fcache_strict_checking = no\n";
    char file[40];
    int rc = memory_file(lines, sizeof lines - 1, file);
    CLEANUP(mem_free) char *files = xasprintf("%s:/etc/krb5.conf", file);
    return rc == 0 && setenv("KRB5_CONFIG", files, 1) < 0 ? -errno : rc;
}

/* libsmbclient takes no keytab: the first ticket is fetched here. */
static krb5_error_code fetch_ticket(krb5_context k, const char *keytab, const char *path)
{
    krb5_principal who = NULL;
    krb5_keytab kt = NULL;
    krb5_ccache cc = NULL;
    krb5_creds creds;
    memset(&creds, 0, sizeof creds);
    krb5_error_code bad = krb5_parse_name(k, asked.user, &who);
    if (!bad)
        bad = krb5_kt_resolve(k, keytab, &kt);
    if (!bad)
        bad = krb5_get_init_creds_keytab(k, &creds, who, kt, 0, NULL, NULL);
    if (!bad)
        bad = krb5_cc_resolve(k, path, &cc);
    if (!bad)
        bad = krb5_cc_initialize(k, cc, who);
    if (!bad)
        bad = krb5_cc_store_cred(k, cc, &creds);
    return bad;
}

static int tickets_of_keytab(const char *keytab, char ret[40])
{
    char folder[] = "/dev/shm/godwit-XXXXXX";
    krb5_context k = NULL;
    CLEANUP(mem_free) char *name = xasprintf("FILE:%s", keytab);
    if (!mkdtemp(folder) || krb5_init_context(&k) != 0)
        return -EIO;
    CLEANUP(mem_free) char *path = xasprintf("FILE:%s/cc", folder);
    krb5_error_code bad = fetch_ticket(k, name, path);
    CLEANUP(mem_free) char *tickets = NULL;
    size_t len = 0;
    int rc = bad ? -EACCES : file_read(path + 5, ASK_MAX, &tickets, &len);
    (void)unlink(path + 5);
    (void)rmdir(folder);
    if (rc == 0)
        rc = memory_file(tickets, len, ret);
    if (tickets)
        explicit_bzero(tickets, len);
    return rc;
}

static int use_tickets(void)
{
    char file[40], tickets[40];
    if (asked.proof == SMB_PASSWORD)
        return 0;
    int rc = memory_file(asked.secret, asked.secret_len, file);
    if (rc == 0 && asked.proof == SMB_KEYTAB)
        rc = tickets_of_keytab(file, tickets);
    if (rc == 0)
        rc = allow_nameless();
    CLEANUP(mem_free)
    char *name = xasprintf("FILE:%s", asked.proof == SMB_KEYTAB ? tickets : file);
    return rc == 0 && setenv("KRB5CCNAME", name, 1) < 0 ? -errno : rc;
}

/* ── rights ── */

/* An id of its own, so that no other process of nobody can look into this one, which must stay
 * dumpable for its own /proc/self/fd. */
static int drop_rights(void)
{
    const struct rlimit memory = {1U << 30, 1U << 30}, none = {0, 0};
    uid_t id = FIRST_UID + (uid_t)getpid() % UIDS;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
#ifndef __SANITIZE_ADDRESS__
    if (setrlimit(RLIMIT_AS, &memory) < 0)
        return -errno;
#else
    (void)memory;
#endif
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
        return -errno;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* ── the server ── */

static void on_auth(SMBCCTX *x, const char *server, const char *share, char *domain, int domain_max,
                    char *user, int user_max, char *secret, int secret_max)
{
    (void)x;
    (void)server;
    (void)share;
    (void)snprintf(domain, (size_t)domain_max, "%s", asked.domain);
    (void)snprintf(user, (size_t)user_max, "%s", asked.user);
    if (asked.proof == SMB_PASSWORD)
        (void)snprintf(secret, (size_t)secret_max, "%s", asked.secret);
}

static SMBCCTX *context(void)
{
    char path[40];
    SMBCCTX *x = smbc_new_context();
    if (!x || memory_file(conf, sizeof conf - 1, path) < 0)
        return NULL;
    bool kerberos = asked.proof != SMB_PASSWORD;
    smbc_setDebug(x, 0);
    smbc_setTimeout(x, TIMEOUT_MS);
    smbc_setFunctionAuthDataWithContext(x, on_auth);
    smbc_setOptionUseKerberos(x, kerberos);
    smbc_setOptionFallbackAfterKerberos(x, 0);
    smbc_setOptionNoAutoAnonymousLogin(x, 1);
    smbc_setOptionOneSharePerServer(x, 1);
    if (asked.port)
        smbc_setPort(x, asked.port);
    if (!smbc_init_context(x))
        return NULL;
    return smbc_setConfiguration(x, path) == 0 ? x : NULL;
}

static int kind_of(unsigned type)
{
    switch (type) {
    case SMBC_FILE_SHARE:
        return SHARE_FOLDER;
    case SMBC_PRINTER_SHARE:
        return SHARE_PRINTER;
    case SMBC_COMMS_SHARE:
        return SHARE_DEVICE;
    case SMBC_IPC_SHARE:
        return SHARE_PIPE;
    default:
        return -1;
    }
}

static int list(struct buf *ret)
{
    SMBCCTX *x = context();
    if (!x)
        return -EIO;
    int rc = drop_rights();
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *url = xasprintf("smb://%s/", asked.host);
    SMBCFILE *dir = smbc_getFunctionOpendir(x)(x, url);
    if (!dir)
        return errno > 0 && errno < 256 ? -errno : -EIO;
    struct smbc_dirent *e;
    while ((e = smbc_getFunctionReaddir(x)(x, dir))) {
        int kind = kind_of(e->smbc_type);
        if (kind < 0 || e->namelen == 0)
            continue;
        buf_put_u8(ret, (uint8_t)kind);
        buf_put_blob(ret, e->name, strlen(e->name));
        buf_put_blob(ret, e->comment ? e->comment : "", e->comment ? strlen(e->comment) : 0);
    }
    return ret->overflow ? -E2BIG : 0;
}

int main(void)
{
    struct buf b;
    buf_init(&b, SHARELIST_MAX);
    buf_put_u8(&b, 0);
    int rc = read_question();
    if (rc == 0)
        rc = use_tickets();
    if (rc == 0)
        rc = list(&b);
    if (rc < 0) {
        buf_clear(&b);
        buf_put_u8(&b, (uint8_t)-rc);
    }
    for (size_t at = 0; at < b.len;) {
        ssize_t n = send(STDIN_FILENO, b.data + at, b.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    _exit(rc < 0); /* libsmbclient has nothing to say to the server any more */
}
