/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-rng: virtio-entropy (virtio 1.2, section 5.4) from the kernel's own generator, straight into
 * the guest's buffers. A buffer may be as large as the guest likes: only its first bytes are filled,
 * which the specification allows, so that a guest cannot buy an hour of our time with one descriptor.
 */
#include <sys/random.h>

#include "vmm/devices/program.h"
#include "vmm/devices/list_rng.h"

enum {
	RNG_REQUEST_MAX = 4096, /* bytes for one request */
};

struct rng {
	struct vring_request request;
};

/* #syscall rng: getrandom - the guest's random bytes */
static int rng_fill(struct vring_request *r, uint32_t *written)
{
	struct iovec *list = r->iov + r->readable;
	unsigned int count = vring_truncate(list, r->writable, RNG_REQUEST_MAX);

	*written = 0;
	for (unsigned int i = 0; i < count; i++) {
		size_t done = 0;

		while (done < list[i].iov_len) {
			ssize_t n = getrandom((uint8_t *)list[i].iov_base + done,
			                      list[i].iov_len - done, 0);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return -errno;
			done += (size_t)n;
		}
		*written += (uint32_t)list[i].iov_len;
	}
	return 0;
}

static int rng_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	struct rng *rng = self;

	(void)queue;
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint32_t written;
		int got = vring_pop(ring, &rng->request);
		int error;

		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		error = rng_fill(&rng->request, &written);
		if (error < 0)
			return error;
		device_memory_wrote(ring->memory, rng->request.iov + rng->request.readable,
		                    rng->request.writable, written);
		vring_push(ring, rng->request.head, written);
	}
	return 1;
}

static uint64_t rng_features(void *self)
{
	(void)self;
	return 0;
}

static int rng_open(void *self, struct vhost_back *back, const char **why)
{
	(void)self;
	(void)back;
	(void)why;
	return 0;
}

static const struct vhost_device_ops rng_ops = {
        .name = "cordon-rng",
        .queues = 1,
        .queue_num = 1,
        .features = rng_features,
        .queue_run = rng_queue_run,
};

const struct device_program device_rng = {
        .ops = &rng_ops,
        .state_size = sizeof(struct rng),
        .list = &list_rng,
        .open = rng_open,
};
