/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_fixture: cordon-net, the program itself, on a real tap in a network namespace of its own. A packet
 * socket on the tap is the host's side: what it sends is what the guest has to get, and the other way
 * round, large segments included. One at a time, in a process of its own.
 */
#ifndef CORDON_TESTS_NET_FIXTURE_H
#define CORDON_TESTS_NET_FIXTURE_H

#include <linux/virtio_net.h>

#include "tests/unit/vhost_client.h"

enum { RX, TX, HEADER = sizeof(struct virtio_net_hdr_v1), BUFFER = 2048 };
enum { ETHERNET = 14, IP = 20, TCP = 20, UDP = 8, MSS = 1448 };
enum { NET_TAPS_MAX = 8 };

#define RX_AT CLIENT_DATA
#define TX_AT CLIENT_HIGH

#define FEATURES_NONE (1ull << 29)
#define FEATURES_ALL  (~0ull)

extern const uint8_t guest_mac[6];
extern struct vhost_client client;
extern int host; /* the packet socket, with a struct virtio_net_hdr before each frame */

/* Whether this machine lets us have a namespace and a tap at all. */
bool possible(void);

/* A tap of `pairs` queues with an MTU of 9000, cordon-net on it, and its first `rings` rings. */
void start_many(uint64_t features, unsigned int pairs, unsigned int rings);
/* One pair and its two rings. */
void start(uint64_t features);
void stop(void);
void link_set(bool up);

/* An Ethernet frame with IPv4 and TCP (or UDP) headers and `payload` patterned bytes; its size. */
size_t frame_make(uint8_t *frame, size_t payload, bool tcp);
/* A header that has a frame of frame_make() cut into segments of MSS. */
struct virtio_net_hdr gso_header(void);

void host_send(const struct virtio_net_hdr *header, const uint8_t *frame, size_t size);
size_t host_receive(struct virtio_net_hdr *header, uint8_t *frame, size_t size, int limit_ms);

/* Posts `count` receive buffers of `length` bytes, one after the other from RX_AT + first * BUFFER. */
void post(unsigned int first, unsigned int count, uint32_t length);
/* The next frame out of the receive ring, put together; its size, and the header. */
size_t net_guest_receive(struct virtio_net_hdr_v1 *header, uint8_t *frame);
void net_guest_send(const struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size);

#endif
