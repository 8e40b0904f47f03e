/* flight: see the header. By the kernel's own calls, for which the C library has no names. */
#include "agent/transfer/flight.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool submit(struct flight *f, int fd, const void *data, size_t n, uint64_t at)
{
    struct iocb io = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                      .aio_fildes = (uint32_t)fd,
                      .aio_buf = (uint64_t)(uintptr_t)data,
                      .aio_nbytes = n,
                      .aio_offset = (int64_t)at};
    struct iocb *one = &io;
    if (!f->context && !f->refused)
        f->refused = syscall(SYS_io_setup, 1U, &f->context) < 0;
    return !f->refused && syscall(SYS_io_submit, f->context, 1L, &one) == 1;
}

static int64_t write_now(int fd, const void *data, size_t n, uint64_t at)
{
    ssize_t k;
    do
        k = pwrite(fd, data, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    return k < 0 ? -errno : k;
}

void flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at)
{
    f->submitted = submit(f, fd, data, n, at);
    if (!f->submitted)
        f->result = write_now(fd, data, n, at);
}

/* limit: NULL: none. */
static void await(struct flight *f, struct timespec *limit)
{
    struct io_event e;
    long k;
    do
        k = syscall(SYS_io_getevents, f->context, 1L, 1L, &e, limit);
    while (k < 0 && errno == EINTR);
    if (k == 0)
        return;
    f->submitted = false;
    f->result = k == 1 ? e.res : -EAGAIN;
}

bool flight_is_over(struct flight *f)
{
    struct timespec now = {.tv_sec = 0};
    if (f->submitted)
        await(f, &now);
    return !f->submitted;
}

int64_t flight_end(struct flight *f)
{
    if (f->submitted)
        await(f, NULL);
    return f->result;
}

void flight_done(struct flight *f)
{
    if (f->context)
        (void)syscall(SYS_io_destroy, f->context);
    *f = (struct flight){.context = 0};
}
