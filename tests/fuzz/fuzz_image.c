/* fuzz_image: any bytes as the beginning of a disk's image, of a format that is known or not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/image.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"qcow2", "raw", NULL};
    for (size_t k = 0; k < ARRAY_SIZE(formats); k++) {
        CLEANUP(image_free) Godwit__VmImage *i = xcalloc(1, sizeof *i);
        godwit__vm_image__init(i);
        image_header(data, size, size, formats[k], i);
        if (strlen(i->backing) > 4 * IMAGE_NAME_MAX || strlen(i->data_file) > 4 * IMAGE_NAME_MAX)
            abort();
    }
    return 0;
}
