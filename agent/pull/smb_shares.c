/* smb_shares: the program godwit-smb-shares: reads a log-on from its standard input, lists the
 * server's shares by libsmbclient, answers there. Not for people: sharelist.c starts it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <krb5.h>
#include <libsmbclient.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
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
#define REALM_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
#define TICKETS "/dev/shm/godwit-XXXXXX"

static struct asked {
    enum smb_proof proof;
    char *host, *user, *domain, *secret;
    char *realm; /* of tickets */
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

/* The folder of the one file with a name that there is: Samba's Kerberos opens no cache of tickets
 * by a link, such as /proc/self/fd has, and none that others own or may read. It is in memory: of
 * the unit where there is one, else of a mount that ends with this process. */
static struct tickets {
    char folder[PATH_MAX], file[PATH_MAX + 8];
    bool made; /* by us, not by the unit */
} tickets;

static void own_memory(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
        mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0)
        (void)mount("godwit", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                    "size=2m,mode=1777");
}

static int tickets_folder(void)
{
    const char *given = getenv("RUNTIME_DIRECTORY");
    int n = snprintf(tickets.folder, sizeof tickets.folder, "%s", given ? given : TICKETS);
    if (n < 0 || (size_t)n >= sizeof tickets.folder)
        return -ENAMETOOLONG;
    if (!given)
        own_memory();
    if (!given && !mkdtemp(tickets.folder))
        return -errno;
    tickets.made = !given;
    (void)snprintf(tickets.file, sizeof tickets.file, "%s/cc", tickets.folder);
    return 0;
}

static void tickets_remove(void)
{
    if (*tickets.file)
        (void)unlink(tickets.file);
    if (tickets.made)
        (void)rmdir(tickets.folder);
}

static int tickets_give(uid_t id) /* to whom we are about to be */
{
    if (*tickets.file && (chown(tickets.folder, id, id) < 0 || chown(tickets.file, id, id) < 0))
        return -errno;
    return 0;
}

static int keep_tickets(void)
{
    CLEANUP(fd_close)
    int fd = open(tickets.file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    return write(fd, asked.secret, asked.secret_len) == (ssize_t)asked.secret_len ? 0 : -EIO;
}

/* libsmbclient takes no keytab: the first ticket is fetched here. */
static krb5_error_code fetch_ticket(krb5_context k, const char *keytab, const char *cache)
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
        bad = krb5_cc_resolve(k, cache, &cc);
    if (!bad)
        bad = krb5_cc_initialize(k, cc, who);
    if (!bad)
        bad = krb5_cc_store_cred(k, cc, &creds);
    return bad;
}

/* Who the tickets are of: nobody need have said so, and Samba takes a log-on without a name for
 * that of a stranger. Their realm goes into a file of lines. */
static krb5_error_code take_name(krb5_context k, const char *cache)
{
    krb5_ccache cc = NULL;
    krb5_principal who = NULL;
    char *name = NULL;
    krb5_error_code bad = krb5_cc_resolve(k, cache, &cc);
    if (!bad)
        bad = krb5_cc_get_principal(k, cc, &who);
    if (!bad)
        bad = krb5_unparse_name(k, who, &name);
    if (bad)
        return bad;
    asked.user = name;
    asked.realm = xmemdup(who->realm.data, who->realm.length);
    return asked.realm[strspn(asked.realm, REALM_LETTERS)] == '\0' ? 0 : KRB5_PARSE_MALFORMED;
}

static int use_tickets(void)
{
    char file[40];
    krb5_context k = NULL;
    if (asked.proof == SMB_PASSWORD)
        return 0;
    int rc = tickets_folder();
    if (rc == 0 && krb5_init_context(&k) != 0)
        rc = -EIO;
    CLEANUP(mem_free) char *cache = xasprintf("FILE:%s", tickets.file);
    if (rc == 0 && asked.proof == SMB_CCACHE)
        rc = keep_tickets();
    if (rc == 0 && asked.proof == SMB_KEYTAB)
        rc = memory_file(asked.secret, asked.secret_len, file);
    CLEANUP(mem_free) char *keytab = xasprintf("FILE:%s", rc == 0 ? file : "");
    if (rc == 0 && asked.proof == SMB_KEYTAB && fetch_ticket(k, keytab, cache) != 0)
        rc = -EACCES;
    if (rc == 0 && take_name(k, cache) != 0)
        rc = -EACCES;
    return rc == 0 && setenv("KRB5CCNAME", cache, 1) < 0 ? -errno : rc;
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
    int rc = tickets_give(id);
    if (rc < 0)
        return rc;
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
    CLEANUP(mem_free)
    char *lines =
        xasprintf("%s%s%s\n", conf, asked.realm ? "realm = " : "", asked.realm ? asked.realm : "");
    if (!x || memory_file(lines, strlen(lines), path) < 0)
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
    tickets_remove();
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
