// SPDX-License-Identifier: GPL-2.0-or-later
/* confidential_rig: see confidential_rig.h. */
#include "tests/unit/confidential_rig.h"

#include <check.h>

#include "base/base.h"
#include "confidential/hash.h"

struct rig rig;

void rig_open(enum confidential_type type, uint32_t vcpus)
{
	memset(&rig, 0, sizeof(rig));
	fake_init(&rig.fake);
	rig.firmware = type == CONFIDENTIAL_TDX ? fixture_tdvf(true) : fixture_ovmf(0);
	rig.low = aligned_alloc(4096, RIG_LOW_SIZE);
	rig.high = aligned_alloc(4096, RIG_HIGH_SIZE);
	ck_assert(rig.low && rig.high);
	memset(rig.low, 0xee, RIG_LOW_SIZE); /* what was there before counts for nothing */
	memset(rig.high, 0xee, RIG_HIGH_SIZE);
	rig.input = (struct launch_input){.type = type,
	                                  .vcpus = vcpus,
	                                  .cpu_signature = 0xa00f11,
	                                  .features = 1,
	                                  .bytes = rig.firmware,
	                                  .size = FIXTURE_SIZE};
	rig.fake.vcpu_count = vcpus;
	for (int i = 0; i < FAKE_VCPUS; i++)
		rig.vcpus[i] = FAKE_VCPU + i;
	cc_guest_init(&rig.guest, &fake_ops, &rig.fake, FAKE_KVM, &rig.input);
	rig.guest.wishes.smt = true;
}

void rig_kernel(void)
{
	rig.input.kernel = &rig.kernel;
	ck_assert_int_eq(hash_once(HASH_SHA256, "a kernel", 8, rig.kernel.kernel), 0);
	ck_assert_int_eq(hash_once(HASH_SHA256, "", 0, rig.kernel.initrd), 0);
	ck_assert_int_eq(confidential_hash_command_line("quiet", rig.kernel.command_line), 0);
}

/* All of it, as the vmm does it. */
int rig_run(void)
{
	const struct cc_memory low = {.gpa = RIG_LOW, .size = RIG_LOW_SIZE, .host = rig.low};
	const struct cc_memory high = {
	        .gpa = (4ull << 30) - RIG_HIGH_SIZE, .size = RIG_HIGH_SIZE, .host = rig.high};
	int err = cc_vm_create(&rig.guest, rig.why);

	if (!err)
		err = cc_memory_add(&rig.guest, &low, rig.why);
	if (!err)
		err = cc_memory_add(&rig.guest, &high, rig.why);
	rig.fake.vcpus_created = rig.fake.vcpu_count;
	return err ? err : cc_launch(&rig.guest, rig.vcpus, rig.why);
}

void rig_close(void)
{
	cc_guest_close(&rig.guest);
	ck_assert_uint_eq(rig.fake.open_fds, 0);
	fake_free(&rig.fake);
	free(rig.firmware);
	free(rig.low);
	free(rig.high);
}
