/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring's side: chains become requests, and requests that are done become used entries, in whatever
 * order they are done. A request that is served at once never leaves this loop; one that waits for the
 * disk stays in blk->requests, with all that it needs copied out of the chain.
 *
 * A request that makes no sense is answered with an error status in its last byte. A chain that has no
 * writable byte to put a status in breaks the ring.
 */
#include <poll.h>

#include "vmm/devices/blk.h"

enum {
	RUN_BYTES =
	        1 << 20, /* of one run: more would keep the guest waiting for the first of them */
	RETRY_NS = 1000000,
};

static bool request_free(const struct blk *blk)
{
	return ~blk->busy[0] || ~blk->busy[1];
}

/* The lowest that is free, so that few of them are ever touched. There is one. */
static struct blk_request *request_get(struct blk *blk)
{
	unsigned int word = ~blk->busy[0] ? 0 : 1;
	unsigned int bit = (unsigned int)__builtin_ctzll(~blk->busy[word]);

	blk->busy[word] |= 1ull << bit;
	return &blk->requests[word * 64 + bit];
}

static void request_put(struct blk *blk, const struct blk_request *r)
{
	size_t number = (size_t)(r - blk->requests);

	blk->busy[number / 64] &= ~(1ull << number % 64);
}

bool blk_on_disk(const struct blk *blk, uint64_t sector, uint64_t bytes, uint64_t *offset)
{
	uint64_t sectors = bytes / BLK_SECTOR;

	if (bytes % BLK_SECTOR != 0 || sector > blk->capacity || sectors > blk->capacity - sector)
		return false;
	*offset = sector * BLK_SECTOR;
	return true;
}

/* The list as the request's own, neighbours in memory as one piece; or as it is when it is too long. */
static void keep_list(struct blk_request *r, struct iovec *list, unsigned int count)
{
	unsigned int used = 0;

	r->may_wait = false;
	r->at = list;
	r->count = count;
	for (unsigned int i = 0; i < count; i++) {
		struct iovec *last = used > 0 ? &r->pieces[used - 1] : NULL;

		if (last && (uint8_t *)last->iov_base + last->iov_len == list[i].iov_base) {
			last->iov_len += list[i].iov_len;
			continue;
		}
		if (used == BLK_PIECES)
			return;
		r->pieces[used++] = list[i];
	}
	r->may_wait = true;
	r->at = r->pieces;
	r->count = used;
}

static int begin_transfer(const struct blk *blk, struct blk_request *r, uint64_t sector,
                          struct iovec *list, unsigned int count, uint64_t bytes)
{
	if (r->kind == BLK_WRITE && blk->read_only)
		return VIRTIO_BLK_S_IOERR;
	if (bytes == 0 || bytes > BLK_TRANSFER_MAX || !blk_on_disk(blk, sector, bytes, &r->offset))
		return VIRTIO_BLK_S_IOERR;
	r->left = bytes;
	keep_list(r, list, count);
	return BLK_GOING;
}

static int begin_erase(struct blk *blk, struct blk_request *r, const struct iovec *list,
                       unsigned int count, uint64_t bytes)
{
	bool zero = r->kind == BLK_ZERO;
	uint32_t flags = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint64_t offset;

	if (!(blk->features & 1ull << (zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD)))
		return VIRTIO_BLK_S_UNSUPP;
	if (blk->read_only || bytes == 0 || bytes % sizeof(r->segment_list[0]) != 0 ||
	    bytes > sizeof(r->segment_list))
		return VIRTIO_BLK_S_IOERR;
	vring_copy_out(list, count, 0, r->segment_list, bytes);
	r->segments = (uint8_t)(bytes / sizeof(r->segment_list[0]));
	for (unsigned int i = 0; i < r->segments; i++) {
		const struct virtio_blk_discard_write_zeroes *s = &r->segment_list[i];

		if (s->flags & ~flags)
			return VIRTIO_BLK_S_UNSUPP;
		if (s->num_sectors > (zero ? BLK_ZERO_SECTORS : BLK_DISCARD_SECTORS) ||
		    !blk_on_disk(blk, s->sector, (uint64_t)s->num_sectors * BLK_SECTOR, &offset))
			return VIRTIO_BLK_S_IOERR;
	}
	r->may_wait = true;
	return blk_erase_begin(blk, r);
}

static int give_serial(const struct blk *blk, const struct device_memory *memory,
                       const struct iovec *list, unsigned int count)
{
	size_t n = vring_copy_in(list, count, 0, blk->serial, sizeof(blk->serial));

	device_memory_wrote(memory, list, count, n);
	return n > 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/* Sees what the chain asks for. BLK_GOING when there is something to do, else the status. */
static int begin(struct blk *blk, struct vring *ring, struct blk_request *r)
{
	struct vring_request *q = &blk->chain;
	struct iovec *in = q->iov + q->readable, *out = q->iov;
	struct virtio_blk_outhdr header;
	unsigned int outs;
	uint64_t bytes;

	if (vring_copy_out(out, q->readable, 0, &header, sizeof(header)) < sizeof(header))
		return VIRTIO_BLK_S_IOERR;
	outs = vring_skip(&out, q->readable, sizeof(header));
	bytes = q->readable_bytes - sizeof(header);
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		r->kind = BLK_READ;
		r->written = (uint32_t)BASE_MIN(q->writable_bytes, (uint64_t)BLK_TRANSFER_MAX);
		return begin_transfer(blk, r, header.sector, in, q->writable, q->writable_bytes);
	case VIRTIO_BLK_T_OUT:
		r->kind = BLK_WRITE;
		return begin_transfer(blk, r, header.sector, out, outs, bytes);
	case VIRTIO_BLK_T_FLUSH:
		r->kind = BLK_FLUSH;
		r->may_wait = true;
		return BLK_GOING;
	case VIRTIO_BLK_T_DISCARD:
		r->kind = BLK_DISCARD;
		return begin_erase(blk, r, out, outs, bytes);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		r->kind = BLK_ZERO;
		return begin_erase(blk, r, out, outs, bytes);
	case VIRTIO_BLK_T_GET_ID:
		r->written = (uint32_t)BASE_MIN(q->writable_bytes, sizeof(blk->serial));
		return give_serial(blk, ring->memory, in, q->writable);
	}
	return VIRTIO_BLK_S_UNSUPP;
}

/* Takes the status byte off the end of the writable part: the place to write it to. */
static uint8_t *take_status(struct vring_request *q)
{
	struct iovec *list = q->iov + q->readable;
	struct iovec *last = list + q->writable - 1;
	uint8_t *status = (uint8_t *)last->iov_base + last->iov_len - 1;

	q->writable_bytes--;
	q->writable = (uint16_t)vring_truncate(list, q->writable, q->writable_bytes);
	return status;
}

static void finish(struct blk *blk, struct vring *ring, struct blk_request *r, int status)
{
	struct iovec place = {r->status, 1};

	*(volatile uint8_t *)r->status = (uint8_t)status;
	device_memory_wrote(ring->memory, &place, 1, 1);
	vring_push(ring, r->head, r->written + 1);
	request_put(blk, r);
}

/* Goes on after a step with this result, until it is done (true) or waits in io_uring. */
static bool advance(struct blk *blk, struct vring *ring, struct blk_request *r, ssize_t result)
{
	int status;

	for (;;) {
		status = blk_step_done(blk, ring->memory, r, result);
		if (status != BLK_GOING)
			break;
		if (blk_step_queue(blk, r))
			return false;
		result = blk_step_now(blk, r);
	}
	finish(blk, ring, r, status);
	return true;
}

/* Takes one chain. 1: taken, *bytes is what it moved; 0: there is none; or -EPROTO. */
static int serve_one(struct blk *blk, struct vring *ring, uint64_t *bytes)
{
	struct vring_request *q = &blk->chain;
	int got = vring_pop(ring, q), status;
	struct blk_request *r;
	ssize_t result;

	if (got <= 0)
		return got;
	if (q->writable_bytes == 0)
		return vring_break(ring, "a request has no room for its status");
	*bytes = q->readable_bytes + q->writable_bytes;
	limiter_take(&blk->limit, *bytes);
	r = request_get(blk);
	r->head = q->head;
	r->written = 0;
	r->status = take_status(q);
	status = begin(blk, ring, r);
	if (status != BLK_GOING) {
		finish(blk, ring, r, status);
		return 1;
	}
	result = blk_step_at_once(blk, r);
	if (result == -EAGAIN) {
		if (blk_step_queue(blk, r))
			return 1;
		result = blk_step_now(blk, r);
	}
	advance(blk, ring, r, result);
	return 1;
}

/* Gives back what io_uring has completed. What it could not do, for want of a worker, is done here. */
static void reap(struct blk *blk, struct vring *ring)
{
	uint64_t number;
	int32_t result;

	while (uring_next(&blk->uring, &number, &result)) {
		struct blk_request *r = &blk->requests[number];
		bool retry = result == -EAGAIN || result == -ECANCELED || result == -EINTR;

		advance(blk, ring, r, retry ? blk_step_now(blk, r) : result);
	}
}

static int take_requests(struct blk *blk, struct vring *ring)
{
	uint64_t bytes = 0, all = 0;

	for (unsigned int i = 0; i < VHOST_BACK_BATCH && all < RUN_BYTES; i++) {
		uint32_t wait = limiter_wait(&blk->limit, device_now);
		int got;

		if (wait > 0)
			return (int)wait;
		if (!request_free(blk))
			return 0; /* a completion wakes us */
		got = serve_one(blk, ring, &bytes);
		if (got <= 0)
			return got;
		all += bytes;
	}
	return 1;
}

int blk_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	struct blk *blk = self;
	int more, error = 0;

	(void)queue;
	vring_kicks(ring, false);
	reap(blk, ring);
	more = take_requests(blk, ring);
	while (blk->uring.unsubmitted > 0 && error == 0) {
		error = uring_enter(&blk->uring, false);
		reap(blk, ring); /* which may have queued next steps */
	}
	if (error == -EAGAIN)
		return RETRY_NS;
	if (error < 0)
		return error;
	if (more != 0)
		return more;
	return request_free(blk) ? vring_kicks(ring, true) : 0;
}

/* What was in flight before this process began is taken and finished too: nobody else knows of it. */
void blk_queue_stop(void *self, unsigned int queue, struct vring *ring)
{
	struct blk *blk = self;
	uint64_t bytes;

	(void)queue;
	while (blk->uring.in_flight > 0 || (ring->inflight.pending > 0 && !ring->broken)) {
		if (ring->inflight.pending > 0 && !ring->broken && request_free(blk))
			(void)serve_one(blk, ring, &bytes);
		else if (uring_enter(&blk->uring, true) < 0)
			poll(NULL, 0, 1); /* the kernel is short of memory */
		reap(blk, ring);
	}
}
