/* churn_main: `godwit-churn DIR SEED COUNT [attic=DIR] [links=N] [every=MICROSECONDS]`: changes DIR
 * at random; ends after COUNT operations. Not installed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/churn.h"

int main(int argc, char **argv)
{
    struct churn c = {.links = 10};
    unsigned every = 0;
    if (argc < 4) {
        (void)fprintf(stderr, "usage: godwit-churn DIR SEED COUNT [attic=DIR] [links=N] "
                              "[every=MICROSECONDS]\n");
        return 2;
    }
    c.root = argv[1];
    c.seed = strtoull(argv[2], NULL, 10);
    unsigned long count = strtoul(argv[3], NULL, 10);
    for (int i = 4; i < argc; i++) {
        if (strncmp(argv[i], "attic=", 6) == 0)
            c.attic = argv[i] + 6;
        else if (strncmp(argv[i], "links=", 6) == 0)
            c.links = (unsigned)strtoul(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "every=", 6) == 0)
            every = (unsigned)strtoul(argv[i] + 6, NULL, 10);
        else
            return 2;
    }
    if (every == 0) {
        churn_run(&c, count);
        return 0;
    }
    for (; count > 0; count--) {
        churn_run(&c, 1);
        (void)usleep(every);
    }
    return 0;
}
