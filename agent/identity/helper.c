/* helper: an order to a process that has the rights, over files of root's: NAME.order, NAME.result,
 * and NAME.bell, by which it hears that nobody waits for it any more. Worker threads; the process
 * itself. */
#include "agent/identity/helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/identity.h"
#include "agent/identity/rehearse.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"
#include "proto/control.pb-c.h"

#define ORDER_MAX (1U << 20)
#define HELPER_MS 300000
#define UNIT "godwit-identity@"
#define REHEARSAL_UNIT "godwit-rehearsal@"

/* ── the helper's side ── */

static int write_result(const char *path, int rc, const struct fault *f,
                        const Godwit__IdentityResult *r)
{
    Godwit__Result out = GODWIT__RESULT__INIT;
    Godwit__FaultInfo why = GODWIT__FAULT_INFO__INIT;
    CLEANUP(mem_free) char *text = xstrdup(f->text);
    size_t n = godwit__identity_result__get_packed_size(r);
    CLEANUP(mem_free) uint8_t *body = xmalloc(n + 1);
    (void)godwit__identity_result__pack(r, body);
    out.status = rc < 0 ? GODWIT__RESULT__STATUS__FAILED : GODWIT__RESULT__STATUS__DONE;
    out.body = (ProtobufCBinaryData){.len = n, .data = body};
    why.what_next = f->what_next;
    why.err = (uint32_t)f->err;
    why.text = text;
    out.fault = &why;
    size_t len = godwit__result__get_packed_size(&out);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(len + 1);
    (void)godwit__result__pack(&out, packed);
    return file_write(path, 0600, packed, len);
}

/* Read once: it holds a ticket's secret, and who has sent it may be gone when this ends. */
static Godwit__IdentityOrder *take_order(const char *path)
{
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    Godwit__IdentityOrder *o = NULL;
    if (file_read(path, ORDER_MAX, &data, &len) == 0) {
        o = godwit__identity_order__unpack(NULL, len, (const uint8_t *)data);
        explicit_bzero(data, len);
        (void)unlink(path);
    }
    return o;
}

int identity_helper(const char *state_dir, const char *name)
{
    if (!text_is_name(name, 64))
        return 2;
    CLEANUP(mem_free) char *home = xasprintf("%s/cutover", state_dir);
    CLEANUP(mem_free) char *from = xasprintf("%s/run/%s.order", home, name);
    CLEANUP(mem_free) char *bell = xasprintf("%s/run/%s.bell", home, name);
    CLEANUP(mem_free) char *to = xasprintf("%s/run/%s.result", home, name);
    Godwit__IdentityResult r = GODWIT__IDENTITY_RESULT__INIT;
    struct fault f = {.err = 0};
    /* Open for both, so that it has no end when the agent dies. */
    CLEANUP(fd_close) int cancel = open(bell, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    const struct site v = {.root = "", .cancel_fd = cancel};
    Godwit__IdentityOrder *o = take_order(from);
    if (!o)
        return 6;
    int rc = rehearse_is(o) ? rehearse(home, o, &r, &f) : stage_do(home, &v, o, &r, &f);
    /* An agent that was started anew has taken the bell away, and reads no answer. */
    if (cancel < 0 || access(bell, F_OK) == 0)
        rc = write_result(to, rc, &f, &r);
    godwit__identity_order__free_unpacked(o, NULL);
    return rc < 0 ? 1 : 0;
}

/* ── the agent's side ── */

static int read_result(const char *path, Godwit__IdentityResult **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    Godwit__Result *r = NULL;
    if (file_read(path, ORDER_MAX, &data, &len) == 0)
        r = godwit__result__unpack(NULL, len, (const uint8_t *)data);
    if (!r)
        return fault_set(reterr, FAULT_RETRY, EIO,
                         "the helper that changes this host said nothing");
    int rc = 0;
    *ret = godwit__identity_result__unpack(NULL, r->body.len, r->body.data);
    if (r->status != GODWIT__RESULT__STATUS__DONE && r->fault)
        rc = fault_set(reterr, (enum fault_class)r->fault->what_next, (int)r->fault->err, "%s",
                       r->fault->text);
    godwit__result__free_unpacked(r, NULL);
    return rc;
}

/* An order that nobody waits for any more is not broken off, it stops waiting for others. Its
 * order is taken: started again, a unit that has ended meanwhile does nothing. */
static int start_unit(const struct site *v, const char *unit, int bell, struct fault *reterr)
{
    const char *const argv[] = {"systemctl", "start", "--quiet", unit, NULL};
    const struct program_call c = {
        .argv = argv, .search = v->search, .timeout_ms = HELPER_MS, .cancel_fd = v->cancel_fd};
    struct program_output out;
    int rc = program_run(&c, &out, reterr);
    if (rc == 0) {
        rc = out.code ? -EIO : 0;
        if (rc < 0) {
            CLEANUP(mem_free) char *words = program_words(&out);
            (void)fault_set(reterr, FAULT_STOP_JOB, EIO, "%.60s did not end well: %s", unit, words);
        }
        program_done(&out);
        return rc;
    }
    if (rc != -ECANCELED)
        return rc;
    (void)write(bell, "\n", 1);
    return service_tool(v, argv, HELPER_MS, reterr);
}

/* Open for both: who is told before it listens hears it all the same. */
static int make_bell(const char *path, int *ret)
{
    if (mkfifo(path, 0600) < 0)
        return -errno;
    int fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret = fd;
    return 0;
}

static int write_order(const char *path, const Godwit__IdentityOrder *o)
{
    size_t n = godwit__identity_order__get_packed_size(o);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(n + 1);
    (void)godwit__identity_order__pack(o, packed);
    int rc = file_write(path, 0600, packed, n);
    explicit_bzero(packed, n);
    return rc;
}

int helper_run(const char *home, const struct site *v, const Godwit__IdentityOrder *o,
               Godwit__IdentityResult **ret, struct fault *reterr)
{
    char id[TEXT_ID_LEN + 1];
    text_new_id(id);
    CLEANUP(mem_free) char *folder = xasprintf("%s/run", home);
    CLEANUP(mem_free) char *from = xasprintf("%s/%s.order", folder, id);
    CLEANUP(mem_free) char *to = xasprintf("%s/%s.result", folder, id);
    CLEANUP(mem_free) char *ring = xasprintf("%s/%s.bell", folder, id);
    CLEANUP(mem_free)
    char *unit = xasprintf("%s%s.service", rehearse_is(o) ? REHEARSAL_UNIT : UNIT, id);
    CLEANUP(fd_close) int bell = -1;
    int rc = file_mkdirs(folder, 0700);
    if (rc == 0)
        rc = make_bell(ring, &bell);
    if (rc == 0)
        rc = write_order(from, o);
    if (rc < 0)
        (void)fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %s: %s", from, strerror(-rc));
    else
        rc = start_unit(v, unit, bell, reterr);
    if (rc == 0 || access(to, F_OK) == 0)
        rc = read_result(to, ret, reterr);
    (void)unlink(from);
    (void)unlink(to);
    (void)unlink(ring);
    if (rehearse_is(o)) { /* where its memory was */
        CLEANUP(mem_free) char *scratch = xasprintf("%s/rehearsal", home);
        (void)rmdir(scratch);
    }
    return rc;
}

/* One that still runs has taken its order, and goes on; the orchestrator asks again. */
void helper_sweep(const char *home)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/run", home);
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0)
            log_error("cannot remove '%s/%s': %s", folder, e->d_name, strerror(errno));
    if (d)
        (void)closedir(d);
}
