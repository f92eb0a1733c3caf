/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames as a guest may write them, byte by byte: for tests in namespaces and in real guests. */
#ifndef CORDON_TESTS_FRAMES_H
#define CORDON_TESTS_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum { FRAME_MAX = 1600, FRAMES_MAX = 3 };

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t size;
};

/* Who is who on the guest's wire. */
struct frame_net {
	uint8_t own_mac[6], tap_mac[6];
	uint8_t own4[4], gateway4[4], world4[4];
	uint8_t own6[16], gateway6[16], world6[16];
};

/* Appends; what does not fit is left out. */
void frame_put(struct frame *f, const void *bytes, size_t size);
void frame_put16(struct frame *f, unsigned int value);

/* Ethernet towards the tap. */
struct frame frame_ethernet(const struct frame_net *n, unsigned int type);
/* RFC 791 section 3.1; `flags` is the word of flags and fragment offset. */
struct frame frame_ip4(const struct frame_net *n, const uint8_t from[4], const uint8_t to[4],
                       uint8_t protocol, unsigned int flags, const struct frame *payload);
/* Sets the checksum of the IPv4 header again, whose length is as it says. */
void frame_ip4_sum(struct frame *f);
/* RFC 8200 section 3. */
struct frame frame_ip6(const struct frame_net *n, const uint8_t from[16], const uint8_t to[16],
                       uint8_t next, uint8_t hops, const struct frame *payload);
/* A UDP datagram with `text` in it; without a checksum, it is whole over IPv4 (RFC 768). */
struct frame frame_udp(unsigned int from, unsigned int to, const char *text);
/* A TCP SYN with `text` in it. */
struct frame frame_syn(unsigned int from, unsigned int to, const char *text);
/* An SCTP INIT (RFC 9260 section 3.3.2) with `text` behind it, and its CRC32c. */
struct frame frame_sctp(unsigned int from, unsigned int to, const char *text);
/* The checksum that IPv4's pseudo-header makes, for TCP. */
struct frame frame_sum4(struct frame payload, const uint8_t from[4], const uint8_t to[4],
                        uint8_t protocol);
/* The checksum that IPv6's pseudo-header makes (RFC 8200 section 8.1), for UDP, TCP and ICMPv6. */
struct frame frame_sum6(struct frame payload, const uint8_t from[16], const uint8_t to[16],
                        uint8_t next);
/* RFC 4861 sections 4.1 to 4.5: type, target, and one link-layer option (0: none). */
struct frame frame_nd(const struct frame_net *n, const uint8_t from[16], const uint8_t to[16],
                      uint8_t type, const uint8_t target[16], uint8_t option, const uint8_t mac[6]);
/* RFC 826. */
struct frame frame_arp(const struct frame_net *n, unsigned int operation, const uint8_t mac[6],
                       const uint8_t sender[4], const uint8_t target[4]);

#endif
