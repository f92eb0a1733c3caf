/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes the launch with firmware of somebody else's, against the model of KVM: it ends, touches no memory but the
 * guest's, and where it succeeds the model has hashed what is measured offline.
 */
#include "base/base.h"
#include "tests/unit/confidential_fake.h"

enum {
	LOW = 0x800000,
	LOW_SIZE = 0x80000,
	HIGH_MIN = 0x10000,
	IMAGE_MAX = 1 << 20,
	PAGE = 4096,
	VCPUS = 3
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Guest memory: where firmware has its tables, and where the image ends at 4 GiB. */
static int launch(struct cc_guest *guest, struct fake *fake, uint8_t *low, uint8_t *high,
                  size_t high_size, char *why)
{
	const struct cc_memory memory[] = {
	        {.gpa = LOW, .size = LOW_SIZE, .host = low},
	        {.gpa = (4ull << 30) - high_size, .size = high_size, .host = high}};
	static const int vcpus[VCPUS] = {FAKE_VCPU, FAKE_VCPU + 1, FAKE_VCPU + 2};
	int err = cc_vm_create(guest, why);

	for (size_t i = 0; i < BASE_COUNT(memory) && !err; i++)
		err = cc_memory_add(guest, &memory[i], why);
	fake->vcpus_created = VCPUS;
	return err ? err : cc_launch(guest, vcpus, why);
}

static void one(const struct launch_input *input, struct fake *fake)
{
	const size_t pages = (input->size + PAGE - 1) / PAGE * PAGE;
	const size_t high_size = BASE_MAX(pages, (size_t)HIGH_MIN);
	uint8_t *low = aligned_alloc(PAGE, LOW_SIZE), *high = aligned_alloc(PAGE, high_size);
	struct confidential_digest offline;
	struct cc_guest guest;
	char why[WHY_MAX] = "";
	int err;

	require(low && high);
	memset(low, 0xee, LOW_SIZE);
	memset(high, 0xee, high_size);
	fake_init(fake);
	fake->progress = 5;
	cc_guest_init(&guest, &fake_ops, fake, FAKE_KVM, input);
	guest.wishes.smt = true;
	err = launch(&guest, fake, low, high, high_size, why);
	require(err == 0 || why[0]);
	if (err == 0) {
		require(confidential_measure(input, &offline, why) == 0);
		require(memcmp(fake->digest, offline.bytes, offline.size) == 0);
	}
	cc_guest_close(&guest);
	require(fake->open_fds == 0);
	fake_free(fake);
	free(low);
	free(high);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct confidential_kernel kernel;
	static struct fake fake;
	uint8_t *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	for (unsigned int i = 0; size > 0 && size <= IMAGE_MAX && i < 2 * CONFIDENTIAL_TYPES + 1;
	     i++) {
		const struct launch_input input = {
		        .type = i == 2 * CONFIDENTIAL_TYPES ? CONFIDENTIAL_TDX
		                                            : i % CONFIDENTIAL_TYPES,
		        .vcpus = VCPUS,
		        .features = 1,
		        .bytes = copy,
		        .size = size,
		        .igvm = i == 2 * CONFIDENTIAL_TYPES,
		        .kernel = i / CONFIDENTIAL_TYPES == 1 ? &kernel : NULL};

		one(&input, &fake);
	}
	free(copy);
	return 0;
}
