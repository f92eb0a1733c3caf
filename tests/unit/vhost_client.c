/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front end's half of the handshake is in the order in which QEMU does it. The driver's half polls
 * the used index and sleeps on the call eventfd in between, so that it works whether or not the device
 * finds an interrupt necessary.
 */
#include "tests/unit/vhost_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define VERSION_1 (1ull << 32)

enum { ARGUMENTS_MAX = 24, RING_BYTES = 0x10000 };

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void *vhost_client_at(const struct vhost_client *c, uint64_t guest)
{
	if (guest < 2 * CLIENT_REGION_SIZE)
		return c->memory + guest;
	if (guest >= CLIENT_HIGH && guest - CLIENT_HIGH < CLIENT_REGION_SIZE)
		return c->memory + 2 * CLIENT_REGION_SIZE + (guest - CLIENT_HIGH);
	return NULL;
}

int vhost_client_send(struct vhost_client *c, struct vhost_message *m)
{
	return vhost_message_send(c->socket, m, CLIENT_WAIT_MS);
}

int vhost_client_call(struct vhost_client *c, struct vhost_message *m, size_t need)
{
	uint32_t request = m->header.request;
	int error = vhost_client_send(c, m);

	if (error < 0)
		return error;
	m->fd_count = 0;
	error = vhost_message_receive(c->socket, m, CLIENT_WAIT_MS);
	if (error < 0)
		return error;
	return m->header.request == request && m->header.size >= need ? 0 : -EPROTO;
}

static int send_u64(struct vhost_client *c, unsigned int request, uint64_t value, int fd)
{
	struct vhost_message m = {
	        .header = {.request = request, .size = 8},
	        .payload.u64 = value,
	        .fds = {fd},
	        .fd_count = fd >= 0,
	};

	return vhost_client_send(c, &m);
}

static int get_u64(struct vhost_client *c, unsigned int request, uint64_t *value)
{
	struct vhost_message m = {.header = {.request = request}};
	int error = vhost_client_call(c, &m, 8);

	*value = m.payload.u64;
	return error;
}

static int send_state(struct vhost_client *c, unsigned int request, uint32_t index, uint32_t num)
{
	struct vhost_message m = {
	        .header = {.request = request, .size = sizeof(m.payload.state)},
	        .payload.state = {.index = index, .num = num},
	};

	return vhost_client_send(c, &m);
}

int vhost_client_sync(struct vhost_client *c)
{
	uint64_t queues;

	return get_u64(c, VHOST_USER_GET_QUEUE_NUM, &queues);
}

int vhost_client_config(struct vhost_client *c, uint32_t offset, void *data, uint32_t size)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_GET_CONFIG,
	                   .size = (uint32_t)VHOST_USER_CONFIG_SIZE(size)},
	        .payload.config = {.offset = offset, .size = size},
	};
	int error = vhost_client_call(c, &m, VHOST_USER_CONFIG_SIZE(0));

	if (error < 0)
		return error;
	if (m.payload.config.size != size)
		return -ENXIO;
	memcpy(data, m.payload.config.bytes, size);
	return 0;
}

int vhost_client_share_memory(struct vhost_client *c)
{
	static const uint64_t guests[] = {0, CLIENT_NEXT, CLIENT_HIGH};
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_MEM_TABLE,
	                   .size = VHOST_USER_MEMORY_SIZE(BASE_COUNT(guests))},
	        .payload.memory.region_count = BASE_COUNT(guests),
	        .fd_count = BASE_COUNT(guests),
	};

	for (size_t i = 0; i < BASE_COUNT(guests); i++) {
		m.payload.memory.regions[i] = (struct vhost_user_region){
		        .guest_address = guests[i],
		        .size = CLIENT_REGION_SIZE,
		        .user_address = (uintptr_t)c->memory + i * CLIENT_REGION_SIZE,
		        .mmap_offset = i * CLIENT_REGION_SIZE,
		};
		m.fds[i] = c->memfd;
	}
	return vhost_client_send(c, &m);
}

int vhost_client_negotiate(struct vhost_client *c, uint64_t features)
{
	uint64_t protocol;
	int error = get_u64(c, VHOST_USER_GET_FEATURES, &c->offered);

	if (error < 0)
		return error;
	features |= VERSION_1 | VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	c->features = features & c->offered;
	error = get_u64(c, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
	if (error == 0)
		error = send_u64(c, VHOST_USER_SET_PROTOCOL_FEATURES,
		                 protocol & ~VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP), -1);
	if (error == 0)
		error = send_u64(c, VHOST_USER_SET_FEATURES, c->features, -1);
	return error;
}

static int make_memory(struct vhost_client *c)
{
	*c = (struct vhost_client){.pid = -1, .socket = -1, .memfd = -1, .inflight = -1};
	for (unsigned int i = 0; i < CLIENT_QUEUES; i++)
		c->queue[i].kick = c->queue[i].call = c->queue[i].error = -1;
	c->memfd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (c->memfd < 0 || ftruncate(c->memfd, 3 * CLIENT_REGION_SIZE) < 0 ||
	    fcntl(c->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	c->memory =
	        mmap(NULL, 3 * CLIENT_REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, c->memfd, 0);
	if (c->memory == MAP_FAILED) {
		c->memory = NULL;
		return -errno;
	}
	return 0;
}

int vhost_client_open(struct vhost_client *c, int *peer)
{
	int error = make_memory(c);
	int pair[2];

	if (error < 0)
		return error;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c->socket = pair[0];
	*peer = pair[1];
	return 0;
}

int vhost_client_connect(struct vhost_client *c, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int64_t end = now_ms() + CLIENT_WAIT_MS;
	int error = make_memory(c);

	if (error == 0)
		error = base_copy_string(address.sun_path, sizeof(address.sun_path), path);
	if (error < 0)
		return error;
	c->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->socket < 0)
		return -errno;
	while (connect(c->socket, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (now_ms() > end)
			return -errno;
		poll(NULL, 0, 10);
	}
	return 0;
}

static int spawn(struct vhost_client *c, const char *program, char *const *extra, int fd)
{
	char number[16];
	char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t)program, (char[]){"--vhost"}, number};
	size_t n = 3;

	snprintf(number, sizeof(number), "%d", fd);
#ifdef CLIENT_NO_SANDBOX /* a sanitizer's own calls are in no list */
	argv[n++] = (char[]){"--no-sandbox"};
#endif
	for (; extra && *extra && n < ARGUMENTS_MAX - 1; extra++)
		argv[n++] = *extra;
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (c->pid == 0) {
		fcntl(fd, F_SETFD, 0);
		execv(program, argv);
		_exit(127);
	}
	return 0;
}

int vhost_client_start(struct vhost_client *c, const char *program, char *const *extra,
                       uint64_t features)
{
	int peer BASE_AUTO_FD = -1;
	int error = vhost_client_open(c, &peer);

	if (error == 0)
		error = spawn(c, program, extra, peer);
	base_close(&peer);
	if (error == 0)
		error = vhost_client_negotiate(c, features);
	if (error == 0)
		error = vhost_client_share_memory(c);
	return error;
}

int vhost_client_inflight_share(struct vhost_client *c)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_INFLIGHT_FD,
	                   .size = sizeof(m.payload.inflight)},
	        .payload.inflight = c->inflight_place,
	        .fds = {c->inflight},
	        .fd_count = 1,
	};

	return vhost_client_send(c, &m);
}

int vhost_client_inflight_make(struct vhost_client *c, uint16_t queues, uint16_t size)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_GET_INFLIGHT_FD,
	                   .size = sizeof(m.payload.inflight)},
	        .payload.inflight = {.queue_count = queues, .queue_size = size},
	};
	int error = vhost_client_call(c, &m, 20);

	if (error < 0)
		return error;
	if (m.fd_count != 1)
		return -EPROTO;
	base_close(&c->inflight);
	c->inflight = m.fds[0];
	c->inflight_place = m.payload.inflight;
	return vhost_client_inflight_share(c);
}

int vhost_client_restart(struct vhost_client *c, const char *program, char *const *extra,
                         uint64_t features)
{
	int pair[2], error;

	base_close(&c->socket);
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
		c->pid = -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c->socket = pair[0];
	error = spawn(c, program, extra, pair[1]);
	close(pair[1]);
	if (error == 0)
		error = vhost_client_negotiate(c, features);
	if (error == 0)
		error = vhost_client_share_memory(c);
	if (error == 0 && c->inflight >= 0)
		error = vhost_client_inflight_share(c);
	return error;
}

int vhost_client_log(struct vhost_client *c, int fd, uint64_t size)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_LOG_BASE, .size = sizeof(m.payload.log)},
	        .payload.log.size = size,
	        .fds = {fd},
	        .fd_count = 1,
	};
	int error = vhost_client_call(c, &m, 8);

	if (error == 0 && m.fd_count > 0)
		error = -EPROTO; /* the log's fd does not come back */
	return error < 0 ? error : (m.payload.u64 ? -EIO : 0);
}

int vhost_client_features(struct vhost_client *c, uint64_t features)
{
	return send_u64(c, VHOST_USER_SET_FEATURES, features, -1);
}

static int send_addresses(struct vhost_client *c, unsigned int index)
{
	struct client_queue *q = &c->queue[index];
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_VRING_ADDR, .size = sizeof(m.payload.address)},
	        .payload.address = {.index = index,
	                            .descriptor = (uintptr_t)q->descriptors,
	                            .available = (uintptr_t)q->available,
	                            .used = (uintptr_t)q->used},
	};

	return vhost_client_send(c, &m);
}

int vhost_client_queue_announce(struct vhost_client *c, unsigned int index, uint16_t base)
{
	const struct client_queue *q = &c->queue[index];
	int error = send_state(c, VHOST_USER_SET_VRING_NUM, index, q->size);

	if (error == 0)
		error = send_state(c, VHOST_USER_SET_VRING_BASE, index, base);
	if (error == 0)
		error = send_addresses(c, index);
	if (error == 0)
		error = send_u64(c, VHOST_USER_SET_VRING_ERR, index, q->error);
	if (error == 0)
		error = send_u64(c, VHOST_USER_SET_VRING_KICK, index, q->kick);
	if (error == 0)
		error = send_u64(c, VHOST_USER_SET_VRING_CALL, index, q->call);
	if (error == 0)
		error = send_state(c, VHOST_USER_SET_VRING_ENABLE, index, 1);
	return error;
}

int vhost_client_queue_start(struct vhost_client *c, unsigned int index, unsigned int size,
                             uint16_t base)
{
	struct client_queue *q = &c->queue[index];
	uint8_t *at = c->memory + index * RING_BYTES;

	memset(at, 0, RING_BYTES);
	*q = (struct client_queue){
	        .size = size,
	        .available_index = base,
	        .used_seen = base,
	        .descriptors = (struct client_descriptor *)at,
	        .available = (uint16_t *)(at + 0x8000),
	        .used = (uint16_t *)(at + 0xa000),
	        .used_ring = (struct client_used *)(at + 0xa004),
	        .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	        .call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	        .error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	q->available[1] = q->used[1] = base;
	if (q->kick < 0 || q->call < 0 || q->error < 0)
		return -errno;
	return vhost_client_queue_announce(c, index, base);
}

int vhost_client_queue_stop(struct vhost_client *c, unsigned int index)
{
	struct client_queue *q = &c->queue[index];
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_GET_VRING_BASE, .size = sizeof(m.payload.state)},
	        .payload.state = {.index = index},
	};
	int error = vhost_client_call(c, &m, sizeof(m.payload.state));

	base_close(&q->kick);
	base_close(&q->call);
	base_close(&q->error);
	return error < 0 ? error : (int)m.payload.state.num;
}

int vhost_client_wait_end(struct vhost_client *c)
{
	int64_t end = now_ms() + CLIENT_WAIT_MS;
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(c->pid, &status, WNOHANG)) == 0) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
	if (pid < 0)
		return -errno;
	c->pid = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int vhost_client_stop(struct vhost_client *c)
{
	int status = 0;

	base_close(&c->socket);
	if (c->pid > 0)
		status = vhost_client_wait_end(c);
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	for (unsigned int i = 0; i < CLIENT_QUEUES; i++) {
		base_close(&c->queue[i].kick);
		base_close(&c->queue[i].call);
		base_close(&c->queue[i].error);
	}
	if (c->memory)
		munmap(c->memory, 3 * CLIENT_REGION_SIZE);
	base_close(&c->memfd);
	base_close(&c->inflight);
	return status;
}

void vhost_client_publish(struct client_queue *q, uint16_t head)
{
	q->available[2 + (q->available_index & (q->size - 1))] = head;
	q->available_index++;
	__atomic_store_n(&q->available[1], q->available_index, __ATOMIC_RELEASE);
}

uint16_t vhost_client_add(struct client_queue *q, const struct client_buffer *list,
                          unsigned int count)
{
	uint16_t head = (uint16_t)(q->next_free % q->size);

	for (unsigned int i = 0; i < count; i++) {
		q->descriptors[q->next_free % q->size] = (struct client_descriptor){
		        .address = list[i].address,
		        .length = list[i].length,
		        .flags = (uint16_t)((list[i].write ? CLIENT_F_WRITE : 0) |
		                            (i + 1 < count ? CLIENT_F_NEXT : 0)),
		        .next = (uint16_t)((q->next_free + 1) % q->size),
		};
		q->next_free++;
	}
	vhost_client_publish(q, head);
	return head;
}

void vhost_client_kick(struct client_queue *q)
{
	uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	(void)base_write_all(q->kick, &one, sizeof(one));
}

bool vhost_client_kick_asked(struct client_queue *q, uint16_t old)
{
	const uint16_t *event = (const uint16_t *)&q->used_ring[q->size];
	uint16_t added = (uint16_t)(q->available_index - old);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((uint16_t)(q->available_index - __atomic_load_n(event, __ATOMIC_RELAXED) - 1) >= added)
		return false;
	vhost_client_kick(q);
	return true;
}

void vhost_client_want_interrupt(struct client_queue *q)
{
	__atomic_store_n(&q->available[2 + q->size], q->used_seen, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

int vhost_client_interrupt(struct client_queue *q, int limit_ms)
{
	struct pollfd call = {.fd = q->call, .events = POLLIN};
	uint64_t count;

	if (poll(&call, 1, limit_ms) != 1)
		return -ETIMEDOUT;
	(void)!read(q->call, &count, sizeof(count));
	return 0;
}

int vhost_client_used(struct client_queue *q, struct client_used *entry, int limit_ms)
{
	int64_t end = now_ms() + limit_ms;

	while (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) == q->used_seen) {
		struct pollfd call = {.fd = q->call, .events = POLLIN};
		uint64_t count;

		if (now_ms() > end)
			return -ETIMEDOUT;
		if (poll(&call, 1, 1) > 0)
			(void)!read(q->call, &count, sizeof(count));
	}
	*entry = q->used_ring[q->used_seen & (q->size - 1)];
	q->used_seen++;
	return 0;
}

int vhost_client_broken(struct client_queue *q, int limit_ms)
{
	struct pollfd error = {.fd = q->error, .events = POLLIN};

	return poll(&error, 1, limit_ms) == 1 ? 0 : -ETIMEDOUT;
}

uint64_t vhost_client_cpu_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}
