/* test_vm_certs: until when libvirt's own certificates are good, and which version a TPM's emulator
 * has. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/vm/certs.h"
#include "agent/vm/tpm.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

static char root[] = "/tmp/gw-certs-XXXXXX";
static int64_t now;

/* As PEM, good for so many days from now; malloc'd. */
static char *certificate(int days)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *x = X509_new();
    BIO *b = BIO_new(BIO_s_mem());
    char *data = NULL;
    assert_true(key && x && b);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -864000));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), (long)days * 86400));
    assert_true(X509_set_pubkey(x, key) && X509_sign(x, key, NULL) && PEM_write_bio_X509(b, x));
    long n = BIO_get_mem_data(b, &data);
    char *text = xasprintf("%.*s", (int)n, data);
    BIO_free(b);
    X509_free(x);
    EVP_PKEY_free(key);
    return text;
}

static void put(const char *path, const char *text)
{
    CLEANUP(mem_free) char *at = xasprintf("%s%s", root, path);
    CLEANUP(mem_free) char *folder = xstrdup(at);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(at, 0600, text, strlen(text)), 0);
}

static void put_certificate(const char *path, int first, int second)
{
    CLEANUP(mem_free) char *a = certificate(first);
    CLEANUP(mem_free) char *b = second ? certificate(second) : xstrdup("");
    CLEANUP(mem_free) char *both = xasprintf("%s%s", a, b);
    put(path, both);
}

struct want {
    const char *path;
    int days; /* 0: trouble */
};

static void they_are(bool server, const struct want *want, size_t n)
{
    Godwit__VmLook l = GODWIT__VM_LOOK__INIT;
    certs_look(root, server, &l.certificates, &l.n_certificates);
    assert_int_equal(l.n_certificates, n);
    for (size_t i = 0; i < n; i++) {
        const Godwit__VmCertificate *c = l.certificates[i];
        int64_t off = c->not_after_s - now - (int64_t)want[i].days * 86400;
        assert_string_equal(c->path, want[i].path);
        assert_int_equal(*c->trouble != '\0', want[i].days == 0);
        assert_true(want[i].days == 0 ? c->not_after_s == 0 : off > -60 && off < 60);
        godwit__vm_certificate__free_unpacked(l.certificates[i], NULL);
    }
    free(l.certificates);
}

static void those_that_are_there_are_told(void **state)
{
    static const struct want client[] = {
        {"/etc/pki/CA/cacert.pem",          300},
        {"/etc/pki/libvirt/clientcert.pem", 3  },
        {"/etc/pki/qemu/ca-cert.pem",       0  },
    };
    (void)state;
    they_are(false, NULL, 0);
    put_certificate("/etc/pki/CA/cacert.pem", -5, 300);       /* an old one and its successor */
    put_certificate("/etc/pki/libvirt/clientcert.pem", 3, 9); /* and who signed it */
    put("/etc/pki/qemu/ca-cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    they_are(false, client, ARRAY_SIZE(client));
}

static void they_are_where_libvirts_files_say(void **state)
{
    static const struct want server[] = {
        {"/etc/ours/ca.pem",          30},
        {"/etc/ours/cert.pem",        -1},
        {"/etc/ours/server-cert.pem", 7 },
    };
    (void)state;
    put_certificate("/etc/ours/ca.pem", 30, 0);
    put_certificate("/etc/ours/cert.pem", -1, 0);
    put_certificate("/etc/ours/server-cert.pem", 7, 0);
    put("/etc/libvirt/libvirtd.conf", "#cert_file = \"/no\"\n ca_file=\"/etc/ours/ca.pem\"\n"
                                      "cert_file_more = \"/no\"\ncert_file = 5\n"
                                      "cert_file\t=  '/etc/ours/cert.pem' # it\ncert_file");
    put("/etc/libvirt/qemu.conf", "default_tls_x509_cert_dir = \"/etc/ours\"");
    they_are(true, server, ARRAY_SIZE(server));
    put("/etc/libvirt/qemu.conf", "default_tls_x509_cert_dir = \"/no\"\n"
                                  "migrate_tls_x509_cert_dir = \"/etc/ours\"\n");
    they_are(true, server, ARRAY_SIZE(server));
}

static void what_swtpm_says_is_read(void **state)
{
    static const struct {
        const char *said, *version;
        bool old;
    } cases[] = {
        {"TPM emulator version 0.7.1, Copyright (c) 2014-2021 IBM Corp.", "0.7.1",  true },
        {"TPM emulator version 0.8.0, Copyright",                         "0.8.0",  false},
        {"TPM emulator version 0.10.1, Copyright",                        "0.10.1", false},
        {"TPM emulator version 1.0",                                      "1.0",    false},
        {"version 00000000000000000000000000000000000000000000000000.9",  "",       true },
        {"version unknown",                                               "",       true },
        {"",                                                              "",       true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char version[TPM_VERSION_MAX];
        tpm_version_in(cases[i].said, version);
        assert_string_equal(version, cases[i].version);
        assert_int_equal(tpm_is_too_old(version), cases[i].old);
    }
    assert_false(tpm_is_shared("")); /* no test runs where that is on a network */
    assert_false(tpm_is_shared("/nonexistent/of/it"));
}

static int make_root(void **state)
{
    (void)state;
    now = (int64_t)time(NULL);
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    const char *const argv[] = {"rm", "-rf", root, NULL};
    const struct program_call call = {.argv = argv};
    struct program_output out = {.code = 0};
    struct fault why;
    (void)state;
    if (program_run(&call, &out, &why) < 0)
        return -1;
    int rc = out.code;
    program_done(&out);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_are_there_are_told),
        cmocka_unit_test(they_are_where_libvirts_files_say),
        cmocka_unit_test(what_swtpm_says_is_read),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
