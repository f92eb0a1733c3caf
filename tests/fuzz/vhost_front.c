/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz: what a back end sends to the vmm's front end. An input becomes bytes and fds in the socket
 * before the front end asks its first question; after them the back end has hung up, so that nothing ever
 * waits. A device is then made, started, written to and stopped as far as the answers let it.
 *
 * The first byte chooses the device. Then, until the end: a byte with the top bit set is followed by that
 * many (0..63) raw bytes, beside a fd when bit 6 is set; any other is a request's number, followed by a
 * payload's size and its bytes, and becomes a well-formed answer to that request.
 */
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/vhost_message.h"
#include "vmm/virtio_pci.h"

enum { INPUT_MAX = 4096, SENDS_MAX = 64 };

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

static void send_input(int socket, const uint8_t *data, size_t size)
{
	for (unsigned int i = 0; i < SENDS_MAX && size > 0; i++) {
		uint8_t kind = *data++;
		struct vhost_message message = {
		        .header = {.request = kind, .flags = VHOST_USER_REPLY}};
		size_t length;

		size--;
		if (kind & 0x80) {
			length = BASE_MIN(kind & 0x3fu, size);
			send_bytes(socket, data, length, kind & 0x40);
		} else if (size > 0) {
			message.header.size = *data++;
			size--;
			length = BASE_MIN(message.header.size, size);
			memcpy(&message.payload, data, length);
			vhost_message_send(socket, &message, 0);
		} else {
			break;
		}
		data += length;
		size -= length;
	}
	shutdown(socket, SHUT_WR);
}

/* A driver that goes all the way up, writes the configuration, and resets. */
static void drive(struct machine *m, uint64_t bar)
{
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
	fake_loop(m);
	fake_put(m, MACHINE_MMIO, bar + 20, 1, 0);
	must(fake_get(m, MACHINE_MMIO, bar + 20, 1) == 0); /* a reset always ends */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *type, *options;
	} devices[] = {
	        {"blk", ""}, {"rng", ""}, {"net", ""}, {"net", "mac=52:54:00:12:34:56,mtu=1500"}};
	struct machine *m;
	struct pci_bus *bus;
	unsigned int which;
	int pair[2];

	if (size == 0 || size > INPUT_MAX)
		return 0;
	which = data[0] % BASE_COUNT(devices);
	m = fake_machine_create();
	must(pci_bus_create(m, &bus) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	send_input(pair[1], data + 1, size - 1);
	if (virtio_device_add(m, bus, devices[which].type, pair[0], devices[which].options) == 0)
		drive(m, MACHINE_MMIO32_BASE);
	pci_bus_destroy(bus);
	close(pair[1]);
	fake_machine_destroy(m);
	return 0;
}
