/* temp: temporary names and state paths. */
#include "agent/transfer/temp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define PREFIX ".godwit-"
#define PREFIX_LEN (sizeof PREFIX - 1)

void temp_token(const char *pair, char ret[TEMP_TOKEN_LEN + 1])
{
    (void)snprintf(ret, TEMP_TOKEN_LEN + 1, "%016llx",
                   (unsigned long long)XXH3_64bits(pair, strlen(pair)));
}

static char *put_prefix(const char *token, char *to)
{
    memcpy(to, PREFIX, PREFIX_LEN);
    memcpy(to + PREFIX_LEN, token, TEMP_TOKEN_LEN);
    to += PREFIX_LEN + TEMP_TOKEN_LEN;
    *to++ = '-';
    return to;
}

static void put_hex(char *to, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = digits[(n >> shift) & 15];
    *to = '\0';
}

void temp_small(const char *token, uint64_t n, char ret[TEMP_NAME_MAX])
{
    put_hex(put_prefix(token, ret), n);
}

void temp_large(const char *token, const char *name, size_t len, char ret[TEMP_NAME_MAX])
{
    char *at = put_prefix(token, ret);
    *at++ = 'p';
    put_hex(at, XXH3_64bits(name, len));
}

bool temp_is(const char *token, const char *name)
{
    return strncmp(name, PREFIX, PREFIX_LEN) == 0 &&
           strncmp(name + PREFIX_LEN, token, TEMP_TOKEN_LEN) == 0 &&
           name[PREFIX_LEN + TEMP_TOKEN_LEN] == '-';
}

bool temp_is_large(const char *token, const char *name)
{
    return temp_is(token, name) && name[PREFIX_LEN + TEMP_TOKEN_LEN + 1] == 'p';
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
