/* virt_libvirt_save: a machine's memory goes to a file, behind virt.h. libvirt answers when its
 * hypervisor is gone as well, for which it looks every fifth of a second; whoever is in a hurry
 * goes on as soon as the file is whole, while a thread waits for that answer. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define WHOLE "LibvirtQemudSave" /* libvirt's first bytes of such a file, written last */
#define LOOK_NS 5000000

struct saving {
    virDomainPtr machine; /* has a hold on its connection */
    char *path;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    unsigned refs;
    bool over;
    int rc;
    struct fault fault;
};

static int save_now(virDomainPtr d, const char *path, struct fault *reterr)
{
    virTypedParameterPtr list = NULL;
    int n = 0, max = 0;
    bool ok = virTypedParamsAddString(&list, &n, &max, VIR_DOMAIN_SAVE_PARAM_FILE, path) == 0;
    int rc = ok && virDomainSaveParams(d, list, n, 0) == 0
                 ? 0
                 : real_failed(reterr, "the machine's memory cannot be saved");
    virTypedParamsFree(list, n);
    return rc;
}

static void let_go(struct saving *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool last = --s->refs == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    (void)virDomainFree(s->machine);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

static void *wait_for_it(void *arg)
{
    struct saving *s = arg;
    struct fault why = {.err = 0};
    int rc = save_now(s->machine, s->path, &why);
    if (rc < 0)
        log_warning("%s: %s", s->path, why.text);
    (void)pthread_mutex_lock(&s->lock);
    s->over = true;
    s->rc = rc;
    s->fault = why;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    let_go(s);
    return NULL;
}

static bool is_whole(const char *path)
{
    char first[sizeof WHOLE - 1];
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && pread(fd, first, sizeof first, 0) == (ssize_t)sizeof first &&
           memcmp(first, WHOLE, sizeof first) == 0;
}

/* Until it is answered, or the file is whole. */
static int follow(struct saving *s, struct fault *reterr)
{
    bool whole = false;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->over && !whole) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
        whole = !s->over && is_whole(s->path);
    }
    int rc = whole ? 0 : s->rc;
    if (rc < 0)
        *reterr = s->fault;
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static int save_in_a_hurry(virDomainPtr d, const char *path, struct fault *reterr)
{
    pthread_t thread;
    struct saving *s = xcalloc(1, sizeof *s);
    s->path = xstrdup(path);
    s->machine = d;
    s->refs = 2;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    (void)virDomainRef(d);
    int rc;
    if (pthread_create(&thread, NULL, wait_for_it, s) != 0) {
        let_go(s);
        rc = save_now(d, path, reterr);
    } else {
        (void)pthread_detach(thread);
        rc = follow(s, reterr);
    }
    let_go(s);
    return rc;
}

int real_save(struct virt *v, const char *uuid, const char *path, bool hurry, struct fault *reterr)
{
    virDomainPtr d = real_machine(v, uuid);
    if (!d)
        return real_failed(reterr, "the machine's memory cannot be saved");
    int rc = hurry ? save_in_a_hurry(d, path, reterr) : save_now(d, path, reterr);
    (void)virDomainFree(d);
    return rc;
}
