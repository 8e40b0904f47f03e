/* prepare: the step "files.prepare": is the destination fit to receive? Makes the folder when told
 * to, writes nothing else. Worker thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/place.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/pairname.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "proto/files.pb-c.h"

/* Without leave to create, the nearest folder that exists speaks for the one that does not. */
static int open_nearest(const char *path, size_t len, bool *retexists)
{
    int fd = beneath_root(path, len, false);
    *retexists = fd >= 0;
    while (fd == -ENOENT && len > 1) {
        const char *slash = memrchr(path, '/', len - 1);
        len = slash && slash > path ? (size_t)(slash - path) : 1;
        fd = beneath_root(path, len, false);
    }
    return fd;
}

static int look(int fd, bool exists, Godwit__PrepareResult *r, struct place *place)
{
    int empty = 1, rc = place_of(fd, place);
    if (rc == 0 && exists)
        rc = empty = beneath_is_empty(fd, ".");
    if (rc < 0)
        return rc;
    if (place->is_kernel)
        return -ENOTSUP;
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return -errno;
    r->fs_free = place->free;
    r->inodes_free = place->inodes_free;
    r->file_system = place->file_system;
    r->empty = empty;
    r->has_xattr = place->has_xattr;
    r->has_acl = place->has_acl;
    return 0;
}

static void prepare(struct step *s, const Godwit__PrepareOrder *o, struct step_result *ret)
{
    const char *path = (const char *)o->path.data;
    bool exists = true;
    CLEANUP(fd_close)
    int fd = o->create ? beneath_root(path, o->path.len, true)
                       : open_nearest(path, o->path.len, &exists);
    Godwit__PrepareResult r = GODWIT__PREPARE_RESULT__INIT;
    struct place place;
    int rc = fd < 0 ? fd : look(fd, exists, &r, &place);
    if (rc < 0) {
        CLEANUP(mem_free) char *shown = text_quote(path, o->path.len);
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "the destination %s cannot receive: %s",
                        shown, strerror(-rc));
        return;
    }
    r.privileged = step_env(s)->privileged;
    ret->body_len = godwit__prepare_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__prepare_result__pack(&r, ret->body);
    ret->status = STEP_DONE;
}

void files_prepare(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__PrepareOrder *o = godwit__prepare_order__unpack(NULL, len, args);
    if (!o || !pair_valid(o->pair)) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    } else {
        prepare(s, o, ret);
    }
    if (o)
        godwit__prepare_order__free_unpacked(o, NULL);
}
