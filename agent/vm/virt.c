/* virt: what every side of the seam shares. Any thread. */
#include "agent/vm/virt.h"

#include <stdlib.h>

void virt_domain_done(struct virt_domain *d)
{
    free(d->name);
    free(d->uuid);
    free(d->xml);
    free(d->trouble);
    *d = (struct virt_domain){.name = NULL};
}

struct virt *virt_close(struct virt *v)
{
    if (v)
        v->ops->close(v);
    return NULL;
}
