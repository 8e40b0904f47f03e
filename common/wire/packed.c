/* packed: bounds the size before it allocates, and believes nothing of it. Any thread. */
#include "common/wire/packed.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"

int packed_put(Godwit__ConsoleArg *a, const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > LIMIT_CONSOLE_OPENED)
        return -E2BIG;
    CLEANUP(mem_free) uint8_t *room = xmalloc(LIMIT_CONSOLE_PACKED);
    int n = LZ4_compress_default(text, (char *)room, (int)len, LIMIT_CONSOLE_PACKED);
    if (n <= 0)
        return -E2BIG;
    a->packed.data = room;
    a->packed.len = (size_t)n;
    a->packed_size = (uint32_t)len;
    room = NULL;
    return 0;
}

static int open_one(Godwit__ConsoleArg *a)
{
    size_t size = a->packed_size;
    if (size == 0 || size > LIMIT_CONSOLE_OPENED)
        return -EMSGSIZE;
    if (a->value && *a->value) /* which of both is meant? */
        return -EBADMSG;
    CLEANUP(mem_free) char *text = xmalloc(size + 1);
    int n = LZ4_decompress_safe((const char *)a->packed.data, text, (int)a->packed.len, (int)size);
    if (n < 0 || (size_t)n != size || memchr(text, '\0', size))
        return -EBADMSG;
    text[size] = '\0';
    if (a->value != protobuf_c_empty_string)
        free(a->value);
    a->value = text;
    text = NULL;
    return 0;
}

int packed_open(Godwit__ConsoleRequest *req)
{
    unsigned opened = 0;
    for (size_t i = 0; i < req->n_args; i++) {
        if (req->args[i]->packed.len == 0)
            continue;
        int rc = ++opened > 1 ? -EBADMSG : open_one(req->args[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}
