/* smbacl_helper: starts the process and talks to it: {u32 number, u32 length, descriptor} in, {u8
 * code, u32 length, text} out; a length of 0 asks for the descriptor. Its answers are bounded like
 * a stranger's. */
#include "agent/pull/smbacl_helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define ANSWER_MS 30000
#define TEXT_MAX_BYTES 4096U
#define PYTHON "/usr/bin/python3"

struct smbacl_helper {
    pid_t pid;
    int fd;
};

/* "force unknown acl user": an owner that this host does not know yet must not cost the whole
 * descriptor; smbd keeps it as it is beside the file's own owner, root. */
static const char script[] =
    "import os, struct, sys\n"
    "from samba.samba3 import param, smbd\n"
    "from samba.auth_util import system_session_unix\n"
    "from samba.dcerpc import security\n"
    "from samba.ndr import ndr_pack, ndr_unpack\n"
    "conf, place, scratch = sys.argv[1:4]\n"
    "fd = os.memfd_create('conf')\n"
    "os.write(fd, b'[global]\\nforce unknown acl user = yes\\ninclude = ' + os.fsencode(conf) + "
    "b'\\n')\n"
    "lp = param.get_context()\n"
    "lp.load('/proc/self/fd/%d' % fd)\n"
    "best, length = None, -1\n"
    "for name in lp.services():\n"
    "    path = (lp.get('path', name) or '').rstrip('/')\n"
    "    if path and (place + '/').startswith(path + '/') and len(path) > length:\n"
    "        best, length = name, len(path)\n"
    "key = 'acl_xattr:ignore system acls'\n"
    "said = lp.get(key, best) if best else lp.get(key)\n"
    "free = str(said or '').lower() in ('yes', 'true', '1', 'on')\n"
    "mods = (lp.get('vfs objects', best) if best else None) or []\n"
    "mods = mods.split() if isinstance(mods, str) else list(mods)\n"
    "depot = ''\n"
    "if 'streams_depot' in mods:\n"
    "    depot = lp.get('streams_depot:directory', best) or lp.get('path', best).rstrip('/') + "
    "'/.streams'\n"
    "    depot = '' if '%' in depot or not depot.startswith('/') else depot\n"
    "session = system_session_unix()\n"
    "os.chdir(scratch)\n"
    "ALL = security.SECINFO_OWNER | security.SECINFO_GROUP | security.SECINFO_DACL | "
    "security.SECINFO_SACL\n"
    "def answer(code, text):\n"
    "    os.write(0, struct.pack('<BI', code, len(text)) + text)\n"
    "def exactly(n):\n"
    "    data = b''\n"
    "    while len(data) < n:\n"
    "        more = os.read(0, n - len(data))\n"
    "        if not more:\n"
    "            os._exit(0)\n"
    "        data += more\n"
    "    return data\n"
    "answer(1 if free else 0, os.fsencode(depot))\n"
    "while True:\n"
    "    number, length = struct.unpack('<II', exactly(8))\n"
    "    data = exactly(length)\n"
    "    try:\n"
    "        if length == 0:\n"
    "            answer(0, ndr_pack(smbd.get_nt_acl('%d' % number, ALL, session, service=best)))\n"
    "            continue\n"
    "        smbd.set_nt_acl('%d' % number, ALL, ndr_unpack(security.descriptor, data), session, "
    "service=best)\n"
    "        answer(0, b'')\n"
    "    except Exception as e:\n"
    "        answer(1, str(e).encode()[:200])\n";

static int exactly(int fd, void *to, size_t n)
{
    uint8_t *p = to;
    while (n > 0) {
        struct pollfd w = {.fd = fd, .events = POLLIN};
        int ready = poll(&w, 1, ANSWER_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t k = ready > 0 ? recv(fd, p, n, 0) : 0;
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return ready == 0 ? -ETIMEDOUT : -EPIPE;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* How much follows. */
static int take_head(int fd, uint8_t *retcode, size_t *retlen)
{
    uint8_t head[5];
    int rc = exactly(fd, head, sizeof head);
    if (rc < 0)
        return rc;
    *retcode = head[0];
    *retlen =
        (size_t)head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 | (size_t)head[4] << 24;
    return 0;
}

/* Its text goes to the log at debug level. */
static int take_text(int fd, size_t n)
{
    char text[TEXT_MAX_BYTES];
    if (n > sizeof text)
        return -EBADMSG;
    int rc = exactly(fd, text, n);
    if (rc == 0 && n > 0) {
        CLEANUP(mem_free) char *shown = text_printable(text, n);
        log_line(LOG_DEBUG, NULL, "samba says %s", shown);
    }
    return rc;
}

/* What it says of the share: a path, or nothing. */
static int take_share(int fd, bool *retopen, char **retdepot)
{
    uint8_t code = 0;
    size_t n = 0;
    int rc = take_head(fd, &code, &n);
    if (rc == 0 && n > TEXT_MAX_BYTES)
        rc = -EBADMSG;
    CLEANUP(mem_free) char *path = rc == 0 ? xcalloc(n + 1, 1) : NULL;
    if (rc == 0)
        rc = exactly(fd, path, n);
    if (rc < 0)
        return rc;
    *retopen = code != 0;
    if (n > 0 && path[0] == '/' && strlen(path) == n) {
        *retdepot = path;
        path = NULL;
    }
    return 0;
}

static int take_answer(int fd, uint8_t *retcode)
{
    size_t n = 0;
    int rc = take_head(fd, retcode, &n);
    return rc == 0 ? take_text(fd, n) : rc;
}

static int start(struct smbacl_helper *h, int theirs, const char *destination, const char *scratch)
{
    char *const args[] = {(char *)(uintptr_t)PYTHON,   (char *)(uintptr_t) "-I",
                          (char *)(uintptr_t) "-c",    (char *)(uintptr_t)script,
                          (char *)(uintptr_t)SMB_CONF, (char *)(uintptr_t)destination,
                          (char *)(uintptr_t)scratch,  NULL};
    char *const env[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                         (char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&acts);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawn_file_actions_adddup2(&acts, theirs, 0);
    (void)posix_spawn_file_actions_addopen(&acts, 1, "/dev/null", 1, 0);
    (void)posix_spawn_file_actions_addopen(&acts, 2, "/dev/null", 1, 0);
    int rc = -posix_spawn(&h->pid, PYTHON, &acts, &attr, args, env);
    (void)posix_spawn_file_actions_destroy(&acts);
    (void)posix_spawnattr_destroy(&attr);
    return rc;
}

int smbacl_helper_new(struct smbacl_helper **ret, const char *destination, const char *scratch,
                      bool *retopen, char **retdepot)
{
    int pair[2];
    if (access(SMB_CONF, R_OK) < 0 || access(PYTHON, X_OK) < 0)
        return -ENOENT;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    struct smbacl_helper *h = xcalloc(1, sizeof *h);
    h->fd = pair[0];
    int rc = start(h, pair[1], destination, scratch);
    (void)fd_close(pair[1]);
    if (rc == 0)
        rc = take_share(h->fd, retopen, retdepot);
    if (rc < 0) {
        (void)smbacl_helper_free(h);
        return rc == -EPIPE ? -ENOENT : rc; /* it ends at once where the bindings are not */
    }
    *ret = h;
    return 0;
}

struct smbacl_helper *smbacl_helper_free(struct smbacl_helper *h)
{
    if (!h)
        return NULL;
    (void)fd_close(h->fd); /* it ends by that */
    if (h->pid > 0) {
        struct timespec pause = {.tv_nsec = 10000000};
        for (int i = 0; i < 200; i++) {
            if (waitpid(h->pid, NULL, WNOHANG) != 0) {
                h->pid = 0;
                break;
            }
            (void)nanosleep(&pause, NULL);
        }
        if (h->pid > 0) {
            (void)kill(h->pid, SIGKILL);
            (void)waitpid(h->pid, NULL, 0);
        }
    }
    free(h);
    return NULL;
}

static int ask(struct smbacl_helper *h, uint32_t number, const void *descriptor, size_t len)
{
    uint8_t head[8];
    for (unsigned i = 0; i < 4; i++) {
        head[i] = (uint8_t)(number >> (8 * i));
        head[4 + i] = (uint8_t)(len >> (8 * i));
    }
    if (send(h->fd, head, sizeof head, MSG_NOSIGNAL) != (ssize_t)sizeof head ||
        (len > 0 && send(h->fd, descriptor, len, MSG_NOSIGNAL) != (ssize_t)len))
        return -EPIPE;
    return 0;
}

int smbacl_helper_set(struct smbacl_helper *h, uint32_t number, const void *descriptor, size_t len)
{
    uint8_t code = 1;
    if (len == 0)
        return -EINVAL;
    int rc = ask(h, number, descriptor, len);
    if (rc == 0)
        rc = take_answer(h->fd, &code);
    return rc < 0 ? rc : code ? -EINVAL : 0;
}

int smbacl_helper_get(struct smbacl_helper *h, uint32_t number, void *to, size_t size,
                      size_t *retlen)
{
    uint8_t code = 1;
    size_t n = 0;
    int rc = ask(h, number, "", 0);
    if (rc == 0)
        rc = take_head(h->fd, &code, &n);
    if (rc == 0 && code != 0)
        rc = take_text(h->fd, n);
    else if (rc == 0)
        rc = n == 0 || n > size ? -EBADMSG : exactly(h->fd, to, n);
    if (rc == 0 && code == 0)
        *retlen = n;
    return rc < 0 ? rc : code ? -EINVAL : 0;
}
