/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net: what the files of cordon-net share. net.c is the device: options, features, configuration;
 * net_header.c judges the headers that a guest writes, net_queue.c moves frames, net_control.c obeys the
 * control queue and switches the tap's queues.
 */
#ifndef CORDON_VMM_DEVICES_NET_H
#define CORDON_VMM_DEVICES_NET_H

#include <linux/virtio_net.h>

#include "vmm/devices/limits.h"
#include "vmm/devices/vhost_back.h"

enum {
	NET_PAIRS_MAX = 8,                      /* a pair is a receive and a transmit queue */
	NET_QUEUES_MAX = 2 * NET_PAIRS_MAX + 1, /* and control */
	NET_HEADER = sizeof(struct virtio_net_hdr_v1),
	NET_GSO_MAX =
	        65550 + NET_HEADER, /* section 5.1.6.3.1: the largest frame, with its header */
	NET_ETHERNET = 14 + 4,      /* header and one VLAN tag */
	NET_HEADERS_MAX = 256, /* of a frame's own: those of a large segment have to end in here */
	NET_MTU_DEFAULT = 1500,
	NET_CHAINS = 256, /* receive buffers kept ready */
	NET_PIECES = 512, /* and what they are made of */
};

/* Later than Debian's headers: UDP segmentation (virtio 1.3, section 5.1.3; Linux 6.2). */
enum {
	NET_F_GUEST_USO4 = 54,
	NET_F_GUEST_USO6 = 55,
	NET_F_HOST_USO = 56,
	NET_HDR_GSO_UDP_L4 = 5,
	NET_TUN_F_USO4 = 0x20,
	NET_TUN_F_USO6 = 0x40,
};

/* The receive buffers that are ready, oldest first. */
struct net_ready {
	struct net_chain {
		uint16_t head;
		uint16_t pieces;
		uint32_t bytes;
	} chains[NET_CHAINS];
	struct iovec pieces[NET_PIECES];
	unsigned int first, last; /* chains [first, last) */
	unsigned int first_piece, last_piece;
	uint64_t bytes;
};

/* Frames that were lost here, by why. What the tap's own queue has no room for the kernel counts. */
enum net_drop {
	NET_DROP_SIZE,   /* of the guest's: no frame has that size */
	NET_DROP_HEADER, /* of the guest's: the header asks for what cannot be */
	NET_DROP_TAP,    /* of the guest's: the tap did not take it */
	NET_DROP_ROOM,   /* for the guest: its buffer was too small */
	NET_DROPS,
};

struct net_pair {
	int tap; /* its queue of the tap */
	bool attached;
	struct net_ready ready;
};

struct net {
	unsigned int pairs;  /* that there are */
	unsigned int active; /* that the guest uses */
	uint64_t offered, features;
	uint64_t offloads; /* those of its features that the guest has on now */
	struct virtio_net_config config;
	struct limiter in, out;
	uint64_t drops[NET_DROPS];
	uint64_t switch_failures; /* of the tap's queues */
	struct vring_request request;
	struct net_pair pair[NET_PAIRS_MAX];
};

static inline bool net_has(const struct net *net, unsigned int feature)
{
	return net->features & 1ull << feature;
}

/* Whether the count'th time of what a guest can cause is logged: the 1st, 16th, 256th... are. */
static inline bool net_says(uint64_t count)
{
	return count != 0 && (count & (count - 1)) == 0 && __builtin_ctzll(count) % 4 == 0;
}

/*
 * net_header.c: whether a header from the guest asks only for what was negotiated (`features`) and what
 * its frame of `bytes` is: checksum inside it, segments of the protocol that its headers say. `headers`
 * are the frame's first `length` bytes, at most NET_HEADERS_MAX.
 */
bool net_header_valid(const struct virtio_net_hdr_v1 *header, const uint8_t *headers, size_t length,
                      uint64_t bytes, uint64_t features);

/* net_queue.c: as vhost_device_ops.queue_run, for the queues of a pair; and what queue_stop does. */
int net_transmit(struct net *net, unsigned int pair, struct vring *ring);
int net_receive(struct net *net, unsigned int pair, struct vring *ring);
void net_receive_stop(struct net_pair *pair, struct vring *ring);

/* net_control.c: the control queue. */
int net_control(struct net *net, struct vring *ring);
/* Sets which of the features that are about what the guest can take are on; 0 or a negative errno. */
int net_offloads_set(struct net *net, uint64_t features);
/* Switches a queue of the tap on or off: one that is off is given no frames. */
void net_pair_attach(struct net *net, unsigned int pair, bool on);

#endif
