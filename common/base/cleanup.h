/* cleanup: scope-owned things are freed by attribute. Only macros; any thread. */
#pragma once
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn##_p)))
#define DEFINE_CLEANUP(fn, type)                                                                   \
    static inline void fn##_p(type *p) /* NOLINT(bugprone-macro-parentheses) */                    \
    {                                                                                              \
        if (*p)                                                                                    \
            (void)fn(*p);                                                                          \
    }

/* CLEANUP(mem_free) char *text = NULL; */
static inline void mem_free_p(void *p)
{
    void **slot = p;
    free(*slot);
}

/* Closes fd unless negative; always returns -1. errno is kept. */
int fd_close(int fd);
static inline void fd_close_p(const int *fd)
{
    if (*fd >= 0)
        (void)fd_close(*fd);
}
