/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory, and so the balloon's rings in it, against the code of cordon-balloon, whose file is a part of
 * this one. Guest memory is a real memfd, so that holes are made in it while the rings are read; the pages
 * before, between and behind its regions are no guest's, and have to be as they were.
 *
 * Input: queue, ring size, flags of the ring, features, the ring's first index (2), a place in configuration
 * space, a verb; then memory's first bytes.
 */
#include <sys/mman.h>

#include "vmm/devices/vhost_user.h"

#include "vmm/devices/balloon.c"

enum {
	REGION = 16384,
	ODD = 0x200, /* the third region begins and ends within a page */
	AVAILABLE = 0x400,
	USED = 0x500,
	OPTIONS = 8,
	RUNS = 4,
	CANARY = 0x5a,
	MAP = 3 * REGION + 4 * DEVICE_PAGE,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *map_make(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t *map;

	if (fd < 0 || ftruncate(fd, MAP) < 0)
		abort();
	map = mmap(NULL, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		abort();
	return map;
}

static void canaries(uint8_t *map, bool check)
{
	for (size_t at = 0; at < MAP; at += REGION + DEVICE_PAGE)
		for (size_t i = 0; i < DEVICE_PAGE; i++) {
			if (check && map[at + i] != CANARY)
				abort();
			map[at + i] = CANARY;
		}
	/* the ends of the third region's own pages */
	for (size_t i = 0; i < ODD; i++) {
		uint8_t *first = map + 2 * REGION + 3 * DEVICE_PAGE + i;
		uint8_t *last = map + 3 * REGION + 3 * DEVICE_PAGE - ODD + i;

		if (check && (*first != CANARY || *last != CANARY))
			abort();
		*first = *last = CANARY;
	}
}

static void run(struct balloon *balloon, unsigned int queue, struct vring *ring, uint16_t base)
{
	if (vring_start(ring, base) < 0)
		return;
	for (unsigned int i = 0; i < RUNS; i++)
		if (balloon_queue_run(balloon, queue, ring) < 0)
			break;
	(void)vring_must_signal(ring);
	balloon_queue_stop(balloon, queue, ring);
	vring_stop(ring);
}

static void host_side(struct balloon *balloon, uint8_t verb, uint8_t place, const uint8_t *memory)
{
	struct vmm_balloon m = {.verb = verb % 5, .target = base_le64(memory)};
	uint8_t config[VHOST_USER_CONFIG_MAX];

	balloon_answer(balloon, &m);
	balloon_config_write(balloon, place, memory, 1u << place % 4);
	balloon_config_read(balloon, place, config, sizeof(config) - place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *map;
	static struct balloon balloon;
	struct vhost_back back = {.requests = -1, .ops = &balloon_ops};
	struct vring ring = {.descriptors_at = 0, .available_at = AVAILABLE, .used_at = USED};
	uint8_t *low, *high, *odd;

	if (size < OPTIONS)
		return 0;
	map = map ? map : map_make();
	low = map + DEVICE_PAGE;
	high = low + REGION + DEVICE_PAGE;
	odd = high + REGION + DEVICE_PAGE + ODD;
	back.memory = (struct device_memory){
	        .count = 3,
	        .region = {{.guest = 0, .size = REGION, .user = 0, .host = low},
	                   {.guest = REGION, .size = REGION, .user = REGION, .host = high},
	                   {.guest = 0x100000 + ODD,
	                    .size = REGION - 2 * ODD,
	                    .user = 0x100000 + ODD,
	                    .host = odd}},
	};
	ring.memory = &back.memory;
	ring.size = 1u << data[1] % 6;
	ring.event_idx = data[2] & 1;
	ring.indirect = data[2] & 2;
	memset(map, 0, MAP);
	canaries(map, false);
	memcpy(low, data + OPTIONS, BASE_MIN(size - OPTIONS, (size_t)REGION));
	balloon = (struct balloon){.back = &back, .features = data[3], .failed = true};
	host_side(&balloon, data[7], data[6], low);
	run(&balloon, data[0] % QUEUES, &ring, base_le16(data + 4));
	host_side(&balloon, data[7], data[6], low);
	canaries(map, true);
	if (balloon.stats_held || balloon.holes > BALLOON_HOLES + BALLOON_PFNS)
		abort();
	return 0;
}
