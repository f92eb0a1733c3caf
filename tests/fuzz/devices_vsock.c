/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest against cordon-vsock: a list of steps, each a packet that it sends (whole, cut or lying), a buffer
 * that it posts, or something that happens on the host. The device's files are part of this one, so that
 * its state is at hand: after each step, what must hold of every connection is checked.
 *
 * Input: steps of 16 bytes (see struct step).
 */
#include <sys/socket.h>

#include "vmm/devices/vsock.c"
#include "vmm/devices/vsock_host.c"
#include "vmm/devices/vsock_packet.c"

enum { STEPS_MAX = 64, PEERS = 8, CID = 7, MEMORY = 1 << 18, RINGS = 0x2000, PACKET_AT = 0x4000 };

struct step {
	uint8_t kind; /* see run_step() */
	uint8_t op, type;
	uint8_t guest_port, host_port;
	uint8_t lie;     /* bits: which fields are not what they should be */
	uint16_t length; /* of the chain's payload, or of a buffer */
	uint32_t room;   /* buf_alloc, or what is sent from the host */
	uint16_t taken;  /* fwd_cnt */
	uint16_t flags;
};
_Static_assert(sizeof(struct step) == 16, "steps are read as they are");

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ring_layout { /* one queue of 32 entries */
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} descriptors[32];
	uint16_t available[2 + 32 + 1];
	uint16_t pad;
	uint32_t used[1 + 2 * 32 + 1];
};

/* What lives from one input to the next. */
struct bench {
	uint8_t *memory;
	struct device_memory table;
	struct vhost_back back;
	struct vsock vsock;
	struct vring rings[2];
	int dial, peers[PEERS];
	unsigned int peer; /* the next place */
};

static void check(const struct vsock *v)
{
	if (v->reset_count > VSOCK_RESETS)
		abort();
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++) {
		const struct vsock_connection *c = &v->connections[i];
		bool socket = c->state == VSOCK_HELLO || c->state == VSOCK_ASKING ||
		              c->state == VSOCK_OPEN;

		if (c->held > VSOCK_BUFFER || (c->held > 0 && !c->buffer) ||
		    c->first >= VSOCK_BUFFER)
			abort();
		if (c->state == VSOCK_FREE ? c->fd > 0 || c->buffer || c->wants
		                           : socket != (c->fd >= 0))
			abort();
	}
}

static struct bench *bench_make(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->memory = malloc(MEMORY);
	if (!b->memory)
		abort();
	b->table =
	        (struct device_memory){.count = 1, .region = {{.size = MEMORY, .host = b->memory}}};
	for (unsigned int i = 0; i < PEERS; i++)
		b->peers[i] = -1;
	return b;
}

static void begin(struct bench *b)
{
	int pair[2];

	memset(b->memory, 0, PACKET_AT);
	memset(&b->vsock, 0, sizeof(b->vsock));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	b->dial = pair[0];
	b->vsock.dial = pair[1];
	b->back = (struct vhost_back){
	        .ops = &vsock_ops, .self = &b->vsock, .socket = -1, .requests = -1};
	b->back.epoll = epoll_create1(0);
	b->back.queue[VSOCK_RX].started = true;
	b->vsock.back = &b->back;
	b->vsock.cid = CID;
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++)
		b->vsock.connections[i].fd = -1;
	b->vsock.to_host = (struct vsock_ports){.list = {1, 2}, .count = 2};
	b->vsock.to_guest = (struct vsock_ports){.list = {1, 2}, .count = 2};
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t at = i * RINGS;

		b->rings[i] = (struct vring){
		        .memory = &b->table,
		        .size = 32,
		        .descriptors_at = at,
		        .available_at = at + offsetof(struct ring_layout, available),
		        .used_at = at + offsetof(struct ring_layout, used),
		};
		if (vring_start(&b->rings[i], 0) < 0)
			abort();
	}
}

static void end(struct bench *b)
{
	vsock_reset(&b->vsock);
	check(&b->vsock);
	close(b->dial);
	if (b->vsock.dial)
		close(b->vsock.dial);
	close(b->back.epoll);
	for (unsigned int i = 0; i < PEERS; i++)
		base_close(&b->peers[i]);
	b->peer = 0;
}

/* A socket for the device; its other end is kept, in place of the eighth-last. */
static int new_peer(struct bench *b)
{
	int pair[2];
	unsigned int at = b->peer++ % PEERS;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	base_close(&b->peers[at]);
	b->peers[at] = pair[0];
	return pair[1];
}

/* A chain of one or two descriptors. */
static void add(struct bench *b, unsigned int queue, uint64_t first, uint32_t first_size,
                uint64_t second, uint32_t second_size, uint16_t flags)
{
	struct ring_layout *ring = (struct ring_layout *)(void *)(b->memory + queue * RINGS);
	uint16_t slot = ring->available[1] % 16;

	ring->descriptors[2 * slot].address = first;
	ring->descriptors[2 * slot].length = first_size;
	ring->descriptors[2 * slot].flags = (uint16_t)(flags | (second_size ? 1 : 0));
	ring->descriptors[2 * slot].next = (uint16_t)(2 * slot + 1);
	ring->descriptors[2 * slot + 1].address = second;
	ring->descriptors[2 * slot + 1].length = second_size;
	ring->descriptors[2 * slot + 1].flags = flags;
	ring->available[2 + ring->available[1] % 32] = (uint16_t)(2 * slot);
	ring->available[1]++;
}

static void send_step(struct bench *b, const struct step *s)
{
	struct virtio_vsock_hdr h = {
	        .src_cid = s->lie & 1 ? s->room : CID,
	        .dst_cid = s->lie & 2 ? s->room : VSOCK_HOST_CID,
	        .src_port = s->guest_port,
	        .dst_port = s->lie & 4 ? (uint32_t)PORT_FIRST + s->host_port : s->host_port,
	        .len = s->lie & 8 ? s->room : s->length,
	        .type = s->lie & 16 ? s->type : VIRTIO_VSOCK_TYPE_STREAM,
	        .op = s->op,
	        .flags = s->flags,
	        .buf_alloc = s->room,
	        .fwd_cnt = s->taken,
	};
	uint32_t header = s->lie & 32 ? s->type % 64 : sizeof(h);

	memcpy(b->memory + PACKET_AT, &h, sizeof(h));
	add(b, VSOCK_TX, PACKET_AT, header, PACKET_AT + 64, s->length, s->lie & 64 ? 2 : 0);
}

static void host_step(struct bench *b, const struct step *s)
{
	static const char *const lines[] = {"CONNECT 1\n", "CONNECT 2\nmore", "CONNECT ", "GET /\n",
	                                    "CONNECT 9\n"};
	static const char bytes[70000];
	struct vsock *v = &b->vsock;
	struct vsock_connection *c = &v->connections[s->guest_port % 4];
	int peer = b->peers[s->host_port % PEERS];

	switch (s->op % 6) {
	case 0: /* a client comes */
		c = vsock_take(v, VSOCK_HELLO);
		if (!c)
			return;
		c->fd = new_peer(b);
		c->due = UINT64_MAX;
		(void)!write(b->peers[(b->peer - 1) % PEERS], lines[s->type % 5],
		             strlen(lines[s->type % 5]));
		vsock_ready(v, c, EPOLLIN);
		break;
	case 1: (void)!send(peer, bytes, s->length, MSG_NOSIGNAL); break;
	case 2: shutdown(peer, s->type % 3); break;
	case 3: /* it reads */
		for (unsigned int i = 0; i < 4; i++) {
			char got[65536];

			(void)!recv(peer, got, sizeof(got), 0);
		}
		break;
	case 4:
		if (c->fd >= 0)
			vsock_ready(v, c, s->flags);
		break;
	case 5:
		if (c->state == VSOCK_HELLO || c->state == VSOCK_ASKING || c->state == VSOCK_ENDING)
			c->due = 1;
		break;
	}
}

/* cordon-dial's answers, the right and the wrong ones. */
static void dial_step(struct bench *b, const struct step *s)
{
	struct dial_request request = {.id = s->room};
	struct dial_answer answer = {.error = s->lie & 1 ? -ECONNREFUSED : 0};

	(void)!recv(b->dial, &request, sizeof(request), 0);
	answer.id = s->lie & 2 ? s->room : request.id;
	dialed(&b->vsock, &answer, s->lie & 4 ? -1 : new_peer(b));
}

static void run_step(struct bench *b, const struct step *s)
{
	switch (s->kind % 5) {
	case 0: send_step(b, s); break;
	case 1:
		add(b, VSOCK_RX, PACKET_AT + 0x8000, s->lie & 1 ? s->type : 44 + s->length % 8192,
		    PACKET_AT + 0x18000, s->flags % 4096, s->lie & 2 ? 0 : 2);
		break;
	case 2: host_step(b, s); break;
	case 3: dial_step(b, s); break;
	case 4: break; /* only time passes */
	}
	for (unsigned int queue = 0; queue < 2; queue++) {
		(void)vsock_queue_run(&b->vsock, queue, &b->rings[queue]);
		check(&b->vsock);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench *bench;
	struct bench *b = bench ? bench : (bench = bench_make());

	begin(b);
	for (unsigned int i = 0; i < STEPS_MAX && size >= sizeof(struct step); i++) {
		struct step s;

		memcpy(&s, data, sizeof(s));
		data += sizeof(s);
		size -= sizeof(s);
		run_step(b, &s);
	}
	end(b);
	return 0;
}
