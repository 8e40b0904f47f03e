/* quota: quotactl_fd(2), and quotactl(2) where the kernel does not have that (before 5.14). */
#include "agent/store/quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BLOCK 1024U  /* the unit of limits of bytes */
#define COARSE 4096U /* what is the same limit */

static const int types[QUOTA_KINDS] = {USRQUOTA, GRPQUOTA, PRJQUOTA};

static int control(int fd, int command, enum quota_kind kind, uint32_t id, void *arg)
{
    unsigned cmd = (unsigned)QCMD(command, (unsigned)types[kind]);
    if (syscall(SYS_quotactl_fd, fd, cmd, id, arg) == 0)
        return 0;
    if (errno != ENOSYS)
        return -errno;
    struct stat st;
    char device[64];
    if (fstat(fd, &st) < 0)
        return -errno;
    (void)snprintf(device, sizeof device, "/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
    return syscall(SYS_quotactl, cmd, device, id, arg) == 0 ? 0 : -errno;
}

unsigned quota_kinds(int fd, unsigned *retenforced)
{
    static const struct {
        unsigned counted, enforced;
    } bits[QUOTA_KINDS] = {
        {FS_QUOTA_UDQ_ACCT, FS_QUOTA_UDQ_ENFD},
        {FS_QUOTA_GDQ_ACCT, FS_QUOTA_GDQ_ENFD},
        {FS_QUOTA_PDQ_ACCT, FS_QUOTA_PDQ_ENFD},
    };
    struct fs_quota_stat state = {.qs_version = FS_QSTAT_VERSION};
    unsigned counted = 0;
    *retenforced = 0;
    if (control(fd, Q_XGETQSTAT, QUOTA_USER, 0, &state) < 0)
        return 0;
    for (unsigned k = 0; k < QUOTA_KINDS; k++) {
        counted |= state.qs_flags & bits[k].counted ? 1U << k : 0;
        *retenforced |= state.qs_flags & bits[k].enforced ? 1U << k : 0;
    }
    return counted;
}

int quota_next(int fd, enum quota_kind kind, uint32_t *id, struct quota *ret)
{
    struct if_nextdqblk q = {.dqb_id = 0};
    int rc = control(fd, Q_GETNEXTQUOTA, kind, *id, &q);
    if (rc == -ENOENT || rc == -ESRCH)
        return 0;
    if (rc < 0)
        return rc;
    *id = q.dqb_id;
    *ret = (struct quota){.soft_bytes = q.dqb_bsoftlimit * BLOCK,
                          .hard_bytes = q.dqb_bhardlimit * BLOCK,
                          .soft_files = q.dqb_isoftlimit,
                          .hard_files = q.dqb_ihardlimit,
                          .used_bytes = q.dqb_curspace,
                          .used_files = q.dqb_curinodes};
    return 1;
}

int quota_get(int fd, enum quota_kind kind, uint32_t id, struct quota *ret)
{
    struct if_dqblk q = {.dqb_valid = 0};
    *ret = (struct quota){.used_bytes = 0};
    int rc = control(fd, Q_GETQUOTA, kind, id, &q);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    *ret = (struct quota){.soft_bytes = q.dqb_bsoftlimit * BLOCK,
                          .hard_bytes = q.dqb_bhardlimit * BLOCK,
                          .soft_files = q.dqb_isoftlimit,
                          .hard_files = q.dqb_ihardlimit,
                          .used_bytes = q.dqb_curspace,
                          .used_files = q.dqb_curinodes};
    return 0;
}

/* Up, so that a small limit does not become none. */
static uint64_t blocks(uint64_t bytes)
{
    return bytes / BLOCK + (bytes % BLOCK != 0);
}

int quota_set(int fd, enum quota_kind kind, uint32_t id, const struct quota *limits)
{
    struct if_dqblk q = {.dqb_bsoftlimit = blocks(limits->soft_bytes),
                         .dqb_bhardlimit = blocks(limits->hard_bytes),
                         .dqb_isoftlimit = limits->soft_files,
                         .dqb_ihardlimit = limits->hard_files,
                         .dqb_valid = QIF_LIMITS};
    return control(fd, Q_SETQUOTA, kind, id, &q);
}

int quota_grace_get(int fd, enum quota_kind kind, struct quota_grace *ret)
{
    struct if_dqinfo info = {.dqi_valid = 0};
    int rc = control(fd, Q_GETINFO, kind, 0, &info);
    if (rc == 0)
        *ret = (struct quota_grace){.bytes_s = info.dqi_bgrace, .files_s = info.dqi_igrace};
    return rc;
}

int quota_grace_set(int fd, enum quota_kind kind, const struct quota_grace *g)
{
    struct if_dqinfo info = {
        .dqi_bgrace = g->bytes_s, .dqi_igrace = g->files_s, .dqi_valid = IIF_BGRACE | IIF_IGRACE};
    return control(fd, Q_SETINFO, kind, 0, &info);
}

bool quota_is_limited(const struct quota *q)
{
    return q->soft_bytes || q->hard_bytes || q->soft_files || q->hard_files;
}

/* XFS keeps them in blocks of its own. */
static uint64_t coarse(uint64_t bytes)
{
    return bytes / COARSE + (bytes % COARSE != 0);
}

bool quota_same_limits(const struct quota *a, const struct quota *b)
{
    return coarse(a->soft_bytes) == coarse(b->soft_bytes) &&
           coarse(a->hard_bytes) == coarse(b->hard_bytes) && a->soft_files == b->soft_files &&
           a->hard_files == b->hard_files;
}
