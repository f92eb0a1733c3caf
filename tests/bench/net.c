/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a frame costs the host: cordon-net (its sandbox on), a tap in a network namespace of its own, and
 * this program as front end and driver. Out: frames in the transmit ring, as many as it holds, which the
 * tap's side drops at IP because they are for another machine. In: a process that sends into the tap as fast
 * as it can, and a receive ring that is always full. Event idx both ways, as Linux uses it.
 *
 * The figures are frames and bits per second of CPU time of cordon-net's process, the kernel's work for it
 * included (for what it sends that is all the host's work up to the drop); the front end's and the sender's
 * own time is not in it. Medians.
 *
 *     bench_net CORDON-NET
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

enum {
	RX,
	TX,
	RING = 256,
	ROUNDS = 7,
	HEADER = sizeof(struct virtio_net_hdr_v1),
	ETHERNET = 14,
	IP = 20,
	TCP = 20,
	PAGE = 4096,
	SMALL = 1536,     /* a receive buffer for frames of a wire */
	TAP_QUEUE = 1000, /* frames of the load before may still be in it */
	FRAMES_AT = 32,   /* frames in flight have buffers of their own, this many */
};

static const struct load {
	const char *name;
	uint32_t bytes;   /* of a frame, Ethernet header included */
	uint32_t segment; /* TCP payload of each, or 0 */
	uint32_t frames;
} loads[] = {
        {"64", 64, 0, 300000},
        {"1500", 1514, 0, 300000},
        {"64k", 65226, 1448, 30000},
};

static struct vhost_client client;
static char tap_name[IFNAMSIZ];
static uint8_t frame[65536];

static _Noreturn void die(const char *what, int error)
{
	fprintf(stderr, "net: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static int tap_make(void)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int quiet BASE_AUTO_FD = -1, control BASE_AUTO_FD = -1;
	int header = HEADER, tap;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace (are you root?)", errno);
	quiet = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (quiet >= 0)
		(void)base_write_all(quiet, "1", 1);
	tap = open("/dev/net/tun", O_RDWR);
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &r) < 0 || ioctl(tap, TUNSETVNETHDRSZ, &header) < 0)
		die("a tap", errno);
	memcpy(tap_name, r.ifr_name, sizeof(tap_name));
	r.ifr_flags = IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &r) < 0)
		die("the tap cannot be up", errno);
	return tap;
}

/* TCP over IPv4 for a machine that is not this one. */
static struct virtio_net_hdr_v1 frame_make(const struct load *load)
{
	uint8_t *ip = frame + ETHERNET;
	uint32_t sum = 0;

	memset(frame, 0, sizeof(frame));
	memcpy(frame, "\x02\0\0\0\0\x42\x02\0\0\0\0\x43\x08", 13);
	ip[0] = 0x45;
	ip[2] = (uint8_t)((load->bytes - ETHERNET) >> 8);
	ip[3] = (uint8_t)(load->bytes - ETHERNET);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
	for (unsigned int i = 0; i < IP; i += 2)
		sum += base_be16(ip + i);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	ip[IP + 12] = TCP / 4 << 4;
	ip[IP + 13] = 0x10;
	if (load->segment == 0)
		return (struct virtio_net_hdr_v1){.num_buffers = 0};
	return (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	                                  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	                                  .hdr_len = ETHERNET + IP + TCP,
	                                  .gso_size = (uint16_t)load->segment,
	                                  .csum_start = ETHERNET + IP,
	                                  .csum_offset = 16};
}

static void start(const char *program, int tap)
{
	char number[16];
	char *extra[] = {(char[]){"--tap"}, number, NULL};
	int error;

	snprintf(number, sizeof(number), "%d", tap);
	error = vhost_client_start(&client, program, extra, ~0ull);
	for (unsigned int i = RX; i <= TX && error == 0; i++)
		error = vhost_client_queue_start(&client, i, RING, 0);
	if (error == 0)
		error = vhost_client_sync(&client);
	if (error < 0)
		die("starting cordon-net", error);
}

static bool used_ready(const struct client_queue *q)
{
	return __atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) != q->used_seen;
}

/* Sleeps until `more` entries beyond those seen are used, as a driver that waits for many does. */
static void sleep_until_used(struct client_queue *q, uint16_t more)
{
	__atomic_store_n(&q->available[2 + q->size], (uint16_t)(q->used_seen + more),
	                 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((uint16_t)(__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) - q->used_seen) > more)
		return;
	if (vhost_client_interrupt(q, CLIENT_WAIT_MS) < 0)
		die("no answer", ETIMEDOUT);
}

/* ---- out ---- */

/* The chain of frame `number`: header and data in one piece of a page, and more pages for the rest. */
static void submit(const struct load *load, uint32_t number)
{
	uint32_t bytes = load->bytes + HEADER, pieces = (bytes + PAGE - 1) / PAGE;
	uint64_t at = CLIENT_DATA + number % FRAMES_AT * (uint64_t)(pieces * PAGE);
	struct client_buffer list[20];

	for (uint32_t i = 0; i < pieces; i++)
		list[i] = (struct client_buffer){at + i * PAGE,
		                                 BASE_MIN(bytes - i * PAGE, (uint32_t)PAGE), false};
	vhost_client_add(&client.queue[TX], list, pieces);
}

static void transmit(const struct load *load, uint32_t frames)
{
	struct virtio_net_hdr_v1 header = frame_make(load);
	struct client_queue *q = &client.queue[TX];
	uint32_t pieces = (load->bytes + HEADER + PAGE - 1) / PAGE, depth = RING / pieces;
	uint32_t sent = 0, done = 0;
	struct client_used used;

	for (uint32_t i = 0; i < FRAMES_AT; i++) {
		uint8_t *at = vhost_client_at(&client, CLIENT_DATA + i * (uint64_t)(pieces * PAGE));

		memcpy(at, &header, HEADER);
		memcpy(at + HEADER, frame, load->bytes);
	}
	while (done < frames) {
		uint16_t old = q->available_index;

		for (; sent < frames && sent - done < depth; sent++)
			submit(load, sent);
		if (q->available_index != old)
			vhost_client_kick_asked(q, old);
		if (!used_ready(q))
			sleep_until_used(q, (uint16_t)((sent - done - 1) * 3 / 4));
		while (used_ready(q)) {
			if (vhost_client_used(q, &used, 0) < 0)
				die("no used entry", EIO);
			done++;
		}
	}
}

/* ---- in ---- */

static _Noreturn void sender(const struct load *load, pid_t parent)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct virtio_net_hdr_v1 header = frame_make(load);
	struct iovec list[] = {{&header, sizeof(struct virtio_net_hdr)}, {frame, load->bytes}};
	struct mmsghdr many[64];
	int on = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it was gone before that */
	address.sll_ifindex = (int)if_nametoindex(tap_name);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("a packet socket", errno);
	memset(many, 0, sizeof(many));
	for (size_t i = 0; i < BASE_COUNT(many); i++) {
		many[i].msg_hdr.msg_iov = list;
		many[i].msg_hdr.msg_iovlen = BASE_COUNT(list);
	}
	for (;;) /* what the tap's queue has no room for is lost, and an error is that */
		(void)!sendmmsg(fd, many, BASE_COUNT(many), 0);
}

static void post(const struct load *load, uint32_t number)
{
	uint32_t size = load->segment ? PAGE : SMALL;
	struct client_buffer b = {CLIENT_DATA + number % RING * (uint64_t)size, size, true};

	vhost_client_add(&client.queue[RX], &b, 1);
}

static void receive(const struct load *load, uint32_t frames)
{
	struct client_queue *q = &client.queue[RX];
	uint32_t posted = 0, taken = 0, done = 0, others = 0, bytes = 0,
	         size = load->segment ? PAGE : SMALL;
	struct client_used used;
	pid_t parent = getpid(), pid;

	/* what a round before left posted is of another size: the ring begins anew */
	if (vhost_client_queue_stop(&client, RX) < 0 ||
	    vhost_client_queue_start(&client, RX, RING, 0) < 0 || vhost_client_sync(&client) < 0)
		die("the ring cannot start again", EIO);
	pid = fork();
	if (pid == 0)
		sender(load, parent);
	while (done < frames) {
		uint16_t old = q->available_index;

		for (; posted - taken < RING; posted++)
			post(load, posted);
		if (q->available_index != old)
			vhost_client_kick_asked(q, old);
		if (!used_ready(q))
			sleep_until_used(q, 0);
		while (used_ready(q)) {
			if (vhost_client_used(q, &used, 0) < 0)
				die("no used entry", EIO);
			taken++;
			bytes += used.length;
			if (used.length == size) /* the frame goes on in the next one */
				continue;
			if (bytes == load->bytes + HEADER)
				done++;
			else if (++others > TAP_QUEUE)
				die("a frame of another size", EIO);
			bytes = 0;
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- figures ---- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of frames per second of cordon-net's CPU time. */
static double measure(const struct load *load, void (*way)(const struct load *, uint32_t),
                      const char *name)
{
	double rounds[ROUNDS];

	way(load, load->frames / 8); /* to warm up */
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t before = vhost_client_cpu_ns(client.pid);

		way(load, load->frames);
		rounds[i] =
		        load->frames / ((double)(vhost_client_cpu_ns(client.pid) - before) / 1e9);
		fprintf(stderr, "%-9s %-5s %10.0f frames/s\n", name, load->name, rounds[i]);
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_size);
	return rounds[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*way)(const struct load *, uint32_t);
	} ways[] = {{"transmit", transmit}, {"receive", receive}};
	const char *comma = "";

	if (argc != 2) {
		fprintf(stderr, "usage: bench_net CORDON-NET\n");
		return 2;
	}
	start(argv[1], tap_make());
	printf("{\"bench\":\"net\",\"figures\":[");
	for (size_t w = 0; w < BASE_COUNT(ways); w++)
		for (size_t l = 0; l < BASE_COUNT(loads); l++) {
			double rate = measure(&loads[l], ways[w].way, ways[w].name);

			printf("%s{\"name\":\"%s_%s\",\"value\":%.0f,\"unit\":\"frames per second "
			       "of "
			       "host "
			       "CPU\"},{\"name\":\"%s_%s_bits\",\"value\":%.2f,\"unit\":\"Gbit per "
			       "second of host CPU\"}",
			       comma, ways[w].name, loads[l].name, rate, ways[w].name,
			       loads[l].name, rate * loads[l].bytes * 8 / 1e9);
			comma = ",";
		}
	printf("]}\n");
	return vhost_client_stop(&client);
}
