/* virt_libvirt_priv: what the files that know libvirt share. They alone know its calls, handles and
 * errors. Worker threads. */
#pragma once
#include <libvirt/libvirt.h>

#include "agent/vm/virt.h"

struct real {
    struct virt base;
    virConnectPtr conn;
};

virConnectPtr real_conn(struct virt *v);
/* libvirt's last error as a fault; -errno. */
int real_failed(struct fault *reterr, const char *doing);
/* By UUID or name; NULL: real_failed() says why. */
virDomainPtr real_machine(struct virt *v, const char *word);
