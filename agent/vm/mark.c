/* mark: the steps "vm.mark" and "vm.see": two hosts see the same storage when one reads what the
 * other has just written there. Equal paths prove nothing. A mark is a small file beside the image;
 * its name is of the move, so that it is found again without notes. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/vm.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define NONCE_BYTES 16
#define MARKS_MAX 128

/* Only names of our own making are written, read or taken away. */
static char *mark_path(const char *move, const Godwit__VmNonce *n)
{
    const char *slash = strrchr(n->path, '/');
    if (*n->path != '/' || !slash || !text_is_name(move, 64) || !text_is_name(n->target, 64))
        return NULL;
    return xasprintf("%.*s/.godwit-mark-%s-%s", (int)(slash - n->path), n->path, move, n->target);
}

static int refuse(struct fault *reterr)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order of marks makes no sense");
}

static int make_mark(const char *move, const Godwit__VmNonce *n, Godwit__VmMarks *ret,
                     struct fault *reterr)
{
    uint8_t random[NONCE_BYTES];
    char text[2 * NONCE_BYTES + 1];
    CLEANUP(mem_free) char *path = mark_path(move, n);
    if (!path)
        return refuse(reterr);
    (void)text_random(random, sizeof random);
    text_hex(random, sizeof random, text);
    int rc = file_write(path, 0600, text, sizeof text - 1);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot leave a mark beside %.160s", n->path);
    Godwit__VmNonce *m = xcalloc(1, sizeof *m);
    godwit__vm_nonce__init(m);
    m->target = xstrdup(n->target);
    m->path = xstrdup(n->path);
    m->text = xstrdup(text);
    ret->nonces[ret->n_nonces++] = m;
    return 0;
}

static int take_away(const char *move, const Godwit__VmNonce *n, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = mark_path(move, n);
    if (!path)
        return refuse(reterr);
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    return fault_set(reterr, FAULT_RETRY, errno, "cannot take the mark away beside %.160s",
                     n->path);
}

static void see_mark(const char *move, const Godwit__VmNonce *n, Godwit__VmMarks *ret)
{
    CLEANUP(mem_free) char *path = mark_path(move, n);
    Godwit__VmFinding *f = xcalloc(1, sizeof *f);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    godwit__vm_finding__init(f);
    f->check = xstrdup("shared");
    f->target = xstrdup(n->target);
    int rc = path ? file_read(path, 256, &text, &len) : -EINVAL;
    bool same = rc == 0 && len == 2 * NONCE_BYTES && strcmp(text, n->text) == 0;
    f->result = same ? GODWIT__VM_FINDING__RESULT__PASS : GODWIT__VM_FINDING__RESULT__FAIL;
    f->text = same ? xstrdup("what the source wrote there is read here")
                   : xasprintf("what the source wrote beside it is not there%s%s",
                               rc < 0 ? ": " : "", rc < 0 ? strerror(-rc) : "");
    ret->findings[ret->n_findings++] = f;
}

int vm_marks(const Godwit__VmMarkOrder *o, bool see, Godwit__VmMarks *ret, struct fault *reterr)
{
    int rc = 0;
    if (o->n_nonces > MARKS_MAX)
        return refuse(reterr);
    ret->nonces = xcalloc(o->n_nonces + 1, sizeof(void *));
    ret->findings = xcalloc(o->n_nonces + 1, sizeof(void *));
    for (size_t i = 0; rc == 0 && i < o->n_nonces; i++) {
        if (see)
            see_mark(o->move, o->nonces[i], ret);
        else if (o->undo)
            rc = take_away(o->move, o->nonces[i], reterr);
        else
            rc = make_mark(o->move, o->nonces[i], ret, reterr);
    }
    return rc;
}
