/* endpoints: rows of servers without an agent and of credentials, whose secrets are sealed before
 * they come here. Main thread. All calls return 0 or -errno; pointers in rows are borrowed for the
 * callback. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct store;

struct endpoint_row {
    const char *name, *address, *credentials;
    const char *proxy; /* host; "": the destination's own */
};
struct credential_row {
    const char *ref, *user;
    uint32_t proof;
    const void *sealed;
    size_t sealed_len;
};

int endpoint_rows_put(struct store *s, const struct endpoint_row *r);
int endpoint_rows_delete(struct store *s, const char *name); /* -ENOENT */
int endpoint_rows_each(struct store *s, int (*each)(void *arg, const struct endpoint_row *r),
                       void *arg);
int credential_rows_put(struct store *s, const struct credential_row *r);
int credential_rows_delete(struct store *s, const char *ref); /* -ENOENT */
int credential_rows_each(struct store *s, int (*each)(void *arg, const struct credential_row *r),
                         void *arg);
