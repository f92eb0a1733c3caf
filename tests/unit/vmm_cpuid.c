// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm_cpuid: what guests are told of their processors, on hosts that are made up here. */
#include <check.h>

#include "base/base.h"
#include "vmm/cpuid.h"
#include "base/why.h"

enum { GIB = 1 << 30 };

static struct cpuid_table host, guest;
static char why[WHY_MAX];

static struct kvm_cpuid_entry2 *put(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx,
                                    uint32_t ecx, uint32_t edx)
{
	struct kvm_cpuid_entry2 *entry = &host.entries[host.count++];

	*entry = (struct kvm_cpuid_entry2){.function = function,
	                                   .index = index,
	                                   .eax = eax,
	                                   .ebx = ebx,
	                                   .ecx = ecx,
	                                   .edx = edx};
	return entry;
}

/* A host that has every bit there is, and then some leaves that nobody has read about. */
static void host_all(const char *vendor, uint32_t address_bits)
{
	host.count = 0;
	put(0, 0, 0x20, base_le32(vendor), base_le32(vendor + 8), base_le32(vendor + 4));
	put(1, 0, 0x000906ea, ~0u, ~0u, ~0u);
	put(2, 0, 0x76036301, ~0u, ~0u, ~0u);
	put(3, 0, ~0u, ~0u, 0x12345678, 0x9abcdef0); /* serial number */
	put(4, 0, 0x7c004121, 0x01c0003f, 63, ~0u);
	put(4, 1, 0x7c03c163, 0x03c0003f, 16383, ~0u);
	put(5, 0, ~0u, ~0u, ~0u, ~0u);
	put(6, 0, ~0u, ~0u, ~0u, ~0u);
	for (uint32_t i = 0; i < 3; i++)
		put(7, i, ~0u, ~0u, ~0u, ~0u);
	put(0xa, 0, ~0u, ~0u, ~0u, ~0u);
	put(0xb, 0, 1, 2, 0x100, 77);
	put(0xd, 0, 0x000602ff, 0x2b40, 0x2b40, 0);
	put(0xd, 1, ~0u, ~0u, ~0u, ~0u);
	put(0xd, 2, 256, 576, 0, 0);
	put(0xd, 5, 64, 1088, 0, 0);
	put(0xd, 6, 512, 1152, 0, 0);
	put(0xd, 7, 1024, 1664, 0, 0);
	put(0xd, 9, 8, 2688, 0, 0);
	put(0xd, 18, 8192, 2816, 2, 0); /* AMX */
	for (uint32_t leaf = 0xf; leaf <= 0x20; leaf++)
		put(leaf, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x40000000, 0, 0x40000001, base_le32("KVMK"), base_le32("VMKV"), base_le32("M\0\0"));
	put(0x40000001, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x80000000, 0, 0x80000028, 0, 0, 0);
	put(0x80000001, 0, ~0u, ~0u, ~0u, ~0u);
	for (uint32_t i = 2; i < 5; i++)
		put(0x80000000 + i, 0, base_le32("Host"), base_le32("Host"), base_le32("Host"), 0);
	put(0x80000005, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x80000006, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x80000007, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x80000008, 0, 57 << 8 | address_bits, ~0u, ~0u, ~0u);
	put(0x8000000a, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x8000001d, 0, 0x3ffc121, 0x01c0003f, 63, ~0u);
	put(0x8000001d, 1, 0x3ffc163, 0x03c0003f, 16383, ~0u);
	put(0x8000001e, 0, 77, 0x177, 0x309, ~0u);
	put(0x8000001f, 0, ~0u, ~0u, ~0u, ~0u);
	put(0x80000021, 0, ~0u, ~0u, ~0u, ~0u);
}

static int build(const char *text, uint64_t top)
{
	struct cpuid_model model;

	why[0] = '\0';
	ck_assert_msg(cpuid_model_parse(&model, text, why) == 0, "%s", why);
	return cpuid_build(&host, &model, top, &guest, why);
}

static void build_right(const char *text)
{
	ck_assert_msg(build(text, 4ull * GIB) == 0, "%s", why);
}

static struct kvm_cpuid_entry2 find(uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(&guest, function, index);

	return entry ? *entry : (struct kvm_cpuid_entry2){0};
}

START_TEST(the_allow_list_holds)
{
	static const char *const vendors[] = {"GenuineIntel", "AuthenticAMD", "HygonGenuine"};
	static const char *const models[] = {"host", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

	for (size_t i = 0; i < BASE_COUNT(vendors) * BASE_COUNT(models); i++) {
		host_all(vendors[i / BASE_COUNT(models)], 46);
		build_right(models[i % BASE_COUNT(models)]);
		ck_assert_uint_eq(find(0, 0).ebx, base_le32(vendors[i / BASE_COUNT(models)]));
		ck_assert_uint_eq(find(0, 0).eax, 0xd);
		ck_assert_uint_eq(find(1, 0).edx & 1u << 18, 0); /* serial number */
		ck_assert_uint_eq(find(1, 0).ecx & 1u << 5, 0);  /* VMX */
		ck_assert_uint_eq(find(1, 0).ecx >> 31, 1);      /* hypervisor */
		ck_assert(cpuid_has(&guest, "x2apic") && cpuid_has(&guest, "tsc-deadline"));
		ck_assert(!cpuid_has(&guest, "svm") && !cpuid_has(&guest, "vmx"));
		ck_assert_uint_eq(find(7, 0).ebx & (1u << 2 | 1u << 4 | 1u << 11),
		                  0); /* SGX, TSX */
		ck_assert_uint_eq(find(7, 0).edx & (1u << 22 | 1u << 24 | 1u << 25), 0); /* AMX */
		ck_assert_uint_eq(find(6, 0).eax, 1u << 2);
		ck_assert_uint_eq(find(0x40000001, 0).eax & 1u << 15, 0); /* a new one */
		ck_assert_uint_eq(find(0x80000008, 0).eax >> 8, 48);
		for (uint32_t e = 0; e < guest.count; e++) {
			static const uint32_t allowed[] = {
			        0x0,        0x1,        0x2,        0x4,        0x6,
			        0x7,        0xb,        0xd,        0x40000000, 0x40000001,
			        0x80000000, 0x80000001, 0x80000002, 0x80000003, 0x80000004,
			        0x80000005, 0x80000006, 0x80000007, 0x80000008, 0x8000001d,
			        0x8000001e, 0x80000021};
			size_t at = 0;

			while (at < BASE_COUNT(allowed) && allowed[at] != guest.entries[e].function)
				at++;
			ck_assert_msg(at < BASE_COUNT(allowed), "leaf %#x",
			              guest.entries[e].function);
		}
	}
}
END_TEST

/* Two hosts that differ in all that a named model leaves out. */
START_TEST(a_named_model_is_the_same_everywhere)
{
	struct cpuid_table first;

	for (int level = 2; level <= 4; level++) {
		char model[16];

		snprintf(model, sizeof(model), "x86-64-v%d", level);
		host_all("GenuineIntel", 46);
		build_right(model);
		first = guest;
		cpuid_find(&host, 1, 0)->eax = 0x000806f8;
		cpuid_find(&host, 1, 0)->ecx &= ~(1u << 17);               /* pcid */
		cpuid_find(&host, 7, 0)->ebx &= ~(1u << 9 | 1u << 29);     /* erms, sha-ni */
		cpuid_find(&host, 7, 0)->edx = 0;                          /* mitigations */
		cpuid_find(&host, 4, 1)->ecx = 4095;                       /* caches */
		cpuid_find(&host, 0x80000002, 0)->eax = base_le32("Othe"); /* name */
		cpuid_find(&host, 0x80000007, 0)->edx = 0;                 /* invtsc */
		cpuid_find(&host, 0x80000008, 0)->eax = 57 << 8 | 39;      /* address bits */
		cpuid_find(&host, 0xd, 1)->eax = 1;                        /* xsavec */
		cpuid_find(&host, 0xd, 0)->eax = 0xe7;                     /* pku */
		build_right(model);
		ck_assert_mem_eq(&guest, &first, sizeof(guest));
	}
}
END_TEST

START_TEST(levels_are_those_of_the_psabi)
{
	host_all("AuthenticAMD", 48);
	build_right("x86-64-v2");
	ck_assert(cpuid_has(&guest, "sse4.2") && cpuid_has(&guest, "cx16") &&
	          cpuid_has(&guest, "popcnt") && cpuid_has(&guest, "lahf-lm"));
	ck_assert(!cpuid_has(&guest, "avx") && !cpuid_has(&guest, "xsave"));
	ck_assert_uint_eq(find(0xd, 0).eax, 0);
	build_right("x86-64-v3");
	ck_assert(cpuid_has(&guest, "avx2") && cpuid_has(&guest, "bmi2") &&
	          cpuid_has(&guest, "fma") && cpuid_has(&guest, "lzcnt") &&
	          cpuid_has(&guest, "movbe") && cpuid_has(&guest, "f16c"));
	ck_assert(!cpuid_has(&guest, "avx512f"));
	ck_assert_uint_eq(find(0xd, 0).eax, 7);
	ck_assert_uint_eq(find(0xd, 0).ecx, 832);
	build_right("x86-64-v4");
	ck_assert(cpuid_has(&guest, "avx512vl") && cpuid_has(&guest, "avx512dq"));
	ck_assert_uint_eq(find(0xd, 0).eax, 0xe7);
	ck_assert_uint_eq(find(0xd, 0).ecx, 2688);
	ck_assert_uint_eq(find(0xd, 9).eax, 0);
	build_right("host");
	ck_assert_uint_eq(find(0xd, 0).eax, 0x2e7);
	ck_assert_uint_eq(find(0xd, 0).ecx, 2696);
	ck_assert_uint_eq(find(0xd, 18).eax, 0);
}
END_TEST

START_TEST(what_is_missing_is_named)
{
	host_all("GenuineIntel", 46);
	cpuid_find(&host, 7, 0)->ebx &= ~(1u << 5 | 1u << 3);
	ck_assert_int_eq(build("x86-64-v3", GIB), -ENOTSUP);
	ck_assert_str_eq(why, "this host cannot give the processor x86-64-v3: it lacks bmi1, avx2");
	ck_assert_int_eq(build("x86-64-v2", GIB), 0);
	ck_assert_int_eq(build("x86-64-v2,+bmi1", GIB), -ENOTSUP);
	ck_assert_str_eq(why, "this host cannot give the processor x86-64-v2: it lacks bmi1");
	ck_assert_int_eq(build("host,+avx2", GIB), -ENOTSUP);
	ck_assert_int_eq(build("x86-64-v3,-bmi1,-avx2", GIB), 0);
	host.count = 1;
	ck_assert_int_eq(build("x86-64-v4", GIB), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(why, "it lacks fpu, de, pse"));
	ck_assert_ptr_nonnull(strstr(why, " more"));
	ck_assert_int_eq(build("host", GIB), 0);
}
END_TEST

START_TEST(features_come_and_go)
{
	host_all("AuthenticAMD", 48);
	build_right("x86-64-v3,+sha-ni,-aes,-avx");
	ck_assert(cpuid_has(&guest, "sha-ni") && !cpuid_has(&guest, "aes"));
	ck_assert(!cpuid_has(&guest, "avx2") && !cpuid_has(&guest, "fma")); /* they need AVX */
	ck_assert_uint_eq(find(0xd, 0).eax, 3);
	ck_assert_int_eq(build("x86-64-v2,+avx2", GIB), -EINVAL);
	ck_assert_str_eq(why,
	                 "the processor feature avx2 is of no use without avx, which the guest "
	                 "does not have");
}
END_TEST

START_TEST(nested_is_asked_for)
{
	host_all("AuthenticAMD", 48);
	build_right("x86-64-v2,nested");
	ck_assert(cpuid_has(&guest, "svm") && !cpuid_has(&guest, "vmx"));
	ck_assert_uint_eq(find(0x8000000a, 0).eax, ~0u);
	host_all("GenuineIntel", 46);
	build_right("host,nested");
	ck_assert(cpuid_has(&guest, "vmx") && !cpuid_has(&guest, "svm"));
	cpuid_find(&host, 1, 0)->ecx &= ~(1u << 5);
	ck_assert_int_eq(build("host,nested", GIB), -ENOTSUP);
	ck_assert_str_eq(why, "this host cannot give the processor host: it lacks vmx");
}
END_TEST

START_TEST(topology_is_the_vms_own)
{
	static const char *const vendors[] = {"GenuineIntel", "AuthenticAMD"};

	for (size_t i = 0; i < 2; i++) {
		uint32_t leaf = i ? 0x8000001d : 4;

		host_all(vendors[i], 46);
		build_right("host");
		cpuid_personal(&guest, 5, 6);
		ck_assert_uint_eq(find(1, 0).ebx >> 16, 5 << 8 | 6);
		ck_assert_uint_eq(find(0xb, 0).ebx, 1);
		ck_assert_uint_eq(find(0xb, 0).eax, 0);
		ck_assert_uint_eq(find(0xb, 1).ebx, 6);
		ck_assert_uint_eq(find(0xb, 1).eax, 3); /* six cores have three bits of id */
		ck_assert_uint_eq(find(0xb, 1).ecx, 0x201);
		ck_assert_uint_eq(find(0xb, 2).ecx, 2);
		for (uint32_t level = 0; level < 3; level++)
			ck_assert_uint_eq(find(0xb, level).edx, 5);
		ck_assert_uint_eq(find(leaf, 0).eax >> 14 & 0xfff, 0); /* L1: nobody else */
		ck_assert_uint_eq(find(leaf, 1).eax >> 14 & 0xfff, 7); /* L3: all */
		ck_assert_uint_eq(find(leaf, 2).eax, 0);
		ck_assert_uint_eq(find(4, 0).eax >> 26, i ? 0 : 7);
		ck_assert_uint_eq(find(0x8000001e, 0).eax, i ? 5 : 0);
		ck_assert_uint_eq(find(0x8000001e, 0).ecx, 0);
		ck_assert_uint_eq(find(0x80000008, 0).ecx, i ? 3 << 12 | 5 : 0);
	}
	build_right("host");
	cpuid_personal(&guest, 0, 1);
	ck_assert_uint_eq(find(1, 0).edx & 1u << 28, 0);
	build_right("host");
	cpuid_personal(&guest, 63, 64);
	ck_assert_uint_eq(find(0xb, 1).eax, 6);
	ck_assert_uint_eq(find(0xb, 1).edx, 63);
}
END_TEST

START_TEST(the_name_is_the_models)
{
	struct kvm_cpuid_entry2 name;
	char text[17] = "";

	host_all("GenuineIntel", 46);
	build_right("x86-64-v3");
	name = find(0x80000002, 0);
	memcpy(text, &name.eax, 4);
	memcpy(text + 4, &name.ebx, 4);
	memcpy(text + 8, &name.ecx, 4);
	memcpy(text + 12, &name.edx, 4);
	ck_assert_str_eq(text, "cordon x86-64-v3");
	ck_assert_uint_eq(find(0x80000004, 0).eax, 0);
	build_right("host");
	ck_assert_uint_eq(find(0x80000002, 0).eax, base_le32("Host"));
}
END_TEST

START_TEST(memory_has_to_be_addressable)
{
	host_all("GenuineIntel", 39);
	ck_assert_int_eq(build("host", 512ull * GIB), 0);
	ck_assert_uint_eq(find(0x80000008, 0).eax & 0xff, 39);
	ck_assert_int_eq(build("host", 512ull * GIB + 4096), -ENOTSUP);
	ck_assert_str_eq(why, "guest memory ends at 0x8000001000; this host's processors have 39 "
	                      "address bits, which end at 0x8000000000");
	ck_assert_int_eq(build("x86-64-v2", 513ull * GIB), -ENOTSUP);
	host_all("GenuineIntel", 46);
	ck_assert_int_eq(build("x86-64-v2", 1025ull * GIB), 0);
	ck_assert_uint_eq(find(0x80000008, 0).eax & 0xff, 42);
	ck_assert_int_eq(build("x86-64-v2", GIB), 0);
	ck_assert_uint_eq(find(0x80000008, 0).eax & 0xff, 39);
}
END_TEST

START_TEST(the_option_is_checked)
{
	static const char *const wrong[] = {
	        "",           "x86-64-v1",   "host,",        "host,avx",
	        "host,+",     "host,+avx-2", "host,-x2apic", "host,+svm",
	        "host,+avx,", "x86-64-v33"};
	struct cpuid_model model;

	for (size_t i = 0; i < BASE_COUNT(wrong); i++)
		ck_assert_msg(cpuid_model_parse(&model, wrong[i], why) == -EINVAL, "'%s'",
		              wrong[i]);
	ck_assert_int_eq(cpuid_model_parse(&model, "x86-64-v4,nested,-aes,+sha-ni", why), 0);
	ck_assert_uint_eq(model.level, 4);
	ck_assert(model.nested);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_cpuid");
	TCase *tests = tcase_create("cpuid");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, the_allow_list_holds);
	tcase_add_test(tests, a_named_model_is_the_same_everywhere);
	tcase_add_test(tests, levels_are_those_of_the_psabi);
	tcase_add_test(tests, what_is_missing_is_named);
	tcase_add_test(tests, features_come_and_go);
	tcase_add_test(tests, nested_is_asked_for);
	tcase_add_test(tests, topology_is_the_vms_own);
	tcase_add_test(tests, the_name_is_the_models);
	tcase_add_test(tests, memory_has_to_be_addressable);
	tcase_add_test(tests, the_option_is_checked);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
