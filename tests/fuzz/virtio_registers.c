/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz: a guest's accesses to the PCI bus and to three virtio devices on it, against the recording machine
 * and a back end that answers inside this process (the message functions are this file's own). An
 * input is a list of steps; after it everything is torn down. Besides the sanitizers, the back end
 * aborts when it is told what a guest must never get through: a ring outside memory, a size that
 * is no power of two, features that were not offered, a ring that already runs.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/vhost_message.h"
#include "vmm/virtio_pci.h"

enum { DEVICES = 3, SOCKETS = 64, STEPS_MAX = 512, INFLIGHT_SIZE = 4096 };

static struct {
	struct machine *machine;
	struct pci_bus *bus;
	int peers[DEVICES]; /* the back ends' ends of the sockets */
	struct vhost_message answer;
	bool answering;
	uint32_t running[SOCKETS * 64 / 32];
	bool main[1024]; /* sockets that a device was added with */
	uint8_t spoil;   /* the next answer's fault */
} world;

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- the back end, at once ---- */

static const uint64_t offered = VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | 1ull << 32 |
                                7ull << 28 | 1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << 11 | 1ull << 5;

static void check_ring(const struct vhost_user_vring_addr *address)
{
	/* The smallest ring: the size is checked where it is told. */
	must(address->index < VHOST_FRONT_QUEUES_MAX);
	must(machine_memory(world.machine, address->descriptor, 16));
	must(machine_memory(world.machine, address->available, 8));
	must(machine_memory(world.machine, address->used, 14));
}

/* A record of what is in flight, as a back end makes it. */
static int inflight_file(void)
{
	int fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && ftruncate(fd, INFLIGHT_SIZE) == 0 &&
	     fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

int vhost_message_send(int socket, const struct vhost_message *message, int limit_ms)
{
	const union vhost_user_payload *payload = &message->payload;
	uint32_t *running = &world.running[(unsigned int)socket % BASE_COUNT(world.running)];
	bool answered = message->header.flags & VHOST_USER_NEED_REPLY;

	(void)limit_ms;
	must(message->header.size <= sizeof(*payload) && message->fd_count <= VHOST_USER_FDS_MAX);
	must(!world.answering);
	world.answer = *message;
	world.answer.fd_count = 0;
	world.answer.header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	switch (message->header.request) {
	case VHOST_USER_GET_FEATURES:
	case VHOST_USER_GET_PROTOCOL_FEATURES:
	case VHOST_USER_GET_QUEUE_NUM:
		world.answer.payload.u64 =
		        message->header.request == VHOST_USER_GET_FEATURES ? offered
		        : message->header.request == VHOST_USER_GET_QUEUE_NUM
		                ? 2
		                : 0xefff; /* no INFLIGHT_SHMFD: it takes a file */
		world.answer.header.size = 8;
		answered = true;
		break;
	case VHOST_USER_GET_CONFIG: answered = true; break;
	case VHOST_USER_GET_INFLIGHT_FD:
		world.answer.payload.inflight.mmap_size = INFLIGHT_SIZE;
		world.answer.fds[0] = inflight_file();
		world.answer.fd_count = 1;
		answered = true;
		break;
	case VHOST_USER_GET_VRING_BASE:
		*running &= ~(1u << payload->state.index);
		answered = true;
		break;
	case VHOST_USER_SET_FEATURES:
		must(!(payload->u64 & ~offered) && payload->u64 & 1ull << 32);
		break;
	case VHOST_USER_SET_VRING_NUM:
		must(payload->state.num > 0 && payload->state.num <= 256 &&
		     !(payload->state.num & (payload->state.num - 1)));
		break;
	case VHOST_USER_SET_VRING_ADDR: check_ring(&payload->address); break;
	case VHOST_USER_SET_VRING_KICK:
		must(!(*running & 1u << payload->u64));
		*running |= 1u << payload->u64;
		break;
	case VHOST_USER_SET_CONFIG:
		must(payload->config.size <= 8 &&
		     payload->config.offset + payload->config.size <= 60);
		break;
	default: break;
	}
	if (message->header.flags & VHOST_USER_NEED_REPLY) {
		world.answer.header.size = 8;
		world.answer.payload.u64 = 0;
	}
	world.answering = answered;
	return 0;
}

int vhost_message_receive(int socket, struct vhost_message *message, int limit_ms)
{
	(void)limit_ms;
	/* On a device's own socket nothing is read that was not asked for. The other one, for what a back end
	 * asks by itself, has hung up here. */
	if (!world.answering) {
		must(!world.main[(unsigned int)socket % BASE_COUNT(world.main)]);
		return -ENOTCONN;
	}
	world.answering = false;
	*message = world.answer;
	switch (world.spoil) {
	case 1: message->header.request++; break;
	case 2: message->header.size--; break;
	case 3: message->payload.u64 ^= 1; break;
	case 4: vhost_message_close(message); return -EAGAIN;
	case 5: vhost_message_close(message); return -ENOTCONN;
	default: break;
	}
	world.spoil = 0;
	return 0;
}

void vhost_message_close(struct vhost_message *message)
{
	for (size_t i = 0; i < message->fd_count; i++)
		close(message->fds[i]);
	message->fd_count = 0;
}

/* The back end asks for nothing by itself here. */
int vhost_message_acknowledge(int socket, const struct vhost_message *request, int error,
                              int limit_ms)
{
	(void)socket;
	(void)request;
	(void)error;
	(void)limit_ms;
	abort();
}

/* ---- the guest ---- */

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *input, size_t size)
{
	uint64_t value = 0;

	size = BASE_MIN(size, input->left);
	memcpy(&value, input->at, size);
	input->at += size;
	input->left -= size;
	return value;
}

static void guest_access(enum machine_space space, uint64_t address, unsigned int size, bool write,
                         struct input *input)
{
	uint64_t value = write ? take(input, size) : 0;

	if (write)
		fake_write(world.machine, space, address, &value, size);
	else
		fake_read(world.machine, space, address, &value, size);
}

/* Where a device's BAR is said to be: sometimes it is. */
static uint64_t bar_of(unsigned int slot)
{
	return fake_get(world.machine, MACHINE_MMIO, MACHINE_ECAM_BASE + (slot << 15) + PCI_BAR0,
	                4);
}

/* Queues with rings that can be, so that a running device is not left to chance. */
static void bring_up(unsigned int slot, unsigned int queues)
{
	uint64_t bar = bar_of(slot);
	static const uint8_t statuses[] = {0, 1, 3, 11};

	fake_put(world.machine, MACHINE_MMIO, MACHINE_ECAM_BASE + (slot << 15) + PCI_COMMAND, 2, 6);
	for (size_t i = 0; i < sizeof(statuses); i++) {
		if (statuses[i] == 11) {
			fake_put(world.machine, MACHINE_MMIO, bar + 8, 4, 1);
			fake_put(world.machine, MACHINE_MMIO, bar + 12, 4, 1);
		}
		fake_put(world.machine, MACHINE_MMIO, bar + 20, 1, statuses[i]);
	}
	for (unsigned int i = 0; i < queues; i++) {
		fake_put(world.machine, MACHINE_MMIO, bar + 22, 2, i);
		fake_put(world.machine, MACHINE_MMIO, bar + 32, 8, 0x10000 * (i + 1));
		fake_put(world.machine, MACHINE_MMIO, bar + 40, 8, 0x10000 * (i + 1) + 0x4000);
		fake_put(world.machine, MACHINE_MMIO, bar + 48, 8, 0x10000 * (i + 1) + 0x8000);
		fake_put(world.machine, MACHINE_MMIO, bar + 28, 2, 1);
	}
	fake_put(world.machine, MACHINE_MMIO, bar + 20, 1, 15);
}

static void step(struct input *input)
{
	unsigned int kind = (unsigned int)take(input, 1);
	unsigned int size = 1u << (kind >> 4 & 3), slot = (kind >> 6) + 1;
	bool write = kind & 8;

	switch (kind & 7) {
	case 0: /* ECAM, and just past it */
		guest_access(MACHINE_MMIO,
		             MACHINE_ECAM_BASE + take(input, 3) % (MACHINE_ECAM_SIZE + 16), size,
		             write, input);
		break;
	case 1: /* a device's header and capabilities */
		guest_access(MACHINE_MMIO, MACHINE_ECAM_BASE + (slot << 15) + take(input, 1), size,
		             write, input);
		break;
	case 2: guest_access(MACHINE_PIO, 0xcf8 + take(input, 1) % 9, size, write, input); break;
	case 3: /* the BAR, anywhere */
		guest_access(MACHINE_MMIO, bar_of(slot) + take(input, 2) % (VIRTIO_BAR_SIZE + 8),
		             size, write, input);
		break;
	case 4: /* the common registers */
		guest_access(MACHINE_MMIO, bar_of(slot) + take(input, 1) % 64, size, write, input);
		break;
	case 5: /* the MSI-X table and pending bits */
		guest_access(MACHINE_MMIO,
		             bar_of(slot) + VIRTIO_BAR_MSIX_TABLE +
		                     take(input, 1) * (write ? 1 : 17),
		             size, write, input);
		break;
	case 6: bring_up(slot, kind >> 3 & 7); break;
	default:
		if (write) {
			world.spoil = (uint8_t)(kind >> 4 & 7);
		} else if (slot <= DEVICES && kind & 32) {
			shutdown(world.peers[slot - 1], SHUT_RDWR);
		}
		fake_loop(world.machine);
		break;
	}
}

static void add_device(unsigned int index, const char *type, const char *options)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	world.peers[index] = pair[1];
	world.main[(unsigned int)pair[0] % BASE_COUNT(world.main)] = true;
	must(virtio_device_add(world.machine, world.bus, type, pair[0], options) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};

	memset(&world, 0, sizeof(world));
	world.machine = fake_machine_create();
	must(pci_bus_create(world.machine, &world.bus) == 0);
	add_device(0, "net", "mac=52:54:00:12:34:56");
	add_device(1, "blk", "");
	add_device(2, "rng", "");
	for (unsigned int i = 0; i < STEPS_MAX && input.left > 0; i++)
		step(&input);
	pci_bus_destroy(world.bus);
	for (int i = 0; i < DEVICES; i++)
		close(world.peers[i]);
	fake_machine_destroy(world.machine);
	return 0;
}
