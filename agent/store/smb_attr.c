/* smb_attr: DOS attributes and the time of creation as smbd keeps them in user.DOSATTRIB (version
 * 5 of its xattr_DOSATTRIB, with these two valid). */
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
