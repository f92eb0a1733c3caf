/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user back end against a front end that is wrong, with cordon-rng (and cordon-blk, which has a
 * configuration space): what cannot be meant ends the process with status 1, a hang-up with 0.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

static struct vhost_client client;

static void start(void)
{
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_RNG"), NULL, ~0ull), 0);
}

#define U64(number)             \
	{                       \
		.u64 = (number) \
	}
#define STATE(i, n)                                  \
	{                                            \
		.state = {.index = (i), .num = (n) } \
	}
#define LOG(s, o)                                    \
	{                                            \
		.log = {.size = (s), .offset = (o) } \
	}
#define INFLIGHT(s, o, c, n)                \
	{                                   \
		.inflight = {               \
			.mmap_size = (s),   \
			.mmap_offset = (o), \
			.queue_count = (c), \
			.queue_size = (n)   \
		}                           \
	}
#define REGION(g, s, u, o)                                 \
	{                                                  \
		.memory = {                                \
			.region_count = 1,                 \
			.regions = {{.guest_address = (g), \
			             .size = (s),          \
			             .user_address = (u),  \
			             .mmap_offset = (o)}}  \
		}                                          \
	}

static const struct wrong {
	const char *name;
	uint32_t request;
	uint32_t size;
	union vhost_user_payload payload;
	unsigned int fds; /* of guest memory, along with it */
} wrongs[] = {
        {"a request that there is not", 99, 0, U64(0), 0},
        {"request 0", 0, 0, U64(0), 0},
        {"features that were not offered", VHOST_USER_SET_FEATURES, 8, U64(~0ull), 0},
        {"a short payload", VHOST_USER_SET_FEATURES, 4, U64(0), 0},
        {"protocol features not offered", VHOST_USER_SET_PROTOCOL_FEATURES, 8, U64(~0ull), 0},
        {"a dirty log without its fd", VHOST_USER_SET_LOG_BASE, 16, LOG(1 << 20, 0), 0},
        {"a dirty log past its file", VHOST_USER_SET_LOG_BASE, 16, LOG(1ull << 40, 0), 1},
        {"a dirty log that wraps", VHOST_USER_SET_LOG_BASE, 16, LOG(8192, UINT64_MAX - 4095), 1},
        {"a dirty log of size 0", VHOST_USER_SET_LOG_BASE, 16, LOG(0, 0), 1},
        {"a dirty log that ends before memory", VHOST_USER_SET_LOG_BASE, 16,
         LOG((CLIENT_HIGH + CLIENT_REGION_SIZE) / 4096 / 8 - 1, 0), 1},
        {"a record of what is in flight, not offered", VHOST_USER_GET_INFLIGHT_FD, 24,
         INFLIGHT(0, 0, 1, 64), 0},
        {"such a record all the same", VHOST_USER_SET_INFLIGHT_FD, 24,
         INFLIGHT(CLIENT_REGION_SIZE, 0, 1, 64), 1},
        {"a ring that there is not", VHOST_USER_SET_VRING_NUM, 8, STATE(1, 64), 0},
        {"a ring far away", VHOST_USER_SET_VRING_NUM, 8, STATE(UINT32_MAX, 64), 0},
        {"size 0", VHOST_USER_SET_VRING_NUM, 8, STATE(0, 0), 0},
        {"size not a power of two", VHOST_USER_SET_VRING_NUM, 8, STATE(0, 65), 0},
        {"size 2048", VHOST_USER_SET_VRING_NUM, 8, STATE(0, 2048), 0},
        {"base too large", VHOST_USER_SET_VRING_BASE, 8, STATE(0, 0x10000), 0},
        {"base of no ring", VHOST_USER_GET_VRING_BASE, 8, STATE(8, 0), 0},
        {"enable 2", VHOST_USER_SET_VRING_ENABLE, 8, STATE(0, 2), 0},
        {"kick without a ring", VHOST_USER_SET_VRING_KICK, 8, U64(0), 1},
        {"kick of no ring", VHOST_USER_SET_VRING_KICK, 8, U64(7), 1},
        {"kick without fd", VHOST_USER_SET_VRING_KICK, 8, U64(0x100), 0},
        {"kick with two fds", VHOST_USER_SET_VRING_KICK, 8, U64(0), 2},
        {"call that says no fd and has one", VHOST_USER_SET_VRING_CALL, 8, U64(0x100), 1},
        {"fds where none belong", VHOST_USER_GET_FEATURES, 0, U64(0), 1},
        {"region without fd", VHOST_USER_SET_MEM_TABLE, 40, REGION(0, 4096, 0, 0), 0},
        {"region with two fds", VHOST_USER_SET_MEM_TABLE, 40, REGION(0, 4096, 0, 0), 2},
        {"no region", VHOST_USER_SET_MEM_TABLE, 8, U64(0), 0},
        {"nine regions", VHOST_USER_SET_MEM_TABLE, 264, U64(9), 1},
        {"more regions than bytes", VHOST_USER_SET_MEM_TABLE, 40, U64(2), 2},
        {"region of size 0", VHOST_USER_SET_MEM_TABLE, 40, REGION(0, 0, 0, 0), 1},
        {"region past the file", VHOST_USER_SET_MEM_TABLE, 40,
         REGION(0, 3 * CLIENT_REGION_SIZE + 4096, 0, 0), 1},
        {"region offset past the file", VHOST_USER_SET_MEM_TABLE, 40,
         REGION(0, 4096, 0, 3 * CLIENT_REGION_SIZE), 1},
        {"region offset wraps", VHOST_USER_SET_MEM_TABLE, 40, REGION(0, 8192, 0, UINT64_MAX - 4095),
         1},
        {"region wraps", VHOST_USER_SET_MEM_TABLE, 40, REGION(UINT64_MAX - 4095, 8192, 0, 0), 1},
        {"region wraps in the front end", VHOST_USER_SET_MEM_TABLE, 40,
         REGION(0, 8192, UINT64_MAX - 4095, 0), 1},
        {"region over another",
         VHOST_USER_ADD_MEM_REG,
         40,
         {.region.region = {.guest_address = 4096, .size = 4096, .user_address = 1 << 20}},
         1},
        {"region without its fd",
         VHOST_USER_ADD_MEM_REG,
         40,
         {.region.region = {.guest_address = 1ull << 40, .size = 4096}},
         0},
        {"removes a region that there is not",
         VHOST_USER_REM_MEM_REG,
         40,
         {.region.region = {.guest_address = 4096, .size = 4096}},
         0},
        {"configuration that there is not",
         VHOST_USER_SET_CONFIG,
         13,
         {.config = {.offset = 0, .size = 1}},
         0},
};

START_TEST(wrong_message)
{
	const struct wrong *w = &wrongs[_i];
	struct vhost_message m = {
	        .header = {.request = w->request, .size = w->size},
	        .payload = w->payload,
	        .fd_count = w->fds,
	};

	start();
	for (unsigned int i = 0; i < w->fds; i++)
		m.fds[i] = client.memfd;
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_msg(vhost_client_wait_end(&client) == 1, "%s: was taken", w->name);
	vhost_client_stop(&client);
}
END_TEST

START_TEST(ring_outside_memory)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_VRING_ADDR, .size = sizeof(m.payload.address)},
	        .payload.address = {.descriptor = (uintptr_t)&client, .available = 0, .used = 0},
	};
	uint64_t end;

	start();
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	end = (uintptr_t)client.memory + 3 * CLIENT_REGION_SIZE;
	m.payload.address.descriptor = (uintptr_t)client.memory;
	m.payload.address.available = (uintptr_t)client.memory + (_i == 0 ? 0x8001 : 0x8000);
	m.payload.address.used = _i == 1 ? end - 64 * 8 : (uintptr_t)client.memory + 0xa000;
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	vhost_client_stop(&client);
}
END_TEST

START_TEST(ring_without_memory)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_REM_MEM_REG, .size = sizeof(m.payload.region)},
	        .payload.region.region = {.guest_address = 0, .size = CLIENT_REGION_SIZE},
	};

	start();
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	vhost_client_stop(&client);
}
END_TEST

/* The table is sent again while a ring runs, as QEMU does: the ring goes on. */
START_TEST(memory_table_again)
{
	struct client_buffer buffer = {CLIENT_DATA, 64, true};
	struct client_used used;

	start();
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	for (unsigned int i = 0; i < 5; i++) {
		vhost_client_add(&client.queue[0], &buffer, 1);
		vhost_client_kick(&client.queue[0]);
		ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
		ck_assert_int_eq(vhost_client_share_memory(&client), 0);
	}
	ck_assert_int_eq(vhost_client_queue_stop(&client, 0), 5);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

/* Whether the device signals a call eventfd that it has just been given. */
static bool is_called(void)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_VRING_CALL, .size = sizeof(m.payload.u64)},
	        .fd_count = 1,
	};
	struct pollfd ready = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};
	bool called;

	ck_assert_int_ge(ready.fd, 0);
	m.fds[0] = ready.fd;
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	called = poll(&ready, 1, 0) == 1;
	close(ready.fd);
	return called;
}

/* What a running ring has finished before there was a call eventfd, or with another one, is told. */
START_TEST(a_call_that_comes_late_misses_nothing)
{
	struct client_buffer buffer = {CLIENT_DATA, 64, true};
	struct client_used used;

	start();
	ck_assert(!is_called());
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	vhost_client_add(&client.queue[0], &buffer, 1);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert(is_called());
	ck_assert_int_eq(vhost_client_queue_stop(&client, 0), 1);
	ck_assert(!is_called());
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

START_TEST(a_disabled_ring_waits)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_VRING_ENABLE, .size = sizeof(m.payload.state)},
	};
	struct client_buffer buffer = {CLIENT_DATA, 64, true};
	struct client_used used;

	start();
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	vhost_client_add(&client.queue[0], &buffer, 1);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, 5), -ETIMEDOUT);
	m = (struct vhost_message){
	        .header = {.request = VHOST_USER_SET_VRING_ENABLE, .size = sizeof(m.payload.state)},
	        .payload.state.num = 1,
	};
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

START_TEST(every_message_is_acknowledged_on_request)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_VRING_NUM,
	                   .size = sizeof(m.payload.state),
	                   .flags = VHOST_USER_NEED_REPLY},
	        .payload.state.num = 64,
	};

	start();
	ck_assert_int_eq(vhost_client_call(&client, &m, 8), 0);
	ck_assert_uint_eq(m.payload.u64, 0);
	m = (struct vhost_message){
	        .header = {.request = VHOST_USER_SET_VRING_NUM,
	                   .size = sizeof(m.payload.state),
	                   .flags = VHOST_USER_NEED_REPLY},
	        .payload.state.num = 63,
	};
	ck_assert_int_eq(vhost_client_call(&client, &m, 8), 0);
	ck_assert_uint_ne(m.payload.u64, 0);
	ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	vhost_client_stop(&client);
}
END_TEST

START_TEST(hang_up_ends_well)
{
	start();
	if (_i)
		ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

/* The rest does not come, with the front end still there (0) or gone (1). */
START_TEST(half_a_message)
{
	struct vhost_user_header header = {
	        .request = VHOST_USER_SET_FEATURES, .flags = 1, .size = 8};

	start();
	ck_assert_int_eq(base_write_all(client.socket, &header, sizeof(header)), 0);
	if (_i == 0)
		ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

static int run(char *const *argv)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

START_TEST(wrong_command_lines)
{
	char *rng = getenv("CORDON_RNG"), *blk = getenv("CORDON_BLK"), *net = getenv("CORDON_NET");
	char *const lines[][7] = {
	        {rng, NULL},
	        {rng, (char[]){"--vhost"}, NULL},
	        {rng, (char[]){"--vhost"}, (char[]){"x"}, NULL},
	        {rng, (char[]){"--vhost"}, (char[]){"3"}, (char[]){"--frobnicate"}, NULL},
	        {rng, (char[]){"--vhost"}, (char[]){"3"}, (char[]){"--socket"}, (char[]){"x"},
	         NULL},
	        {blk, (char[]){"--vhost"}, (char[]){"3"}, NULL},
	        {blk, (char[]){"--vhost"}, (char[]){"3"}, (char[]){"--disk"}, NULL},
	        {blk, (char[]){"--vhost"}, (char[]){"3"}, (char[]){"--disk"}, (char[]){"-1"}, NULL},
	        {net, (char[]){"--vhost"}, (char[]){"3"}, (char[]){"--tap"}, (char[]){"4x"}, NULL},
	};

	for (size_t i = 0; i < BASE_COUNT(lines); i++)
		ck_assert_int_eq(run(lines[i]), 2);
}
END_TEST

START_TEST(wrong_fds_end_before_the_first_message)
{
	char *blk = getenv("CORDON_BLK"), *net = getenv("CORDON_NET");
	char *const lines[][6] = {
	        {blk, (char[]){"--vhost"}, (char[]){"0"}, (char[]){"--disk"}, (char[]){"2"}, NULL},
	        {net, (char[]){"--vhost"}, (char[]){"0"}, (char[]){"--tap"}, (char[]){"2"}, NULL},
	        {blk, (char[]){"--vhost"}, (char[]){"77"}, (char[]){"--disk"}, (char[]){"2"}, NULL},
	};

	for (size_t i = 0; i < BASE_COUNT(lines); i++)
		ck_assert_int_eq(run(lines[i]), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: vhost-user");
	TCase *cases = tcase_create("vhost");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, wrong_message, 0, BASE_COUNT(wrongs));
	tcase_add_loop_test(cases, ring_outside_memory, 0, 2);
	tcase_add_test(cases, ring_without_memory);
	tcase_add_test(cases, memory_table_again);
	tcase_add_test(cases, a_call_that_comes_late_misses_nothing);
	tcase_add_test(cases, a_disabled_ring_waits);
	tcase_add_test(cases, every_message_is_acknowledged_on_request);
	tcase_add_loop_test(cases, hang_up_ends_well, 0, 2);
	tcase_add_loop_test(cases, half_a_message, 0, 2);
	tcase_add_test(cases, wrong_command_lines);
	tcase_add_test(cases, wrong_fds_end_before_the_first_message);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
