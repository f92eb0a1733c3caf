/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-vsock between a guest and programs that keep to the rules. */
#include <check.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/vsock_guest.h"

START_TEST(the_guest_connects)
{
	uint64_t cid = 0;
	int fd;

	guest_start();
	ck_assert_int_eq(vhost_client_config(&guest_client, 0, &cid, sizeof(cid)), 0);
	ck_assert_uint_eq(cid, CID);
	fd = guest_connect(1234);
	guest_send_data(1234, 5000, "hello", 5);
	host_want(fd, "hello");
	ck_assert_int_eq(write(fd, "welcome", 7), 7);
	guest_want_data(1234, "welcome");
	close(fd);
	ck_assert_uint_eq(guest_want(VIRTIO_VSOCK_OP_SHUTDOWN, 1234, 5000).flags, BOTH);
	guest_send(VIRTIO_VSOCK_OP_RST, 1234, 5000);
	guest_want_nothing();
	/* and nothing is left of it */
	guest_send_data(1234, 5000, "x", 1);
	guest_want(VIRTIO_VSOCK_OP_RST, 1234, 5000);
	guest_stop();
}
END_TEST

START_TEST(what_is_not_allowed_is_reset)
{
	char byte;

	guest_start();
	guest_send(VIRTIO_VSOCK_OP_REQUEST, 1234, 22);
	guest_want(VIRTIO_VSOCK_OP_RST, 1234, 22);
	ck_assert_int_lt(recv(guest_dial, &byte, 1, MSG_DONTWAIT), 0);
	/* allowed, but nobody is there */
	guest_send(VIRTIO_VSOCK_OP_REQUEST, 1234, 5001);
	host_dial(5001, -1, -ECONNREFUSED);
	guest_want(VIRTIO_VSOCK_OP_RST, 1234, 5001);
	/* given up by the guest before the answer: the socket is closed, and nothing is said */
	guest_send(VIRTIO_VSOCK_OP_REQUEST, 1234, 5000);
	guest_send(VIRTIO_VSOCK_OP_RST, 1234, 5000);
	host_dial(5000, STDERR_FILENO, 0);
	guest_want_nothing();
	/* cordon-dial is gone */
	guest_send(VIRTIO_VSOCK_OP_REQUEST, 1234, 5000);
	close(guest_dial);
	guest_want(VIRTIO_VSOCK_OP_RST, 1234, 5000);
	guest_send(VIRTIO_VSOCK_OP_REQUEST, 1235, 5000);
	guest_want(VIRTIO_VSOCK_OP_RST, 1235, 5000);
	guest_stop();
}
END_TEST

START_TEST(the_host_connects)
{
	struct virtio_vsock_hdr h;
	char line[32];
	int fd;

	guest_start();
	fd = host_client("CONNECT 22\nearly");
	h = guest_next(NULL);
	ck_assert_uint_eq(h.op, VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(h.dst_port, 22);
	ck_assert_uint_ge(h.src_port, 1u << 30);
	ck_assert_uint_eq(h.buf_alloc, ROOM);
	guest_send(VIRTIO_VSOCK_OP_RESPONSE, 22, h.src_port);
	snprintf(line, sizeof(line), "OK %u\n", h.src_port);
	host_want(fd, line);
	guest_want_data(22, "early");
	guest_send_data(22, h.src_port, "SSH-2.0", 7);
	host_want(fd, "SSH-2.0");
	guest_send_shutdown(22, h.src_port, BOTH);
	guest_want(VIRTIO_VSOCK_OP_RST, 22, h.src_port);
	host_want_end(fd);
	close(fd);
	/* nobody listens there in the guest */
	fd = host_client("CONNECT 1024\n");
	h = guest_next(NULL);
	guest_send(VIRTIO_VSOCK_OP_RST, 1024, h.src_port);
	host_want_end(fd);
	close(fd);
	guest_stop();
}
END_TEST

START_TEST(what_the_host_may_not_say)
{
	static const char *const lines[] = {
	        "CONNECT 23\n",
	        "CONNECT 0\n",
	        "CONNECT 4294967295\n",
	        "CONNECT -22\n",
	        "CONNECT  22\n",
	        "connect 22\n",
	        "CONNECT 22 \n",
	        "CONNECT\n",
	        "\n",
	        "CONNECT 4294967318\n",
	        "CONNECT 22x\n",
	        "CONNECT 0x16\n",
	        "CONNECT 000000000000000000000000000000000000022\n",
	};
	int fd;

	guest_start();
	for (size_t i = 0; i < BASE_COUNT(lines); i++) {
		fd = host_client(lines[i]);
		host_want_end(fd);
		close(fd);
	}
	/* in two pieces, and cut short */
	fd = host_client("CONN");
	ck_assert_int_eq(vhost_client_sync(&guest_client), 0);
	ck_assert_int_eq(write(fd, "ECT 22\r\n", 8), 8);
	ck_assert_uint_eq(guest_next(NULL).op, VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	fd = host_client("CONNECT 22");
	close(fd);
	guest_want_nothing();
	guest_stop();
}
END_TEST

/* The guest is never sent more than it has granted; 0 is a grant too, and counters go round. */
START_TEST(the_guests_credit)
{
	static const char text[400] = "credit";
	char data[4096];
	int fd;

	guest_start();
	guest_room = 0;
	guest_taken = 0xffffff00;
	fd = guest_connect(1);
	ck_assert_int_eq(write(fd, text, sizeof(text)), sizeof(text));
	guest_want_nothing();
	/* nothing was sent yet, so 0 was taken: a guest that says otherwise has no credit to give */
	guest_room = 100;
	guest_send(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 5000);
	guest_want_nothing();
	guest_taken = 0;
	for (uint32_t sent = 0; sent < sizeof(text); sent += 100) {
		guest_send(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 5000);
		ck_assert_uint_eq(guest_next(data).len, 100);
		guest_want_nothing();
		guest_taken += 100;
	}
	/* asked for, it is told */
	guest_send(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 1, 5000);
	guest_want(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 5000);
	close(fd);
	guest_room = 1 << 20;
	guest_taken = 0;
	guest_stop();
}
END_TEST

/* What a host that does not read has not taken is held, up to the grant; one byte more is a breach. */
START_TEST(the_devices_credit)
{
	static uint8_t data[ROOM], got[ROOM];
	struct virtio_vsock_hdr h;
	uint32_t sent = 0, told = 0, read_back = 0;
	int fd;

	guest_start();
	fd = guest_connect(1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	/* until the socket takes no more and all of the grant is in use */
	for (unsigned int i = 0; i < 1000 && told + ROOM > sent; i++) {
		uint32_t size = BASE_MIN(told + ROOM - sent, 16384u);

		guest_send_data(1, 5000, data + sent % ROOM, BASE_MIN(size, ROOM - sent % ROOM));
		sent += BASE_MIN(size, ROOM - sent % ROOM);
		guest_send(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 1, 5000);
		do {
			h = guest_want(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 5000);
		} while (guest_client.queue[RX].used[1] != guest_client.queue[RX].used_seen);
		told = h.fwd_cnt;
	}
	ck_assert_uint_eq(sent, told + ROOM);
	/* all of it comes, in order, and room is granted again */
	while (read_back < sent) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		ssize_t n;

		ck_assert_int_eq(poll(&ready, 1, CLIENT_WAIT_MS), 1);
		n = read(fd, got, ROOM - read_back % ROOM);
		ck_assert_int_gt(n, 0);
		ck_assert_mem_eq(got, data + read_back % ROOM, (size_t)n);
		read_back += (uint32_t)n;
	}
	while (told != sent)
		told = guest_want(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 5000).fwd_cnt;
	/* again, and one byte too many: the connection is gone, the device is not */
	for (unsigned int i = 0; i < 1000; i++) {
		guest_send_data(1, 5000, data, ROOM);
		h = guest_next(NULL);
		if (h.op == VIRTIO_VSOCK_OP_RST)
			break;
	}
	ck_assert_uint_eq(h.op, VIRTIO_VSOCK_OP_RST);
	close(fd);
	fd = guest_connect(2);
	close(fd);
	guest_stop();
}
END_TEST

START_TEST(each_way_ends_by_itself)
{
	int fd;

	guest_start();
	fd = guest_connect(1);
	shutdown(fd, SHUT_WR);
	ck_assert_uint_eq(guest_want(VIRTIO_VSOCK_OP_SHUTDOWN, 1, 5000).flags,
	                  VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_send_data(1, 5000, "still", 5);
	host_want(fd, "still");
	guest_send_shutdown(1, 5000, BOTH);
	guest_want(VIRTIO_VSOCK_OP_RST, 1, 5000);
	host_want_end(fd);
	close(fd);

	fd = guest_connect(2);
	guest_send_data(2, 5000, "last", 4);
	guest_send_shutdown(2, 5000, VIRTIO_VSOCK_SHUTDOWN_SEND);
	host_want(fd, "last");
	host_want_end(fd);
	ck_assert_int_eq(write(fd, "answer", 6), 6);
	guest_want_data(2, "answer");
	close(fd);
	ck_assert_uint_eq(guest_want(VIRTIO_VSOCK_OP_SHUTDOWN, 2, 5000).flags, BOTH);
	/* the guest does not agree within its time */
	guest_want(VIRTIO_VSOCK_OP_RST, 2, 5000);

	/* the guest wants to hear no more, and the host goes */
	fd = guest_connect(3);
	guest_send_shutdown(3, 5000, VIRTIO_VSOCK_SHUTDOWN_RCV);
	guest_send_data(3, 5000, "one way", 7);
	host_want(fd, "one way");
	close(fd);
	ck_assert_uint_eq(guest_want(VIRTIO_VSOCK_OP_SHUTDOWN, 3, 5000).flags, BOTH);
	guest_send(VIRTIO_VSOCK_OP_RST, 3, 5000);
	guest_stop();
}
END_TEST

/* The host's half of an echo: sends back what it reads, as it can. */
struct echo {
	int fd;
	size_t held;
	uint8_t bytes[8192];
};

static void echo_step(struct echo *echo)
{
	ssize_t n = read(echo->fd, echo->bytes + echo->held, sizeof(echo->bytes) - echo->held);

	echo->held += n > 0 ? (size_t)n : 0;
	n = write(echo->fd, echo->bytes, echo->held);
	if (n <= 0)
		return;
	echo->held -= (size_t)n;
	memmove(echo->bytes, echo->bytes + n, echo->held);
}

/* 4 MiB each way at once, with no more credit than there is: nothing is lost, and nothing waits for ever. */
START_TEST(bulk_both_ways)
{
	enum { TOTAL = 4 << 20, PIECE = 16384 };
	static uint8_t pattern[PIECE], data[4096];
	struct echo echo = {.held = 0};
	uint32_t sent = 0, told = 0, credited = 0;

	guest_room = 20000;
	guest_start();
	echo.fd = guest_connect(1);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 13 + i / 251);
	while (guest_taken < TOTAL) {
		if (sent < TOTAL && told + ROOM - sent >= PIECE) {
			guest_send_data(1, 5000, pattern, PIECE);
			sent += PIECE;
		}
		echo_step(&echo);
		while (guest_client.queue[RX].used[1] != guest_client.queue[RX].used_seen) {
			struct virtio_vsock_hdr h = guest_next(data);

			ck_assert(h.op == VIRTIO_VSOCK_OP_RW ||
			          h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			for (uint32_t i = 0; i < h.len; i++)
				if (data[i] != pattern[(guest_taken + i) % PIECE])
					ck_abort_msg("byte %u is another", guest_taken + i);
			guest_taken += h.len;
			told = h.fwd_cnt;
		}
		if (guest_taken - credited >= guest_room / 2) {
			guest_send(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 5000);
			credited = guest_taken;
		}
	}
	ck_assert_uint_eq(guest_taken, TOTAL);
	close(echo.fd);
	guest_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: vsock");
	TCase *cases = tcase_create("vsock");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, the_guest_connects);
	tcase_add_test(cases, what_is_not_allowed_is_reset);
	tcase_add_test(cases, the_host_connects);
	tcase_add_test(cases, what_the_host_may_not_say);
	tcase_add_test(cases, the_guests_credit);
	tcase_add_test(cases, the_devices_credit);
	tcase_add_test(cases, each_way_ends_by_itself);
	tcase_add_test(cases, bulk_both_ways);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
