/* make_golden: writes one wire file per message type into a folder. Run it once when a message has
 * grown; files of a released version are never written again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/golden/golden.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < golden_count(); i++) {
        struct buf b;
        buf_init(&b, GOLDEN_MAX);
        golden_pack(i, &b);
        CLEANUP(mem_free) char *path = xasprintf("%s/%s.bin", argv[1], golden_name(i));
        int rc = file_write(path, 0644, b.data, b.len);
        buf_done(&b);
        if (rc < 0) {
            (void)fprintf(stderr, "%s: cannot write %s: %s\n", argv[0], path, strerror(-rc));
            return 1;
        }
    }
    return 0;
}
