/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IGVM files, whole and broken: what is refused, by which words, and that nothing is read beyond them. */
#include <check.h>

#include "base/base.h"
#include "tests/unit/confidential_fixture.h"

/* Opens a copy, so that a sanitizer sees what is read beyond it, and walks it. */
static int open_copy(const uint8_t *file, size_t size, size_t *headers, char *why)
{
	BASE_AUTO_FREE uint8_t *copy = malloc(size ? size : 1);
	BASE_AUTO_FREE struct igvm *igvm = malloc(sizeof(*igvm));
	struct igvm_header header;
	size_t at = 0, count = 0;
	int err;

	ck_assert(copy && igvm);
	memcpy(copy, file, size);
	err = igvm_open(copy, size, igvm, why);
	while (!err && igvm_next(igvm, &at, &header))
		count += header.data_size ? (size_t)header.data[header.data_size - 1] | 1 : 1;
	if (headers)
		*headers = count;
	return err;
}

START_TEST(test_whole)
{
	static const enum igvm_type types[] = {
	        IGVM_SUPPORTED_PLATFORM, IGVM_SUPPORTED_PLATFORM, IGVM_SUPPORTED_PLATFORM,
	        IGVM_GUEST_POLICY,       IGVM_PARAMETER_AREA,     IGVM_PAGE_DATA,
	        IGVM_PAGE_DATA,          IGVM_PAGE_DATA,          IGVM_PAGE_DATA,
	        IGVM_PAGE_DATA,          IGVM_PAGE_DATA,          IGVM_MEMORY_MAP,
	        IGVM_PARAMETER_INSERT,   IGVM_VP_CONTEXT};
	size_t size, at = 0, count = 0;
	BASE_AUTO_FREE uint8_t *file = fixture_igvm(&size);
	struct igvm_header header;
	struct igvm igvm;
	char why[WHY_MAX];

	ck_assert_int_eq(igvm_open(file, size, &igvm, why), 0);
	while (igvm_next(&igvm, &at, &header)) {
		ck_assert_uint_lt(count, BASE_COUNT(types));
		ck_assert_int_eq(header.type, types[count++]);
		if (header.type == IGVM_PARAMETER_INSERT)
			ck_assert_uint_eq(header.size, 0x2000);
		if (header.type == IGVM_VP_CONTEXT)
			ck_assert_ptr_eq(header.data, file + size - 4096);
	}
	ck_assert_uint_eq(count, BASE_COUNT(types));
	ck_assert_uint_eq(igvm_platform(&igvm, IGVM_TDX)->mask, 4);
	ck_assert_ptr_null(igvm_platform(&igvm, IGVM_VSM));
}
END_TEST

/* One field changed, with a checksum that is right. */
static const struct change {
	uint32_t type; /* of the header that is changed; 0: the fixed one */
	size_t at, width;
	uint64_t value;
	const char *why;
} changes[] = {
        {0, 0, 1, 'i', "does not begin with IGVM"},
        {0, 4, 4, 2, "has version 2"},
        {0, 8, 4, 20, "headers are at 0x14"},
        {0, 8, 4, 28, "headers are at 0x1c"},
        {0, 12, 4, 0xfffffff0, "headers are at 0x18"},
        {0, 16, 4, 77, "says that it is 77 bytes long"},
        {IGVM_SUPPORTED_PLATFORM, 0, 4, 3, "mask 0x3"},
        {IGVM_SUPPORTED_PLATFORM, 0, 4, 2, "mask 0x2"},
        {IGVM_SUPPORTED_PLATFORM, 5, 1, 9, "type 9"},
        {IGVM_SUPPORTED_PLATFORM, 6, 2, 2, "version 2"},
        {IGVM_GUEST_POLICY, 8, 4, 8, "for platforms 0x8"},
        {IGVM_GUEST_POLICY, 8, 4, 0, "for platforms 0x0"},
        {IGVM_PARAMETER_AREA, 0, 8, 0x1001, "not whole pages"},
        {IGVM_PARAMETER_AREA, 0, 8, UINT64_MAX - 4095, "at most 4 GiB"},
        {IGVM_PARAMETER_AREA, 8, 4, 8, "names parameter area 7"},
        {IGVM_PAGE_DATA, 0, 8, 0x1001, "not the address of a page"},
        {IGVM_PAGE_DATA, 0, 8, UINT64_MAX - 4095, "not the address of a page"},
        {IGVM_PAGE_DATA, 12, 4, 8, "has its data at 0x8"},
        {IGVM_PAGE_DATA, 12, 4, 0xfffffff0, "has its data at 0xfffffff0"},
        {IGVM_PAGE_DATA, 16, 4, 1, "2 MiB"},
        {IGVM_PAGE_DATA, 16, 4, 0x80, "flags 0x80"},
        {IGVM_PAGE_DATA, 20, 2, 4, "type 4"},
        {IGVM_PARAMETER_INSERT, 12, 4, 9, "names parameter area 9"},
        {IGVM_VP_CONTEXT, 12, 4, 12799, "has its data at 0x31ff"},
};

START_TEST(test_changes)
{
	const struct change *change = &changes[_i];
	size_t size;
	BASE_AUTO_FREE uint8_t *file = fixture_igvm(&size);
	uint8_t *to = change->type ? fixture_igvm_find(file, change->type) : file;
	char why[WHY_MAX] = "";

	fixture_put(to + change->at, change->value, change->width);
	fixture_igvm_seal(file, size);
	ck_assert_int_eq(open_copy(file, size, NULL, why), -EINVAL);
	ck_assert_msg(strstr(why, change->why), "'%s' is not in '%s'", change->why, why);
}
END_TEST

/* Each byte of the headers, one at a time, with the checksum that the file had. */
START_TEST(test_checksum)
{
	size_t size, end;
	BASE_AUTO_FREE uint8_t *file = fixture_igvm(&size);
	char why[WHY_MAX];

	end = 24 + base_le32(file + 12);
	for (size_t at = 0; at < end; at++) {
		file[at] ^= 0x40;
		ck_assert_int_eq(open_copy(file, size, NULL, why), -EINVAL);
		file[at] ^= 0x40;
	}
	ck_assert_int_eq(open_copy(file, size, NULL, why), 0);
}
END_TEST

/* Each byte of the headers, with a checksum that is right: read to the end or refused. Cut off everywhere. */
START_TEST(test_hostile)
{
	size_t size, end;
	BASE_AUTO_FREE uint8_t *file = fixture_igvm(&size);
	char why[WHY_MAX];

	end = 24 + base_le32(file + 12);
	for (size_t at = 0; at < end; at++)
		for (uint8_t flip = 1; flip; flip = (uint8_t)(flip << 1)) {
			file[at] ^= flip;
			fixture_igvm_seal(file, size);
			open_copy(file, size, NULL, why);
			file[at] ^= flip;
		}
	for (size_t cut = 0; cut < size; cut += cut < 1024 ? 1 : 97) {
		fixture_put(file + 16, cut, 4);
		fixture_igvm_seal(file, size);
		ck_assert_int_eq(open_copy(file, cut, NULL, why), -EINVAL);
	}
}
END_TEST

/* A header of a later section, and then one of an earlier: types change places. */
START_TEST(test_order)
{
	size_t size;
	BASE_AUTO_FREE uint8_t *file = fixture_igvm(&size);
	uint8_t *late = fixture_igvm_find(file, IGVM_PARAMETER_INSERT) - 8;
	char why[WHY_MAX];

	fixture_put(late, IGVM_GUEST_POLICY, 4);
	fixture_igvm_seal(file, size);
	ck_assert_int_eq(open_copy(file, size, NULL, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "of a later section"));
	fixture_put(late, 0x3ff, 4);
	fixture_igvm_seal(file, size);
	ck_assert_int_eq(open_copy(file, size, NULL, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "type 0x3ff, which is not known"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_igvm");
	TCase *test = tcase_create("igvm");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 120);
	tcase_add_test(test, test_whole);
	tcase_add_loop_test(test, test_changes, 0, BASE_COUNT(changes));
	tcase_add_test(test, test_checksum);
	tcase_add_test(test, test_hostile);
	tcase_add_test(test, test_order);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
