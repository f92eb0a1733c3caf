/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control queue (virtio 1.2, section 5.1.6.5). A command is two bytes and its data, the answer one byte.
 *
 * Filters are accepted and not applied: they are there to spare a guest frames, and a guest on a wire of
 * its own is sent none that are not for it. Its address is the one that its policy gave; the firewall
 * lets no other through, so another is refused here, where the guest hears of it.
 *
 * How many pairs of queues a guest uses is also how many of the tap's queues are attached: the kernel
 * spreads flows over those, and what it put into one that nobody reads would be lost.
 */
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "vmm/devices/net.h"

enum { COMMAND_MAX = 2 + 8 }; /* what is copied: class, command and the longest data but tables */

struct command {
	uint8_t bytes[COMMAND_MAX]; /* the first of them; those that are not there are 0 */
	uint64_t data;              /* bytes after class and command */
	const struct iovec *list;
	unsigned int count;
};

/*
 * What the guest can take is what the tap may hand over; the rest the kernel does before. USO is taken by
 * the kernel for both versions of IP or for none.
 *
 * #syscall net: ioctl(arg1 = TUNSETOFFLOAD) - checksums and segmentation as negotiated
 */
int net_offloads_set(struct net *net, uint64_t features)
{
	const uint64_t uso = 1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6;
	unsigned long offload = 0;

	if (features & 1ull << VIRTIO_NET_F_GUEST_CSUM) {
		offload |= TUN_F_CSUM;
		offload |= features & 1ull << VIRTIO_NET_F_GUEST_TSO4 ? TUN_F_TSO4 : 0;
		offload |= features & 1ull << VIRTIO_NET_F_GUEST_TSO6 ? TUN_F_TSO6 : 0;
		if (offload != TUN_F_CSUM && features & 1ull << VIRTIO_NET_F_GUEST_ECN)
			offload |= TUN_F_TSO_ECN;
		if ((features & uso) == uso)
			offload |= NET_TUN_F_USO4 | NET_TUN_F_USO6;
	}
	if (ioctl(net->pair[0].tap, TUNSETOFFLOAD, offload) < 0)
		return -errno;
	net->offloads = features;
	return 0;
}

/* #syscall net: ioctl(arg1 = TUNSETQUEUE) - the tap's queues that the guest uses */
void net_pair_attach(struct net *net, unsigned int pair, bool on)
{
	struct ifreq request = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	/* the first one is always on, and a tap of one queue has no switch */
	if (pair == 0 || net->pair[pair].attached == on)
		return;
	if (ioctl(net->pair[pair].tap, TUNSETQUEUE, &request) == 0)
		net->pair[pair].attached = on;
	else if (net_says(++net->switch_failures))
		device_log("cordon-net", "queue %u of the tap cannot be %s: %s (failures: %llu)",
		           pair, on ? "attached" : "detached", strerror(errno),
		           (unsigned long long)net->switch_failures);
}

static bool set_receive_mode(const struct command *c)
{
	return c->bytes[1] <= VIRTIO_NET_CTRL_RX_NOBCAST && c->data == 1 && c->bytes[2] <= 1;
}

/* Two tables of addresses, each a number and so many addresses; nothing else. */
static bool set_mac_tables(const struct command *c)
{
	uint64_t offset = 0;

	for (int table = 0; table < 2; table++) {
		uint8_t entries[4];

		if (vring_copy_out(c->list, c->count, 2 + offset, entries, 4) < 4)
			return false;
		/* 2^32 addresses of 6 bytes are no overflow */
		offset += 4 + 6 * (uint64_t)base_le32(entries);
		if (offset > c->data)
			return false;
	}
	return offset == c->data;
}

static bool set_mac(struct net *net, const struct command *c)
{
	if (c->bytes[1] == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		return net_has(net, VIRTIO_NET_F_CTRL_RX) && set_mac_tables(c);
	return c->bytes[1] == VIRTIO_NET_CTRL_MAC_ADDR_SET && c->data == 6 &&
	       net_has(net, VIRTIO_NET_F_CTRL_MAC_ADDR) &&
	       memcmp(c->bytes + 2, net->config.mac, 6) == 0;
}

static bool set_pairs(struct net *net, const struct command *c)
{
	unsigned int wanted = base_le16(c->bytes + 2);

	if (c->bytes[1] != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || c->data != 2 ||
	    !net_has(net, VIRTIO_NET_F_MQ) || wanted < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN ||
	    wanted > net->pairs)
		return false;
	for (unsigned int i = 0; i < net->pairs; i++)
		net_pair_attach(net, i, i < wanted);
	net->active = wanted;
	return true;
}

static bool set_offloads(struct net *net, const struct command *c)
{
	const uint64_t possible = 1ull << VIRTIO_NET_F_GUEST_CSUM |
	                          1ull << VIRTIO_NET_F_GUEST_TSO4 |
	                          1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |
	                          1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6;
	uint64_t wanted = base_le64(c->bytes + 2);

	return c->bytes[1] == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && c->data == 8 &&
	       net_has(net, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) &&
	       !(wanted & ~(net->features & possible)) && net_offloads_set(net, wanted) == 0;
}

static bool obey(struct net *net, const struct command *c)
{
	switch (c->bytes[0]) {
	case VIRTIO_NET_CTRL_RX: return net_has(net, VIRTIO_NET_F_CTRL_RX) && set_receive_mode(c);
	case VIRTIO_NET_CTRL_MAC: return set_mac(net, c);
	case VIRTIO_NET_CTRL_MQ: return set_pairs(net, c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS: return set_offloads(net, c);
	default: return false;
	}
}

int net_control(struct net *net, struct vring *ring)
{
	struct vring_request *r = &net->request;

	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		struct command c = {.list = r->iov};
		int got = vring_pop(ring, r);
		uint8_t answer;

		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		if (r->writable_bytes == 0)
			return vring_break(ring, "a command has no room for its answer");
		c.count = r->readable;
		vring_copy_out(r->iov, r->readable, 0, c.bytes, sizeof(c.bytes));
		c.data = r->readable_bytes >= 2 ? r->readable_bytes - 2 : 0;
		answer = r->readable_bytes >= 2 && obey(net, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		vring_copy_in(r->iov + r->readable, r->writable, 0, &answer, 1);
		device_memory_wrote(ring->memory, r->iov + r->readable, r->writable, 1);
		vring_push(ring, r->head, 1);
	}
	return 1;
}
