/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one vhost-user message over a socketpair: what a peer can do wrong (sizes, versions, fds, silence,
 * hanging up in the middle), and that no fd is ever left behind.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/base.h"
#include "vmm/vhost_message.h"

static int pair[2];
static int fds_before;

static int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds_before = count_fds();
}

static void teardown(void)
{
	ck_assert_int_eq(count_fds(), fds_before);
	close(pair[0]);
	close(pair[1]);
}

static void send_raw(const void *data, size_t size, int fd_count)
{
	int fds[32];
	char control[CMSG_SPACE(sizeof(fds))] = {};
	struct iovec vector = {(void *)(uintptr_t)data, size};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd_count > 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;
		size_t bytes = (size_t)fd_count * sizeof(int);

		for (int i = 0; i < fd_count; i++)
			fds[i] = pair[0];
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(bytes);
	}
	ck_assert_int_eq(sendmsg(pair[0], &header, 0), (ssize_t)size);
}

static struct vhost_user_header header_of(uint32_t size)
{
	return (struct vhost_user_header){
	        .request = VHOST_USER_SET_FEATURES, .flags = VHOST_USER_VERSION, .size = size};
}

START_TEST(round_trip_with_fds)
{
	struct vhost_message sent = {.header = header_of(8), .payload.u64 = 0x1122334455667788};
	struct vhost_message got;

	for (int i = 0; i < VHOST_USER_FDS_MAX; i++)
		sent.fds[sent.fd_count++] = pair[0];
	ck_assert_int_eq(vhost_message_send(pair[0], &sent, 100), 0);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 100), 0);
	ck_assert_uint_eq(got.header.request, VHOST_USER_SET_FEATURES);
	ck_assert_uint_eq(got.payload.u64, sent.payload.u64);
	ck_assert_uint_eq(got.fd_count, VHOST_USER_FDS_MAX);
	ck_assert_int_eq(fcntl(got.fds[7], F_GETFD), FD_CLOEXEC);
	vhost_message_close(&got);
}
END_TEST

START_TEST(every_wrong_size_is_refused)
{
	static const uint32_t sizes[] = {sizeof(union vhost_user_payload) + 1, 0x1000, 0x80000000,
	                                 UINT32_MAX};
	struct vhost_user_header header = header_of(sizes[_i]);
	struct vhost_message got;

	send_raw(&header, sizeof(header), 2);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), -EPROTO);
	ck_assert_uint_eq(got.fd_count, 0);
}
END_TEST

START_TEST(wrong_version_is_refused)
{
	struct vhost_user_header header = header_of(0);
	struct vhost_message got;

	header.flags = 2;
	send_raw(&header, sizeof(header), 1);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), -EPROTO);
}
END_TEST

START_TEST(too_many_fds_are_closed)
{
	struct vhost_user_header header = header_of(0);
	struct vhost_message got;

	send_raw(&header, sizeof(header), VHOST_USER_FDS_MAX + 1);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), -EPROTO);
}
END_TEST

START_TEST(fds_beside_the_payload_are_dropped)
{
	struct vhost_user_header header = header_of(8);
	struct vhost_message got;
	uint64_t payload = 5;

	send_raw(&header, sizeof(header), 0);
	send_raw(&payload, sizeof(payload), 3);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), 0);
	ck_assert_uint_eq(got.payload.u64, 5);
	ck_assert_uint_eq(got.fd_count, 0);
}
END_TEST

START_TEST(silence_is_bounded)
{
	struct vhost_user_header header = header_of(8);
	struct vhost_message got;

	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), -EAGAIN);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 20), -EAGAIN);
	send_raw(&header, sizeof(header), 1);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), -ETIMEDOUT);
	send_raw(&header, 3, 1);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 0), -ETIMEDOUT);
}
END_TEST

START_TEST(hanging_up_anywhere)
{
	struct vhost_user_header header = header_of(8);
	struct vhost_message got;

	if (_i > 0)
		send_raw(&header, (size_t)_i, 1);
	shutdown(pair[0], SHUT_WR);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 50), -ENOTCONN);
}
END_TEST

START_TEST(a_peer_that_does_not_read)
{
	struct vhost_message message = {.header = header_of(sizeof(union vhost_user_payload))};
	int error = 0;

	for (int i = 0; i < 100000 && error == 0; i++)
		error = vhost_message_send(pair[0], &message, 10);
	ck_assert_int_eq(error, -ETIMEDOUT);
	shutdown(pair[0], SHUT_WR);
	ck_assert_int_eq(vhost_message_send(pair[0], &message, 10), -ENOTCONN);
}
END_TEST

START_TEST(what_cannot_be_sent)
{
	struct vhost_message message = {.header = header_of(sizeof(union vhost_user_payload) + 1)};

	ck_assert_int_eq(vhost_message_send(pair[0], &message, 10), -EINVAL);
	message.header.size = 0;
	message.fd_count = VHOST_USER_FDS_MAX + 1;
	ck_assert_int_eq(vhost_message_send(pair[0], &message, 10), -EINVAL);
}
END_TEST

START_TEST(acknowledging)
{
	struct vhost_message request = {.header = header_of(8)};
	struct vhost_message got;

	ck_assert_int_eq(vhost_message_acknowledge(pair[0], &request, -EINVAL, 10), 0);
	ck_assert_int_eq(vhost_message_receive(pair[1], &got, 10), 0);
	ck_assert_uint_eq(got.header.request, VHOST_USER_SET_FEATURES);
	ck_assert_uint_eq(got.header.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	ck_assert_uint_eq(got.header.size, 8);
	ck_assert_uint_ne(got.payload.u64, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_message");
	TCase *tests = tcase_create("message");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, round_trip_with_fds);
	tcase_add_loop_test(tests, every_wrong_size_is_refused, 0, 4);
	tcase_add_test(tests, wrong_version_is_refused);
	tcase_add_test(tests, too_many_fds_are_closed);
	tcase_add_test(tests, fds_beside_the_payload_are_dropped);
	tcase_add_test(tests, silence_is_bounded);
	tcase_add_loop_test(tests, hanging_up_anywhere, 0, 13);
	tcase_add_test(tests, a_peer_that_does_not_read);
	tcase_add_test(tests, what_cannot_be_sent);
	tcase_add_test(tests, acknowledging);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
