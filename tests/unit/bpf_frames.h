/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf_frames: frames made by hand, and conversations of them that the unit tests, the kernel test and
 * the fuzzer's seeds share. The guest is 02:00:00:00:00:01, 10.0.0.2 and fd00::2; its peer
 * 02:00:00:00:00:02, 10.0.0.5 and fd00::5.
 */
#ifndef CORDON_TESTS_BPF_FRAMES_H
#define CORDON_TESTS_BPF_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/events.h"

enum { FRAME_MAX = 600 };

struct frame {
	enum flow_side_index side; /* who sends it */
	uint32_t size;
	uint8_t bytes[FRAME_MAX];
};

extern const uint8_t frame_guest_mac[6];

/* The same conversation over IPv4 or IPv6: addresses are chosen by `side`. */
enum frame_ip { FRAME_IPV4 = 4, FRAME_IPV6 = 6 };

/* Each starts a frame anew, or adds to it; lengths and such are put right by frame_finish(). */
void frame_begin(struct frame *frame, enum flow_side_index side);
void frame_vlan(struct frame *frame, uint16_t type, uint16_t id);
void frame_ip(struct frame *frame, enum frame_ip ip, uint8_t proto);
/* An IPv6 extension header: `next` is its own type, put into the header before it. */
void frame_extension(struct frame *frame, uint8_t type, const void *body, uint32_t size);
void frame_put(struct frame *frame, const void *bytes, uint32_t size);
void frame_tcp(struct frame *frame, uint16_t src, uint16_t dst, uint8_t flags, uint32_t seq);
void frame_udp(struct frame *frame, uint16_t src, uint16_t dst, uint32_t payload);
void frame_icmp(struct frame *frame, uint8_t type, uint8_t code);
void frame_finish(struct frame *frame);

void frame_make_tcp(struct frame *frame, enum flow_side_index side, uint16_t guest_port,
                    uint16_t peer_port, uint8_t flags, uint32_t seq, const char *payload);
void frame_make_udp(struct frame *frame, enum flow_side_index side, uint16_t guest_port,
                    uint16_t peer_port, const char *payload);
void frame_make_ping(struct frame *frame, enum flow_side_index side, enum frame_ip ip, bool reply);
/* An ICMP error about `about`, sent by the other side. */
void frame_make_error(struct frame *frame, const struct frame *about, uint8_t type, uint8_t code);
void frame_make_arp(struct frame *frame, enum flow_side_index side, uint16_t op);

/* IPv6 neighbour solicitation (135) or advertisement (136) about the peer. */
void frame_make_neighbour(struct frame *frame, enum flow_side_index side, uint8_t type);

/* Every kind of conversation above, one after the other. Returns how many frames, at most `max`. */
size_t frame_conversations(struct frame *frames, size_t max);

#endif
