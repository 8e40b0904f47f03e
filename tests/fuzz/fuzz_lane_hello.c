/* fuzz_lane_hello: the first bytes that a lane may say. */
#include <stddef.h>
#include <stdint.h>

#include "agent/lane/lane_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lane_hello h;
    (void)lane_hello_parse(data, size, &h);
    return 0;
}
