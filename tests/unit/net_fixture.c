/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's side of the tests of cordon-net: a namespace with a tap, and frames both ways. */
#include "tests/unit/net_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/base.h"

const uint8_t guest_mac[6] = {0x02, 0, 0, 0, 0, 0x42};
struct vhost_client client;
int host = -1;

static int taps[NET_TAPS_MAX];
static char tap_name[IFNAMSIZ];

void link_set(bool up)
{
	struct ifreq r = {.ifr_flags = up ? IFF_UP : 0};
	int fd BASE_AUTO_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(r.ifr_name, tap_name, sizeof(tap_name));
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	r.ifr_mtu = 9000;
	ck_assert_int_eq(ioctl(fd, SIOCSIFMTU, &r), 0);
}

/* A namespace with nothing but a tap, which no protocol of the host's talks on by itself. */
static int tap_make(unsigned int queues)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int size = HEADER;
	int quiet BASE_AUTO_FD = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	quiet = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (quiet >= 0)
		(void)base_write_all(quiet, "1", 1);
	if (queues > 1)
		r.ifr_flags |= IFF_MULTI_QUEUE;
	for (unsigned int i = 0; i < queues; i++) {
		taps[i] = open("/dev/net/tun", O_RDWR);
		if (taps[i] < 0 || ioctl(taps[i], TUNSETIFF, &r) < 0 ||
		    ioctl(taps[i], TUNSETVNETHDRSZ, &size) < 0)
			return -errno;
	}
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

void start_many(uint64_t features, unsigned int pairs, unsigned int rings)
{
	char numbers[NET_TAPS_MAX][16], option[] = "--tap";
	char *extra[2 * NET_TAPS_MAX + 5] = {(char[]){"--mac"}, (char[]){"02:00:00:00:00:42"},
	                                     (char[]){"--mtu"}, (char[]){"9000"}};

	ck_assert_int_eq(tap_make(pairs), 0);
	link_set(true);
	host_open();
	for (unsigned int i = 0; i < pairs; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%d", taps[i]);
		extra[4 + 2 * i] = option;
		extra[5 + 2 * i] = numbers[i];
	}
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_NET"), extra, features), 0);
	for (unsigned int i = 0; i < pairs; i++)
		close(taps[i]);
	for (unsigned int i = 0; i < rings; i++)
		ck_assert_int_eq(vhost_client_queue_start(&client, i, CLIENT_QUEUE_SIZE, 0), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0); /* the tap has its offloads */
}

void start(uint64_t features)
{
	start_many(features, 1, 2);
}

void stop(void)
{
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	close(host);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i % 253 + i / 1000);
}

/* An Ethernet frame with IPv4 and TCP (or, gso false, UDP) headers and `payload` patterned bytes. */
size_t frame_make(uint8_t *frame, size_t payload, bool tcp)
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

struct virtio_net_hdr gso_header(void)
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

void host_send(const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
	struct iovec list[] = {{(void *)(uintptr_t)header, sizeof(*header)},
	                       {(void *)(uintptr_t)frame, size}};

	ck_assert_int_eq(writev(host, list, 2), (ssize_t)(sizeof(*header) + size));
}

size_t host_receive(struct virtio_net_hdr *header, uint8_t *frame, size_t size, int limit_ms)
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
void post(unsigned int first, unsigned int count, uint32_t length)
{
	for (unsigned int i = 0; i < count; i++) {
		struct client_buffer b = {RX_AT + (first + i) * BUFFER, length, true};

		vhost_client_add(&client.queue[RX], &b, 1);
	}
	vhost_client_kick(&client.queue[RX]);
}

/* The next frame out of the receive ring, put together; its size, and the header. */
size_t net_guest_receive(struct virtio_net_hdr_v1 *header, uint8_t *frame)
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

void net_guest_send(const struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size)
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

/* Whether this machine lets us have a namespace and a tap at all. */
bool possible(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(tap_make(1) == 0 ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
