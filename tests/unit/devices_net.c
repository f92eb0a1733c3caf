/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-net, the program itself, on a real tap in a network namespace of its own. A packet socket on the
 * tap is the host's side: what it sends is what the guest has to get, and the other way round, large
 * segments included.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

enum { RX, TX, HEADER = sizeof(struct virtio_net_hdr_v1), BUFFER = 2048 };
enum { ETHERNET = 14, IP = 20, TCP = 20, UDP = 8, MSS = 1448 };

#define RX_AT CLIENT_DATA
#define TX_AT (CLIENT_HIGH)

static const uint8_t guest_mac[6] = {0x02, 0, 0, 0, 0, 0x42};
static struct vhost_client client;
static int tap = -1, host = -1;
static char tap_name[IFNAMSIZ];

static void link_set(bool up)
{
	struct ifreq r = {.ifr_flags = up ? IFF_UP : 0};
	int fd BASE_AUTO_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(r.ifr_name, tap_name, sizeof(tap_name));
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	r.ifr_mtu = 9000;
	ck_assert_int_eq(ioctl(fd, SIOCSIFMTU, &r), 0);
}

/* A namespace with nothing but a tap, which no protocol of the host's talks on by itself. */
static int tap_make(void)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int size = HEADER;
	int quiet BASE_AUTO_FD = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	quiet = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (quiet >= 0)
		(void)base_write_all(quiet, "1", 1);
	tap = open("/dev/net/tun", O_RDWR);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &r) < 0 || ioctl(tap, TUNSETVNETHDRSZ, &size) < 0)
		return -errno;
	memcpy(tap_name, r.ifr_name, sizeof(tap_name));
	return 0;
}

static void host_open(void)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int on = 1;

	host = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(host, 0);
	ck_assert_int_eq(setsockopt(host, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	ck_assert_int_eq(setsockopt(host, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	address.sll_ifindex = (int)if_nametoindex(tap_name);
	ck_assert_int_eq(bind(host, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void start(uint64_t features)
{
	char number[16];
	char *extra[] = {(char[]){"--tap"},
	                 number,
	                 (char[]){"--mac"},
	                 (char[]){"02:00:00:00:00:42"},
	                 (char[]){"--mtu"},
	                 (char[]){"9000"},
	                 NULL};

	ck_assert_int_eq(tap_make(), 0);
	link_set(true);
	host_open();
	snprintf(number, sizeof(number), "%d", tap);
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_NET"), extra, features), 0);
	close(tap);
	ck_assert_int_eq(vhost_client_queue_start(&client, RX, CLIENT_QUEUE_SIZE, 0), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, TX, CLIENT_QUEUE_SIZE, 0), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0); /* the tap has its offloads */
}

static void stop(void)
{
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	close(host);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i % 253 + i / 1000);
}

/* An Ethernet frame with IPv4 and TCP (or, gso false, UDP) headers and `payload` patterned bytes. */
static size_t frame_make(uint8_t *frame, size_t payload, bool tcp)
{
	size_t transport = tcp ? TCP : UDP, size = ETHERNET + IP + transport + payload;
	uint8_t *ip = frame + ETHERNET, *at = ip + IP;
	uint32_t sum = 0;

	memset(frame, 0, ETHERNET + IP + transport);
	memcpy(frame, guest_mac, 6);
	frame[6] = 0x02;
	frame[12] = 0x08;
	ip[0] = 0x45;
	ip[2] = (uint8_t)((size - ETHERNET) >> 8);
	ip[3] = (uint8_t)(size - ETHERNET);
	ip[8] = 64;
	ip[9] = tcp ? 6 : 17;
	ip[12] = ip[16] = 10;
	ip[15] = 1;
	ip[19] = 2;
	for (unsigned int i = 0; i < IP; i += 2)
		sum += base_be16(ip + i);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	at[1] = at[3] = 7;
	if (tcp) {
		at[12] = TCP / 4 << 4;
		at[13] = 0x10;
	} else {
		at[4] = (uint8_t)((UDP + payload) >> 8);
		at[5] = (uint8_t)(UDP + payload);
	}
	for (size_t i = 0; i < payload; i++)
		at[transport + i] = pattern(i);
	return size;
}

static struct virtio_net_hdr gso_header(void)
{
	return (struct virtio_net_hdr){
	        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	        .hdr_len = ETHERNET + IP + TCP,
	        .gso_size = MSS,
	        .csum_start = ETHERNET + IP,
	        .csum_offset = 16,
	};
}

static void host_send(const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
	struct iovec list[] = {{(void *)(uintptr_t)header, sizeof(*header)},
	                       {(void *)(uintptr_t)frame, size}};

	ck_assert_int_eq(writev(host, list, 2), (ssize_t)(sizeof(*header) + size));
}

static size_t host_receive(struct virtio_net_hdr *header, uint8_t *frame, size_t size, int limit_ms)
{
	struct iovec list[] = {{header, sizeof(*header)}, {frame, size}};
	struct pollfd wait = {.fd = host, .events = POLLIN};
	ssize_t n;

	if (poll(&wait, 1, limit_ms) != 1)
		return 0;
	n = readv(host, list, 2);
	ck_assert_int_gt(n, (ssize_t)sizeof(*header));
	return (size_t)n - sizeof(*header);
}

/* Posts `count` receive buffers of `length` bytes, one after the other from RX_AT + first * BUFFER. */
static void post(unsigned int first, unsigned int count, uint32_t length)
{
	for (unsigned int i = 0; i < count; i++) {
		struct client_buffer b = {RX_AT + (first + i) * BUFFER, length, true};

		vhost_client_add(&client.queue[RX], &b, 1);
	}
	vhost_client_kick(&client.queue[RX]);
}

/* The next frame out of the receive ring, put together; its size, and the header. */
static size_t guest_receive(struct virtio_net_hdr_v1 *header, uint8_t *frame)
{
	struct client_queue *q = &client.queue[RX];
	struct client_used used;
	size_t size = 0;

	for (unsigned int i = 0; i == 0 || i < header->num_buffers; i++) {
		const uint8_t *at;

		if (vhost_client_used(q, &used, CLIENT_WAIT_MS) < 0)
			return 0;
		at = vhost_client_at(&client, q->descriptors[used.id].address);
		if (i == 0)
			memcpy(header, at, HEADER);
		memcpy(frame + size, at + (i == 0 ? HEADER : 0),
		       used.length - (i == 0 ? HEADER : 0));
		size += used.length - (i == 0 ? HEADER : 0);
	}
	return size;
}

static void guest_send(const struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size)
{
	struct client_buffer list[] = {{TX_AT, HEADER, false},
	                               {TX_AT + 64, (uint32_t)size / 2, false},
	                               {TX_AT + 64 + size / 2, (uint32_t)(size - size / 2), false}};
	struct client_used used;

	memcpy(vhost_client_at(&client, TX_AT), header, HEADER);
	memcpy(vhost_client_at(&client, TX_AT + 64), frame, size);
	vhost_client_add(&client.queue[TX], list, 3);
	vhost_client_kick(&client.queue[TX]);
	ck_assert_int_eq(vhost_client_used(&client.queue[TX], &used, CLIENT_WAIT_MS), 0);
}

#define FEATURES_NONE (1ull << 29)
#define FEATURES_ALL  (~0ull)

static uint8_t sent[70000], got[70000];

START_TEST(config_says_mac_and_mtu)
{
	struct virtio_net_config config;

	start(FEATURES_ALL);
	ck_assert_int_eq(vhost_client_config(&client, 0, &config, 12), 0);
	ck_assert_mem_eq(config.mac, guest_mac, 6);
	ck_assert_uint_eq(config.mtu, 9000);
	ck_assert_uint_eq(config.status & VIRTIO_NET_S_LINK_UP, VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_ne(client.offered & 1ull << VIRTIO_NET_F_MTU, 0);
	stop();
}
END_TEST

START_TEST(frames_reach_the_guest)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;

	start(_i ? FEATURES_ALL : FEATURES_NONE);
	for (unsigned int i = 0; i < 300; i++) {
		size_t size = frame_make(sent, 1 + i * 5, false);

		post(i % 40, i == 0 ? 40 : 1, BUFFER);
		host_send(&plain, sent, size);
		ck_assert_uint_eq(guest_receive(&header, got), size);
		ck_assert_mem_eq(got, sent, size);
		ck_assert_uint_eq(header.num_buffers, 1);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
	stop();
}
END_TEST

START_TEST(a_large_frame_is_spread_over_buffers)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 8000, false);

	start(1ull << VIRTIO_NET_F_MRG_RXBUF);
	post(0, 32, 700);
	host_send(&plain, sent, size);
	ck_assert_uint_eq(guest_receive(&header, got), size);
	ck_assert_mem_eq(got, sent, size);
	ck_assert_uint_eq(header.num_buffers, (size + HEADER + 699) / 700);
	stop();
}
END_TEST

/* A segment of 20,000 bytes: in one piece when the guest can take it, else as it would be on a wire. */
START_TEST(large_segments_from_the_host)
{
	struct virtio_net_hdr gso = gso_header();
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 20000, true), bytes = 0;

	start(_i ? FEATURES_ALL : 1ull << VIRTIO_NET_F_MRG_RXBUF);
	post(0, 60, BUFFER);
	host_send(&gso, sent, size);
	if (_i) {
		ck_assert_uint_eq(guest_receive(&header, got), size);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		ck_assert_uint_eq(header.gso_size, MSS);
		ck_assert_uint_ne(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
		ck_assert_mem_eq(got + ETHERNET + IP + TCP, sent + ETHERNET + IP + TCP, 20000);
	}
	while (!_i && bytes < 20000) {
		size = guest_receive(&header, got);
		ck_assert_uint_gt(size, ETHERNET + IP + TCP);
		ck_assert_uint_le(size, ETHERNET + IP + TCP + MSS);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		ck_assert_uint_eq(header.flags, 0);
		size -= ETHERNET + IP + TCP;
		ck_assert_mem_eq(got + ETHERNET + IP + TCP, sent + ETHERNET + IP + TCP + bytes,
		                 size);
		bytes += size;
	}
	stop();
}
END_TEST

START_TEST(frames_leave_the_guest)
{
	struct virtio_net_hdr_v1 header = {0};
	struct virtio_net_hdr seen;

	start(_i ? FEATURES_ALL : FEATURES_NONE);
	for (unsigned int i = 0; i < 100; i++) {
		size_t size = frame_make(sent, 30 + i * 14, false);

		guest_send(&header, sent, size);
		ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
		ck_assert_mem_eq(got, sent, size);
		ck_assert_uint_eq(seen.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
	stop();
}
END_TEST

START_TEST(large_segments_leave_the_guest)
{
	struct virtio_net_hdr gso = gso_header(), seen;
	struct virtio_net_hdr_v1 header = {0};
	size_t size = frame_make(sent, 60000, true);

	start(FEATURES_ALL);
	memcpy(&header, &gso, sizeof(gso));
	guest_send(&header, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	ck_assert_mem_eq(got + ETHERNET + IP + TCP, sent + ETHERNET + IP + TCP, 60000);
	ck_assert_uint_eq(seen.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(seen.gso_size, MSS);
	stop();
}
END_TEST

static const struct {
	const char *name;
	bool negotiated; /* all the features */
	struct virtio_net_hdr_v1 header;
} wrong_headers[] = {
        {"checksum not negotiated", false, {.flags = 1, .csum_start = 34, .csum_offset = 6}},
        {"segments not negotiated",
         false,
         {.flags = 1, .gso_type = 1, .gso_size = MSS, .csum_start = 34}},
        {"checksum behind the frame",
         true,
         {.flags = 1, .csum_start = 34, .csum_offset = UINT16_MAX}},
        {"checksum's start behind the frame", true, {.flags = 1, .csum_start = 1200}},
        {"unknown flag", true, {.flags = 0x80}},
        {"unknown kind of segment",
         true,
         {.flags = 1, .gso_type = 2, .gso_size = MSS, .csum_start = 34}},
        {"UDP fragments", true, {.flags = 1, .gso_type = 3, .gso_size = MSS, .csum_start = 34}},
        {"ECN alone", true, {.flags = 1, .gso_type = 0x80, .gso_size = MSS, .csum_start = 34}},
        {"segments of size 0", true, {.flags = 1, .gso_type = 1, .gso_size = 0, .csum_start = 34}},
        {"segments without a checksum", true, {.gso_type = 1, .gso_size = MSS, .hdr_len = 54}},
        {"header longer than the frame",
         true,
         {.flags = 1,
          .gso_type = 1,
          .gso_size = MSS,
          .csum_start = 34,
          .csum_offset = 16,
          .hdr_len = 5000}},
};

START_TEST(wrong_header_is_dropped)
{
	struct virtio_net_hdr_v1 good = {0};
	struct virtio_net_hdr seen;
	size_t size = frame_make(sent, 1000, true);

	start(wrong_headers[_i].negotiated ? FEATURES_ALL : FEATURES_NONE);
	guest_send(&wrong_headers[_i].header, sent, size);
	sent[size - 1] = 0x77; /* the next one can be told from it */
	guest_send(&good, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	ck_assert_msg(got[size - 1] == 0x77, "%s: was sent", wrong_headers[_i].name);
	stop();
}
END_TEST

/* Chains that are no frame: header only, half a header, writable ones, more than any frame. */
START_TEST(wrong_chains_are_dropped)
{
	struct client_buffer lists[] = {{TX_AT, HEADER, false},
	                                {TX_AT, 5, false},
	                                {TX_AT, 100, true},
	                                {TX_AT, 200000, false}};
	struct virtio_net_hdr_v1 good = {0};
	struct virtio_net_hdr seen;
	struct client_used used;
	size_t size = frame_make(sent, 100, false);

	start(FEATURES_ALL);
	for (size_t i = 0; i < BASE_COUNT(lists); i++) {
		vhost_client_add(&client.queue[TX], &lists[i], 1);
		vhost_client_kick(&client.queue[TX]);
		ck_assert_int_eq(vhost_client_used(&client.queue[TX], &used, CLIENT_WAIT_MS), 0);
	}
	guest_send(&good, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	stop();
}
END_TEST

START_TEST(wrong_receive_buffers_break_the_ring)
{
	struct client_buffer list = {RX_AT, _i == 0 ? 11 : BUFFER, _i == 0};

	start(FEATURES_ALL);
	vhost_client_add(&client.queue[RX], &list, 1);
	vhost_client_kick(&client.queue[RX]);
	ck_assert_int_eq(vhost_client_broken(&client.queue[RX], CLIENT_WAIT_MS), 0);
	stop();
}
END_TEST

/* Frames wait in the tap until the guest has room, in order. */
START_TEST(no_buffers_no_loss)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 500, false);

	start(FEATURES_NONE);
	for (uint8_t i = 0; i < 20; i++) {
		sent[size - 1] = i;
		host_send(&plain, sent, size);
	}
	for (uint8_t i = 0; i < 20; i++) {
		post(i, 1, BUFFER);
		ck_assert_uint_eq(guest_receive(&header, got), size);
		ck_assert_uint_eq(got[size - 1], i);
	}
	stop();
}
END_TEST

START_TEST(stopping_gives_unused_buffers_back)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 500, false);

	start(FEATURES_ALL);
	post(0, 50, BUFFER);
	for (unsigned int i = 0; i < 3; i++) {
		host_send(&plain, sent, size);
		ck_assert_uint_eq(guest_receive(&header, got), size);
	}
	ck_assert_int_eq(vhost_client_queue_stop(&client, RX), 3);
	stop();
}
END_TEST

START_TEST(a_tap_that_is_down_comes_back)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header = {0};
	size_t size = frame_make(sent, 500, false);
	socklen_t length = sizeof(int);
	int error;

	start(FEATURES_NONE);
	link_set(false);
	guest_send(&header, sent, size); /* lost */
	post(0, 10, BUFFER);
	link_set(true);
	ck_assert_int_eq(getsockopt(host, SOL_SOCKET, SO_ERROR, &error, &length),
	                 0); /* forgets it */
	host_send(&plain, sent, size);
	ck_assert_uint_eq(guest_receive(&header, got), size);
	ck_assert_mem_eq(got, sent, size);
	stop();
}
END_TEST

/* Whether this machine lets us have a namespace and a tap at all. */
static bool possible(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(tap_make() == 0 ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
	Suite *suite = suite_create("devices: net");
	TCase *cases = tcase_create("net");
	SRunner *runner;
	int failed;

	if (!possible()) {
		puts("skipped: no network namespace or no tap can be made here (root and "
		     "/dev/net/tun)");
		return 77;
	}
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, config_says_mac_and_mtu);
	tcase_add_loop_test(cases, frames_reach_the_guest, 0, 2);
	tcase_add_test(cases, a_large_frame_is_spread_over_buffers);
	tcase_add_loop_test(cases, large_segments_from_the_host, 0, 2);
	tcase_add_loop_test(cases, frames_leave_the_guest, 0, 2);
	tcase_add_test(cases, large_segments_leave_the_guest);
	tcase_add_loop_test(cases, wrong_header_is_dropped, 0, BASE_COUNT(wrong_headers));
	tcase_add_test(cases, wrong_chains_are_dropped);
	tcase_add_loop_test(cases, wrong_receive_buffers_break_the_ring, 0, 2);
	tcase_add_test(cases, no_buffers_no_loss);
	tcase_add_test(cases, stopping_gives_unused_buffers_back);
	tcase_add_test(cases, a_tap_that_is_down_comes_back);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
