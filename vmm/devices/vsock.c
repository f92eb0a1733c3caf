/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-vsock: stream sockets between the guest and unix sockets of the host (virtio 1.2, section 5.10).
 * Which ports may meet is a list each way; every other request is answered by a reset, counted and logged.
 *
 * From the guest: the host's sockets come from cordon-dial (dial.h), as this process can connect to nothing.
 * To the guest: a client connects to the listening socket, writes "CONNECT PORT\n" and reads "OK PORT\n"
 * before the stream begins.
 *
 * Whatever has to be sent is noted at its connection as a bit; the receive ring's turn goes round the
 * connections and sends one packet of each. Resets for what is no connection wait in a short queue, and
 * while that is full nothing more is read of what the guest sends.
 */
#include "vmm/devices/vsock.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "vmm/devices/list_vsock.h"
#include "vmm/devices/program.h"
#include "vmm/devices/rate.h"

/* ---- connections ---- */

struct vsock_connection *vsock_take(struct vsock *v, enum vsock_state state)
{
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &v->connections[i];
		uint8_t generation = c->generation;

		if (c->state != VSOCK_FREE)
			continue;
		*c = (struct vsock_connection){
		        .state = state, .generation = (uint8_t)(generation + 1), .fd = -1};
		return c;
	}
	vsock_note(v, VSOCK_NOTE_FULL, 0, 0);
	return NULL;
}

static void release(struct vsock_connection *c)
{
	base_close(&c->fd);
	free(c->buffer);
	c->buffer = NULL;
	c->held = 0;
	c->due = 0;
	c->readable = false;
}

void vsock_free(struct vsock_connection *c)
{
	release(c);
	c->state = VSOCK_FREE;
	c->wants = 0;
}

void vsock_kill(struct vsock *v, struct vsock_connection *c)
{
	release(c);
	c->state = VSOCK_DYING;
	c->wants = VSOCK_WANT_RESET;
	vsock_wake(v);
}

void vsock_wake(struct vsock *v)
{
	v->back->runnable |= 1u << VSOCK_RX;
}

bool vsock_allows(const struct vsock_ports *ports, uint32_t port)
{
	for (size_t i = 0; i < ports->count; i++)
		if (ports->list[i] == port)
			return true;
	return false;
}

void vsock_note(struct vsock *v, enum vsock_note note, uint32_t port, int error)
{
	static const char *const texts[] = {
	        [VSOCK_NOTE_TO_HOST] = "the guest may not connect to the host's port",
	        [VSOCK_NOTE_TO_GUEST] = "the host may not connect to the guest's port",
	        [VSOCK_NOTE_TARGET] = "nothing of the host's can be reached for its port",
	        [VSOCK_NOTE_FULL] = "there are as many connections as there may be; port",
	        [VSOCK_NOTE_MALFORMED] = "the guest breaks the protocol; on the host's port",
	        [VSOCK_NOTE_ADDRESS] = "the guest uses addresses that are not its own; port",
	};
	uint64_t count = ++v->noted[note];

	if (count & (count - 1))
		return;
	device_log("cordon-vsock", "%s %u%s%s (%llu so far)", texts[note], port, error ? ": " : "",
	           error ? strerror(-error) : "", (unsigned long long)count);
}

/* ---- rings ---- */

/* Ends what has lasted too long. Returns how long until the next time, ns; 0: nothing is waited for. */
static int expire(struct vsock *v)
{
	uint64_t now = 0, first = UINT64_MAX;

	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &v->connections[i];

		if (c->due == 0)
			continue;
		now = now ? now : device_now();
		if (c->due > now)
			first = BASE_MIN(first, c->due - now);
		else if (c->state == VSOCK_HELLO)
			vsock_free(c);
		else
			vsock_kill(v, c);
	}
	if (first == UINT64_MAX)
		return 0;
	return (int)BASE_MAX(BASE_MIN(first, (uint64_t)RATE_WAIT_MAX), 2u);
}

static int run_receive(struct vsock *v, struct vring *ring)
{
	int wait = expire(v);

	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		int sent = vsock_send(v, ring);

		if (sent == -EAGAIN)
			return vring_kicks(ring, true) ? 1 : wait;
		if (sent <= 0)
			return sent < 0 ? sent : wait;
	}
	return 1;
}

static int run_transmit(struct vsock *v, struct vring *ring)
{
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		int got;

		if (v->reset_count == VSOCK_RESETS)
			return 0; /* vsock_send() starts this ring again */
		got = vring_pop(ring, &v->request);
		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		vsock_receive(v);
		vring_push(ring, v->request.head, 0);
	}
	return 1;
}

/* The event ring tells of a migration, which there is none of. */
static int vsock_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	if (queue == VSOCK_EVENT)
		return vring_kicks(ring, false);
	return queue == VSOCK_RX ? run_receive(self, ring) : run_transmit(self, ring);
}

static uint32_t vsock_fd_ready(void *self, uint16_t tag, uint32_t events)
{
	struct vsock *v = self;
	unsigned int index = vsock_tag_index(tag);

	if (tag == VSOCK_TAG_LISTENER)
		vsock_accept(v);
	else if (tag == VSOCK_TAG_DIAL)
		vsock_dialed(v);
	else if (index < VSOCK_CONNECTIONS && v->connections[index].fd >= 0 &&
	         vsock_tag(v, &v->connections[index]) == tag)
		vsock_ready(v, &v->connections[index], events);
	return 1u << VSOCK_RX;
}

static void vsock_reset(void *self)
{
	struct vsock *v = self;

	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++)
		if (v->connections[i].state != VSOCK_FREE)
			vsock_free(&v->connections[i]);
	v->reset_count = 0;
}

/* ---- the device ---- */

static uint64_t vsock_features(void *self)
{
	(void)self;
	return 1; /* VIRTIO_VSOCK_F_STREAM, section 5.10.3: streams, and nothing else */
}

static int vsock_config_read(void *self, uint32_t offset, void *data, uint32_t size)
{
	const struct vsock *v = self;
	size_t there = sizeof(v->cid);

	memset(data, 0, size);
	if (offset < there)
		memcpy(data, (const uint8_t *)&v->cid + offset, BASE_MIN(size, there - offset));
	return 0;
}

static int watch_socket(struct vhost_back *back, int fd, uint16_t tag)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return vhost_back_watch_tag(back, fd, EPOLLIN, tag);
}

static int vsock_open(void *self, struct vhost_back *back, const char **why)
{
	struct vsock *v = self;
	int error = 0;

	v->back = back;
	*why = "the listening socket cannot be waited for";
	if (v->listener)
		error = watch_socket(back, v->listener, VSOCK_TAG_LISTENER);
	if (error)
		return error;
	*why = "the socket to cordon-dial cannot be waited for";
	return v->dial ? watch_socket(back, v->dial, VSOCK_TAG_DIAL) : 0;
}

static int set_cid(void *self, const char *value)
{
	return device_number(value, VSOCK_HOST_CID + 1, UINT32_MAX - 1,
	                     &((struct vsock *)self)->cid);
}

static int set_listen(void *self, const char *value)
{
	return device_fd(value, &((struct vsock *)self)->listener);
}

static int set_dial(void *self, const char *value)
{
	return device_fd(value, &((struct vsock *)self)->dial);
}

/* "22,1024" */
static int set_ports(struct vsock_ports *ports, const char *value)
{
	while (*value) {
		char number[16] = "";
		size_t length = strcspn(value, ",");
		uint64_t port;

		if (ports->count == VSOCK_PORTS || length >= sizeof(number))
			return -EINVAL;
		memcpy(number, value, length);
		if (device_number(number, 1, UINT32_MAX - 1, &port) < 0)
			return -EINVAL;
		ports->list[ports->count++] = (uint32_t)port;
		value += length;
		value += *value == ',';
	}
	return 0;
}

static int set_to_host(void *self, const char *value)
{
	return set_ports(&((struct vsock *)self)->to_host, value);
}

static int set_to_guest(void *self, const char *value)
{
	return set_ports(&((struct vsock *)self)->to_guest, value);
}

static const struct vhost_device_ops vsock_ops = {
        .name = "cordon-vsock",
        .queues = VSOCK_QUEUES,
        .queue_num = VSOCK_QUEUES,
        .features = vsock_features,
        .config_read = vsock_config_read,
        .queue_run = vsock_queue_run,
        .ready = vsock_fd_ready,
        .reset = vsock_reset,
};

static const struct device_option vsock_options[] = {
        {"cid", "N", true, set_cid},
        {"listen", "FD", false, set_listen},
        {"to-guest", "PORTS", false, set_to_guest},
        {"dial", "FD", false, set_dial},
        {"to-host", "PORTS", false, set_to_host},
};

const struct device_program device_vsock = {
        .ops = &vsock_ops,
        .options = vsock_options,
        .option_count = BASE_COUNT(vsock_options),
        .state_size = sizeof(struct vsock),
        .list = &list_vsock,
        .open = vsock_open,
};
