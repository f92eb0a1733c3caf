/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method vm.limit over a registry of the test's own: what it shows, changes and refuses. */
#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/launch.h"
#include "vmm/devices/limits.h"

static struct limits_page page;
static int page_fd = -1;

int method_own_vm(const json_t *params, struct host_vm *vm, struct host_error *error)
{
	static const char *const roles[] = {"blk0", "blk1", "net0", "rng0", "dnsmasq0", "vmm"};

	(void)params, (void)error;
	memset(vm, 0, sizeof(*vm));
	base_copy_string(vm->name, sizeof(vm->name), "web0");
	for (size_t i = 0; i < BASE_COUNT(roles); i++)
		base_copy_string(vm->processes[vm->process_count++].role, 16, roles[i]);
	return 0;
}

static void start(void)
{
	static struct policy_vm vm = {
	        .name = "web0",
	        .disks = {{.limit = {.bandwidth = 1000, .iops = 10}}, {.path = "b"}},
	        .disk_count = 2,
	        .nics = {{.limit = {.bandwidth = 125000, .burst = 9000}}},
	        .nic_count = 1,
	};

	mkdir(HOST_RUN_DIR, 0700);
	mkdir(HOST_RUN_DIR "/vms", 0700);
	mkdir(HOST_RUN_DIR "/vms/web0", 0700);
	unlink(HOST_RUN_DIR "/vms/web0/limits");
	page_fd = limit_create(&vm);
	ck_assert_int_ge(page_fd, 0);
	ck_assert_int_eq(limit_create(&vm), -EEXIST);
	ck_assert_int_eq(fcntl(page_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void stop(void)
{
	base_close(&page_fd);
	unlink(HOST_RUN_DIR "/vms/web0/limits");
	rmdir(HOST_RUN_DIR "/vms/web0");
}

/* What a device sees of it. */
static const struct limit *seen(unsigned int entry)
{
	ck_assert_int_eq(base_read_at(page_fd, &page, sizeof(page), 0), 0);
	ck_assert_uint_eq(page.magic, LIMITS_MAGIC);
	ck_assert_uint_eq(page.entry[entry].sequence % 2, 0);
	return &page.entry[entry].limit;
}

static void ask(const char *text, const char *want)
{
	struct host_error error = {0};
	json_t *params = json_loads(text, 0, NULL);
	json_t *answer = limit_method(params, &error);
	BASE_AUTO_FREE char *got = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	ck_assert_ptr_nonnull(params);
	ck_assert_str_eq(got ? got : error.text, want);
	json_decref(params);
	json_decref(answer);
	host_error_clear(&error);
}

#define ROW(device, bandwidth, iops, burst)                                       \
	"{\"device\":\"" device "\",\"bandwidth\":" #bandwidth ",\"iops\":" #iops \
	",\"burst\":" #burst "}"
#define ANSWER(rows) "{\"name\":\"web0\",\"limits\":[" rows "]}"

START_TEST(shows_what_the_policy_said)
{
	ask("{}", ANSWER(ROW("disk0", 1000, 10, 0) "," ROW("disk1", 0, 0, 0) "," ROW("nic0", 125000,
	                                                                             0, 9000)));
	ck_assert_uint_eq(seen(LIMITS_NIC)->burst, 9000);
}
END_TEST

START_TEST(changes_what_is_given)
{
	ask("{\"device\":\"disk0\",\"bandwidth\":\"8Mbit\"}",
	    ANSWER(ROW("disk0", 1000000, 10, 0) "," ROW("disk1", 0, 0, 0) "," ROW("nic0", 125000, 0,
	                                                                          9000)));
	ck_assert_uint_eq(seen(LIMITS_DISK)->bandwidth, 1000000);
	ask("{\"device\":\"nic0\",\"bandwidth\":\"none\",\"iops\":\"7\"}",
	    ANSWER(ROW("disk0", 1000000, 10, 0) "," ROW("disk1", 0, 0, 0) "," ROW("nic0", 0, 7,
	                                                                          0)));
	ck_assert_uint_eq(seen(LIMITS_NIC)->iops, 7);
}
END_TEST

START_TEST(refuses_the_rest)
{
	static const struct {
		const char *ask, *want;
	} cases[] = {
	        {"{\"iops\":\"7\"}",
	         "which of the devices of 'web0' to limit is not said (disk0, nic0)"},
	        {"{\"device\":\"nic1\",\"iops\":\"7\"}",
	         "'web0' has no 'nic1'; disks are disk0 and on, NICs nic0 and on"},
	        {"{\"device\":\"disk01\",\"iops\":\"7\"}",
	         "'web0' has no 'disk01'; disks are disk0 and on, NICs nic0 and on"},
	        {"{\"device\":\"disk1\"}", NULL},
	        {"{\"device\":\"disk2\"}",
	         "'web0' has no 'disk2'; disks are disk0 and on, NICs nic0 and on"},
	        {"{\"device\":\"disk0\",\"iops\":\"-1\"}",
	         "iops '-1' is neither none nor a whole number"},
	        {"{\"device\":\"disk0\",\"iops\":\"0\"}",
	         "iops '0' is neither none nor from 1 to 100000000"},
	        {"{\"device\":\"disk0\",\"iops\":7}", "iops is a text such as \"100M\""},
	        {"{\"device\":\"disk0\",\"bandwidth\":\"1\"}",
	         "bandwidth '1' is neither none nor from 1000 bytes to 1T"},
	        {"{\"device\":\"disk0\",\"bandwidth\":\"100mbps\"}",
	         "bandwidth '100mbps' is neither none nor a bandwidth such as 100Mbit (bits) or "
	         "100M (bytes)"},
	        {"{\"device\":\"disk1\",\"burst\":\"1M\"}", "a burst needs a bandwidth beside it"},
	        {"{\"device\":\"nic0\",\"burst\":\"1M\",\"bandwidth\":\"none\"}",
	         "a burst needs a bandwidth beside it"},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++)
		ask(cases[i].ask,
		    cases[i].want ? cases[i].want
		                  : ANSWER(ROW("disk0", 1000, 10, 0) "," ROW(
		                            "disk1", 0, 0, 0) "," ROW("nic0", 125000, 0, 9000)));
	ck_assert_uint_eq(seen(LIMITS_DISK)->iops, 10);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon: limit");
	TCase *cases = tcase_create("limit");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(cases, start, stop);
	tcase_add_test(cases, shows_what_the_policy_said);
	tcase_add_test(cases, changes_what_is_given);
	tcase_add_test(cases, refuses_the_rest);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
