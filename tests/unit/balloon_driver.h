/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-balloon, the program itself, driven over a socket pair and its control socket. What it gives back
 * is seen in how many blocks the file of guest memory has. Each test program includes this once.
 */
#ifndef CORDON_TESTS_BALLOON_DRIVER_H
#define CORDON_TESTS_BALLOON_DRIVER_H

#include <check.h>
#include <linux/virtio_balloon.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"
#include "vmm/vmm.h"

#define ALL_FEATURES    (~0ull)
#define FEATURE(number) (1ull << (number))
#define FILLED          0x200000ull /* of low memory, from CLIENT_DATA on */

enum { INFLATE, DEFLATE, STATS, REPORT_LINUX, REPORT, PAGE = 4096 };

static struct vhost_client client;
static struct sockaddr_un address;
static socklen_t address_size;
static int requests; /* where the device says that its configuration has changed */

/* A listening socket without a path: the kernel names it. */
static inline int listener(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	address_size = sizeof(address);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &address_size), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static inline void start_with(uint64_t features, bool reports)
{
	int fd = listener(), pair[2];
	char number[16], control_option[] = "--control", no_reports[] = "--no-reports";
	char *extra[] = {control_option, number, reports ? NULL : no_reports, NULL};
	struct vhost_message m = {.header = {.request = VHOST_USER_SET_BACKEND_REQ_FD},
	                          .fd_count = 1};

	snprintf(number, sizeof(number), "%d", fd);
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BALLOON"), extra, features), 0);
	close(fd);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	requests = pair[0];
	m.fds[0] = pair[1];
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	close(pair[1]);
}

static inline void start(uint64_t features, unsigned int queue)
{
	start_with(features, true);
	ck_assert_int_eq(vhost_client_queue_start(&client, queue, CLIENT_QUEUE_SIZE, 0), 0);
	memset(vhost_client_at(&client, CLIENT_DATA), 0xaa, FILLED);
}

static inline void end(void)
{
	close(requests);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}

static inline int control(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, address_size), 0);
	return fd;
}

static inline bool readable(int fd, int limit_ms)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	return poll(&entry, 1, limit_ms) == 1;
}

static inline struct vmm_balloon ask(enum vmm_balloon_verb verb, uint64_t target)
{
	struct vmm_balloon m = {.verb = verb, .target = target};
	int fd BASE_AUTO_FD = control();

	ck_assert_int_eq(send(fd, &m, sizeof(m), 0), sizeof(m));
	ck_assert(readable(fd, CLIENT_WAIT_MS));
	ck_assert_int_eq(recv(fd, &m, sizeof(m), MSG_TRUNC), sizeof(m));
	return m;
}

/* Pages of guest memory that the host keeps. */
static inline uint64_t pages(void)
{
	struct stat status;

	ck_assert_int_eq(fstat(client.memfd, &status), 0);
	return (uint64_t)status.st_blocks * 512 / PAGE;
}

static inline void serve(unsigned int queue, const struct client_buffer *list, unsigned int count)
{
	struct client_used used;
	uint16_t head = vhost_client_add(&client.queue[queue], list, count);

	vhost_client_kick(&client.queue[queue]);
	ck_assert_int_eq(vhost_client_used(&client.queue[queue], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.id, head);
	ck_assert_uint_eq(used.length, 0);
}

/* A request of the queue with these page numbers, which are at the end of high memory. */
static inline void serve_pfns(unsigned int queue, const uint32_t *pfns, size_t count)
{
	uint64_t at = CLIENT_HIGH + CLIENT_REGION_SIZE - 0x10000;
	struct client_buffer buffer = {at, (uint32_t)(count * 4), false};

	memcpy(vhost_client_at(&client, at), pfns, count * 4);
	serve(queue, &buffer, 1);
}

/* [guest, guest + size) holds nothing but `value`. */
static inline bool holds(uint64_t guest, uint64_t size, uint8_t value)
{
	const uint8_t *at = vhost_client_at(&client, guest);

	for (uint64_t i = 0; i < size; i++)
		if (at[i] != value)
			return false;
	return true;
}

static const uint32_t data_page = CLIENT_DATA / PAGE;

static inline void config_write(uint32_t offset, uint64_t value, uint32_t size)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_CONFIG,
	                   .size = (uint32_t)VHOST_USER_CONFIG_SIZE(size)},
	        .payload.config = {.offset = offset, .size = size},
	};

	memcpy(m.payload.config.bytes, &value, size);
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
}

static inline struct virtio_balloon_config config(void)
{
	struct virtio_balloon_config c;

	ck_assert_int_eq(vhost_client_config(&client, 0, &c, sizeof(c)), 0);
	return c;
}

#endif
