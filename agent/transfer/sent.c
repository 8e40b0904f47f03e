/* sent: one short line. No fsync: it is an estimate, and must not slow the data. */
#include "agent/transfer/sent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lane/ticket.h"
#include "agent/transfer/again.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

int sent_save(const char *path, const char *ticket_id, const struct again *a)
{
    CLEANUP(mem_free) char *temp = xasprintf("%s.new", path);
    FILE *out = fopen(temp, "we");
    if (!out)
        return -errno;
    int n = fprintf(out, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                    ticket_id, a->bytes, a->sent_before, a->instance, a->start, a->durable);
    if (fclose(out) != 0 || n < 0)
        return -EIO;
    return rename(temp, path) == 0 ? 0 : -errno;
}

int sent_load(const char *path, const char *ticket_id, struct again *ret)
{
    char id[TICKET_ID_MAX + 1] = "";
    struct again a = {.seen = false};
    FILE *in = fopen(path, "re");
    if (!in)
        return -errno;
    int n = fscanf(in, "%64s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, id,
                   &a.bytes, &a.sent_before, &a.instance, &a.start, &a.durable);
    (void)fclose(in);
    if (n != 6)
        return -ENOENT;
    if (strcmp(id, ticket_id) != 0) { /* that order has told it */
        a.sent_before -= a.bytes < a.sent_before ? a.bytes : a.sent_before;
        a.bytes = 0;
    }
    *ret = a;
    return 0;
}

int seen_save(const char *path, const struct seen_record *r)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 "\n", r->files, r->bytes);
    return file_write(path, 0600, text, (size_t)n);
}

int seen_load(const char *path, struct seen_record *ret)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    struct seen_record r;
    int rc = file_read(path, 64, &text, &len);
    if (rc < 0)
        return rc;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &r.files, &r.bytes) != 2)
        return -EBADMSG;
    *ret = r;
    return 0;
}
