/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets (virtio 1.2, section 5.10.6). A header is copied out of guest memory once, checked, and used from
 * the copy. What does not fit a connection's state ends that connection and no other.
 *
 * Counts of bytes are 32 bits wide and go round; only their differences mean something. A guest that lies
 * about its buffer can only have more put into receive buffers that it posted itself.
 */
#include "vmm/devices/vsock.h"

enum { RST = VIRTIO_VSOCK_OP_RST }; /* shorter, as it is everywhere */

/* ---- from the guest ---- */

static struct vsock_connection *find(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &v->connections[i];

		if (c->state > VSOCK_HELLO && c->guest_port == h->src_port &&
		    c->host_port == h->dst_port)
			return c;
	}
	return NULL;
}

/* A reset for what is no connection; run_transmit() sees to it that there is room. */
static void refuse(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	if (h->op == RST)
		return;
	v->resets[v->reset_count++] =
	        (struct vsock_reset){.guest_port = h->src_port, .host_port = h->dst_port};
	vsock_wake(v);
}

/* The guest connects. */
static void request(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct vsock_connection *c;
	int error;

	if (!vsock_allows(&v->to_host, h->dst_port)) {
		vsock_note(v, VSOCK_NOTE_TO_HOST, h->dst_port, 0);
		refuse(v, h);
		return;
	}
	c = vsock_take(v, VSOCK_DIALING);
	if (!c) {
		refuse(v, h);
		return;
	}
	c->guest_port = h->src_port;
	c->host_port = h->dst_port;
	c->peer_size = h->buf_alloc;
	c->peer_taken = h->fwd_cnt;
	error = vsock_dial(v, c);
	if (error) {
		vsock_note(v, VSOCK_NOTE_TARGET, h->dst_port, error);
		vsock_kill(v, c);
	}
}

/* Payload, of a length that was checked against its chain. False: it breaks the rules. */
static bool payload(struct vsock *v, struct vsock_connection *c, uint32_t size)
{
	struct iovec *list = v->request.iov;
	unsigned int count;

	if (c->state == VSOCK_ENDING)
		return true; /* it was on its way when the host's side closed */
	if (c->state != VSOCK_OPEN || c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    size > VSOCK_BUFFER - c->held)
		return false;
	count = vring_skip(&list, v->request.readable, sizeof(struct virtio_vsock_hdr));
	count = vring_truncate(list, count, size);
	vsock_forward(v, c, list, count, size);
	return true;
}

static bool shut(struct vsock *v, struct vsock_connection *c, uint32_t flags)
{
	if (c->state == VSOCK_ENDING || c->state == VSOCK_DIALING) {
		if ((flags & VSOCK_SHUT_BOTH) == VSOCK_SHUT_BOTH)
			vsock_kill(v, c);
		return true;
	}
	if (c->state != VSOCK_OPEN)
		return false;
	c->guest_shut |= flags & VSOCK_SHUT_BOTH;
	vsock_shut(v, c);
	return true;
}

/* A packet of a connection that there is. False: it does not fit its state. */
static bool dispatch(struct vsock *v, struct vsock_connection *c, const struct virtio_vsock_hdr *h)
{
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (c->state != VSOCK_ASKING || c->wants & VSOCK_WANT_REQUEST)
			return false;
		vsock_greet(v, c);
		return true;
	case VIRTIO_VSOCK_OP_RW: return payload(v, c, h->len);
	case VIRTIO_VSOCK_OP_SHUTDOWN: return shut(v, c, h->flags);
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE: return true;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->wants |= c->state == VSOCK_OPEN ? VSOCK_WANT_CREDIT : 0;
		return true;
	default: return false;
	}
}

void vsock_receive(struct vsock *v)
{
	const struct vring_request *r = &v->request;
	struct virtio_vsock_hdr h;
	struct vsock_connection *c;
	bool good;

	if (vring_copy_out(r->iov, r->readable, 0, &h, sizeof(h)) < sizeof(h)) {
		vsock_note(v, VSOCK_NOTE_MALFORMED, 0, 0);
		return;
	}
	if (h.src_cid != v->cid || h.dst_cid != VSOCK_HOST_CID) {
		vsock_note(v, VSOCK_NOTE_ADDRESS, h.dst_port, 0);
		return;
	}
	c = find(v, &h);
	good = h.type == VIRTIO_VSOCK_TYPE_STREAM && h.len <= VSOCK_PACKET_MAX &&
	       h.len <= r->readable_bytes - sizeof(h);
	if (!c) {
		if (good && h.op == VIRTIO_VSOCK_OP_REQUEST)
			request(v, &h);
		else
			refuse(v, &h);
		return;
	}
	vsock_wake(v);
	if (c->state == VSOCK_DYING)
		return; /* it will hear of it */
	if (h.op == RST) {
		vsock_free(c);
		return;
	}
	c->peer_size = h.buf_alloc;
	c->peer_taken = h.fwd_cnt;
	if (good && dispatch(v, c, &h))
		return;
	vsock_note(v, VSOCK_NOTE_MALFORMED, h.dst_port, 0);
	vsock_kill(v, c);
}

/* ---- to the guest ---- */

/* How many bytes the guest has room for (section 5.10.6.3). */
static uint32_t credit(const struct vsock_connection *c)
{
	uint32_t on_the_way = c->sent - c->peer_taken;

	return on_the_way < c->peer_size ? c->peer_size - on_the_way : 0;
}

static bool may_read(const struct vsock_connection *c)
{
	return c->state == VSOCK_OPEN && c->readable &&
	       !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	       !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) && credit(c) > 0;
}

/* The next connection after the last one that has something for the guest. */
static struct vsock_connection *next(struct vsock *v)
{
	for (unsigned int i = 1; i <= VSOCK_CONNECTIONS; i++) {
		unsigned int at = (v->turn + i) % VSOCK_CONNECTIONS;
		struct vsock_connection *c = &v->connections[at];

		if (c->state != VSOCK_FREE && (c->wants || may_read(c))) {
			v->turn = at;
			return c;
		}
	}
	return NULL;
}

/*
 * Reads from the host's socket into the chain at hand, behind the place of the header. Returns the bytes:
 * 0 when there are none, which the connection then knows, or -EPROTO for a chain without room.
 *
 * #syscall vsock: readv - what the host sends goes into the guest's buffers
 */
static int read_payload(struct vsock *v, struct vsock_connection *c, struct vring *ring)
{
	const struct vring_request *r = &v->request;
	struct iovec pieces[VSOCK_PIECES], *list = pieces;
	unsigned int count = BASE_MIN(r->writable, VSOCK_PIECES);
	ssize_t n;

	memcpy(pieces, r->iov + r->readable, count * sizeof(pieces[0]));
	count = vring_skip(&list, count, sizeof(struct virtio_vsock_hdr));
	count = vring_truncate(list, count, BASE_MIN(credit(c), (uint32_t)VSOCK_PACKET_MAX));
	if (count == 0)
		return vring_break(ring, "a receive buffer has no room behind its header");
	do {
		n = readv(c->fd, list, (int)count);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		c->sent += (uint32_t)n;
		return (int)n;
	}
	c->readable = false;
	if (n == 0)
		vsock_host_ended(v, c);
	else if (errno != EAGAIN)
		vsock_kill(v, c);
	return 0;
}

/* What the connection is to say next, without payload; 0: nothing. */
static uint16_t take_want(struct vsock_connection *c)
{
	static const struct {
		uint8_t want;
		uint16_t op;
	} order[] = {
	        {VSOCK_WANT_RESET, VIRTIO_VSOCK_OP_RST},
	        {VSOCK_WANT_REQUEST, VIRTIO_VSOCK_OP_REQUEST},
	        {VSOCK_WANT_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE},
	        {VSOCK_WANT_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN},
	        {VSOCK_WANT_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE},
	};

	for (size_t i = 0; i < BASE_COUNT(order); i++) {
		if (!(c->wants & order[i].want))
			continue;
		c->wants &= (uint8_t)~order[i].want;
		return order[i].op;
	}
	return 0;
}

static struct virtio_vsock_hdr header_for(const struct vsock *v, uint32_t guest_port,
                                          uint32_t host_port, uint16_t op)
{
	return (struct virtio_vsock_hdr){
	        .src_cid = VSOCK_HOST_CID,
	        .dst_cid = v->cid,
	        .src_port = host_port,
	        .dst_port = guest_port,
	        .type = VIRTIO_VSOCK_TYPE_STREAM,
	        .op = op,
	};
}

static void push(struct vsock *v, struct vring *ring, const struct virtio_vsock_hdr *h)
{
	const struct vring_request *r = &v->request;

	vring_copy_in(r->iov + r->readable, r->writable, 0, h, sizeof(*h));
	device_memory_wrote(ring->memory, r->iov + r->readable, r->writable, sizeof(*h) + h->len);
	vring_push(ring, r->head, (uint32_t)sizeof(*h) + h->len);
}

/* One packet of a connection into the chain at hand. */
static int send_of(struct vsock *v, struct vsock_connection *c, struct vring *ring)
{
	uint16_t op = take_want(c);
	struct virtio_vsock_hdr h;
	int size = 0;

	if (op == 0 || op == VIRTIO_VSOCK_OP_CREDIT_UPDATE) {
		size = may_read(c) ? read_payload(v, c, ring) : 0;
		if (size < 0)
			return size;
		op = size > 0 ? VIRTIO_VSOCK_OP_RW : op;
	}
	if (op == 0) {
		vring_unpop(ring, 1);
		return 1;
	}
	h = header_for(v, c->guest_port, c->host_port, op);
	h.len = (uint32_t)size;
	h.flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->host_shut : 0;
	h.buf_alloc = VSOCK_BUFFER;
	h.fwd_cnt = c->taken;
	c->told = c->taken;
	c->wants &= (uint8_t)~VSOCK_WANT_CREDIT;
	push(v, ring, &h);
	if (op == RST)
		vsock_free(c);
	return 1;
}

static int send_reset(struct vsock *v, struct vring *ring)
{
	struct vsock_reset first = v->resets[0];
	struct virtio_vsock_hdr h = header_for(v, first.guest_port, first.host_port, RST);

	if (v->reset_count-- == VSOCK_RESETS)
		v->back->runnable |= 1u << VSOCK_TX;
	memmove(v->resets, v->resets + 1, v->reset_count * sizeof(first));
	push(v, ring, &h);
	return 1;
}

int vsock_send(struct vsock *v, struct vring *ring)
{
	struct vsock_connection *c = v->reset_count == 0 ? next(v) : NULL;
	int got;

	if (v->reset_count == 0 && !c)
		return 0;
	got = vring_pop(ring, &v->request);
	if (got <= 0)
		return got < 0 ? got : -EAGAIN;
	if (v->request.readable > 0 || v->request.writable_bytes < sizeof(struct virtio_vsock_hdr))
		return vring_break(ring, "a receive buffer is readable, or too small");
	return c ? send_of(v, c, ring) : send_reset(v, ring);
}
