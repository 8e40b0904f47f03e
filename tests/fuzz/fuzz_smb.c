/* fuzz_smb: a server that answers a chain of requests with anything: what is taken from it stays
 * within the bytes that came. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/store/smb_priv.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void touch(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        sink ^= b[i];
}

/* Last: it writes to what came. */
static void take_to_write(struct smb_call *c)
{
    for (unsigned n = 0; n < SMB_PARTS_MAX; n++) {
        uint8_t *p = NULL;
        size_t len = 0;
        if (smb_take_data(c, n, 20, &p, &len) == 0 && len > 0)
            memset(p - 20, 0x5a, len + 20);
    }
}

static void take_all(const struct smb_call *c)
{
    struct smb_handle h;
    struct smb_info i;
    for (unsigned n = 0; n < SMB_PARTS_MAX; n++) {
        const void *p = NULL;
        size_t len = 0;
        (void)smb_get_open(c, n, &h, &i);
        (void)smb_get_close(c, n, &i);
        if (smb_get_data(c, n, &p, &len) < 0)
            continue;
        touch(p, len);
        struct cursor at = cursor_of(p, len);
        struct smb_entry e;
        while (smb_entry_next(&at, &e) == 1)
            if (e.name_len >= sizeof e.name || (!e.odd && memchr(e.name, '/', e.name_len)))
                abort();
        at = cursor_of(p, len);
        struct smb_stream s;
        while (smb_stream_next(&at, &s) == 1)
            if (s.name_len >= sizeof s.name || s.name[0] != ':')
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
        return 0;
    struct smb *s = xcalloc(1, sizeof *s);
    *s = (struct smb){.fd = pair[0],
                      .cancel_fd = -1,
                      .dialect = 0x0311,
                      .max_read = SMB_READ_MAX,
                      .max_transact = SMB_READ_MAX,
                      .credits = 64};
    if (write(pair[1], data, size) == (ssize_t)size && shutdown(pair[1], SHUT_WR) == 0) {
        struct smb_call *c = smb_call_new(s);
        if (smb_put_open(c, "a/b", 3, SMB_OPEN_FILE) < 0 || smb_put_descriptor(c, NULL) < 0 ||
            smb_put_streams(c, NULL) < 0 || smb_put_list(c, NULL, true) < 0 ||
            smb_put_read(c, NULL, 0, 4096) < 0 || smb_put_close(c, NULL) < 0)
            abort();
        if (smb_send(c) == 0 && smb_wait(c) == 0) {
            take_all(c);
            take_to_write(c);
        }
        (void)smb_call_free(c);
    }
    (void)close(pair[1]);
    (void)smb_close(s);
    return 0;
}
