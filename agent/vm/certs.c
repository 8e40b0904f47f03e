/* certs: see certs.h. */
#include "agent/vm/certs.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define CERTS_MAX 4
#define FILE_BYTES_MAX (1U << 20)
#define LIBVIRTD_CONF "/etc/libvirt/libvirtd.conf"
#define QEMU_CONF "/etc/libvirt/qemu.conf"
#define OF_MIGRATION "/etc/pki/libvirt-migrate" /* where libvirt looks first, if it is there */

/* What a line KEY = "VALUE" of one of libvirt's files says, the last one; malloc'd, NULL: none. */
static char *setting(const char *root, const char *file, const char *key)
{
    CLEANUP(mem_free) char *path = xasprintf("%s%s", root, file);
    char *text = NULL, *found = NULL, *save = NULL;
    size_t n = 0;
    if (file_read(path, FILE_BYTES_MAX, &text, &n) < 0)
        return NULL;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        l += strspn(l, " \t");
        char *value = l + strlen(key);
        if (strncmp(l, key, strlen(key)) != 0)
            continue;
        value += strspn(value, " \t");
        if (*value != '=')
            continue;
        value += 1 + strspn(value + 1, " \t");
        if (*value != '"' && *value != '\'')
            continue;
        value[1 + strcspn(value + 1, *value == '"' ? "\"" : "'")] = '\0';
        free(found);
        found = xstrdup(value + 1);
    }
    free(text);
    return found;
}

static char *qemu_folder(const char *root)
{
    static const char *const keys[] = {"migrate_tls_x509_cert_dir", "default_tls_x509_cert_dir"};
    CLEANUP(mem_free) char *own = xasprintf("%s%s", root, OF_MIGRATION);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        char *said = setting(root, QEMU_CONF, keys[i]);
        if (said)
            return said;
        if (i == 0 && access(own, F_OK) == 0)
            return xstrdup(OF_MIGRATION);
    }
    return xstrdup("/etc/pki/qemu");
}

/* ── one file ── */

static int64_t end_of(const X509 *cert)
{
    struct tm tm = {.tm_year = 0};
    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Of a certificate with those that signed it the first; of authorities the one that is good for
 * longest: the others may be old ones. 0: there is none. */
static int64_t end_in(const char *text, size_t n, bool authorities)
{
    static char no_password[] = "";
    int64_t end = 0;
    BIO *b = BIO_new_mem_buf(text, (int)n);
    X509 *cert;
    while (b && (end == 0 || authorities) &&
           (cert = PEM_read_bio_X509(b, NULL, NULL, no_password))) {
        int64_t one = end_of(cert);
        end = one > end ? one : end;
        X509_free(cert);
    }
    BIO_free(b);
    ERR_clear_error(); /* it ends with one, and this thread may speak TLS next */
    return end;
}

static Godwit__VmCertificate *look_at(const char *root, const char *path, bool authorities)
{
    CLEANUP(mem_free) char *at = xasprintf("%s%s", root, path);
    char *text = NULL;
    size_t n = 0;
    int rc = file_read(at, FILE_BYTES_MAX, &text, &n);
    if (rc == -ENOENT)
        return NULL;
    Godwit__VmCertificate *c = xcalloc(1, sizeof *c);
    godwit__vm_certificate__init(c);
    c->path = text_printable(path, strnlen(path, 1024));
    c->not_after_s = rc == 0 ? end_in(text, n, authorities) : 0;
    if (rc < 0)
        c->trouble = xstrdup(strerror(-rc));
    else if (c->not_after_s <= 0)
        c->trouble = xstrdup("it is no certificate");
    free(text);
    return c;
}

void certs_look(const char *root, bool server, Godwit__VmCertificate ***ret, size_t *retn)
{
    CLEANUP(mem_free) char *qemu = qemu_folder(root);
    char *ca = server ? setting(root, LIBVIRTD_CONF, "ca_file") : NULL;
    char *own = server ? setting(root, LIBVIRTD_CONF, "cert_file") : NULL;
    char *paths[CERTS_MAX] = {
        ca ? ca : xstrdup("/etc/pki/CA/cacert.pem"),
        own ? own : xasprintf("/etc/pki/libvirt/%scert.pem", server ? "server" : "client"),
        xasprintf("%s/ca-cert.pem", qemu),
        xasprintf("%s/%s-cert.pem", qemu, server ? "server" : "client"),
    };
    *ret = xcalloc(CERTS_MAX, sizeof **ret);
    *retn = 0;
    for (size_t i = 0; i < CERTS_MAX; i++) {
        Godwit__VmCertificate *c = look_at(root, paths[i], i % 2 == 0);
        if (c)
            (*ret)[(*retn)++] = c;
        free(paths[i]);
    }
}
