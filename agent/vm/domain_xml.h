/* domain_xml: a libvirt definition of a machine, read into what inventory and planning want to
 * know. Names in it are chosen by users: it is parsed without entities and network, within bounds.
 * Any thread. */
#pragma once
#include <stddef.h>

#include "common/base/cleanup.h"
#include "proto/vm_look.pb-c.h"

#define DOMAIN_DISKS_MAX 64
#define DOMAIN_INTERFACES_MAX 64
#define DOMAIN_DEVICES_MAX 64
#define DOMAIN_CHAIN_MAX 32

/* Freed with domain_free(). -EBADMSG: not a definition of a machine. */
int domain_xml_read(const char *xml, size_t len, Godwit__VmDomain **ret);
Godwit__VmDomain *domain_free(Godwit__VmDomain *d); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(domain_free, Godwit__VmDomain *)

/* What planning wants beside that, into m: its <cpu>, firmware files, secrets, leases, partners of
 * devices that are passed through. The same errors; m keeps what it had. */
int domain_xml_facts(const char *xml, size_t len, Godwit__VmMachine *m);
/* Of the definition of its next start: the processor that it asks for there. */
int domain_xml_kept(const char *xml, size_t len, Godwit__VmMachine *m);
/* Where a snapshot of that definition keeps the machine's memory; malloc'd, NULL: in no file of its
 * own. */
char *domain_xml_snapshot_memory(const char *xml, size_t len);
/* Where the definition has the state of its emulated TPM; malloc'd, "": where libvirt keeps it. */
char *domain_xml_tpm_place(const char *xml, size_t len);
