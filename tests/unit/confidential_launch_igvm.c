/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IGVM files against the model of KVM and of the firmware: the digest of what the model was given is the one that is
 * measured of the file; what KVM would measure otherwise is refused; what the host says is in the guest and not in the
 * digest.
 */
#include <check.h>

#include "base/base.h"
#include "tests/unit/confidential_rig.h"
#include "tests/unit/igvm_fixture.h"

static const uint8_t code[] = {0xf4};
static const uint8_t madt[] = "APIC table";
static const struct launch_range memory[] = {{0, 0x9f000, false}, {0x9f000, 0x1000, true}};
static const struct launch_host host = {.memory = memory,
                                        .memory_count = BASE_COUNT(memory),
                                        .mmio = {0xe8000000, 0x10000000, true},
                                        .command_line = "quiet",
                                        .madt = madt,
                                        .madt_size = sizeof(madt)};

static uint64_t shared_gpa;

static void told(void *data, uint64_t gpa, uint64_t size)
{
	(void)data;
	ck_assert_uint_eq(size, 4096);
	shared_gpa = gpa;
}

/* A launch of the fixture's file; the caller closes the rig. */
static int launch(enum confidential_type type, uint32_t vcpus, struct igvm_guest guest)
{
	rig_open(type, vcpus);
	guest.base = RIG_LOW;
	guest.code = code;
	guest.code_size = sizeof(code);
	free(rig.firmware);
	rig.firmware = igvm_fixture(&guest, &rig.input.size);
	rig.input.bytes = rig.firmware;
	rig.input.igvm = true;
	rig.input.host = &host;
	rig.guest.shares = told;
	shared_gpa = 0;
	return rig_run();
}

static bool shared_at(uint32_t page)
{
	return page == IGVM_SHARED || (rig.input.type <= CONFIDENTIAL_SEV_ES &&
	                               (page == IGVM_FROM_HOST || page == IGVM_PARAMETERS));
}

static const struct same {
	enum confidential_type type;
	uint32_t vcpus;
} same[] = {{CONFIDENTIAL_SEV, 1},    {CONFIDENTIAL_SEV, 3},     {CONFIDENTIAL_SEV_ES, 1},
            {CONFIDENTIAL_SEV_ES, 5}, {CONFIDENTIAL_SEV_SNP, 1}, {CONFIDENTIAL_SEV_SNP, 64},
            {CONFIDENTIAL_TDX, 2}};

START_TEST(test_same)
{
	const struct same *each = &same[_i];
	struct launch_input measured;
	struct confidential_digest offline;

	ck_assert_msg(launch(each->type, each->vcpus, (struct igvm_guest){.vcpus = each->vcpus}) ==
	                      0,
	              "%s", rig.why);
	measured = rig.input;
	measured.host = NULL; /* who measures has only the file */
	ck_assert_int_eq(confidential_measure(&measured, &offline, rig.why), 0);
	ck_assert_mem_eq(rig.fake.digest, offline.bytes, offline.size);
	ck_assert(each->type == CONFIDENTIAL_TDX ? rig.fake.td == FAKE_TD_RUNNABLE
	                                         : rig.fake.state == FAKE_RUNNING);
	if (each->type != CONFIDENTIAL_TDX) {
		ck_assert_uint_eq(rig.fake.vcpus[0].regs.rip, RIG_LOW);
		ck_assert_uint_eq(rig.fake.vcpus[0].regs.r15, 0x378 * 0x1001);
	}
	/* what is shared lies where devices see it; what is not does not */
	ck_assert_uint_eq(rig.low[IGVM_SHARED], 0xa5);
	ck_assert_int_eq(rig.low[IGVM_FROM_HOST] == 0xa5, shared_at(IGVM_FROM_HOST));
	ck_assert_uint_eq(shared_gpa,
	                  RIG_LOW + (shared_at(IGVM_PARAMETERS) ? IGVM_PARAMETERS : IGVM_SHARED));
	for (uint32_t page = 0; page < IGVM_SECRET && each->type >= CONFIDENTIAL_SEV_SNP;
	     page += 4096)
		ck_assert_int_eq(rig.fake.slots[0].is_private[page / 4096], !shared_at(page));
	rig_close();
}
END_TEST

/* Each parameter as the format has it; where they are not encrypted they can be seen. */
START_TEST(test_parameters)
{
	const uint8_t *at;

	ck_assert_int_eq(launch(CONFIDENTIAL_SEV, 3, (struct igvm_guest){.vcpus = 3}), 0);
	at = rig.low + IGVM_PARAMETERS;
	ck_assert_uint_eq(base_le32(at + IGVM_AT_COUNT), 3);
	ck_assert_uint_eq(base_le32(at + IGVM_AT_ENVIRONMENT), 0);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MMIO), 0xe8000);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MMIO + 8), 0x10000);
	ck_assert_str_eq((const char *)at + IGVM_AT_LINE, "quiet");
	ck_assert_mem_eq(at + IGVM_AT_MADT, madt, sizeof(madt));
	at += IGVM_AT_MAP;
	ck_assert_uint_eq(base_le64(at), 0);
	ck_assert_uint_eq(base_le64(at + 8), 0x9f);
	ck_assert_uint_eq(base_le64(at + 16), 0);
	ck_assert_uint_eq(base_le64(at + 24), 0x9f);
	ck_assert_uint_eq(base_le64(at + 32), 1);
	ck_assert_uint_eq(base_le64(at + 40), 1);
	ck_assert_uint_eq(base_le64(at + 56), 0);
	rig_close();
}
END_TEST

static const struct refused {
	enum confidential_type type;
	uint32_t vcpus;
	struct igvm_guest guest;
	const char *why;
} refused[] = {
        {CONFIDENTIAL_SEV_SNP, 2, {.vcpus = 1}, "registers for 1 processors, and the guest has 2"},
        {CONFIDENTIAL_SEV_ES, 1, {.vcpus = 2}, "registers for processor 1, where the guest has 1"},
        {CONFIDENTIAL_SEV, 1, {.vcpus = 0}, "registers for 0 processors, and the guest has 1"},
        {CONFIDENTIAL_SEV_SNP, 1, {.vcpus = 1, .vmsa_gpa = 0x1000}, "not at 0x1000 as the IGVM"},
        {CONFIDENTIAL_SEV_SNP, 1, {.vcpus = 1, .page_behind = true}, "measures processors last"},
        {CONFIDENTIAL_SEV_ES, 1, {.vcpus = 1, .page_behind = true}, "measures processors last"},
        {CONFIDENTIAL_SEV_SNP,
         1,
         {.vcpus = 1, .vmsa_at = 0x208},
         "0x77 at 0x208 of a processor's registers (VMSA), where KVM puts 0x0"},
        {CONFIDENTIAL_SEV_ES, 1, {.vcpus = 1, .vmsa_at = 0x3b0}, "0x77 at 0x3b0"},
        {CONFIDENTIAL_SEV_SNP, 1, {.vcpus = 1, .vmsa_at = 0xcb}, "at 0xc8"},
        {CONFIDENTIAL_SEV_SNP, 1, {.vcpus = 1, .vmsa_at = 0x13}, "at 0x10"},
        {CONFIDENTIAL_SEV_ES, 1, {.vcpus = 1, .vmsa_at = 0xff0}, "at 0xff0"},
        {CONFIDENTIAL_TDX, 1, {.vcpus = 1, .parameter = IGVM_SRAT}, "type 0x308, which there is"},
};

START_TEST(test_refused)
{
	const struct refused *each = &refused[_i];
	int err = launch(each->type, each->vcpus, each->guest);

	ck_assert_msg(err < 0 && strstr(rig.why, each->why), "%d: %s", err, rig.why);
	rig_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_launch_igvm");
	TCase *test = tcase_create("launch");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 60);
	tcase_add_loop_test(test, test_same, 0, BASE_COUNT(same));
	tcase_add_test(test, test_parameters);
	tcase_add_loop_test(test, test_refused, 0, BASE_COUNT(refused));
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
