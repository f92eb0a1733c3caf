// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The launch of each type against a model of KVM and of the firmware: what the model hashed of the commands that it
 * was given is what `cordon measure` says offline, and what the policy asks for reached the firmware.
 */
#include <check.h>
#include <openssl/pem.h>

#include "base/base.h"
#include "confidential/hash.h"
#include "tests/unit/confidential_rig.h"

/* What the model hashed against what is computed offline; SEV's is seen through an HMAC. */
static void rig_compare(void)
{
	struct confidential_digest offline;
	uint8_t hmac[32];

	ck_assert_int_eq(confidential_measure(&rig.input, &offline, rig.why), 0);
	ck_assert_mem_eq(rig.fake.digest, offline.bytes, offline.size);
	if (offline.size != HASH_SHA256)
		return;
	fake_psp_hmac(&rig.fake, offline.bytes, hmac);
	ck_assert_mem_eq(rig.guest.measurement.measure, hmac, sizeof(hmac));
	ck_assert_mem_eq(rig.guest.measurement.nonce, rig.fake.nonce, 16);
}

/* --- equal --- */

static const struct same {
	enum confidential_type type;
	uint32_t vcpus;
	bool kernel, es_init;
	uint64_t features, progress;
	unsigned int busy;
} same[] = {
        {CONFIDENTIAL_SEV, 1, false, false, 1, 0, 0},
        {CONFIDENTIAL_SEV, 4, true, false, 1, 0, 0},
        {CONFIDENTIAL_SEV, 2, true, true, 1, 0, 0},
        {CONFIDENTIAL_SEV_ES, 1, false, false, 1, 0, 0},
        {CONFIDENTIAL_SEV_ES, 2, true, false, 1, 0, 0},
        {CONFIDENTIAL_SEV_ES, 255, true, false, 1, 0, 0},
        {CONFIDENTIAL_SEV_ES, 3, false, true, 1, 0, 0},
        {CONFIDENTIAL_SEV_SNP, 1, false, false, 1, 0, 0},
        {CONFIDENTIAL_SEV_SNP, 2, true, false, 1, 0, 0},
        {CONFIDENTIAL_SEV_SNP, 64, true, false, 0x21, 1, 0},
        {CONFIDENTIAL_SEV_SNP, 255, false, false, 1, 3, 7},
        {CONFIDENTIAL_TDX, 1, false, false, 1, 0, 0},
        {CONFIDENTIAL_TDX, 255, false, false, 1, 0, 5},
};

START_TEST(test_same)
{
	const struct same *each = &same[_i];
	bool running;

	rig_open(each->type, each->vcpus);
	if (each->kernel)
		rig_kernel();
	rig.input.es_init = each->es_init;
	rig.input.features = each->features;
	rig.fake.progress = each->progress;
	rig.fake.busy = each->busy;
	ck_assert_msg(rig_run() == 0, "%s", rig.why);
	running = each->type == CONFIDENTIAL_TDX ? rig.fake.td == FAKE_TD_RUNNABLE
	                                         : rig.fake.state == FAKE_RUNNING;
	ck_assert(running);
	ck_assert_uint_eq(rig.fake.busy, 0);
	rig_compare();
	rig_close();
}
END_TEST

/* What the file does not fill of a section is zero, not what was in the buffer before. */
START_TEST(test_partial)
{
	rig_open(CONFIDENTIAL_TDX, 1);
	/* the second section: half of its page, and extended */
	fixture_put(rig.firmware + FIXTURE_SIZE - FIXTURE_METADATA + 16 + 32 + 4, 0x800, 4);
	fixture_put(rig.firmware + FIXTURE_SIZE - FIXTURE_METADATA + 16 + 32 + 28, 1, 4);
	ck_assert_msg(rig_run() == 0, "%s", rig.why);
	rig_compare();
	rig_close();
}
END_TEST

/* A model that cannot tell would pass the test above: each input counts. */
START_TEST(test_differs)
{
	struct confidential_digest offline;

	rig_open(CONFIDENTIAL_SEV_SNP, 2);
	ck_assert_int_eq(rig_run(), 0);
	rig.input.vcpus = 3;
	ck_assert_int_eq(confidential_measure(&rig.input, &offline, rig.why), 0);
	ck_assert_mem_ne(rig.fake.digest, offline.bytes, offline.size);
	rig.input.vcpus = 2;
	rig.input.cpu_signature++;
	ck_assert_int_eq(confidential_measure(&rig.input, &offline, rig.why), 0);
	ck_assert_mem_ne(rig.fake.digest, offline.bytes, offline.size);
	rig_close();
}
END_TEST

/* --- what the policy asks for reaches the firmware --- */

START_TEST(test_wishes)
{
	const struct cc_wishes plain = {.smt = true},
	                       debug = {.debug = true, .abi_major = 1, .abi_minor = 55};

	ck_assert_uint_eq(cc_sev_policy(CONFIDENTIAL_SEV, &plain), 0xb);
	ck_assert_uint_eq(cc_sev_policy(CONFIDENTIAL_SEV_ES, &debug), 0x3701000e);
	ck_assert_uint_eq(cc_snp_policy(&plain), 0x30000);
	ck_assert_uint_eq(cc_snp_policy(&debug), 0xa0137);
	rig_open(CONFIDENTIAL_SEV_SNP, 1);
	rig.guest.wishes.debug = true;
	memset(rig.guest.wishes.host_data, 0x77, 32);
	ck_assert_int_eq(rig_run(), 0);
	ck_assert_uint_eq(rig.fake.policy, 0xb0000);
	ck_assert_mem_eq(rig.fake.host_data, rig.guest.wishes.host_data, 32);
	rig_close();
	rig_open(CONFIDENTIAL_TDX, 1);
	ck_assert_int_eq(rig_run(), 0);
	ck_assert_uint_eq(rig.fake.td_asked, 1ull << 28);
	rig_close();
	rig_open(CONFIDENTIAL_TDX, 1);
	rig.guest.wishes.debug = true;
	ck_assert_int_eq(rig_run(), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(rig.why, "attributes"));
	rig_close();
}
END_TEST

/* Once a vCPU is measured, nobody sets its registers any more. */
START_TEST(test_protected)
{
	static const enum confidential_type types[] = {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_SEV_SNP};
	struct kvm_regs regs = {.rip = 0x1000};

	rig_open(types[_i], 2);
	ck_assert_int_eq(rig_run(), 0);
	ck_assert_int_eq(fake_ops.call(&rig.fake, FAKE_VCPU + 1, (uint32_t)KVM_SET_REGS, &regs),
	                 -EINVAL);
	rig_close();
}
END_TEST

/* Of a TDX guest's CPUID, what is a choice; of a SEV-SNP guest's, all, and what the firmware thinks of it. */
START_TEST(test_cpuid)
{
	static const struct cc_cpuid_entry cpuid[] = {
	        {.function = 0, .eax = 0x10},
	        {.function = 1, .eax = 0xf0000f11, .ebx = 0x00ff0800, .edx = 0x78bfbff},
	        {.function = FAKE_CPUID_REFUSED, .index = 2, .eax = 0x17},
	};

	rig_open(CONFIDENTIAL_TDX, 1);
	rig.guest.cpuid = cpuid;
	rig.guest.cpuid_count = BASE_COUNT(cpuid);
	ck_assert_int_eq(rig_run(), 0);
	ck_assert_uint_eq(rig.fake.td_leaves, 1);
	rig_close();
	rig_open(CONFIDENTIAL_SEV_SNP, 1);
	rig.guest.cpuid = cpuid;
	rig.guest.cpuid_count = BASE_COUNT(cpuid) - 1;
	ck_assert_int_eq(rig_run(), 0);
	rig_compare();
	rig_close();
	rig_open(CONFIDENTIAL_SEV_SNP, 1);
	rig.guest.cpuid = cpuid;
	rig.guest.cpuid_count = BASE_COUNT(cpuid);
	ck_assert_int_eq(rig_run(), -EIO);
	ck_assert_str_eq(rig.why, "the AMD firmware refuses CPUID 0x80000099/2 00000017 00000000 "
	                          "00000000 00000000: it would take 00000000 00000000 00000000 "
	                          "00000000");
	rig_close();
}
END_TEST

/* A fresh key of P-384, as PEM; the caller frees it. */
static char *new_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-384");
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *copy;
	long size;

	ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	size = BIO_get_mem_data(bio, &text);
	copy = strndup(text, (size_t)size);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return copy;
}

/* A guest with an ID block starts with that digest and policy, and with no other. */
START_TEST(test_id_block)
{
	BASE_AUTO_FREE char *text = new_key();
	uint8_t block[IDBLOCK_SIZE], auth[IDBLOCK_AUTH_SIZE];
	struct confidential_digest offline;
	struct idblock_digests digests;
	struct idblock id = {.policy = 0x30000};
	static const int expected[] = {0, -EIO, -EIO, -EIO};
	static const char *const words[] = {"", "digest is not the one in the ID block",
	                                    "guest's policy", "signature is wrong"};

	rig_open(CONFIDENTIAL_SEV_SNP, 2);
	ck_assert_int_eq(confidential_measure(&rig.input, &offline, rig.why), 0);
	memcpy(id.digest, offline.bytes, sizeof(id.digest));
	id.digest[0] ^= _i == 1;
	id.policy ^= _i == 2 ? 1 : 0;
	ck_assert_int_eq(
	        idblock_make(&id, text, strlen(text), NULL, 0, block, auth, &digests, rig.why), 0);
	auth[0x40] ^= _i == 3;
	rig.guest.wishes.id_block = block;
	rig.guest.wishes.id_auth = auth;
	ck_assert_int_eq(rig_run(), expected[_i]);
	if (_i)
		ck_assert_msg(strstr(rig.why, words[_i]), "%s", rig.why);
	rig_close();
}
END_TEST

/* --- the list of memory for a trust domain's firmware --- */

START_TEST(test_hob)
{
	static const uint64_t expected[][3] = {{7, RIG_LOW, 0x9000},
	                                       {0, RIG_LOW + 0x9000, 0x1000},
	                                       {7, RIG_LOW + 0xa000, 0x6000},
	                                       {0, RIG_LOW + 0x10000, 0x3000},
	                                       {7, RIG_LOW + 0x13000, RIG_LOW_SIZE - 0x13000},
	                                       {7, (4ull << 30) - RIG_HIGH_SIZE, RIG_HIGH_SIZE}};
	const uint8_t *at = rig.fake.hob;

	rig_open(CONFIDENTIAL_TDX, 3);
	ck_assert_int_eq(rig_run(), 0);
	ck_assert_uint_eq(rig.fake.vcpus[2].rcx, 0x809000);
	ck_assert_uint_eq(base_le16(at), 1);
	ck_assert_uint_eq(base_le64(at + 48), 0x809000 + 56 + 48 * BASE_COUNT(expected) + 8);
	at += 56;
	for (size_t i = 0; i < BASE_COUNT(expected); i++, at += 48) {
		ck_assert_uint_eq(base_le16(at), 3);
		ck_assert_uint_eq(base_le32(at + 24), expected[i][0]);
		ck_assert_uint_eq(base_le32(at + 28), 7);
		ck_assert_uint_eq(base_le64(at + 32), expected[i][1]);
		ck_assert_uint_eq(base_le64(at + 40), expected[i][2]);
	}
	ck_assert_uint_eq(base_le16(at), 0xffff);
	rig_close();
}
END_TEST

/* What the launch refuses before KVM has to. */
START_TEST(test_refused)
{
	struct cc_memory wrong[] = {{.gpa = 0x800, .size = 4096},
	                            {.size = 0},
	                            {.size = 100},
	                            {.gpa = UINT64_MAX - 4095, .size = 8192}};
	BASE_AUTO_FREE uint8_t *igvm = NULL;

	rig_open(CONFIDENTIAL_SEV_SNP, 1);
	for (size_t i = 0; i < BASE_COUNT(wrong); i++)
		ck_assert_int_eq(cc_memory_add(&rig.guest, &wrong[i], rig.why), -EINVAL);
	rig.input.features = 2;
	ck_assert_int_eq(rig_run(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(rig.why, "lacks bit 0"));
	rig_close();
	rig_open(CONFIDENTIAL_SEV_ES, 1);
	rig.input.vmm = CONFIDENTIAL_EC2;
	ck_assert_int_eq(rig_run(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(rig.why, "other VMMs"));
	rig_close();
	/* the fixture's IGVM file has memory where there is none here */
	rig_open(CONFIDENTIAL_TDX, 1);
	igvm = fixture_igvm(&rig.input.size);
	rig.input.bytes = igvm;
	rig.input.igvm = true;
	ck_assert_int_eq(rig_run(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(rig.why, "where the guest has no memory"));
	rig_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_launch");
	TCase *test = tcase_create("launch");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 120);
	tcase_add_loop_test(test, test_same, 0, BASE_COUNT(same));
	tcase_add_test(test, test_partial);
	tcase_add_test(test, test_differs);
	tcase_add_test(test, test_wishes);
	tcase_add_loop_test(test, test_protected, 0, 2);
	tcase_add_test(test, test_cpuid);
	tcase_add_loop_test(test, test_id_block, 0, 4);
	tcase_add_test(test, test_hob);
	tcase_add_test(test, test_refused);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
