// SPDX-License-Identifier: GPL-2.0-or-later
/* What a host lacks for a confidential guest, one thing at a time: it is refused, and that thing is named. */
#include <check.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/base.h"
#include "confidential/host.h"
#include "tests/unit/confidential_fake.h"

static char root[] = "/tmp/cordon-host-XXXXXX";

/* A folder below the root, in which that of the test is. */
static void make_folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d/%s", root, getpid(), name);
	ck_assert(mkdir(path, 0700) == 0);
}

/* A /sys with the module and its parameter, each of which may be NULL. */
static void make(const char *module, const char *parameter, const char *value)
{
	char name[128];

	make_folder("");
	make_folder("sys");
	make_folder("sys/module");
	if (!module)
		return;
	snprintf(name, sizeof(name), "sys/module/%s", module);
	make_folder(name);
	snprintf(name, sizeof(name), "sys/module/%s/parameters", module);
	make_folder(name);
	if (parameter) {
		char path[256];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%d/%s/%s", root, getpid(), name, parameter);
		file = fopen(path, "we");
		ck_assert_ptr_nonnull(file);
		fprintf(file, "%s\n", value);
		fclose(file);
	}
}

static int forget(const char *path, const struct stat *stat, int type, struct FTW *place)
{
	(void)stat, (void)type, (void)place;
	return remove(path);
}

static const struct lack {
	enum confidential_type type;
	const char *module, *parameter, *value;
	bool no_kvm, no_device;
	uint32_t vm_types;
	int no_capability;
	int err;
	const char *words;
} lacks[] = {
        {CONFIDENTIAL_SEV, "kvm_amd", "sev", "Y", false, false, 0x1f, 0, 0, ""},
        {CONFIDENTIAL_SEV_SNP, "kvm_amd", "sev_snp", "Y", false, false, 0x1f, 0, 0, ""},
        {CONFIDENTIAL_TDX, "kvm_intel", "tdx", "Y", false, true, 0x21, 0, 0, ""},
        {CONFIDENTIAL_SEV, "kvm_amd", "sev", "Y", true, false, 0x1f, 0, -ENOTSUP,
         "/dev/kvm cannot be opened: No such file or directory"},
        {CONFIDENTIAL_SEV_ES, NULL, NULL, NULL, false, false, 0x1f, 0, -ENOTSUP,
         "the module kvm_amd is not loaded"},
        {CONFIDENTIAL_TDX, "kvm_amd", "sev", "Y", false, false, 0x1f, 0, -ENOTSUP,
         "the module kvm_intel is not loaded"},
        {CONFIDENTIAL_SEV_SNP, "kvm_amd", "sev", "Y", false, false, 0x1f, 0, -ENOTSUP,
         "kvm_amd has no parameter sev_snp: Linux "},
        {CONFIDENTIAL_SEV_SNP, "kvm_amd", "sev_snp", "N", false, false, 0x1f, 0, -ENOTSUP,
         "kvm_amd's parameter sev_snp is N: the processor"},
        {CONFIDENTIAL_TDX, "kvm_intel", "tdx", "0", false, false, 0x21, 0, -ENOTSUP,
         "kvm_intel's parameter tdx is 0"},
        {CONFIDENTIAL_SEV_SNP, "kvm_amd", "sev_snp", "Y", false, false, 0xf, 0, -ENOTSUP,
         "KVM_CAP_VM_TYPES is 0xf, without type 4"},
        {CONFIDENTIAL_SEV, "kvm_amd", "sev", "1", false, false, 0, 0, -ENOTSUP, "6.10 or later"},
        {CONFIDENTIAL_SEV_SNP, "kvm_amd", "sev_snp", "Y", false, false, 0x1f, CC_CAP_GUEST_MEMFD,
         -ENOTSUP, "KVM lacks KVM_CAP_GUEST_MEMFD"},
        {CONFIDENTIAL_SEV_ES, "kvm_amd", "sev_es", "Y", false, false, 0x1f, CC_CAP_GUEST_MEMFD, 0,
         ""},
        {CONFIDENTIAL_SEV_SNP, "kvm_amd", "sev_snp", "Y", false, true, 0x1f, 0, -ENOTSUP,
         "/dev/sev, the AMD firmware's device, cannot be opened: No such file"},
};

START_TEST(test_lack)
{
	const struct lack *lack = &lacks[_i];
	char why[WHY_MAX] = "", here[64];
	struct fake *fake = malloc(sizeof(*fake));
	int err;

	ck_assert_ptr_nonnull(fake);
	fake_init(fake);
	fake->no_kvm = lack->no_kvm;
	fake->no_device = lack->no_device;
	fake->vm_types = lack->vm_types;
	fake->no_capability = lack->no_capability;
	make(lack->module, lack->parameter, lack->value);
	snprintf(here, sizeof(here), "%s/%d", root, getpid());
	err = cc_host_check(&fake_ops, fake, here, lack->type, why);
	ck_assert_msg(err == lack->err && strstr(why, lack->words), "%d: %d %s", _i, err, why);
	ck_assert_uint_eq(fake->open_fds, 0);
	free(fake);
}
END_TEST

/* This host, whatever it is: an answer, and never a crash. */
START_TEST(test_here)
{
	char why[WHY_MAX] = "";

	for (int type = 0; type < CONFIDENTIAL_TYPES; type++) {
		int err = cc_host_check(&cc_kernel, NULL, "", (enum confidential_type)type, why);

		ck_assert(err == 0 || (err == -ENOTSUP && why[0]));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_host");
	TCase *test = tcase_create("host");
	SRunner *runner;
	int failed;

	if (!mkdtemp(root))
		return EXIT_FAILURE;
	tcase_add_loop_test(test, test_lack, 0, BASE_COUNT(lacks));
	tcase_add_test(test, test_here);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nftw(root, forget, 8, FTW_DEPTH | FTW_PHYS) || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
