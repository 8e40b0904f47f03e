/* smb_attr: DOS attributes and the time of creation as smbd keeps them in user.DOSATTRIB (version
 * 5 of its xattr_DOSATTRIB, with these two valid). */
#include <errno.h>
#include <string.h>

#include "agent/store/smb_priv.h"

#define KEPT 0x3fffU
#define EPOCH 116444736000000000ULL /* 1601 to 1970, in 100 ns */

void smb_dosattrib(const struct smb_info *i, struct buf *ret)
{
    uint64_t birth =
        (uint64_t)i->birth.tv_sec * 10000000 + (uint64_t)i->birth.tv_nsec / 100 + EPOCH;
    buf_put_u16(ret, 0);          /* the old form in hex is empty; padding */
    buf_put_u16(ret, 5);          /* version */
    buf_put_u32(ret, 5);          /* and once more, as a union's tag */
    buf_put_u32(ret, 1U | 0x10U); /* valid: attributes, creation */
    buf_put_u32(ret, i->attributes & KEPT & ~SMB_ATTR_REPARSE);
    buf_put_u64(ret, birth);
}

/* Version 3: valid, attributes, size of EAs, then size, allocation, creation, change. 4: valid,
 * attributes, id time, creation. 5: valid, attributes, creation. */
int smb_dosattrib_take(const void *value, size_t len, struct smb_info *ret)
{
    const uint8_t *p = value, *nul = memchr(p, '\0', len);
    size_t at = nul ? ((size_t)(nul - p) + 2) & ~(size_t)1 : len;
    if (at + 2 > len)
        return -EBADMSG;
    unsigned version = le16(p + at);
    size_t body = ((at + 2 + 3) & ~(size_t)3) + 4; /* behind the union's tag */
    size_t birth = version == 3 ? ((body + 12 + 7) & ~(size_t)7) + 16 : body + 8;
    if (version == 4)
        birth += 8;
    if (version < 3 || version > 5 || body + 8 > len || birth + 8 > len)
        return -EBADMSG;
    uint32_t valid = le32(p + body);
    uint64_t t = le64(p + birth);
    if (valid & 1)
        ret->attributes = le32(p + body + 4) & KEPT & ~SMB_ATTR_REPARSE;
    if ((valid & 0x10) && t > EPOCH && t < INT64_MAX)
        ret->birth = (struct timespec){.tv_sec = (time_t)((t - EPOCH) / 10000000),
                                       .tv_nsec = (long)((t - EPOCH) % 10000000 * 100)};
    return 0;
}
