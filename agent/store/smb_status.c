/* smb_status: what a server's status means here. */
#include <errno.h>

#include "agent/store/smb_priv.h"
#include "common/base/mem.h"

static const struct {
    uint32_t status;
    int err;
} known[] = {
    {0x00000000U, 0           },
    {0x80000005U, ENOSPC      }, /* more than fits into an answer */
    {0xC0000022U, EACCES      },
    {0xC0000061U, EACCES      }, /* a privilege is not held */
    {0xC0000034U, ENOENT      },
    {0xC000003AU, ENOENT      },
    {0xC000000FU, ENOENT      },
    {0xC0000056U, ENOENT      }, /* about to be deleted */
    {0xC0000043U, ETXTBSY     }, /* another program has it open and shares it with nobody */
    {0xC0000054U, ETXTBSY     }, /* a range of it is locked */
    {0xC0000033U, EILSEQ      },
    {0xC0000106U, ENAMETOOLONG},
    {0xC00000BAU, EISDIR      },
    {0xC0000103U, ENOTDIR     },
    {0xC00000BBU, EOPNOTSUPP  },
    {0xC0000035U, EEXIST      },
    {0xC0000101U, ENOTEMPTY   },
    {0xC0000121U, EACCES      }, /* may not be deleted: read only */
    {0xC00000A2U, EROFS       },
    {0xC000007FU, ENOSPC      },
    {0xC0000044U, EDQUOT      },
    {0xC000005AU, EPERM       }, /* that owner may not be given */
    {0xC000006DU, EKEYREJECTED},
    {0xC000006EU, EKEYREJECTED}, /* the account may not log on so */
    {0xC0000072U, EKEYREJECTED}, /* disabled */
    {0xC0000234U, EKEYREJECTED}, /* locked out */
    {0xC0000071U, EKEYREJECTED}, /* the password has expired */
    {0xC0000193U, EKEYREJECTED},
    {0xC00000CCU, ENODEV      }, /* no such share */
    {0xC00000C9U, ENOTCONN    }, /* the share was taken away */
    {0xC0000203U, ENOTCONN    },
    {0xC000035CU, ENOTCONN    }, /* the session ended */
    {0xC0000023U, E2BIG       },
    {0xC0000185U, EIO         },
    {0xC000009CU, EIO         },
    {0xC000009AU, ENOMEM      },
};

int smb_errno(uint32_t status)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].status == status)
            return -known[i].err;
    return -EREMOTEIO;
}
