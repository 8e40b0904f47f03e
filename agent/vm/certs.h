/* certs: until when the certificates are good that libvirt and QEMU have for their own TLS. Keys
 * are not looked at. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/vm_look.pb-c.h"

/* Those that are there: of its authorities, and its own, by which it is called (server) or calls.
 * root: "" or a folder in place of /. malloc'd. */
void certs_look(const char *root, bool server, Godwit__VmCertificate ***ret, size_t *retn);
