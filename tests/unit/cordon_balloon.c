/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method vm.balloon, with a thread at its socket that answers as a device would, or as a lost one may. */
#include <check.h>
#include <linux/virtio_balloon.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"
#include "cordon/host.h"

#define MIB (1ull << 20)

enum answer { GOOD, SILENT_GUEST, ABSURD, REFUSES, OTHER_VERB, SHORT, HANGS_UP };

static const char socket_path[] = HOST_RUN_DIR "/vms/web0/balloon.sock";
static int listener = -1;
static pthread_t thread;
static enum answer how;
static uint64_t wanted; /* the target that the device was told */
static unsigned int connections;

int method_own_vm(const json_t *params, struct host_vm *vm, struct host_error *error)
{
	(void)params, (void)error;
	memset(vm, 0, sizeof(*vm));
	base_copy_string(vm->name, sizeof(vm->name), "web0");
	vm->memory = 256 * MIB;
	return 0;
}

/* What the device makes of a message. */
static void answer(struct vmm_balloon *m)
{
	static uint64_t count;

	if (m->verb == VMM_BALLOON_TARGET)
		wanted = m->target;
	if (m->verb == VMM_BALLOON_REFRESH && how != SILENT_GUEST)
		count++;
	*m = (struct vmm_balloon){
	        .verb = VMM_BALLOON_STATE,
	        .flags = VMM_BALLOON_DRIVER | VMM_BALLOON_REPORTS,
	        .target = wanted,
	        .actual = 10 * MIB,
	        .reported = 5 * MIB,
	        .stats_count = count,
	        .stats_sent = 1u << VIRTIO_BALLOON_S_MEMFREE | 1u << VIRTIO_BALLOON_S_AVAIL,
	        .stats = {
	                [VIRTIO_BALLOON_S_MEMFREE] = 1000, [VIRTIO_BALLOON_S_AVAIL] = UINT64_MAX}};
	if (how == ABSURD) {
		m->flags = m->stats_sent = UINT32_MAX;
		m->target = m->actual = m->reported = m->inflated = m->refused = UINT64_MAX;
		m->stats_age = UINT64_MAX;
		memset(m->stats, 0xff, sizeof(m->stats));
	}
	if (how == REFUSES) {
		m->verb = VMM_BALLOON_REFUSED;
		m->error = -ERANGE;
	}
	if (how == OTHER_VERB)
		m->verb = 7;
}

static void *device(void *self)
{
	(void)self;
	for (;;) {
		BASE_AUTO_FD int fd = accept(listener, NULL, NULL);
		struct vmm_balloon m;

		if (fd < 0)
			return NULL;
		connections++;
		while (recv(fd, &m, sizeof(m), 0) == (ssize_t)sizeof(m)) {
			if (how == HANGS_UP)
				break;
			answer(&m);
			send(fd, &m, how == SHORT ? sizeof(m) - 1 : sizeof(m), MSG_NOSIGNAL);
		}
	}
}

static void start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	mkdir(HOST_RUN_DIR, 0700);
	mkdir(HOST_RUN_DIR "/vms", 0700);
	mkdir(HOST_RUN_DIR "/vms/web0", 0700);
	unlink(socket_path);
	base_copy_string(address.sun_path, sizeof(address.sun_path), socket_path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, device, NULL), 0);
}

static void stop(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	base_close(&listener);
	unlink(socket_path);
}

static json_t *call(const char *target, struct host_error *error)
{
	json_t *params = target ? json_pack("{s:s, s:s}", "name", "web0", "target", target)
	                        : json_pack("{s:s}", "name", "web0");
	json_t *result = balloon_method(params, error);

	json_decref(params);
	return result;
}

static json_int_t number(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

START_TEST(what_a_guest_has)
{
	struct host_error error = {0};
	json_t *json = call(NULL, &error), *statistics = json_object_get(json, "statistics");

	ck_assert_msg(json, "%s", error.text);
	ck_assert_uint_eq(wanted, 0);
	ck_assert_int_eq(number(json, "memory"), 256 * MIB);
	ck_assert_int_eq(number(json, "target"), 256 * MIB);
	ck_assert_int_eq(number(json, "actual"), 246 * MIB);
	ck_assert_int_eq(number(json, "reported"), 5 * MIB);
	ck_assert(json_is_true(json_object_get(json, "driver")));
	ck_assert(json_is_true(json_object_get(json, "reports")));
	ck_assert(json_is_false(json_object_get(json, "deflates_on_oom")));
	ck_assert_int_eq(number(statistics, "free"), 1000);
	ck_assert(!json_object_get(statistics, "available")); /* no number of bytes */
	ck_assert(!json_object_get(statistics, "total"));     /* not sent */
	json_decref(json);
}
END_TEST

START_TEST(a_target)
{
	static const struct {
		const char *text;
		uint64_t balloon;
	} targets[] = {{"128M", 128 * MIB}, {"32M", 224 * MIB}, {"256M", 0}, {"262140K", 4096}};
	struct host_error error = {0};
	json_t *json = call(targets[_i].text, &error);

	ck_assert_msg(json, "%s", error.text);
	ck_assert_uint_eq(wanted, targets[_i].balloon);
	ck_assert_int_eq(number(json, "target"), 256 * MIB - targets[_i].balloon);
	json_decref(json);
}
END_TEST

START_TEST(targets_that_cannot_be)
{
	static const char *const targets[] = {"257M",  "31M", "0",  "-1M",      "128",
	                                      "128MB", "",    "1T", "33555000", "99999999999T"};
	struct host_error error = {0};

	ck_assert_ptr_null(call(targets[_i], &error));
	ck_assert_int_eq(error.exit, 125);
	ck_assert_ptr_nonnull(strstr(error.text, "is not a size from 32M to the guest's memory"));
	ck_assert_uint_eq(connections, 0);
}
END_TEST

START_TEST(a_target_that_is_no_text)
{
	struct host_error error = {0};
	json_t *params = json_pack("{s:s, s:i}", "name", "web0", "target", 128);

	ck_assert_ptr_null(balloon_method(params, &error));
	ck_assert_int_eq(error.code, -EINVAL);
	json_decref(params);
}
END_TEST

START_TEST(a_guest_that_brings_no_statistics)
{
	struct host_error error = {0};
	json_t *json;

	how = SILENT_GUEST;
	json = call("128M", &error);
	ck_assert_msg(json, "%s", error.text);
	ck_assert(!json_object_get(json, "statistics"));
	ck_assert_int_eq(number(json, "target"), 128 * MIB);
	json_decref(json);
}
END_TEST

/* Numbers that cannot be are not negative ones. */
START_TEST(a_device_that_says_anything)
{
	struct host_error error = {0};
	json_t *json;

	how = ABSURD;
	json = call(NULL, &error);
	ck_assert_msg(json, "%s", error.text);
	ck_assert_int_eq(number(json, "target"), 0);
	ck_assert_int_eq(number(json, "actual"), 0);
	ck_assert(!json_object_get(json, "reported"));
	ck_assert_uint_eq(json_object_size(json_object_get(json, "statistics")), 0);
	json_decref(json);
}
END_TEST

START_TEST(a_device_that_does_not_answer)
{
	static const struct {
		enum answer how;
		int code;
	} ways[] = {{REFUSES, -ERANGE},
	            {OTHER_VERB, -EPROTO},
	            {SHORT, -EPROTO},
	            {HANGS_UP, -ECONNRESET}};
	struct host_error error = {0};

	how = ways[_i].how;
	ck_assert_ptr_null(call("128M", &error));
	ck_assert_int_eq(error.code, ways[_i].code);
	ck_assert_int_eq(error.exit, 125);
}
END_TEST

START_TEST(a_guest_without_a_balloon)
{
	struct host_error error = {0};

	unlink(socket_path);
	ck_assert_ptr_null(call(NULL, &error));
	ck_assert_str_eq(error.text, "'web0' has no balloon: its policy says so");
}
END_TEST

/* Whatever its kind of privacy: here the one that any policy can have. */
START_TEST(a_confidential_guest)
{
	static const char policy[] =
	        "version: 1\nvm: {name: web0, vcpus: 1, memory: 64M, kernel: ./kernel}\n"
	        "confidential: {type: sw-protected}\n";
	struct host_error error = {0};
	char path[POLICY_PATH_MAX];
	FILE *file;

	registry_path(path, "web0", "policy.yaml");
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(policy, file);
	fclose(file);
	unlink(socket_path);
	ck_assert_ptr_null(call("32M", &error));
	ck_assert_int_eq(error.exit, 125);
	ck_assert_str_eq(error.text, "'web0' has no balloon: it is a confidential guest, whose "
	                             "pages the host cannot take");
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_balloon");
	TCase *tests = tcase_create("balloon");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, start, stop);
	tcase_add_test(tests, what_a_guest_has);
	tcase_add_loop_test(tests, a_target, 0, 4);
	tcase_add_loop_test(tests, targets_that_cannot_be, 0, 10);
	tcase_add_test(tests, a_target_that_is_no_text);
	tcase_add_test(tests, a_guest_that_brings_no_statistics);
	tcase_add_test(tests, a_device_that_says_anything);
	tcase_add_loop_test(tests, a_device_that_does_not_answer, 0, 4);
	tcase_add_test(tests, a_guest_without_a_balloon);
	tcase_add_test(tests, a_confidential_guest);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
