/* asking: standard output of programs, bounded. Worker threads. */
#include "agent/access/asking.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/sid.h"

#define OUT_MAX (16U << 20)

static char *run(const char *const *argv, bool well)
{
    const struct program_call call = {.argv = argv, .max_out = OUT_MAX};
    struct program_output out;
    struct fault unused = {.err = 0};
    if (program_run(&call, &out, &unused) < 0)
        return NULL;
    char *text = out.code == 0 || !well ? xmemdup(out.out, out.len) : NULL;
    program_done(&out);
    return text;
}

char *asking_out(const char *const *argv)
{
    return run(argv, true);
}

char *asking_any(const char *const *argv)
{
    return run(argv, false);
}

char *asking_sids(const char *option, Godwit__Identity *const *rows, size_t n)
{
    struct buf b;
    buf_init(&b, ASKING_BATCH * SID_TEXT_MAX);
    buf_put(&b, option, strlen(option));
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_put_u8(&b, ',');
        buf_put(&b, rows[i]->sid, strlen(rows[i]->sid));
    }
    buf_put_u8(&b, 0);
    const char *const argv[] = {"wbinfo", (const char *)b.data, NULL};
    char *out = b.overflow ? NULL : asking_out(argv);
    buf_done(&b);
    return out;
}
