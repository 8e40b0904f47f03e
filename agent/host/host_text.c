/* host_text: small files of the system as texts. Worker threads. */
#include <stdlib.h>
#include <string.h>

#include "agent/host/host_priv.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define LINE_MAX_BYTES 4096
#define SHOWN_MAX 240

char *host_read(const char *root, const char *path, size_t max)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", root, path);
    char *text = NULL;
    size_t len = 0;
    return file_read(full, max, &text, &len) == 0 ? text : NULL;
}

char *host_shown(const char *text)
{
    return text_printable(text, strnlen(text, SHOWN_MAX));
}

char *host_line(const char *root, const char *path)
{
    CLEANUP(mem_free) char *text = host_read(root, path, LINE_MAX_BYTES);
    if (!text)
        return xstrdup("");
    char *from = text + strspn(text, " \t");
    from[strcspn(from, "\n")] = '\0';
    for (size_t n = strlen(from); n > 0 && strchr(" \t\r", from[n - 1]); n--)
        from[n - 1] = '\0';
    return host_shown(from);
}

uint64_t host_number(const char *root, const char *path)
{
    CLEANUP(mem_free) char *text = host_line(root, path);
    return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}
