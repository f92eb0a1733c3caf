/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-vsock and a guest that does not: only what it breaks is lost, and everything has a bound. */
#include <check.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/vsock_guest.h"

/* Headers that fit nothing: a reset at most, and always only for the one that they name. */
START_TEST(hostile_headers)
{
	static const struct {
		uint64_t src, dst;
		uint32_t len;
		uint16_t type, op;
		bool answered;
	} cases[] = {
	        {CID + 1, 2, 0, 1, VIRTIO_VSOCK_OP_RW, false},
	        {CID | 1ull << 32, 2, 0, 1, VIRTIO_VSOCK_OP_REQUEST, false},
	        {CID, 3, 0, 1, VIRTIO_VSOCK_OP_REQUEST, false},
	        {CID, 1ull << 32 | 2, 0, 1, VIRTIO_VSOCK_OP_REQUEST, false},
	        {CID, CID, 0, 1, VIRTIO_VSOCK_OP_REQUEST, false},
	        {CID, 2, 0, 2, VIRTIO_VSOCK_OP_REQUEST, true},
	        {CID, 2, 0, 0, VIRTIO_VSOCK_OP_RW, true},
	        {CID, 2, 0, 1, 0, true},
	        {CID, 2, 0, 1, 8, true},
	        {CID, 2, 0, 1, 0xffff, true},
	        {CID, 2, 9, 1, VIRTIO_VSOCK_OP_RW, true},
	        {CID, 2, UINT32_MAX, 1, VIRTIO_VSOCK_OP_RW, true},
	        {CID, 2, UINT32_MAX - 43, 1, VIRTIO_VSOCK_OP_RW, true},
	        {CID, 2, 65537, 1, VIRTIO_VSOCK_OP_RW, true},
	        {CID, 2, 1, 1, VIRTIO_VSOCK_OP_CREDIT_UPDATE, true},
	        {CID, 2, 0, 1, VIRTIO_VSOCK_OP_REQUEST, true},
	        {CID, 2, 0, 1, VIRTIO_VSOCK_OP_RESPONSE, true},
	};
	int keep, fd;

	guest_start();
	keep = guest_connect(99);
	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		/* once where there is a connection, and once where there is none */
		for (unsigned int there = 0; there < 2; there++) {
			struct virtio_vsock_hdr h = guest_header(cases[i].op, there ? 1 : 2, 5000);
			uint32_t size = cases[i].len == 9 ? 8 : 0;

			if (!there && cases[i].op == VIRTIO_VSOCK_OP_REQUEST && cases[i].type == 1)
				continue;
			fd = there ? guest_connect(1) : -1;
			h.src_cid = cases[i].src;
			h.dst_cid = cases[i].dst;
			h.len = cases[i].len;
			h.type = cases[i].type;
			guest_send_raw(&h, "12345678", size);
			if (cases[i].answered) {
				guest_want(VIRTIO_VSOCK_OP_RST, h.src_port, 5000);
			} else {
				guest_want_nothing();
				if (there)
					guest_send(VIRTIO_VSOCK_OP_RST, 1, 5000);
			}
			if (there)
				host_want_end(fd);
			base_close(&fd);
		}
	}
	guest_send_data(99, 5000, "alive", 5);
	host_want(keep, "alive");
	close(keep);
	guest_stop();
}
END_TEST

/* A chain too short for a header, one that cannot be read, and receive buffers without room. */
START_TEST(hostile_chains)
{
	struct client_queue *tx = &guest_client.queue[TX];
	struct client_used used;
	int fd;

	guest_start_without_buffers();
	vhost_client_add(tx, &(struct client_buffer){TX_AT, 43, false}, 1);
	vhost_client_add(tx, &(struct client_buffer){TX_AT, 64, true}, 1);
	vhost_client_kick(tx);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(vhost_client_used(tx, &used, CLIENT_WAIT_MS), 0);
	guest_post(RX_AT, BUFFER);
	fd = guest_connect(1);
	vhost_client_used(&guest_client.queue[RX], &used, 0);
	/* the buffer that is left is taken by this packet; the next has room for a header and no more */
	ck_assert_int_eq(write(fd, "a", 1), 1);
	ck_assert_int_eq(vhost_client_used(&guest_client.queue[RX], &used, CLIENT_WAIT_MS), 0);
	guest_post(RX_AT, _i ? sizeof(struct virtio_vsock_hdr) : 43);
	ck_assert_int_eq(write(fd, "b", 1), 1);
	ck_assert_int_eq(vhost_client_broken(&guest_client.queue[RX], CLIENT_WAIT_MS), 0);
	/* only that ring is lost */
	guest_send_data(1, 5000, "alive", 5);
	host_want(fd, "alive");
	close(fd);
	guest_stop();
}
END_TEST

/* A guest that asks and asks and takes no answer is not read any further. */
START_TEST(refusals_are_bounded)
{
	struct client_queue *tx = &guest_client.queue[TX];
	struct virtio_vsock_hdr *h;
	struct client_used used;
	unsigned int answered = 0;

	guest_start_without_buffers();
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < CLIENT_QUEUE_SIZE; i++) {
			uint64_t at = TX_AT + i * 64;

			h = vhost_client_at(&guest_client, at);
			*h = guest_header(VIRTIO_VSOCK_OP_REQUEST, round * 1000 + i, 22);
			vhost_client_add(tx, &(struct client_buffer){at, sizeof(*h), false}, 1);
		}
		vhost_client_kick(tx);
		for (unsigned int i = 0; i < (round ? 0 : CLIENT_QUEUE_SIZE); i++)
			ck_assert_int_eq(vhost_client_used(tx, &used, CLIENT_WAIT_MS), 0);
		if (round == 1)
			break;
	}
	ck_assert_int_eq(vhost_client_sync(&guest_client), 0);
	ck_assert_int_eq(vhost_client_used(tx, &used, 50), -ETIMEDOUT);
	for (unsigned int i = 0; i < 8; i++)
		guest_post(RX_AT + i * 8192, BUFFER);
	for (; answered < 2 * CLIENT_QUEUE_SIZE; answered++)
		guest_want(VIRTIO_VSOCK_OP_RST,
		           answered / CLIENT_QUEUE_SIZE * 1000 + answered % CLIENT_QUEUE_SIZE, 22);
	guest_want_nothing();
	guest_stop();
}
END_TEST

START_TEST(connections_are_bounded)
{
	int fds[128], fd;

	guest_start();
	for (unsigned int i = 0; i < BASE_COUNT(fds); i++)
		fds[i] = guest_connect(i + 1);
	guest_send(VIRTIO_VSOCK_OP_REQUEST, 1000, 5000);
	guest_want(VIRTIO_VSOCK_OP_RST, 1000, 5000);
	fd = host_client("CONNECT 22\n");
	host_want_end(fd);
	close(fd);
	/* one that goes makes room for one; all of them had their turn */
	guest_send(VIRTIO_VSOCK_OP_RST, 1, 5000);
	host_want_end(fds[0]);
	close(fds[0]);
	fds[0] = guest_connect(1001);
	for (unsigned int i = 0; i < BASE_COUNT(fds); i++)
		ck_assert_int_eq(write(fds[i], "x", 1), 1);
	for (unsigned int i = 0; i < BASE_COUNT(fds); i++)
		ck_assert_uint_eq(guest_next(NULL).op, VIRTIO_VSOCK_OP_RW);
	/* a reset of the device ends all of them */
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_ge(vhost_client_queue_stop(&guest_client, i), 0);
	ck_assert_int_eq(vhost_client_send(&guest_client,
	                                   &(struct vhost_message){
	                                           .header.request = VHOST_USER_RESET_DEVICE}),
	                 0);
	for (unsigned int i = 0; i < BASE_COUNT(fds); i++) {
		host_want_end(fds[i]);
		close(fds[i]);
	}
	guest_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: vsock, hostile");
	TCase *cases = tcase_create("vsock");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, hostile_headers);
	tcase_add_loop_test(cases, hostile_chains, 0, 2);
	tcase_add_test(cases, refusals_are_bounded);
	tcase_add_test(cases, connections_are_bounded);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
