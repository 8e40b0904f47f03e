/* vm_chain: the images that disks stand on: which of them go along, and where they would be. They
 * are not written, so one copy at the destination serves all machines. Main thread, pure. */
#pragma once
#include "orchestrator/workload/vm_checks.h"

/* How many images a disk stands on. */
size_t vm_chain_depth(const struct vm_facts *f, const json_t *disk);
/* A copied disk that keeps what it stands on: not one that both hosts see, nor one that is to be
 * made one image (--flatten). */
bool vm_chain_goes_along(const struct vm_facts *f, const json_t *disk);
/* Where the image of that path at the source would be; NULL: the destination did not tell. */
const json_t *vm_chain_arrival(const struct vm_facts *f, const char *source);
/* Paths at the source, nearest first. New reference. */
json_t *vm_chain_names(const struct vm_facts *f, const json_t *disk);
/* [{source, path, format, bytes}] of all disks, each once, the lowest first. New reference. */
json_t *vm_chain_bases(const struct vm_facts *f);
/* What the destination still lacks of them, in bytes; group: only there, NULL: anywhere. */
uint64_t vm_chain_lacking(const struct vm_facts *f, const char *group);
