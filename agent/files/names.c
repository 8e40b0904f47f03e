/* names: what a name is to a client of SMB. Pure. */
#include <string.h>
#include <strings.h>

#include "agent/files/traits.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

/* "CON", "con.txt": devices of DOS whatever follows the dot. */
static bool is_dos_device(const char *name, size_t len)
{
    static const char *const words[] = {"CON", "PRN", "AUX", "NUL"};
    const char *dot = memchr(name, '.', len);
    size_t n = dot ? (size_t)(dot - name) : len;
    while (n > 0 && name[n - 1] == ' ')
        n--;
    for (size_t i = 0; n == 3 && i < ARRAY_SIZE(words); i++)
        if (strncasecmp(name, words[i], 3) == 0)
            return true;
    return n == 4 && name[3] >= '1' && name[3] <= '9' &&
           (strncasecmp(name, "COM", 3) == 0 || strncasecmp(name, "LPT", 3) == 0);
}

bool name_suits_smb(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || strchr("<>:\"|?*\\", name[i]))
            return false;
    if (len > 0 && (name[len - 1] == '.' || name[len - 1] == ' '))
        return false;
    return !is_dos_device(name, len);
}

/* Latin, Greek and Cyrillic: what stands in pairs of a large and a small letter. */
static uint32_t small_letter(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) ||
        (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c + (c & 1);
    return c;
}

/* The character at p, or the byte alone where it is none. */
static uint32_t character(const unsigned char *p, size_t left, size_t *retlen)
{
    size_t n = p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 1;
    uint32_t v = n > 1 ? p[0] & (0x7fU >> n) : p[0];
    *retlen = 1;
    if (n > left)
        return p[0];
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return p[0];
        v = v << 6 | (p[i] & 0x3fU);
    }
    *retlen = n;
    return v;
}

uint64_t name_fold(const char *name, size_t len)
{
    uint32_t folded[256];
    size_t count = 0, n;
    for (size_t i = 0; i < len && count < ARRAY_SIZE(folded); i += n)
        folded[count++] = small_letter(character((const unsigned char *)name + i, len - i, &n));
    uint64_t h = XXH3_64bits(folded, count * sizeof folded[0]);
    return h ? h : 1;
}
