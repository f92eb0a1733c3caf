/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile front end: a sequence of vhost-user messages with fds, writes to the memory that it shared,
 * and kicks, against the back end with cordon-rng behind it.
 *
 * Input: records of a kind (0-199: a request; then memory writes and kicks), flags, how many fds and of
 * what, a length, and that many bytes.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "vmm/devices/rng.c"
#include "vmm/vhost_message.h"

enum { MEMORY = 65536, RECORDS_MAX = 64, KIND_WRITE = 200, KIND_KICK = 240 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every refused message is a line on standard error: libFuzzer is asked to keep only its own. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char **more = calloc((size_t)*argc + 2, sizeof(*more));

	if (!more)
		abort();
	memcpy(more, *argv, (size_t)*argc * sizeof(*more));
	more[(*argc)++] = strdup("-close_fd_mask=2");
	*argv = more;
	return 0;
}

struct front {
	struct vhost_back back;
	struct vhost_device_ops
	        ops; /* cordon-rng's, with a record of what is in flight as cordon-blk has */
	struct rng rng;
	int memory, kick, peer;
};

static bool front_make(struct front *f)
{
	int pair[2];

	f->memory = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	f->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->memory < 0 || f->kick < 0 || ftruncate(f->memory, MEMORY) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	f->peer = pair[1];
	f->ops = rng_ops;
	f->ops.inflight = true;
	return vhost_back_init(&f->back, &f->ops, &f->rng, pair[0]) == 0;
}

static void drain(int fd)
{
	uint8_t bytes[4096];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* One request. False when the back end would have ended. */
static bool request(struct front *f, const uint8_t *record, const uint8_t *payload, size_t length)
{
	struct vhost_message m VHOST_MESSAGE_AUTO = {
	        .header = {.request = record[0], .flags = record[1], .size = (uint32_t)length},
	        .fd_count = record[2] % (VHOST_USER_FDS_MAX + 1),
	};

	memcpy(&m.payload, payload, length);
	for (size_t i = 0; i < m.fd_count; i++)
		m.fds[i] = fcntl(record[2] & 0x80 ? f->kick : f->memory, F_DUPFD_CLOEXEC, 0);
	return vhost_handle(&f->back, &m) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct front f;
	bool going = front_make(&f);

	for (unsigned int i = 0; going && i < RECORDS_MAX && size >= 5; i++) {
		const uint8_t *record = data;
		size_t length = base_le16(data + 3);

		data += 5;
		size -= 5;
		length = BASE_MIN(length, size);
		length = BASE_MIN(length, sizeof(union vhost_user_payload));
		if (record[0] >= KIND_KICK)
			(void)!eventfd_write(f.kick, 1);
		else if (record[0] >= KIND_WRITE)
			(void)!pwrite(f.memory, data, length,
			              (record[0] - KIND_WRITE) * 256 + record[1]);
		else
			going = request(&f, record, data, length);
		if (going)
			going = vhost_back_step(&f.back, 0) > 0;
		drain(f.peer);
		data += length;
		size -= length;
	}
	vhost_back_close(&f.back);
	close(f.memory);
	close(f.kick);
	close(f.peer);
	return 0;
}
