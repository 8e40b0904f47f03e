/* fault: an error that crosses the wire. Any thread. */
#include "common/base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

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

/* Causes that no errno names. */
static const struct {
    const char *what, *code, *remedy;
} found[] = {
    {"content differs",            "VERIFY_CONTENT",
     "what its disk gives back is not what was sent: check disk and memory of the destination; "
     "the next pass sends it again"                                                },
    {"size differs",               "VERIFY_SIZE",
     "somebody changed it at the destination; the next pass sends it again"        },
    {"times differ",               "VERIFY_TIMES",
     "somebody changed it at the destination; the next pass sends it again"        },
    {"type differs",               "VERIFY_TYPE",
     "somebody replaced it at the destination; the next pass sends it again"       },
    {"link target differs",        "VERIFY_TARGET",
     "somebody changed it at the destination; the next pass sends it again"        },
    {"device number differs",      "VERIFY_DEVICE",
     "somebody replaced it at the destination; the next pass sends it again"       },
    {"mode differs",               "VERIFY_MODE",
     "the next pass sets it again; if it stays, the file system cannot keep it"    },
    {"owner differs",              "VERIFY_OWNER",
     "the next pass sets it again; if it stays, the file system cannot keep it"    },
    {"attributes differ",          "VERIFY_ATTRIBUTES",
     "the next pass sets them again; if it stays, the file system cannot keep them"},
    {"missing",                    "VERIFY_MISSING",
     "somebody removed it at the destination; the next pass sends it again"        },
    {"locked",                     "LOCKED",
     "a program on the server keeps it from being read: the next pass tries again; close the "
     "program before the last one"                                                 },
    {"reparse point",              "REPARSE",
     "a link or a mount point of the server: make it anew at the destination"      },
    {"changed at the destination", "VERIFY_CHANGED",
     "somebody works there already: keep them out, or copy their change back; the next pass sends "
     "the source's file over it"                                                   },
};

const char *fault_remedy_of(int err, const char *what)
{
    for (size_t i = 0; i < ARRAY_SIZE(found); i++)
        if (strcmp(found[i].what, what) == 0)
            return found[i].remedy;
    return fault_remedy(err);
}

const char *fault_code(int err, const char *what)
{
    for (size_t i = 0; i < ARRAY_SIZE(found); i++)
        if (strcmp(found[i].what, what) == 0)
            return found[i].code;
    const char *name = err > 0 ? strerrorname_np(err) : NULL;
    return name ? name : "OTHER";
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
    case EUCLEAN:
        return "its file system is damaged; check it with fsck, then retry the job";
    case EMFILE:
    case ENFILE:
        return "raise LimitNOFILE of the agent's unit, or run fewer pairs and lanes at once; then "
               "retry the job";
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
