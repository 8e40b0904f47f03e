/* temp_dir: a folder of a test's own, gone when it ends. */
#pragma once
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"

static inline char *temp_dir_new(void)
{
    char *dir = xstrdup("/tmp/godwit-agent-test.XXXXXX");
    if (!mkdtemp(dir))
        abort();
    return dir;
}

static inline int temp_dir_rm(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void temp_dir_free(char *dir)
{
    (void)nftw(dir, temp_dir_rm, 8, FTW_DEPTH | FTW_PHYS);
    free(dir);
}
