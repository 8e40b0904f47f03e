/* curve: keys, their files, and secured sockets. Any thread. */
#include "common/wire/curve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "common/wire/zap.h"

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* labelled draft, yet settable in Debian's stable build */
#endif
#define SNDHWM_MESSAGES 1000
#define LINGER_MS 1000

static const char z85_digits[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

void curve_key_new(struct curve_key *ret)
{
    char public_text[CURVE_Z85_LEN + 1], secret_text[CURVE_Z85_LEN + 1];
    if (zmq_curve_keypair(public_text, secret_text) != 0)
        abort(); /* libzmq without CURVE: nothing we do would be safe */
    (void)curve_from_z85(public_text, ret->public_key);
    (void)curve_from_z85(secret_text, ret->secret_key);
    explicit_bzero(secret_text, sizeof secret_text);
}

void curve_key_wipe(struct curve_key *key)
{
    explicit_bzero(key, sizeof *key);
}

void curve_z85(const uint8_t key[32], char ret[CURVE_Z85_LEN + 1])
{
    (void)zmq_z85_encode(ret, key, 32);
}

int curve_from_z85(const char *z85, uint8_t ret[32])
{
    if (!z85 || strlen(z85) != CURVE_Z85_LEN || strspn(z85, z85_digits) != CURVE_Z85_LEN)
        return -EINVAL;
    uint8_t key[32];
    if (!zmq_z85_decode(key, z85))
        return -EINVAL; /* a group over 32 bits */
    memcpy(ret, key, sizeof key);
    return 0;
}

/* The file: "public Z85\nsecret Z85\n". */
int curve_key_save(const struct curve_key *key, const char *path)
{
    char public_text[CURVE_Z85_LEN + 1], secret_text[CURVE_Z85_LEN + 1], text[128];
    curve_z85(key->public_key, public_text);
    curve_z85(key->secret_key, secret_text);
    int n = snprintf(text, sizeof text, "public %s\nsecret %s\n", public_text, secret_text);
    int rc = file_write(path, 0600, text, (size_t)n);
    explicit_bzero(secret_text, sizeof secret_text);
    explicit_bzero(text, sizeof text);
    return rc;
}

static int parse_key(const char *text, struct curve_key *ret)
{
    char public_text[CURVE_Z85_LEN + 1], secret_text[CURVE_Z85_LEN + 1], derived[CURVE_Z85_LEN + 1];
    int end = 0, rc = -EBADMSG;
    struct curve_key key;
    if (sscanf(text, "public %40s secret %40s%n", public_text, secret_text, &end) == 2 &&
        strcmp(text + end, "\n") == 0 && curve_from_z85(public_text, key.public_key) == 0 &&
        curve_from_z85(secret_text, key.secret_key) == 0 &&
        zmq_curve_public(derived, secret_text) == 0 && strcmp(derived, public_text) == 0) {
        *ret = key;
        rc = 0;
    }
    explicit_bzero(secret_text, sizeof secret_text);
    curve_key_wipe(&key);
    return rc;
}

int curve_key_load(const char *path, struct curve_key *ret)
{
    CLEANUP(fd_close)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EBADMSG;
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return -EPERM;
    char text[128];
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    int rc = parse_key(text, ret);
    explicit_bzero(text, sizeof text);
    return rc;
}

int curve_key_load_or_new(const char *path, struct curve_key *ret)
{
    int rc = curve_key_load(path, ret);
    if (rc != -ENOENT)
        return rc;
    struct curve_key key;
    curve_key_new(&key);
    rc = curve_key_save(&key, path);
    if (rc == 0)
        *ret = key;
    curve_key_wipe(&key);
    return rc;
}

struct int_option {
    int option;
    int value;
};

static int set_ints(void *handle, const struct int_option *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (zmq_setsockopt(handle, o[i].option, &o[i].value, sizeof o[i].value) != 0)
            return -errno;
    }
    return 0;
}

/* What both ends set: a bound on what is taken in, on silence, and on what waits at close. */
static int set_common(void *handle)
{
    static const struct int_option ints[] = {
        {ZMQ_HEARTBEAT_IVL,     WIRE_HEARTBEAT_IVL_MS    },
        {ZMQ_HEARTBEAT_TIMEOUT, WIRE_HEARTBEAT_TIMEOUT_MS},
        {ZMQ_HEARTBEAT_TTL,     WIRE_HEARTBEAT_TTL_MS    },
        {ZMQ_HANDSHAKE_IVL,     WIRE_HANDSHAKE_IVL_MS    },
        {ZMQ_LINGER,            LINGER_MS                },
        {ZMQ_SNDHWM,            SNDHWM_MESSAGES          },
    };
    int64_t max = LIMIT_CONTROL_BYTES + WIRE_CURVE_BYTES;
    if (zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &max, sizeof max) != 0)
        return -errno;
    return set_ints(handle, ints, sizeof ints / sizeof *ints);
}

int curve_secure_server(zsock_t *sock, const struct curve_key *key, const char *zap_domain)
{
    static const struct int_option server[] = {
        {ZMQ_CURVE_SERVER,       1           },
        {ZMQ_ZAP_ENFORCE_DOMAIN, 1           },
        {ZMQ_BACKLOG,            WIRE_BACKLOG},
    };
    static const struct int_option router[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_ROUTER_HANDOVER,  0},
    };
    void *handle = zsock_resolve(sock);
    if (!zap_domain || !*zap_domain)
        return -EINVAL; /* option 93 with an empty domain lets everybody in */
    if (!zap_running())
        return -ENOTCONN;
    int rc = set_common(handle);
    if (rc == 0)
        rc = set_ints(handle, server, sizeof server / sizeof *server);
    if (rc == 0 && zsock_type(sock) == ZMQ_ROUTER)
        rc = set_ints(handle, router, sizeof router / sizeof *router);
    if (rc < 0)
        return rc;
    if (zmq_setsockopt(handle, ZMQ_CURVE_SECRETKEY, key->secret_key, 32) != 0 ||
        zmq_setsockopt(handle, ZMQ_ZAP_DOMAIN, zap_domain, strlen(zap_domain)) != 0)
        return -errno;
    return 0;
}

int curve_secure_client(zsock_t *sock, const struct curve_key *key, const uint8_t server[32])
{
    void *handle = zsock_resolve(sock);
    uint32_t jitter = 0;
    (void)text_random(&jitter, sizeof jitter);
    const struct int_option pace[] = {
        {ZMQ_RECONNECT_IVL,     250 + (int)(jitter % 750)},
        {ZMQ_RECONNECT_IVL_MAX, 10000                    },
    };
    int rc = set_common(handle);
    if (rc == 0)
        rc = set_ints(handle, pace, sizeof pace / sizeof *pace);
    if (rc < 0)
        return rc;
    if (zmq_setsockopt(handle, ZMQ_CURVE_PUBLICKEY, key->public_key, 32) != 0 ||
        zmq_setsockopt(handle, ZMQ_CURVE_SECRETKEY, key->secret_key, 32) != 0 ||
        zmq_setsockopt(handle, ZMQ_CURVE_SERVERKEY, server, 32) != 0)
        return -errno;
    return 0;
}

const char *curve_user(zframe_t *frame)
{
    const char *user = zframe_meta(frame, "User-Id");
    return user && strlen(user) == CURVE_Z85_LEN ? user : NULL;
}
