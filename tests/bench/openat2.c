/* openat2: a library to preload under valgrind, which does not know the system call openat2: opens
 * with openat instead. For counting instructions only; nothing here is safe against links. */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
    static long (*next)(long, ...);
    long arg[6];
    va_list list;
    va_start(list, number);
    for (unsigned i = 0; i < sizeof arg / sizeof *arg; i++)
        arg[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2) {
        const struct open_how *how = (const void *)arg[2];
        return openat((int)arg[0], (const char *)arg[1], (int)how->flags, (mode_t)how->mode);
    }
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
