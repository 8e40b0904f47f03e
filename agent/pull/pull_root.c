/* pull_root: which folder of which volume a share's folder is, so that an emptied one is told from
 * one whose disk is not mounted. The step's thread. */
#include <string.h>

#include "agent/pull/pull_priv.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"

#define VOLUME_SERIAL_AT 8

/* Samba's serial goes by the share's name, Windows' by the volume: there the folder's own number
 * may be that of a folder of another volume. */
static void serial_of(const struct smb_call *c, unsigned n, struct rootid *ret)
{
    const void *data = NULL;
    size_t len = 0;
    if (smb_get_data(c, n, &data, &len) < 0 || len < VOLUME_SERIAL_AT + sizeof(uint32_t))
        return;
    memcpy(ret->uuid, (const uint8_t *)data + VOLUME_SERIAL_AT, sizeof(uint32_t));
}

static void number_of(const struct smb_call *c, unsigned n, struct rootid *ret)
{
    const void *data = NULL;
    size_t len = 0;
    if (smb_get_data(c, n, &data, &len) < 0 || len < sizeof ret->ino)
        return;
    struct cursor number = cursor_of(data, len);
    ret->ino = cursor_u64(&number);
}

int pull_root_of(struct smb *smb, const struct pull_source *from, struct rootid *ret)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(smb);
    struct smb_handle h;
    *ret = (struct rootid){.type = 0};
    int rc = smb_put_open(c, from->base, from->base_len, SMB_OPEN_FOLDER);
    if (rc == 0)
        rc = smb_put_volume(c, NULL);
    if (rc == 0)
        rc = smb_put_internal(c, NULL);
    rc = smb_ask(c, rc);
    if (rc < 0 || smb_get_open(c, 0, &h, NULL) < 0)
        return rc;
    serial_of(c, 1, ret);
    number_of(c, 2, ret);
    smb_shut(smb, &h);
    ret->type = ret->ino ? ROOTID_SMB : 0; /* a server without such numbers says 0 */
    return 0;
}
