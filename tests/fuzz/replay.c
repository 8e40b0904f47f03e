/* replay: runs a fuzz target over the files of its corpus when there is no fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    if (!dir) {
        (void)fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    int runs = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char *path = xasprintf("%s/%s", argv[1], e->d_name), *data = NULL;
        size_t len = 0;
        if (e->d_name[0] != '.' && file_read(path, 16U << 20, &data, &len) == 0) {
            (void)LLVMFuzzerTestOneInput((const uint8_t *)data, len);
            runs++;
        }
        free(data);
        free(path);
    }
    (void)closedir(dir);
    (void)printf("%d inputs\n", runs);
    return runs > 0 ? 0 : 1;
}
