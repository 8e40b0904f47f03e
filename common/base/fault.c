/* fault: an error that crosses the wire. Any thread. */
#include "common/base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int fault_set(struct fault *reterr, enum fault_class what_next, int err, const char *fmt, ...)
{
    if (reterr) {
        reterr->what_next = what_next;
        reterr->err = err;
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(reterr->text, sizeof reterr->text, fmt, ap);
        va_end(ap);
    }
    return err > 0 ? -err : -EIO;
}

const char *fault_remedy(int err)
{
    switch (err) {
    case EACCES:
    case EPERM:
        return "run the agent as root, or grant the right to read and write this path";
    case ENOSPC:
    case EDQUOT:
        return "free space or raise the quota on the destination, then retry the job";
    case ENOENT:
        return "it vanished while the job ran; run another pass";
    case ESTALE:
    case EBUSY:
        return "it changed while it was read; run another pass when it is quiet";
    case EIO:
        return "check the disk and the kernel log of this host";
    case EBADMSG:
        return "its bytes arrived damaged; retry, and check memory and network if it repeats";
    case EOPNOTSUPP:
        return "the destination file system has no such feature; choose another one";
    case ENOTEMPTY:
        return "a folder with entries stands in its place at the destination; move it away, or let "
               "the job delete extras (--delete)";
    case ELOOP:
        return "a symbolic link stands where a folder should be; look who put it there";
    case EROFS:
        return "the destination is mounted read-only; remount it writable";
    case EFBIG:
        return "the destination file system cannot hold a file this large";
    case ENAMETOOLONG:
        return "the destination file system cannot hold a name this long";
    case ETIMEDOUT:
    case ECONNRESET:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "check that the source host reaches the destination's lane port";
    default:
        return "";
    }
}
