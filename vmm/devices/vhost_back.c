/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop: one epoll set with the front end's socket, one kick eventfd a queue and what the device
 * watches. Kicks are edge-triggered and never read: every write to an eventfd is a new edge, so a kick
 * costs no system call beyond the wait itself. A ring is served in batches, so that no queue and no
 * kick can keep the socket from being heard.
 *
 * Messages: each one that asks for nothing sensible ends the process, because a front end that is
 * wrong about the protocol cannot be trusted to stop the rings either. A ring that the guest broke is
 * another matter: only that ring stops, its error eventfd is signalled, and the front end decides.
 */
#include "vmm/devices/vhost_back.h"

#include <linux/virtio_config.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <time.h>

#include "vmm/vhost_message.h"

enum {
	EVENTS = 16,
	BREAKS_LOGGED = 16,
	TAG_SOCKET = UINT16_MAX, /* smaller tags are queue numbers */
	TAG_DEVICE,              /* from here on they are the device's own */
};

/* #syscall device: write - signals the guest's interrupt, and writes a line to the log */
void device_log(const char *name, const char *format, ...)
{
	char line[320];
	va_list list;
	int used = snprintf(line, sizeof(line), "%s: ", name);
	int more;

	va_start(list, format);
	more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, list);
	va_end(list);
	if (more < 0)
		return;
	used = BASE_MIN(used + more, (int)sizeof(line) - 2);
	line[used++] = '\n';
	(void)base_write_all(STDERR_FILENO, line, (size_t)used);
}

/* #syscall device: epoll_ctl - watches and forgets the kick eventfds as rings start and stop */
static int watch(struct vhost_back *back, int fd, uint32_t events, unsigned int tag)
{
	struct epoll_event event = {.events = events, .data.u32 = tag};

	return epoll_ctl(back->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int vhost_back_init(struct vhost_back *back, const struct vhost_device_ops *ops, void *self,
                    int socket)
{
	*back = (struct vhost_back){.ops = ops,
	                            .self = self,
	                            .socket = socket,
	                            .requests = -1,
	                            .log_fd = -1,
	                            .epoll = -1};
	for (unsigned int i = 0; i < VHOST_BACK_QUEUES; i++) {
		struct vhost_queue *q = &back->queue[i];

		q->kick = q->call = q->error = -1;
		q->ring.memory = &back->memory;
	}
	back->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (back->epoll < 0)
		return -errno;
	return watch(back, socket, EPOLLIN, TAG_SOCKET);
}

int vhost_back_watch(struct vhost_back *back, int fd, unsigned int queue)
{
	return watch(back, fd, EPOLLIN | EPOLLET, queue);
}

int vhost_back_watch_tag(struct vhost_back *back, int fd, uint32_t events, uint16_t tag)
{
	return watch(back, fd, events | EPOLLET, (unsigned int)TAG_DEVICE + tag);
}

void vhost_back_close(struct vhost_back *back)
{
	for (unsigned int i = 0; i < back->ops->queues; i++) {
		vhost_queue_stop(back, i);
		base_close(&back->queue[i].kick);
		base_close(&back->queue[i].call);
		base_close(&back->queue[i].error);
	}
	vhost_inflight_drop(back);
	device_memory_clear(&back->memory);
	device_mapping_drop(&back->memory.log);
	device_mapping_drop(&back->memory.shared);
	base_close(&back->log_fd);
	base_close(&back->epoll);
	base_close(&back->requests);
	base_close(&back->socket);
}

void vhost_signal(int fd)
{
	uint64_t one = 1;

	if (fd >= 0)
		(void)base_write_all(fd, &one, sizeof(one)); /* full: it is signalled already */
}

/* Tells whoever has asked for it what has come of running the ring. */
static void signal_progress(struct vhost_back *back, struct vhost_queue *q)
{
	if (back->memory.logging && q->ring.used_index != q->ring.signalled)
		vhost_signal(back->log_fd);
	if (vring_must_signal(&q->ring))
		vhost_signal(q->call);
}

/* The guest broke the ring's rules: the front end is told, the other rings go on. */
static void report_broken(struct vhost_back *back, unsigned int index)
{
	struct vhost_queue *q = &back->queue[index];

	if (q->reported)
		return;
	q->reported = true;
	if (back->breaks < BREAKS_LOGGED)
		device_log(back->ops->name, "the guest broke ring %u: %s; the ring is stopped%s",
		           index, q->ring.broken ? q->ring.broken : "for no stated reason",
		           back->breaks + 1 == BREAKS_LOGGED ? " (no more of these are logged)"
		                                             : "");
	back->breaks += back->breaks < BREAKS_LOGGED;
	vhost_signal(q->error);
}

int vhost_queue_start(struct vhost_back *back, unsigned int index)
{
	struct vhost_queue *q = &back->queue[index];
	int error;

	if (!(back->features & 1ull << VIRTIO_F_VERSION_1)) {
		device_log(back->ops->name, "ring %u starts without VIRTIO_F_VERSION_1", index);
		return -EPROTO;
	}
	if (back->protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP) &&
	    !back->memory.shared.bytes) {
		device_log(back->ops->name, "ring %u starts before the map of shared pages came",
		           index);
		return -EPROTO;
	}
	q->ring.event_idx = back->features & 1ull << VRING_F_EVENT_IDX;
	q->ring.indirect = back->features & 1ull << VRING_F_INDIRECT;
	error = vring_start(&q->ring, q->base);
	if (error < 0) {
		device_log(back->ops->name, "ring %u of %u entries cannot start: %s", index,
		           q->ring.size,
		           error == -EFAULT
		                   ? "a part is misaligned or outside guest memory"
		                   : "its size is not a power of two up to 1024, or of its record");
		return -EPROTO;
	}
	error = watch(back, q->kick, EPOLLIN | EPOLLET, index);
	if (error < 0) {
		vring_stop(&q->ring);
		device_log(back->ops->name, "the kick fd of ring %u cannot be waited for: %s",
		           index, strerror(-error));
		return -EPROTO;
	}
	q->started = true;
	q->reported = false;
	back->runnable |= 1u << index; /* what came before the eventfd was here */
	if (q->ring.broken)
		report_broken(back, index);
	return 0;
}

void vhost_queue_settle(struct vhost_back *back, unsigned int index)
{
	struct vhost_queue *q = &back->queue[index];

	if (!q->started)
		return;
	if (back->ops->queue_stop)
		back->ops->queue_stop(back->self, index, &q->ring);
	signal_progress(back, q);
}

void vhost_queue_stop(struct vhost_back *back, unsigned int index)
{
	struct vhost_queue *q = &back->queue[index];

	if (!q->started)
		return;
	vhost_queue_settle(back, index);
	(void)epoll_ctl(back->epoll, EPOLL_CTL_DEL, q->kick, NULL);
	q->base = q->ring.next;
	vring_stop(&q->ring);
	q->started = false;
	q->due = 0;
	back->runnable &= ~(1u << index);
}

void vhost_back_config_changed(struct vhost_back *back)
{
	const struct vhost_message message = {
	        .header = {.request = VHOST_USER_BACKEND_CONFIG_CHANGE}};

	/* A full socket holds such a message already; one that is closed goes with the main one. */
	if (back->requests >= 0)
		(void)vhost_message_send(back->requests, &message, 0);
}

uint64_t device_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Makes the queues runnable whose time has come. Returns the ms until the next one, or `limit_ms`. */
static int queues_due(struct vhost_back *back, int limit_ms)
{
	uint64_t first = UINT64_MAX, now = 0, ms;

	for (unsigned int i = 0; i < back->ops->queues; i++) {
		struct vhost_queue *q = &back->queue[i];

		if (q->due == 0)
			continue;
		now = now ? now : device_now();
		if (q->due <= now) {
			q->due = 0;
			back->runnable |= 1u << i;
		} else {
			first = BASE_MIN(first, q->due);
		}
	}
	if (back->runnable)
		return 0;
	if (first == UINT64_MAX)
		return limit_ms;
	ms = (first - now + 999999) / 1000000;
	return limit_ms < 0 || ms < (uint64_t)limit_ms ? (int)ms : limit_ms;
}

static int run_queue(struct vhost_back *back, unsigned int index)
{
	struct vhost_queue *q = &back->queue[index];
	int more;

	if (!q->started || !q->enabled || q->ring.broken)
		return 0;
	more = back->ops->queue_run(back->self, index, &q->ring);
	signal_progress(back, q);
	if (more == 1)
		back->runnable |= 1u << index;
	else if (more > 1)
		q->due = device_now() + (uint64_t)more;
	if (q->ring.broken)
		report_broken(back, index);
	return more < 0 && more != -EPROTO ? more : 0;
}

static int serve_socket(struct vhost_back *back)
{
	struct vhost_message message VHOST_MESSAGE_AUTO = {.fd_count = 0};
	int error = vhost_message_receive(back->socket, &message, 0);

	if (error == -EAGAIN)
		return 1;
	if (error == -ENOTCONN)
		return 0;
	if (error < 0) {
		device_log(back->ops->name, "the front end's message cannot be read: %s",
		           strerror(-error));
		return error;
	}
	error = vhost_handle(back, &message);
	return error < 0 ? error : 1;
}

/* #syscall device: epoll_wait - waits for kicks, messages and the device's own fd */
int vhost_back_step(struct vhost_back *back, int limit_ms)
{
	struct epoll_event events[EVENTS];
	uint32_t run;
	int n, error;

	n = epoll_wait(back->epoll, events, EVENTS, queues_due(back, limit_ms));
	if (n < 0 && errno != EINTR) {
		device_log(back->ops->name, "epoll_wait: %s", strerror(errno));
		return -errno;
	}
	for (int i = 0; i < n; i++) {
		unsigned int tag = events[i].data.u32;

		if (tag >= TAG_DEVICE) {
			back->runnable |= back->ops->ready(back->self, (uint16_t)(tag - TAG_DEVICE),
			                                   events[i].events);
			continue;
		}
		if (tag != TAG_SOCKET) {
			back->runnable |= 1u << tag;
			continue;
		}
		error = serve_socket(back);
		if (error <= 0)
			return error;
	}
	run = back->runnable;
	back->runnable = 0;
	for (unsigned int i = 0; i < back->ops->queues; i++) {
		if (!(run & 1u << i))
			continue;
		error = run_queue(back, i);
		if (error < 0) {
			device_log(back->ops->name, "ring %u cannot be served: %s", i,
			           strerror(-error));
			return error;
		}
	}
	return 1;
}
