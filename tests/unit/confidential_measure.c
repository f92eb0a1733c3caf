/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Digests of firmware that the test makes, against what virtee's sev-snp-measure 0.0.13 and td-shim's
 * td-shim-tee-info-hash say of the same files; and what is refused, by which words. An IGVM file's digests
 * are those of the format's reference crate, by its algorithm.
 */
#include <check.h>

#include "base/base.h"
#include "confidential/hash.h"
#include "tests/unit/confidential_fixture.h"

static void hex(char *to, const struct confidential_digest *digest)
{
	for (size_t i = 0; i < digest->size; i++)
		snprintf(to + 2 * i, 3, "%02x", digest->bytes[i]);
}

/* Measures with what the bytes are copied to, so that a sanitizer sees what is read beyond them. */
static int measure(struct launch_input input, char text[2 * CONFIDENTIAL_DIGEST_MAX + 1], char *why)
{
	BASE_AUTO_FREE uint8_t *copy = malloc(input.size ? input.size : 1);
	struct confidential_digest digest;
	int err;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, input.bytes, input.size);
	input.bytes = copy;
	err = confidential_measure(&input, &digest, why);
	if (!err)
		hex(text, &digest);
	return err;
}

static const struct pin {
	enum confidential_type type;
	enum confidential_vmm vmm;
	uint32_t vcpus;
	const char *cpu;
	uint64_t features;
	bool kernel, initrd;
	const char *append, *digest;
} pins[] = {
        {CONFIDENTIAL_SEV, CONFIDENTIAL_QEMU, 1, "EPYC-v4", 0x1, false, false, NULL,
         "bcd078a2333c53cfa2ac9ff6d1039cc1d12d8b96a0cf4de8a8ed5ddf8b3f8acb"},
        {CONFIDENTIAL_SEV, CONFIDENTIAL_QEMU, 1, "EPYC-v4", 0x1, true, false, NULL,
         "b88a7d8f7b4bb151bc26365a088cf0b9c3a5ac2e94d6e660c9458c0d48a71b9f"},
        {CONFIDENTIAL_SEV, CONFIDENTIAL_QEMU, 4, "EPYC-v4", 0x1, true, true, "console=ttyS0",
         "615abc007b5c8a4092f5ba50f9d7b2352531d04e54d271983deafab22ac56cd8"},
        {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_QEMU, 1, "EPYC-v4", 0x1, false, false, NULL,
         "590d9d4deea9be77f23e3adac688951ec5192c0ea099f8c42a00cd27657cb85b"},
        {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_QEMU, 1, "EPYC-v4", 0x1, true, false, NULL,
         "be4308d428eee17a04839b7967a78cadbb76c8f2b93df0d312f7ea6588e5f81a"},
        {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_QEMU, 4, "EPYC-v4", 0x1, true, true, "console=ttyS0",
         "770e94ae43b29ea4748bf5da01a82ddee5554179e8c80155d443dc349f9555c4"},
        {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_QEMU, 255, "EPYC-Rome", 0x1, true, true, NULL,
         "15a7313b636abee765e6a6313c12edf81c6c7c7d35f57b4a7b981087952a46ff"},
        {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_EC2, 2, "EPYC", 0x1, false, false, NULL,
         "774b9f2126ee607c2424c5d5193250566cd548ac12fc29e31a81ff55168dc8d3"},
        {CONFIDENTIAL_SEV_ES, CONFIDENTIAL_GCE, 2, "EPYC", 0x1, false, false, NULL,
         "7d967410f7904e499c3e727d3f9e2436671f038b3cfac9e7b176bd23e97acca0"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 1, "EPYC-Milan", 0x1, false, false, NULL,
         "25cd204c63627c8825613b4cc7cc93d0fa05e5a3a3eb45bf121d4486e13d0c30e1045351bbb87364993be459e"
         "199c0d1"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 2, "EPYC-Milan", 0x1, false, false, NULL,
         "f89ac31f760bc973f51abe91003019dd89285760acfd3f91461d8c6eeb809feb419c59a026bc027c26d499bd3"
         "de7dde7"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 3, "EPYC-Milan", 0x21, true, true,
         "console=ttyS0 loglevel=7",
         "d875105c88cd44ae422a0581d0e93202253f9180cc227a9f01a0331c4c3211660ee0c324f6ec2d18d196b252f"
         "f079a8b"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_EC2, 1, "EPYC-Milan", 0x1, false, false, NULL,
         "faca7278158500124a6f3d2c88f7faadd9f2f14739ec4785fb41a873e4c3e562edf7ac42fca59f1bb029485d0"
         "bd3970a"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_EC2, 2, "EPYC-Milan", 0x1, false, false, NULL,
         "8e49619cf39d252799cbce8e24ee8a6b8ea7f9ad9fcb3f3ceae789ac498209cc33d531de9e9bf7e38c263f100"
         "cbb1525"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_EC2, 3, "EPYC-Milan", 0x21, true, true,
         "console=ttyS0 loglevel=7",
         "2468bca7d9d6511ca3532821d73cb467878f105a89239c85f2012763b121e8c2916af75ab2d35adcacc8308b3"
         "68d3c2d"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_GCE, 1, "EPYC-Milan", 0x1, false, false, NULL,
         "a50512fb6dc8e3db58fbdbdae54ec1c3060a4808175d88a1ca4c44ef0c9407d894b2f9adaf69fd2a89f9f3b6d"
         "f57aeef"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_GCE, 2, "EPYC-Milan", 0x1, false, false, NULL,
         "5966f81c48e79eea5adbc79a5b61881d148ae7902dc71083a1bf5ba5baa531d9eb72f7f3f211a1ee161087fcf"
         "a956eb7"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_GCE, 3, "EPYC-Milan", 0x21, true, true,
         "console=ttyS0 loglevel=7",
         "503df0a210eab33ca0d4b393a1accfdfcf3bc57973f4f9d09f01206d2b433a68f94d7032940ea4e6d360be844"
         "8039f20"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 1, "EPYC-v4", 0x1, true, false, NULL,
         "e05370d3dea459584a140db8758e935baa98bdf07bbeda0ec9726f5bbdc700a2ff4e58eab2d3e4544924c49b8"
         "2d3b309"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 1, "EPYC-IBPB", 0x1, true, false, NULL,
         "e05370d3dea459584a140db8758e935baa98bdf07bbeda0ec9726f5bbdc700a2ff4e58eab2d3e4544924c49b8"
         "2d3b309"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 1, "EPYC-Rome-v2", 0x1, true, false, NULL,
         "dbdb6f7520c0e283cf32dc41692c02b6ae8b7a3eea165ad4c54c24289ff8fc663848e6d15e10f5f5e11901567"
         "e86b529"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 1, "EPYC-Genoa", 0x1, true, false, NULL,
         "a4af91c1991937faa606f57a5843510037d30807b9e016b019baed2864698f7f86f3b493384c2944ba8a4f004"
         "701fe04"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 1, "EPYC-Turin", 0x1, true, false, NULL,
         "0222dad5f12d680058f8b4a943ed705c29993581f9b08f60d8ab35ba04f38bf4744d89e76c24cd8d0d8e83143"
         "8d60bc9"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 255, "EPYC-Genoa-v1", 0x1, true, true, "",
         "95bbbb6f90c828a21ec904ed89f6192ffec195ba9ec613461af404d8f9d9e077f914d7c7819aeab47035da305"
         "3df1d0b"},
        {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_QEMU, 64, "EPYC-v3", 0x0, true, false, "quiet",
         "cdd8b82d5ba9113c9d90862f38997a528cdb8dc5f3548eeb7841c7bf61e9615df8f7b5473e253e7c25a13601d"
         "2c0e898"},
};

START_TEST(test_pins)
{
	const struct pin *pin = &pins[_i];
	BASE_AUTO_FREE uint8_t *image = fixture_ovmf(0);
	struct confidential_kernel kernel;
	struct launch_input input = {.type = pin->type,
	                             .vmm = pin->vmm,
	                             .vcpus = pin->vcpus,
	                             .features = pin->features,
	                             .bytes = image,
	                             .size = FIXTURE_SIZE,
	                             .kernel = pin->kernel ? &kernel : NULL};
	char text[2 * CONFIDENTIAL_DIGEST_MAX + 1], why[WHY_MAX];

	ck_assert_int_eq(confidential_cpu_signature(pin->cpu, &input.cpu_signature), 0);
	ck_assert_int_eq(hash_once(HASH_SHA256, "a kernel", 8, kernel.kernel), 0);
	ck_assert_int_eq(hash_once(HASH_SHA256, "an initrd", pin->initrd ? 9 : 0, kernel.initrd),
	                 0);
	ck_assert_int_eq(confidential_hash_command_line(pin->append, kernel.command_line), 0);
	ck_assert_int_eq(measure(input, text, why), 0);
	ck_assert_str_eq(text, pin->digest);
}
END_TEST

/* What KVM_SEV_ES_INIT leaves out, and SEV_FEATURES, change what they should and nothing else. */
START_TEST(test_variants)
{
	BASE_AUTO_FREE uint8_t *image = fixture_ovmf(0);
	struct launch_input input = {
	        .type = CONFIDENTIAL_SEV_ES, .vcpus = 1, .bytes = image, .size = FIXTURE_SIZE};
	char init2[97], init[97], why[WHY_MAX];

	ck_assert_int_eq(measure(input, init2, why), 0);
	input.es_init = true;
	ck_assert_int_eq(measure(input, init, why), 0);
	ck_assert_str_ne(init, init2);
	/* EC2's and GCE's have no FPU state either way */
	input.vmm = CONFIDENTIAL_EC2;
	ck_assert_int_eq(measure(input, init, why), 0);
	input.es_init = false;
	ck_assert_int_eq(measure(input, init2, why), 0);
	ck_assert_str_eq(init, init2);
	input.features = 0x21;
	ck_assert_int_eq(measure(input, init, why), 0);
	ck_assert_str_eq(init, init2);
}
END_TEST

START_TEST(test_tdx)
{
	BASE_AUTO_FREE uint8_t *image = fixture_tdvf(_i == 1);
	const struct launch_input input = {
	        .type = CONFIDENTIAL_TDX, .bytes = image, .size = FIXTURE_SIZE};
	static const char *const digests[] = {"c988613454a051afe238dbe63c1d91dd87db5c2126c9c993f2a9"
	                                      "175dee2e7aad194417fcf838259312f459dd6238590d",
	                                      "c988613454a051afe238dbe63c1d91dd87db5c2126c9c993f2a9"
	                                      "175dee2e7aad194417fcf838259312f459dd6238590d"};
	char text[97], why[WHY_MAX];

	ck_assert_int_eq(measure(input, text, why), 0);
	ck_assert_str_eq(text, digests[_i]);
}
END_TEST

START_TEST(test_igvm)
{
	static const struct {
		enum confidential_type type;
		const char *digest;
	} digests[] = {{CONFIDENTIAL_SEV_SNP, "dbd8d637bb5a7b90cc68504a26ed7118e0a5097b1ad4e45ac920"
	                                      "a5f3234002000541819e2c8bc1a7ba3f2697afd5e68a"},
	               {CONFIDENTIAL_TDX, "cb73d243ee6dd2650cc26019c13d507c62018e52bbed07867acc1258"
	                                  "5e5196ceb1559df5f6d02bbb8fa99ab25f4ef403"}};
	size_t size;
	BASE_AUTO_FREE uint8_t *file = fixture_igvm(&size);
	const struct launch_input input = {
	        .type = digests[_i].type, .igvm = true, .bytes = file, .size = size};
	char text[97], why[WHY_MAX];

	ck_assert_int_eq(measure(input, text, why), 0);
	ck_assert_str_eq(text, digests[_i].digest);
}
END_TEST

static const struct refused {
	unsigned int flags;
	enum confidential_type type;
	uint32_t vcpus;
	bool kernel;
	const char *why;
} refused[] = {
        {FIXTURE_NO_HASHES, CONFIDENTIAL_SEV, 1, true, "no table of kernel hashes"},
        {FIXTURE_HASHES_AT_0, CONFIDENTIAL_SEV_ES, 1, true, "no table of kernel hashes"},
        {FIXTURE_NO_HASHES, CONFIDENTIAL_SEV_SNP, 1, true, "no table of kernel hashes"},
        {FIXTURE_NO_HASH_SECTION, CONFIDENTIAL_SEV_SNP, 1, true, "no section for kernel hashes"},
        {FIXTURE_NO_RESET, CONFIDENTIAL_SEV_ES, 1, false, "no SEV-ES reset block"},
        {FIXTURE_NO_RESET, CONFIDENTIAL_SEV_SNP, 2, false, "no SEV-ES reset block"},
        {FIXTURE_TWICE, CONFIDENTIAL_SEV, 1, false, "two 'reset' entries"},
        {0, CONFIDENTIAL_SEV_SNP, 0, false, "0 processors"},
        {0, CONFIDENTIAL_SEV_ES, 4097, false, "4097 processors"},
        {0, CONFIDENTIAL_TDX, 1, false, "no TDX metadata"},
};

START_TEST(test_refused)
{
	const struct refused *test = &refused[_i];
	BASE_AUTO_FREE uint8_t *image = fixture_ovmf(test->flags);
	static const struct confidential_kernel kernel;
	const struct launch_input input = {.type = test->type,
	                                   .vcpus = test->vcpus,
	                                   .bytes = image,
	                                   .size = FIXTURE_SIZE,
	                                   .kernel = test->kernel ? &kernel : NULL};
	char text[97], why[WHY_MAX];

	ck_assert_int_eq(measure(input, text, why), -EINVAL);
	ck_assert_msg(strstr(why, test->why), "'%s' is not in '%s'", test->why, why);
}
END_TEST

/* Without a kernel, none of them matters to SEV. */
START_TEST(test_takes_none)
{
	BASE_AUTO_FREE uint8_t *image =
	        fixture_ovmf(FIXTURE_NO_HASHES | FIXTURE_NO_RESET | FIXTURE_NO_HASH_SECTION);
	const struct launch_input input = {
	        .type = CONFIDENTIAL_SEV, .bytes = image, .size = FIXTURE_SIZE};
	char text[97], why[WHY_MAX];

	ck_assert_int_eq(measure(input, text, why), 0);
}
END_TEST

/* Reads the ends of a region's bytes; hashing all that a changed size asks for would take long. */
static int touch(void *data, const struct launch_region *region)
{
	uint64_t *sum = data;

	if (region->filled)
		*sum += region->bytes[0] + region->bytes[region->filled - 1];
	return 0;
}

static int walk(const struct launch_input *input, char *why)
{
	struct launch_input copied = *input;
	BASE_AUTO_FREE uint8_t *copy = malloc(input->size ? input->size : 1);
	uint64_t sum = 0;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, input->bytes, input->size);
	copied.bytes = copy;
	why[0] = '\0';
	return launch_walk(&copied, touch, &sum, why);
}

/* Each file is cut off, byte for byte, at both ends, and each byte of its tables is changed. */
START_TEST(test_hostile)
{
	BASE_AUTO_FREE uint8_t *ovmf = fixture_ovmf(0), *tdvf = fixture_tdvf(true);
	uint8_t *image = _i ? tdvf : ovmf;
	struct launch_input input = {.type = _i ? CONFIDENTIAL_TDX : CONFIDENTIAL_SEV_SNP,
	                             .vcpus = 1};
	char why[WHY_MAX];

	for (input.size = 0; input.size < 2 * FIXTURE_METADATA; input.size++) {
		input.bytes = image + FIXTURE_SIZE - input.size;
		if (walk(&input, why) != 0)
			ck_assert_msg(why[0], "no word for the last %zu bytes", input.size);
		input.bytes = image;
		ck_assert_int_eq(walk(&input, why), -EINVAL);
		ck_assert(why[0]);
	}
	input.size = FIXTURE_SIZE;
	for (size_t at = FIXTURE_SIZE - FIXTURE_METADATA - 16; at < FIXTURE_SIZE; at++) {
		image[at] ^= 0xff;
		if (walk(&input, why) != 0)
			ck_assert_msg(why[0], "no word for byte %zu", at);
		image[at] ^= 0xff;
	}
}
END_TEST

/* 4096 sections of 4 GiB less a page are not measured for a day. */
START_TEST(test_bounded)
{
	BASE_AUTO_FREE uint8_t *image = fixture_ovmf(0);
	const struct launch_input input = {
	        .type = CONFIDENTIAL_SEV_SNP, .vcpus = 1, .bytes = image, .size = FIXTURE_SIZE};
	uint8_t *sections = image + FIXTURE_SIZE - FIXTURE_METADATA + 16;
	char text[97], why[WHY_MAX];

	fixture_put(sections + 4, 0xfffff000, 4);
	fixture_put(sections, 0, 4);
	ck_assert_int_eq(measure(input, text, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "more than 4 GiB"));
}
END_TEST

START_TEST(test_cpus)
{
	static const struct {
		const char *name;
		uint32_t signature; /* 0: not one */
	} cpus[] = {{"EPYC", 0x800f12},
	            {"EPYC-v4", 0x800f12},
	            {"EPYC-IBPB", 0x800f12},
	            {"EPYC-Rome", 0x830f10},
	            {"EPYC-Rome-v3", 0x830f10},
	            {"EPYC-Milan", 0xa00f11},
	            {"EPYC-Milan-v2", 0xa00f11},
	            {"EPYC-Genoa-v1", 0xa10f10},
	            {"EPYC-Turin", 0xb00f00},
	            {"EPYC-v9", 0},
	            {"EPYC-v0", 0},
	            {"EPYC-v", 0},
	            {"EPYC-v12", 0},
	            {"EPYC-IBPB-v1", 0},
	            {"epyc", 0},
	            {"", 0},
	            {"EPYC-Rom", 0}};

	for (size_t i = 0; i < BASE_COUNT(cpus); i++) {
		uint32_t signature = 0;
		int err = confidential_cpu_signature(cpus[i].name, &signature);

		ck_assert_msg(err == (cpus[i].signature ? 0 : -EINVAL) &&
		                      signature == cpus[i].signature,
		              "%s is 0x%x", cpus[i].name, signature);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_measure");
	TCase *test = tcase_create("measure");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 120);
	tcase_add_loop_test(test, test_pins, 0, BASE_COUNT(pins));
	tcase_add_test(test, test_variants);
	tcase_add_loop_test(test, test_tdx, 0, 2);
	tcase_add_loop_test(test, test_igvm, 0, 2);
	tcase_add_loop_test(test, test_refused, 0, BASE_COUNT(refused));
	tcase_add_test(test, test_takes_none);
	tcase_add_loop_test(test, test_hostile, 0, 2);
	tcase_add_test(test, test_bounded);
	tcase_add_test(test, test_cpus);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
