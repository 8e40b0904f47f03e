/* fuzz_domain_xml: any bytes as a machine's definition. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/vm/domain_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(domain_free) Godwit__VmDomain *d = NULL;
    if (domain_xml_read((const char *)data, size, &d) == 0 &&
        (!*d->name || d->n_disks > DOMAIN_DISKS_MAX || d->n_host_devices > DOMAIN_DEVICES_MAX))
        abort();
    free(domain_xml_snapshot_memory((const char *)data, size));
    return 0;
}
