/* byhand: what the sender would do, record by record. */
#include "tests/unit/transfer/byhand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_identity.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

void *byhand_receive(void *arg)
{
    struct harness h = {.source = source, .destination = destination, .state = state, .port = port};
    harness_receive(&h, arg);
    return NULL;
}

void byhand_put_file(struct buf *b, const char *name, const char *text, time_t mtime, uint8_t flip)
{
    struct batch_entry e = {
        .kind = BATCH_FILE, .name = {name, strlen(name)},
             .nsegments = 1
    };
    e.meta = (struct meta){
        .mode = S_IFREG | 0644, .nlink = 1, .size = strlen(text), .mtime = {mtime, 0}
    };
    digest_bytes(text, strlen(text), e.digest);
    e.digest[3] ^= flip;
    batch_entry_put(b, &e);
    buf_put_u64(b, 0);
    buf_put_blob(b, text, strlen(text));
}

struct lane *byhand_lane(void)
{
    struct lane_identity *id = NULL, *peer = NULL;
    struct lane *l = NULL;
    struct lane_welcome w;
    struct lane_hello hello = {
        .id = "0123456789abcdef", .pair = "0123456789abcdef.1", .entry = {5, 0}
    };
    char *mine = xasprintf("%s/source.key", state), *other = xasprintf("%s/destination.key", state);
    assert_int_equal(lane_identity_load_or_new(mine, &id), 0);
    assert_int_equal(lane_identity_load_or_new(other, &peer), 0);
    memset(hello.secret, 0x42, sizeof hello.secret);
    char endpoint[32];
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)port);
    int rc = -1;
    for (int i = 0; i < 1000 && rc < 0; i++) {
        rc = lane_connect(&l, id, endpoint, lane_identity_pin(peer), -1);
        if (rc == 0 && ((rc = lane_hello_send(l, &hello)) < 0 ||
                        (rc = lane_welcome_receive(l, 5000, &w, NULL)) < 0))
            l = lane_free(l);
        if (rc < 0)
            (void)usleep(20000);
    }
    assert_int_equal(rc, 0);
    (void)lane_identity_free(id);
    (void)lane_identity_free(peer);
    free(mine);
    free(other);
    return l;
}

void byhand_wait(struct lane *l, uint8_t type, struct lane_record *ret)
{
    do
        assert_int_equal(lane_receive(l, 5000, ret), 1);
    while (ret->type != type);
}
