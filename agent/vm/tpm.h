/* tpm: the emulator of TPMs (swtpm) of this host, and where a machine's state of it lies. Worker
 * threads. */
#pragma once
#include <stdbool.h>

#define TPM_VERSION_MAX 32

/* Of what "swtpm --version" prints: "0.7.1"; "": nothing is told. */
void tpm_version_in(const char *said, char ret[TPM_VERSION_MAX]);
void tpm_version(char ret[TPM_VERSION_MAX]); /* of this host's */
/* Below 0.8 it holds on to its state until it ends: where both hosts see the state, the other one
 * waits for it. */
bool tpm_is_too_old(const char *version);
/* Does the state lie where several hosts see it? place: as the definition says; "": as libvirt has
 * it. */
bool tpm_is_shared(const char *place);
