/* temp: the highest bit of a temporary name's number tells the kinds apart. */
#include "agent/transfer/temp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define LARGE (1ULL << 63)

void temp_small(const char *token, uint64_t n, char ret[PAIR_TEMP_MAX])
{
    pair_temp_name(token, n & ~LARGE, ret);
}

uint64_t temp_large_key(const char *name, size_t len)
{
    return XXH3_64bits(name, len) | LARGE;
}

void temp_large(const char *token, const char *name, size_t len, char ret[PAIR_TEMP_MAX])
{
    pair_temp_name(token, temp_large_key(name, len), ret);
}

bool temp_is_large(const char *token, const char *temp, uint64_t *retkey)
{
    if (!pair_is_temp(token, temp, strlen(temp)))
        return false;
    *retkey = strtoull(strrchr(temp, '-') + 1, NULL, 10);
    return *retkey & LARGE;
}

char *temp_state_dir(const char *state_dir)
{
    char *dir = xasprintf("%s/transfer", state_dir);
    (void)file_mkdirs(dir, 0700);
    return dir;
}

char *temp_state_path(const char *state_dir, const char *pair, const char *suffix)
{
    char *dir = temp_state_dir(state_dir);
    char *path = xasprintf("%s/%s.%s", dir, pair, suffix);
    free(dir);
    return path;
}
