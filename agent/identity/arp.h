/* arp: asks the segment who has an address, and tells it that we have it now: ARP for IPv4,
 * neighbour messages for IPv6. Needs CAP_NET_RAW. Blocking; worker thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* address: "192.0.2.7" or "192.0.2.7/24", either family. 1: another machine answered, mac says
 * which; 0: nobody did within a moment; -errno: it could not be asked. */
int arp_in_use(const char *interface, const char *address, char mac[18]);
/* Three times within a moment: who has the old owner in its cache forgets it. */
int arp_announce(const char *interface, const char *address);

/* ── frames, for tests ── */
#define ARP_FRAME_MAX 96

struct arp_target {
    uint8_t mac[6]; /* our own */
    uint8_t ip[16];
    int family;
};
enum arp_kind { ARP_PROBE, ARP_ANNOUNCE };
/* An Ethernet frame; its length. */
size_t arp_frame(const struct arp_target *t, enum arp_kind kind, uint8_t ret[ARP_FRAME_MAX]);
/* Does this frame say that somebody else has it? 1, and who. Hostile bytes. */
int arp_answers(const struct arp_target *t, const uint8_t *frame, size_t n, uint8_t retmac[6]);
