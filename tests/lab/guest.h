/* guest: what a test's machine says and writes, for it and for those that judge it. Constants only.
 */
#pragma once

#define GUEST_BOOT_LEN 8
#define GUEST_BEAT_LEN 64
#define GUEST_BEAT_US 5000
#define GUEST_RECORD_US 20000
#define GUEST_SECTOR 512
#define GUEST_RING 4000 /* records, in the sectors behind the first */
#define GUEST_MODULES_MAX 32
