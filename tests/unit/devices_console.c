/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-console, the program itself: its rings driven over a socket pair, its sockets by clients. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

enum { RX, TX };

static struct vhost_client client;
static int listener, sizes, logs;
static struct sockaddr_un listener_at, sizes_at;

/* A socket in the abstract namespace, which needs no file. */
static int bound(int type, struct sockaddr_un *at)
{
	socklen_t length = sizeof(*at);
	int fd = socket(AF_UNIX, type, 0);

	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_int_ge(fd, 0);
	/* an address of the kernel's choice */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)at, sizeof(at->sun_family)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &length), 0);
	return fd;
}

static int reach(int type, const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	size_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(at->sun_path + 1);

	ck_assert_int_eq(connect(fd, (const struct sockaddr *)at, (socklen_t)length), 0);
	return fd;
}

static void start_device(void)
{
	char numbers[3][16];
	char *extra[] = {
	        (char[]){"--listen"}, numbers[0], (char[]){"--size"}, numbers[1], (char[]){"--log"},
	        numbers[2],           NULL};

	listener = bound(SOCK_STREAM, &listener_at);
	ck_assert_int_eq(listen(listener, 8), 0);
	sizes = bound(SOCK_DGRAM, &sizes_at);
	logs = memfd_create("log", 0);
	snprintf(numbers[0], sizeof(numbers[0]), "%d", listener);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", sizes);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", logs);
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_CONSOLE"), extra, ~0ull), 0);
}

static void start(void)
{
	start_device();
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(vhost_client_queue_start(&client, i, CLIENT_QUEUE_SIZE, 0), 0);
}

static void stop(void)
{
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	close(listener);
	close(sizes);
	close(logs);
}

/* The guest writes `size` bytes that are at CLIENT_DATA. */
static void guest_writes(uint32_t size)
{
	struct client_buffer buffer = {CLIENT_DATA, size, false};
	struct client_used used;

	vhost_client_add(&client.queue[TX], &buffer, 1);
	vhost_client_kick(&client.queue[TX]);
	ck_assert_int_eq(vhost_client_used(&client.queue[TX], &used, CLIENT_WAIT_MS), 0);
}

static void guest_says(const char *text)
{
	memcpy(vhost_client_at(&client, CLIENT_DATA), text, strlen(text));
	guest_writes((uint32_t)strlen(text));
}

static void want_read(int fd, const char *text)
{
	char got[256] = "";
	size_t size = strlen(text), have = 0;

	while (have < size) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		ssize_t n;

		ck_assert_int_eq(poll(&ready, 1, CLIENT_WAIT_MS), 1);
		n = read(fd, got + have, size - have);
		ck_assert_int_gt(n, 0);
		have += (size_t)n;
	}
	ck_assert_str_eq(got, text);
}

static void want_silence(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(vhost_client_sync(&client), 0);
	ck_assert_int_eq(poll(&ready, 1, 0), 0);
}

static void post(uint64_t at, uint32_t size)
{
	struct client_buffer buffer = {at, size, true};

	vhost_client_add(&client.queue[RX], &buffer, 1);
	vhost_client_kick(&client.queue[RX]);
}

START_TEST(bytes_both_ways)
{
	struct client_used used;
	int one;

	start();
	one = reach(SOCK_STREAM, &listener_at);
	guest_says("login: ");
	want_read(one, "login: ");
	post(CLIENT_DATA + 4096, 64);
	ck_assert_int_eq(write(one, "root\n", 5), 5);
	ck_assert_int_eq(vhost_client_used(&client.queue[RX], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, 5);
	ck_assert_mem_eq(vhost_client_at(&client, CLIENT_DATA + 4096), "root\n", 5);
	close(one);
	stop();
}
END_TEST

/* What somebody types waits until the guest has posted buffers, and is cut as they are. */
START_TEST(input_waits_for_buffers)
{
	struct client_used used;
	int one;

	start();
	one = reach(SOCK_STREAM, &listener_at);
	ck_assert_int_eq(write(one, "abcdef", 6), 6);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	post(CLIENT_DATA, 4);
	ck_assert_int_eq(vhost_client_used(&client.queue[RX], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, 4);
	post(CLIENT_DATA + 16, 4);
	ck_assert_int_eq(vhost_client_used(&client.queue[RX], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, 2);
	ck_assert_mem_eq(vhost_client_at(&client, CLIENT_DATA), "abcd", 4);
	ck_assert_mem_eq(vhost_client_at(&client, CLIENT_DATA + 16), "ef", 2);
	close(one);
	stop();
}
END_TEST

/* A script types a line and is gone before the device has looked, as often as it likes. */
START_TEST(who_types_and_goes_was_heard)
{
	struct client_used used;

	start();
	guest_says("login: ");
	for (unsigned int i = 0; i < 6; i++) {
		int one;

		ck_assert_int_eq(kill(client.pid, SIGSTOP), 0);
		one = reach(SOCK_STREAM, &listener_at);
		ck_assert_int_eq(write(one, "root\n", 5), 5);
		close(one);
		ck_assert_int_eq(kill(client.pid, SIGCONT), 0);
		post(CLIENT_DATA + 4096, 64);
		ck_assert_int_eq(vhost_client_used(&client.queue[RX], &used, CLIENT_WAIT_MS), 0);
		ck_assert_uint_eq(used.length, 5);
	}
	stop();
}
END_TEST

/* Those who have gone unheard, as the guest reads nothing, keep nobody out. */
START_TEST(who_has_gone_keeps_no_place)
{
	int one;

	start();
	guest_says("login: ");
	for (unsigned int i = 0; i < 6; i++) {
		ck_assert_int_eq(kill(client.pid, SIGSTOP), 0);
		one = reach(SOCK_STREAM, &listener_at);
		ck_assert_int_eq(write(one, "root\n", 5), 5);
		close(one);
		ck_assert_int_eq(kill(client.pid, SIGCONT), 0);
		ck_assert_int_eq(vhost_client_sync(&client), 0);
	}
	one = reach(SOCK_STREAM, &listener_at);
	want_read(one, "login: ");
	close(one);
	stop();
}
END_TEST

START_TEST(who_comes_late_sees_the_last_lines)
{
	char line[64];
	int one;

	start();
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %u\n", i);
		guest_says(line);
	}
	one = reach(SOCK_STREAM, &listener_at);
	/* 9 bytes each: those whose beginning is among the last 4096 */
	for (unsigned int i = 1000 - 4096 / 9; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %u\n", i);
		want_read(one, line);
	}
	want_silence(one);
	close(one);
	stop();
}
END_TEST

START_TEST(all_see_all_and_a_fifth_is_turned_away)
{
	int fds[5];
	char byte;

	start();
	for (unsigned int i = 0; i < 5; i++)
		fds[i] = reach(SOCK_STREAM, &listener_at);
	ck_assert_int_eq(read(fds[4], &byte, 1), 0);
	guest_says("hello");
	for (unsigned int i = 0; i < 4; i++)
		want_read(fds[i], "hello");
	/* a place that is given up is the next one's */
	close(fds[1]);
	close(fds[4]);
	post(CLIENT_DATA, 16); /* the guest reads, so that the end is noticed */
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	fds[1] = reach(SOCK_STREAM, &listener_at);
	want_read(fds[1], "hello");
	for (unsigned int i = 0; i < 4; i++)
		close(fds[i]);
	stop();
}
END_TEST

/* A client that does not read costs the guest a second at most, and then knows what it has missed. */
START_TEST(who_does_not_read_holds_nobody_up)
{
	static char got[1 << 20];
	size_t have = 0;
	int stuck, one;

	start();
	stuck = reach(SOCK_STREAM, &listener_at);
	memset(vhost_client_at(&client, CLIENT_DATA), 'x', 32768);
	for (unsigned int i = 0; i < 64; i++)
		guest_writes(32768);
	guest_says("\nthe end");
	one = reach(SOCK_STREAM, &listener_at);
	want_read(one, "the end");
	while (have < 8 || memcmp(got + have - 7, "the end", 7) != 0) {
		struct pollfd ready = {.fd = stuck, .events = POLLIN};
		ssize_t n;

		ck_assert_int_eq(poll(&ready, 1, CLIENT_WAIT_MS), 1);
		n = read(stuck, got + have, sizeof(got) - have);
		ck_assert_int_gt(n, 0);
		have += (size_t)n;
	}
	ck_assert_uint_lt(have, 64 * 32768);
	ck_assert_ptr_nonnull(memmem(got, have, "bytes were not shown]", 21));
	close(stuck);
	close(one);
	stop();
}
END_TEST

/*
 * Neither of them runs for longer than the console's patience, as on a host that is suspended: when it runs
 * again, what the client has not read is still there.
 */
static void nobody_runs(void)
{
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	ck_assert_int_eq(kill(client.pid, SIGSTOP), 0);
	usleep(1100000);
	ck_assert_int_eq(kill(client.pid, SIGCONT), 0);
	for (unsigned int i = 0; i < 2; i++) /* it looks at the client again */
		ck_assert_int_eq(vhost_client_sync(&client), 0);
}

/* Somebody who reads gets every byte, however fast the guest writes, and whoever is held up. */
START_TEST(who_reads_misses_nothing)
{
	size_t have = 0, wanted = 64 * 32768;
	static char got[65536];
	struct client_queue *q = &client.queue[TX];
	unsigned int sent = 0;
	int one;

	start();
	one = reach(SOCK_STREAM, &listener_at);
	/* Whoever is let in after the guest has begun sees the last lines only. */
	guest_says("begin");
	want_read(one, "begin");
	memset(vhost_client_at(&client, CLIENT_DATA), 'x', 32768);
	for (; sent < CLIENT_QUEUE_SIZE; sent++)
		vhost_client_add(q, &(struct client_buffer){CLIENT_DATA, 32768, false}, 1);
	vhost_client_kick(q);
	if (_i == 1)
		nobody_runs();
	while (have < wanted) {
		struct pollfd ready = {.fd = one, .events = POLLIN};
		ssize_t n;

		ck_assert_int_eq(poll(&ready, 1, CLIENT_WAIT_MS), 1);
		n = read(one, got, sizeof(got));
		ck_assert_int_gt(n, 0);
		ck_assert_ptr_null(
		        memchr(got, '[', (size_t)n)); /* of a note that some is missing */
		have += (size_t)n;
	}
	ck_assert_uint_eq(have, wanted);
	want_silence(one);
	close(one);
	stop();
}
END_TEST

START_TEST(the_log_has_a_cap)
{
	static const char full[] = "nothing more is kept]\r\n";
	char end[sizeof(full)] = "";
	off_t size;

	start();
	memset(vhost_client_at(&client, CLIENT_DATA), 'x', 32768);
	for (unsigned int i = 0; i < 5 * 32; i++)
		guest_writes(32768);
	size = lseek(logs, 0, SEEK_END);
	ck_assert_int_eq(size, 4 << 20);
	ck_assert_int_eq(pread(logs, end, sizeof(full) - 1, size - (off_t)sizeof(full) + 1),
	                 sizeof(full) - 1);
	ck_assert_str_eq(end, full);
	stop();
}
END_TEST

static void want_size(unsigned int columns, unsigned int rows)
{
	uint16_t config[2];

	ck_assert_int_eq(vhost_client_config(&client, 0, config, sizeof(config)), 0);
	ck_assert_uint_eq(config[0], columns);
	ck_assert_uint_eq(config[1], rows);
}

START_TEST(the_size_is_told)
{
	const uint16_t size[] = {132, 43, 7}, none[] = {0, 0};
	struct vhost_message m = {.header = {.request = VHOST_USER_SET_BACKEND_REQ_FD},
	                          .fd_count = 1};
	struct vhost_message told = {.fd_count = 0};
	int pair[2], fd;

	start();
	want_size(80, 24);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	m.fds[0] = pair[1];
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	fd = reach(SOCK_DGRAM, &sizes_at);
	ck_assert_int_eq(send(fd, size, 4, 0), 4);
	ck_assert_int_eq(vhost_message_receive(pair[0], &told, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(told.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE);
	want_size(132, 43);
	/* the same again, and what is no size, is no change */
	ck_assert_int_eq(send(fd, size, 4, 0), 4);
	ck_assert_int_eq(send(fd, none, 3, 0), 3);
	ck_assert_int_eq(send(fd, size, 6, 0), 6);
	ck_assert_int_eq(send(fd, none, 0, 0), 0);
	want_silence(pair[0]);
	want_size(132, 43);
	close(fd);
	close(pair[0]);
	close(pair[1]);
	stop();
}
END_TEST

/* People come and go before there is a driver, and its ring's end does not lose them. */
START_TEST(clients_without_a_driver)
{
	int one;

	start_device();
	for (unsigned int i = 0; i < 20; i++) {
		one = reach(SOCK_STREAM, &listener_at);
		ck_assert_int_eq(vhost_client_sync(&client), 0);
		close(one);
		ck_assert_int_eq(vhost_client_sync(&client), 0);
	}
	one = reach(SOCK_STREAM, &listener_at);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(vhost_client_queue_start(&client, i, CLIENT_QUEUE_SIZE, 0), 0);
	guest_says("first");
	want_read(one, "first");
	ck_assert_int_eq(vhost_client_queue_stop(&client, TX), 1);
	ck_assert_int_eq(vhost_client_queue_start(&client, TX, CLIENT_QUEUE_SIZE, 0), 0);
	guest_says("second");
	want_read(one, "second");
	close(one);
	stop();
}
END_TEST

/* Chains that lie about what they are: only the ring that they are in is lost. */
START_TEST(hostile_chains)
{
	struct client_queue *rx = &client.queue[RX], *tx = &client.queue[TX];
	struct client_buffer outside = {CLIENT_OUTSIDE, 64, false};
	struct client_used used;
	int one;

	start();
	one = reach(SOCK_STREAM, &listener_at);
	/* 4 GiB in one chain: the first 32 KiB count */
	for (unsigned int i = 0; i < CLIENT_QUEUE_SIZE; i++)
		tx->descriptors[i] = (struct client_descriptor){
		        .address = 0,
		        .length = CLIENT_REGION_SIZE,
		        .flags = i + 1 < CLIENT_QUEUE_SIZE ? CLIENT_F_NEXT : 0,
		        .next = (uint16_t)(i + 1),
		};
	vhost_client_publish(tx, 0);
	vhost_client_kick(tx);
	ck_assert_int_eq(vhost_client_used(tx, &used, CLIENT_WAIT_MS), 0);
	ck_assert_int_eq(lseek(logs, 0, SEEK_END), 32768);
	/* nothing to write, and a buffer to write into where one to read from is meant */
	vhost_client_add(tx, &(struct client_buffer){CLIENT_DATA, 64, true}, 1);
	vhost_client_kick(tx);
	ck_assert_int_eq(vhost_client_used(tx, &used, CLIENT_WAIT_MS), 0);
	ck_assert_int_eq(lseek(logs, 0, SEEK_END), 32768);
	vhost_client_add(tx, &outside, 1);
	vhost_client_kick(tx);
	ck_assert_int_eq(vhost_client_broken(tx, CLIENT_WAIT_MS), 0);
	/* the other ring lives, until a buffer that is for reading is to be written to */
	post(CLIENT_DATA, 8);
	ck_assert_int_eq(write(one, "x", 1), 1);
	ck_assert_int_eq(vhost_client_used(rx, &used, CLIENT_WAIT_MS), 0);
	vhost_client_add(rx, &(struct client_buffer){CLIENT_DATA, 8, false}, 1);
	vhost_client_kick(rx);
	ck_assert_int_eq(write(one, "y", 1), 1);
	ck_assert_int_eq(vhost_client_broken(rx, CLIENT_WAIT_MS), 0);
	close(one);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: console");
	TCase *cases = tcase_create("console");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, bytes_both_ways);
	tcase_add_test(cases, input_waits_for_buffers);
	tcase_add_test(cases, who_types_and_goes_was_heard);
	tcase_add_test(cases, who_has_gone_keeps_no_place);
	tcase_add_test(cases, who_comes_late_sees_the_last_lines);
	tcase_add_test(cases, all_see_all_and_a_fifth_is_turned_away);
	tcase_add_test(cases, who_does_not_read_holds_nobody_up);
	tcase_add_loop_test(cases, who_reads_misses_nothing, 0, 2);
	tcase_add_test(cases, the_log_has_a_cap);
	tcase_add_test(cases, the_size_is_told);
	tcase_add_test(cases, clients_without_a_driver);
	tcase_add_test(cases, hostile_chains);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
