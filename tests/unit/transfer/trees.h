/* trees: a source and a destination in a folder of their own, what stands in them, and whether both
 * are the same. For the tests of whole transfers. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "agent/step.h"
#include "agent/transfer/spec.h"

extern char base[], *source, *destination, *state;
extern uint16_t port; /* of this process: tests may run side by side */

struct both {
    struct step_result sent, received;
};

#define IN_SOURCE(call, name)                                                                      \
    do {                                                                                           \
        char *path = in_source(name);                                                              \
        assert_int_equal(call, 0);                                                                 \
        free(path);                                                                                \
    } while (0)

int trees_run(const char *const argv[]);
void assert_same_trees(void);
char *in_source(const char *name);
void put(const char *dir, const char *name, const void *data, size_t len);
void put_random(const char *name, size_t len, unsigned seed);
void make_dir(const char *dir, const char *name);
void make_tree(void);
void skip_in_memory(void); /* the test, with its reason, where names need not wait for a sync */
int trees_setup(void **state_);
int trees_teardown(void **state_);
void transfer(struct both *ret, const struct transfer_options *options);
void assert_done(const struct both *b);
