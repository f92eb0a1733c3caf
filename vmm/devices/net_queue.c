/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames, each with one system call and no copy of ours.
 *
 * Out: the guest's header is copied, checked and sent from the copy; the rest of the chain goes with it.
 * Of a large segment the frame's own headers are copied too, as the check is of what is in them, and the
 * guest could change them meanwhile.
 *
 * In: buffers that the guest has posted are kept ready as one list, so that a frame of any size is read
 * straight into as many of them as it needs; the unused ones wait for the next frame, or are put back
 * when the ring stops. Without room for the largest frame the tap is left alone: its own queue fills, and
 * the kernel drops and counts what does not fit.
 */
#include "vmm/devices/net.h"

static void drop(struct net *net, enum net_drop why)
{
	static const char *const reasons[] = {
	        [NET_DROP_SIZE] = "the guest's: no frame has their size",
	        [NET_DROP_HEADER] = "the guest's: their virtio-net header is wrong",
	        [NET_DROP_TAP] = "the guest's: the tap did not take them",
	        [NET_DROP_ROOM] = "the guest's buffers were too small for them",
	};
	uint64_t count = ++net->drops[why];

	if (net_says(count))
		device_log("cordon-net", "frames lost so far: %llu; %s", (unsigned long long)count,
		           reasons[why]);
}

/* Puts the copies before what the chain has from `skip` on. The number of pieces, or 0: too many. */
static unsigned int list_make(struct vring_request *r, struct iovec **list,
                              const struct iovec *copies, unsigned int count, uint64_t skip)
{
	unsigned int left;

	*list = r->iov;
	left = vring_skip(list, r->readable, skip);
	while (*list - r->iov < (ptrdiff_t)count) { /* pieces that were skipped left no place */
		if (*list + left == r->iov + VRING_IOV_MAX)
			return 0;
		memmove(*list + 1, *list, left * sizeof(**list));
		++*list;
	}
	*list -= count;
	memcpy(*list, copies, count * sizeof(*copies));
	return left + count;
}

/*
 * One frame to the tap. A frame that is wrong, or that the tap does not take, is lost, as on any wire;
 * only a tap that is gone ends the process.
 *
 * #syscall net: writev - frames from the guest go to the tap
 */
static int send_frame(struct net *net, int tap)
{
	struct vring_request *r = &net->request;
	struct virtio_net_hdr_v1 header;
	uint8_t headers[NET_HEADERS_MAX];
	struct iovec copies[2] = {{&header, sizeof(header)}, {headers, 0}}, *list;
	unsigned int count;
	ssize_t n;

	if (r->readable_bytes <= NET_HEADER || r->readable_bytes > NET_GSO_MAX) {
		drop(net, NET_DROP_SIZE);
		return 0;
	}
	vring_copy_out(r->iov, r->readable, 0, &header, sizeof(header));
	header.num_buffers = 0;
	if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		copies[1].iov_len =
		        vring_copy_out(r->iov, r->readable, NET_HEADER, headers, sizeof(headers));
	if (!net_header_valid(&header, headers, copies[1].iov_len, r->readable_bytes - NET_HEADER,
	                      net->features)) {
		drop(net, NET_DROP_HEADER);
		return 0;
	}
	count = list_make(r, &list, copies, copies[1].iov_len > 0 ? 2 : 1,
	                  NET_HEADER + copies[1].iov_len);
	if (count == 0) {
		drop(net, NET_DROP_SIZE);
		return 0;
	}
	do {
		n = writev(tap, list, (int)count);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		drop(net, NET_DROP_TAP);
	return n < 0 && errno == EBADFD ? -EBADFD : 0;
}

int net_transmit(struct net *net, unsigned int pair, struct vring *ring)
{
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint32_t wait = limiter_wait(&net->out, device_now);
		int got;

		if (wait > 0)
			return (int)wait;
		got = vring_pop(ring, &net->request);
		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		limiter_take(&net->out, net->request.readable_bytes);
		/* a tap's queue need not be attached to be written to by a guest that uses few */
		got = send_frame(net,
		                 net->pair[pair].attached ? net->pair[pair].tap : net->pair[0].tap);
		if (got < 0)
			return got;
		vring_push(ring, net->request.head, 0);
	}
	return 1;
}

/* The room that must be there before a frame is read: it may not be cut. */
static uint64_t frame_max(const struct net *net)
{
	const uint64_t large = 1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |
	                       1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6;

	if (net->features & large)
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
static int ready_fill(struct net *net, struct net_ready *ready, struct vring *ring, uint64_t wanted)
{
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
static void deliver(struct net *net, struct net_ready *ready, struct vring *ring, uint64_t bytes)
{
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
	if (!net_has(net, VIRTIO_NET_F_GUEST_CSUM))
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
static int receive_frame(struct net *net, struct net_pair *pair, struct vring *ring)
{
	struct net_ready *ready = &pair->ready;
	bool merge = net_has(net, VIRTIO_NET_F_MRG_RXBUF);
	unsigned int pieces = ready->last_piece - ready->first_piece;
	uint64_t room = ready->bytes;
	ssize_t n;

	if (!merge) {
		pieces = ready->chains[ready->first].pieces;
		room = ready->chains[ready->first].bytes;
	}
	do {
		n = readv(pair->tap, ready->pieces + ready->first_piece, (int)pieces);
	} while (n < 0 && errno == EINTR);
	if (n < 0) { /* a tap that is down fails in its own ways; it will wake us when it is up */
		/* of a queue that is not attached it is how the tap says so */
		return errno == EBADFD && pair == &net->pair[0] ? -errno : 0;
	}
	limiter_take(&net->in, (uint64_t)n);
	/* A frame that fills all the room may have been cut; a header alone is no frame. */
	if (n > NET_HEADER && ((uint64_t)n < room || room >= frame_max(net)))
		deliver(net, ready, ring, (uint64_t)n);
	else
		drop(net, NET_DROP_ROOM);
	return 1;
}

int net_receive(struct net *net, unsigned int index, struct vring *ring)
{
	uint64_t wanted = net_has(net, VIRTIO_NET_F_MRG_RXBUF) ? frame_max(net) : 1;
	struct net_pair *pair = &net->pair[index];

	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint32_t wait = limiter_wait(&net->in, device_now);
		int got;

		if (wait > 0)
			return (int)wait;
		got = ready_fill(net, &pair->ready, ring, wanted);
		if (got < 0)
			return got;
		if (got == 0) /* starved: the guest's next buffers are what to wait for */
			return vring_kicks(ring, true);
		got = receive_frame(net, pair, ring);
		if (got <= 0)
			return got;
	}
	return 1;
}

void net_receive_stop(struct net_pair *pair, struct vring *ring)
{
	struct net_ready *ready = &pair->ready;

	vring_unpop(ring, (uint16_t)(ready->last - ready->first));
	ready->first = ready->last = 0;
	ready->first_piece = ready->last_piece = 0;
	ready->bytes = 0;
}
