/* mem: small allocations that abort when memory is out (the journal makes restarts safe). Bulk
 * buffers come from fixed pools instead. Any thread. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
void *xmemdup(const void *p, size_t n); /* one NUL byte is added behind the copy */
char *xstrdup(const char *s);           /* NULL gives NULL */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
