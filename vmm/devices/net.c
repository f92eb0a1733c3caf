/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-net: virtio-net (virtio 1.2, section 5.1) over one tap that the launcher opened, with one pair
 * of queues. The tap speaks virtio_net_hdr too, so that checksums and segmentation are left to whoever
 * must do them, and payload moves between the tap and guest memory without a copy of ours.
 *
 * Out: the guest's header is copied, checked and sent from the copy; the rest of the chain goes with it.
 * In: buffers that the guest has posted are kept ready as one list, so that a frame of any size is read
 * straight into as many of them as it needs; the unused ones wait for the next frame, or are put back
 * when the ring stops. Without room for the largest frame the tap is left alone: its own queue fills, and
 * the kernel drops and counts what does not fit.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "vmm/devices/limits.h"
#include "vmm/devices/list_net.h"
#include "vmm/devices/program.h"

enum {
	NET_RX, /* queue numbers */
	NET_TX,
	NET_HEADER = sizeof(struct virtio_net_hdr_v1),
	NET_GSO_MAX =
	        65550 + NET_HEADER, /* section 5.1.6.3.1: the largest frame, with its header */
	NET_ETHERNET = 14 + 4,      /* header and one VLAN tag */
	NET_MTU_DEFAULT = 1500,
	NET_CHAINS = 256, /* receive buffers kept ready */
	NET_PIECES = 512, /* and what they are made of */
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

struct net {
	int tap;
	uint64_t offered, features;
	struct virtio_net_config config;
	struct net_ready ready;
	struct limiter limit[2]; /* by queue: each way has buckets of its own */
	struct vring_request request;
};

static bool has(const struct net *net, unsigned int feature)
{
	return net->features & 1ull << feature;
}

/* Whether a header from the guest asks only for what was negotiated, inside a frame of `bytes`. */
static bool header_valid(const struct net *net, const struct virtio_net_hdr_v1 *h, uint64_t bytes)
{
	unsigned int type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	if (h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return false;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    (!has(net, VIRTIO_NET_F_CSUM) || (uint64_t)h->csum_start + h->csum_offset + 2 > bytes))
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN && !has(net, VIRTIO_NET_F_HOST_ECN))
		return false;
	if (!(type == VIRTIO_NET_HDR_GSO_TCPV4 && has(net, VIRTIO_NET_F_HOST_TSO4)) &&
	    !(type == VIRTIO_NET_HDR_GSO_TCPV6 && has(net, VIRTIO_NET_F_HOST_TSO6)))
		return false;
	return h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && h->gso_size > 0 && h->hdr_len <= bytes;
}

/*
 * One frame to the tap. A frame that is wrong, or that the tap does not take, is lost, as on any wire;
 * only a tap that is gone ends the process.
 *
 * #syscall net: writev - frames from the guest go to the tap
 */
static int send_frame(struct net *net)
{
	struct vring_request *r = &net->request;
	struct virtio_net_hdr_v1 header;
	struct iovec *list = r->iov;
	unsigned int count;
	ssize_t n;

	if (r->readable_bytes <= NET_HEADER || r->readable_bytes > NET_GSO_MAX)
		return 0;
	vring_copy_out(list, r->readable, 0, &header, sizeof(header));
	header.num_buffers = 0;
	if (!header_valid(net, &header, r->readable_bytes - NET_HEADER))
		return 0;
	count = vring_skip(&list, r->readable, NET_HEADER);
	if (list == r->iov) { /* the header shares a descriptor with data: one more piece */
		if (count == VRING_IOV_MAX)
			return 0;
		memmove(list + 1, list, count * sizeof(*list));
	} else {
		list--;
	}
	list[0] = (struct iovec){.iov_base = &header, .iov_len = sizeof(header)};
	do {
		n = writev(net->tap, list, (int)count + 1);
	} while (n < 0 && errno == EINTR);
	return n < 0 && errno == EBADFD ? -EBADFD : 0;
}

static int run_transmit(struct net *net, struct vring *ring)
{
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint32_t wait = limiter_wait(&net->limit[NET_TX], device_now);
		int got;

		if (wait > 0)
			return (int)wait;
		got = vring_pop(ring, &net->request);
		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		limiter_take(&net->limit[NET_TX], net->request.readable_bytes);
		got = send_frame(net);
		if (got < 0)
			return got;
		vring_push(ring, net->request.head, 0);
	}
	return 1;
}

/* The room that must be there before a frame is read: it may not be cut. */
static uint64_t frame_max(const struct net *net)
{
	if (has(net, VIRTIO_NET_F_GUEST_TSO4) || has(net, VIRTIO_NET_F_GUEST_TSO6))
		return NET_GSO_MAX;
	return (uint64_t)net->config.mtu + NET_ETHERNET + NET_HEADER;
}

/* Moves what is ready to the front of its arrays. */
static void ready_compact(struct net_ready *r)
{
	memmove(r->chains, r->chains + r->first, (r->last - r->first) * sizeof(r->chains[0]));
	memmove(r->pieces, r->pieces + r->first_piece,
	        (r->last_piece - r->first_piece) * sizeof(r->pieces[0]));
	r->last -= r->first;
	r->last_piece -= r->first_piece;
	r->first = r->first_piece = 0;
}

/* Appends a chain. False when there is no place for it among those that are ready already. */
static bool ready_add(struct net_ready *ready, struct vring_request *r)
{
	uint64_t bytes = BASE_MIN(r->writable_bytes, (uint64_t)NET_GSO_MAX);
	unsigned int pieces = vring_truncate(r->iov, r->writable, bytes);

	if (ready->last == NET_CHAINS || pieces > NET_PIECES - ready->last_piece)
		ready_compact(ready);
	if (ready->last == NET_CHAINS || pieces > NET_PIECES - ready->last_piece)
		return false;
	ready->chains[ready->last++] = (struct net_chain){
	        .head = r->head,
	        .pieces = (uint16_t)pieces,
	        .bytes = (uint32_t)bytes,
	};
	memcpy(ready->pieces + ready->last_piece, r->iov, pieces * sizeof(r->iov[0]));
	ready->last_piece += pieces;
	ready->bytes += bytes;
	return true;
}

/*
 * Takes receive buffers until `wanted` bytes are ready. 1: there is room; 0: the guest has to post more.
 * A ring whose every buffer is ready has to do, even if the largest frame would not fit: a small ring
 * must not wait for ever.
 */
static int ready_fill(struct net *net, struct vring *ring, uint64_t wanted)
{
	struct net_ready *ready = &net->ready;
	struct vring_request *r = &net->request;

	while (ready->bytes < wanted && ready->last - ready->first < ring->size) {
		int got = vring_pop(ring, r);

		if (got <= 0)
			return got;
		if (r->readable > 0 || r->writable_bytes < NET_HEADER)
			return vring_break(ring, "a receive buffer is readable, or too small");
		if (ready_add(ready, r))
			continue;
		if (ready->bytes == 0)
			return vring_break(ring, "a receive buffer has too many pieces");
		vring_unpop(ring, 1);
		break;
	}
	return 1;
}

/* Gives the guest the buffers that a frame of `bytes` is in: one, or as many as it fills. */
static void deliver(struct net *net, struct vring *ring, uint64_t bytes)
{
	struct net_ready *ready = &net->ready;
	const struct iovec *list = ready->pieces + ready->first_piece;
	unsigned int pieces = ready->chains[ready->first].pieces;
	uint64_t all = bytes;
	uint16_t used = 0;

	do {
		const struct net_chain *chain = &ready->chains[ready->first];
		uint32_t length = (uint32_t)BASE_MIN(bytes, chain->bytes);

		vring_fill(ring, used++, chain->head, length);
		bytes -= length;
		ready->bytes -= chain->bytes;
		ready->first_piece += chain->pieces;
		ready->first++;
	} while (bytes > 0);

	/* The tap leaves num_buffers alone; and a guest that did not ask must see no flags. */
	vring_copy_in(list, pieces, offsetof(struct virtio_net_hdr_v1, num_buffers), &used,
	              sizeof(used));
	if (!has(net, VIRTIO_NET_F_GUEST_CSUM))
		vring_copy_in(list, pieces, offsetof(struct virtio_net_hdr_v1, flags), "", 1);
	device_memory_wrote(ring->memory, list,
	                    (unsigned int)(ready->pieces + ready->first_piece - list), all);
	vring_publish(ring, used);
}

/*
 * One frame from the tap. 1: got one; 0: the tap has none.
 *
 * #syscall net: readv - frames from the tap go into the guest's buffers
 */
static int receive_frame(struct net *net, struct vring *ring)
{
	struct net_ready *ready = &net->ready;
	bool merge = has(net, VIRTIO_NET_F_MRG_RXBUF);
	unsigned int pieces = ready->last_piece - ready->first_piece;
	uint64_t room = ready->bytes;
	ssize_t n;

	if (!merge) {
		pieces = ready->chains[ready->first].pieces;
		room = ready->chains[ready->first].bytes;
	}
	do {
		n = readv(net->tap, ready->pieces + ready->first_piece, (int)pieces);
	} while (n < 0 && errno == EINTR);
	if (n < 0) /* a tap that is down fails in its own ways; it will wake us when it is up */
		return errno == EBADFD ? -errno : 0;
	/* A frame that fills all the room may have been cut; a header alone is no frame. */
	limiter_take(&net->limit[NET_RX], (uint64_t)n);
	if (n > NET_HEADER && ((uint64_t)n < room || room >= frame_max(net)))
		deliver(net, ring, (uint64_t)n);
	return 1;
}

static int run_receive(struct net *net, struct vring *ring)
{
	uint64_t wanted = has(net, VIRTIO_NET_F_MRG_RXBUF) ? frame_max(net) : 1;

	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint32_t wait = limiter_wait(&net->limit[NET_RX], device_now);
		int got;

		if (wait > 0)
			return (int)wait;
		got = ready_fill(net, ring, wanted);
		if (got < 0)
			return got;
		if (got == 0) /* starved: the guest's next buffers are what to wait for */
			return vring_kicks(ring, true);
		got = receive_frame(net, ring);
		if (got <= 0)
			return got;
	}
	return 1;
}

static int net_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	return queue == NET_RX ? run_receive(self, ring) : run_transmit(self, ring);
}

static void net_queue_stop(void *self, unsigned int queue, struct vring *ring)
{
	struct net *net = self;

	if (queue != NET_RX)
		return;
	vring_unpop(ring, (uint16_t)(net->ready.last - net->ready.first));
	net->ready.first = net->ready.last = 0;
	net->ready.first_piece = net->ready.last_piece = 0;
	net->ready.bytes = 0;
}

static uint64_t net_features(void *self)
{
	const struct net *net = self;

	return net->offered;
}

/*
 * What the guest can take is what the tap may hand over; the rest the kernel does before.
 *
 * #syscall net: ioctl(arg1 = TUNSETOFFLOAD) - checksums and segmentation as negotiated
 */
static int net_features_set(void *self, uint64_t features)
{
	struct net *net = self;
	unsigned long offload = 0;

	net->features = features;
	if (has(net, VIRTIO_NET_F_GUEST_CSUM)) {
		offload |= TUN_F_CSUM;
		offload |= has(net, VIRTIO_NET_F_GUEST_TSO4) ? TUN_F_TSO4 : 0;
		offload |= has(net, VIRTIO_NET_F_GUEST_TSO6) ? TUN_F_TSO6 : 0;
		offload |= offload != TUN_F_CSUM && has(net, VIRTIO_NET_F_GUEST_ECN) ? TUN_F_TSO_ECN
		                                                                     : 0;
	}
	return ioctl(net->tap, TUNSETOFFLOAD, offload) < 0 ? -errno : 0;
}

static int net_config_read(void *self, uint32_t offset, void *data, uint32_t size)
{
	const struct net *net = self;
	size_t there = sizeof(net->config);

	memset(data, 0, size);
	if (offset < there)
		memcpy(data, (const uint8_t *)&net->config + offset,
		       BASE_MIN(size, there - offset));
	return 0;
}

static int net_open(void *self, struct vhost_back *back, const char **why)
{
	struct net *net = self;
	struct ifreq interface = {.ifr_flags = 0};
	int header = 0, flags;

	*why = "the fd is not a tap";
	if (ioctl(net->tap, TUNGETIFF, &interface) < 0)
		return -errno;
	*why = "the tap must be IFF_TAP, IFF_NO_PI and IFF_VNET_HDR";
	flags = interface.ifr_flags;
	if ((flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
		return -EINVAL;
	*why = "the tap's header must have 12 bytes (TUNSETVNETHDRSZ)";
	if (ioctl(net->tap, TUNGETVNETHDRSZ, &header) < 0)
		return -errno;
	if (header != NET_HEADER)
		return -EINVAL;
	*why = "the tap cannot be made non-blocking";
	flags = fcntl(net->tap, F_GETFL);
	if (flags < 0 || fcntl(net->tap, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	*why = "the tap cannot be waited for";
	return vhost_back_watch(back, net->tap, NET_RX);
}

static int set_tap(void *self, const char *value)
{
	struct net *net = self;
	uint64_t fd;
	int error = device_number(value, 0, INT32_MAX, &fd);

	if (error < 0)
		return error;
	net->tap = (int)fd;
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->config.mtu = net->config.mtu ? net->config.mtu : NET_MTU_DEFAULT;
	net->offered |= 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |
	                1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |
	                1ull << VIRTIO_NET_F_GUEST_ECN | 1ull << VIRTIO_NET_F_HOST_TSO4 |
	                1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN |
	                1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_STATUS;
	return 0;
}

static int set_mac(void *self, const char *value)
{
	struct net *net = self;
	char rest;
	uint8_t *m = net->config.mac;

	if (strlen(value) != 17 ||
	    sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &m[0], &m[1], &m[2], &m[3],
	           &m[4], &m[5], &rest) != 6 ||
	    m[0] & 1)
		return -EINVAL;
	net->offered |= 1ull << VIRTIO_NET_F_MAC;
	return 0;
}

static int set_mtu(void *self, const char *value)
{
	struct net *net = self;
	uint64_t mtu;
	int error = device_number(value, 68, 65521, &mtu);

	if (error < 0)
		return error;
	net->config.mtu = (uint16_t)mtu;
	net->offered |= 1ull << VIRTIO_NET_F_MTU;
	return 0;
}

static int set_limits(void *self, const char *value)
{
	struct net *net = self;
	int error = limiter_open(&net->limit[NET_RX], value);

	net->limit[NET_TX] = net->limit[NET_RX];
	return error;
}

static const struct vhost_device_ops net_ops = {
        .name = "cordon-net",
        .queues = 2,
        .queue_num = 1, /* front ends count pairs */
        .features = net_features,
        .features_set = net_features_set,
        .config_read = net_config_read,
        .queue_run = net_queue_run,
        .queue_stop = net_queue_stop,
};

static const struct device_option net_options[] = {
        {"tap", "FD", true, set_tap},
        {"mac", "M", false, set_mac},
        {"mtu", "N", false, set_mtu},
        {"limits", "FD:ENTRY", false, set_limits},
};

const struct device_program cordon_device = {
        .ops = &net_ops,
        .options = net_options,
        .option_count = BASE_COUNT(net_options),
        .state_size = sizeof(struct net),
        .list = &list_net,
        .open = net_open,
};
