/* smb_auth: proves to a server who we are: NTLM with a password, Kerberos with a ticket cache or a
 * keytab. The adapter of GSSAPI. A secret stays in memory: files are anonymous ones. */
#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/store/smb_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

struct smb_auth {
    gss_cred_id_t cred;
    gss_ctx_id_t ctx;
    gss_name_t target;
    int secret_fd; /* of a ticket cache or keytab */
    bool kerberos;
};

static gss_OID_desc spnego_oid = {6, (void *)(uintptr_t) "\x2b\x06\x01\x05\x05\x02"};
static gss_OID_desc krb5_oid = {9, (void *)(uintptr_t) "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
static gss_OID_desc ntlm_oid = {10, (void *)(uintptr_t) "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"};
/* 1.2.840.113554.1.2.2.5.5: GSS_C_INQ_SSPI_SESSION_KEY */
static gss_OID_desc session_key_oid = {
    11, (void *)(uintptr_t) "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05"};

static int refuse(struct fault *reterr, OM_uint32 major, OM_uint32 minor, gss_OID mech,
                  const char *what)
{
    OM_uint32 more = 0, ignored;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    bool of_mech = minor != 0;
    (void)gss_display_status(&ignored, of_mech ? minor : major,
                             of_mech ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, mech, &more, &text);
    int rc = fault_set(reterr, FAULT_STOP_JOB, EACCES, "%s: %.*s", what,
                       (int)(text.length < 120 ? text.length : 120),
                       text.value ? (const char *)text.value : "");
    (void)gss_release_buffer(&ignored, &text);
    return rc;
}

static int name_import(const char *text, gss_OID type, gss_name_t *ret, struct fault *reterr)
{
    OM_uint32 minor;
    gss_buffer_desc b = {strlen(text), (void *)(uintptr_t)text};
    OM_uint32 major = gss_import_name(&minor, &b, type, ret);
    return GSS_ERROR(major) ? refuse(reterr, major, minor, GSS_C_NO_OID, "the name is not usable")
                            : 0;
}

/* "user@realm" is one name in NTLM too: the server looks for the realm itself. */
static int with_password(struct smb_auth *a, const struct smb_login *l, struct fault *reterr)
{
    OM_uint32 minor, major;
    gss_name_t name = GSS_C_NO_NAME;
    gss_OID_set_desc mechs = {1, &ntlm_oid}, spnego = {1, &spnego_oid};
    int rc = name_import(l->user, GSS_C_NT_USER_NAME, &name, reterr);
    if (rc < 0)
        return rc;
    gss_buffer_desc secret = {l->secret_len, (void *)(uintptr_t)l->secret};
    major = gss_acquire_cred_with_password(&minor, name, &secret, GSS_C_INDEFINITE, &spnego,
                                           GSS_C_INITIATE, &a->cred, NULL, NULL);
    if (!GSS_ERROR(major))
        major = gss_set_neg_mechs(&minor, a->cred, &mechs);
    if (GSS_ERROR(major))
        rc = refuse(reterr, major, minor, &ntlm_oid,
                    "cannot use the password (is the package gss-ntlmssp installed?)");
    (void)gss_release_name(&minor, &name);
    return rc;
}

static int secret_file(struct smb_auth *a, const struct smb_login *l)
{
    a->secret_fd = memfd_create("credential", MFD_CLOEXEC);
    if (a->secret_fd < 0)
        return -errno;
    return write(a->secret_fd, l->secret, l->secret_len) == (ssize_t)l->secret_len ? 0 : -EIO;
}

static int with_file(struct smb_auth *a, const struct smb_login *l, struct fault *reterr)
{
    OM_uint32 minor, major;
    gss_name_t name = GSS_C_NO_NAME;
    gss_OID_set_desc mechs = {1, &krb5_oid}, spnego = {1, &spnego_oid};
    int rc = secret_file(a, l);
    if (rc < 0)
        return fault_set(reterr, FAULT_RETRY, -rc, "cannot keep the credential: %s", strerror(-rc));
    CLEANUP(mem_free) char *file = xasprintf("FILE:/proc/self/fd/%d", a->secret_fd);
    CLEANUP(mem_free) char *memory = xasprintf("MEMORY:godwit-%p", (void *)a);
    bool keytab = l->proof == SMB_KEYTAB;
    gss_key_value_element_desc kv[] = {
        {"ccache",        keytab ? memory : file},
        {"client_keytab", file                  }
    };
    gss_key_value_set_desc store = {keytab ? 2 : 1, kv};
    if (l->user && *l->user)
        rc = name_import(l->user, GSS_C_NT_USER_NAME, &name, reterr);
    if (rc < 0)
        return rc;
    major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, &spnego, GSS_C_INITIATE, &store,
                                  &a->cred, NULL, NULL);
    if (!GSS_ERROR(major))
        major = gss_set_neg_mechs(&minor, a->cred, &mechs);
    if (GSS_ERROR(major))
        rc = refuse(reterr, major, minor, &krb5_oid,
                    keytab ? "cannot use the keytab" : "cannot use the Kerberos tickets");
    (void)gss_release_name(&minor, &name);
    return rc;
}

int smb_auth_new(struct smb_auth **ret, const struct smb_login *l, const char *server,
                 struct fault *reterr)
{
    CLEANUP(smb_auth_free) struct smb_auth *a = xcalloc(1, sizeof *a);
    CLEANUP(mem_free) char *target = xasprintf("cifs@%s", server);
    a->secret_fd = -1;
    a->kerberos = l->proof != SMB_PASSWORD;
    int rc = name_import(target, GSS_C_NT_HOSTBASED_SERVICE, &a->target, reterr);
    if (rc == 0)
        rc = a->kerberos ? with_file(a, l, reterr) : with_password(a, l, reterr);
    if (rc < 0)
        return rc;
    *ret = a;
    a = NULL;
    return 0;
}

struct smb_auth *smb_auth_free(struct smb_auth *a)
{
    OM_uint32 minor;
    if (!a)
        return NULL;
    (void)gss_delete_sec_context(&minor, &a->ctx, GSS_C_NO_BUFFER);
    (void)gss_release_cred(&minor, &a->cred);
    (void)gss_release_name(&minor, &a->target);
    if (a->secret_fd >= 0)
        (void)fd_close(a->secret_fd);
    free(a);
    return NULL;
}

int smb_auth_step(struct smb_auth *a, const void *in, size_t in_len, void **ret, size_t *retlen,
                  struct fault *reterr)
{
    OM_uint32 minor, ignored;
    gss_buffer_desc from = {in_len, (void *)(uintptr_t)in}, to = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_init_sec_context(
        &minor, a->cred, &a->ctx, a->target, &spnego_oid,
        GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_INTEG_FLAG |
            GSS_C_CONF_FLAG,
        0, GSS_C_NO_CHANNEL_BINDINGS, in ? &from : GSS_C_NO_BUFFER, NULL, &to, NULL, NULL);
    if (GSS_ERROR(major))
        return refuse(reterr, major, minor, a->kerberos ? &krb5_oid : &ntlm_oid,
                      "the log-on cannot be made");
    *ret = to.length ? xmemdup(to.value, to.length) : NULL;
    *retlen = to.length;
    (void)gss_release_buffer(&ignored, &to);
    return major & GSS_S_CONTINUE_NEEDED ? 1 : 0;
}

int smb_auth_key(struct smb_auth *a, uint8_t ret[SMB_KEY])
{
    OM_uint32 minor;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 major = gss_inquire_sec_context_by_oid(&minor, a->ctx, &session_key_oid, &set);
    if (GSS_ERROR(major) || !set || set->count == 0 || set->elements[0].length < SMB_KEY) {
        (void)gss_release_buffer_set(&minor, &set);
        return -EACCES;
    }
    memcpy(ret, set->elements[0].value, SMB_KEY);
    explicit_bzero(set->elements[0].value, set->elements[0].length);
    (void)gss_release_buffer_set(&minor, &set);
    return 0;
}
