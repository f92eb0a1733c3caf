/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz: what a back end sends to the vmm's front end. An input becomes bytes and fds in the socket
 * before the front end asks its first question; after them the back end has hung up, so that nothing ever
 * waits. A device is then made, started, written to and stopped as far as the answers let it.
 *
 * The first byte chooses the device. Then, until the end: a byte with the top bit set is followed by that
 * many (0..63) raw bytes, beside a fd when bit 6 is set; any other is a request's number, followed by a
 * payload's size and its bytes, and becomes a well-formed answer to that request (with a sealed file beside
 * it, where it is about unfinished requests). A byte of 0x7f ends the first back end; what follows it is
 * what another one says, that takes its place.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/vhost_message.h"
#include "vmm/virtio_pci.h"

enum { INPUT_MAX = 4096, SENDS_MAX = 64, NEXT = 0x7f, REGION = 65536 };

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void send_bytes(int socket, const void *bytes, size_t size, bool with_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec vector = {(void *)(uintptr_t)bytes, size};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};

	if (with_fd) {
		control.align = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
		                                 .cmsg_level = SOL_SOCKET,
		                                 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.align), &socket, sizeof(socket));
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control);
	}
	if (size > 0)
		sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_answer(int socket, struct vhost_message *message)
{
	int fd = -1;

	if (message->header.request == VHOST_USER_GET_INFLIGHT_FD) {
		fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		must(fd >= 0 && ftruncate(fd, REGION) == 0);
		/* one that can be cut short is an input too */
		must(fcntl(fd, F_ADD_SEALS,
		           message->payload.u64 & 1 ? F_SEAL_GROW : F_SEAL_SHRINK) == 0);
		message->fds[message->fd_count++] = fd;
	}
	vhost_message_send(socket, message, 0);
	base_close(&fd);
}

/* Returns how much of the input was taken: up to where another back end begins. */
static size_t send_input(int socket, const uint8_t *data, size_t size)
{
	const uint8_t *at = data, *end = data + size;

	for (unsigned int i = 0; i < SENDS_MAX && at < end; i++) {
		uint8_t kind = *at++;
		struct vhost_message message = {
		        .header = {.request = kind, .flags = VHOST_USER_REPLY}};
		size_t length;

		if (kind == NEXT)
			break;
		if (kind & 0x80) {
			length = BASE_MIN(kind & 0x3fu, (size_t)(end - at));
			send_bytes(socket, at, length, kind & 0x40);
		} else if (at < end) {
			message.header.size = *at++;
			length = BASE_MIN(message.header.size, (size_t)(end - at));
			memcpy(&message.payload, at, length);
			send_answer(socket, &message);
		} else {
			break;
		}
		at += length;
	}
	shutdown(socket, SHUT_WR);
	return (size_t)(at - data);
}

/* Another back end in the place of the first. */
static void follow(struct virtio_device *device, const uint8_t *data, size_t size)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	send_input(pair[1], data, size);
	virtio_device_replace(device, pair[0]);
	close(pair[1]);
}

/* A driver that goes all the way up, writes the configuration, and resets. */
static void drive(struct machine *m, struct virtio_device *device, const uint8_t *rest, size_t size)
{
	const struct vhost_front_log log = {.fd = m->memfd, .size = 4096}, none = {.fd = -1};
	struct vhost_front_queue rings[VIRTIO_QUEUES_MAX];
	const uint64_t bar = MACHINE_MMIO32_BASE;
	unsigned int count;

	fake_put(m, MACHINE_MMIO, MACHINE_ECAM_BASE + 0x8000 + PCI_COMMAND, 2, 6);
	fake_put(m, MACHINE_MMIO, bar + 20, 1, 1);
	fake_put(m, MACHINE_MMIO, bar + 20, 1, 3);
	fake_put(m, MACHINE_MMIO, bar + 8, 4, 1);
	fake_put(m, MACHINE_MMIO, bar + 12, 4, 1);
	fake_put(m, MACHINE_MMIO, bar + 20, 1, 11);
	count = (unsigned int)fake_get(m, MACHINE_MMIO, bar + 18, 2);
	must(count >= 1 && count <= VIRTIO_QUEUES_MAX);
	for (unsigned int i = 0; i < BASE_MIN(count, 3); i++) {
		fake_put(m, MACHINE_MMIO, bar + 22, 2, i);
		fake_put(m, MACHINE_MMIO, bar + 32, 8, 0x10000 * (i + 1));
		fake_put(m, MACHINE_MMIO, bar + 40, 8, 0x10000 * (i + 1) + 0x4000);
		fake_put(m, MACHINE_MMIO, bar + 48, 8, 0x10000 * (i + 1) + 0x8000);
		fake_put(m, MACHINE_MMIO, bar + 28, 2, 1);
	}
	fake_put(m, MACHINE_MMIO, bar + 20, 1, 15);
	fake_put(m, MACHINE_MMIO, bar + VIRTIO_BAR_DEVICE + 32, 1, 1);
	for (unsigned int i = 0; i < device->queue_count; i++)
		rings[i] = device->queues[i].ring;
	vhost_front_log(&device->front, &log, rings, device->queue_count);
	virtio_device_notify(device, 0);
	fake_loop(m);
	if (size > 0)
		follow(device, rest, size);
	for (unsigned int i = 0; i < device->queue_count; i++)
		rings[i] = device->queues[i].ring;
	vhost_front_log(&device->front, &none, rings, device->queue_count);
	fake_loop(m);
	virtio_device_give_up(device);
	fake_put(m, MACHINE_MMIO, bar + 20, 1, 0);
	must(fake_get(m, MACHINE_MMIO, bar + 20, 1) == 0); /* a reset always ends */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *type, *options;
	} devices[] = {
	        {"blk", ""},
	        {"rng", ""},
	        {"net", ""},
	        {"net", "mac=52:54:00:12:34:56,mtu=1500"},
	        {"fs", "tag=share,queues=2"},
	        {"blk", "name=disk,restart=600000"},
	};
	struct machine *m;
	struct pci_bus *bus;
	unsigned int which;
	size_t taken;
	int pair[2];

	if (size == 0 || size > INPUT_MAX)
		return 0;
	which = data[0] % BASE_COUNT(devices);
	m = fake_machine_create();
	must(pci_bus_create(m, &bus) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	taken = 1 + send_input(pair[1], data + 1, size - 1);
	if (virtio_device_add(m, bus, devices[which].type, pair[0], devices[which].options) == 0)
		drive(m, pci_bus_at(bus, 1)->self, data + taken, size - taken);
	pci_bus_destroy(bus);
	close(pair[1]);
	fake_machine_destroy(m);
	return 0;
}
