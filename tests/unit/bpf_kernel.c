// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The programs in the kernel, in network and mount namespaces of this test's own:
 *   - the same frames through BPF_PROG_TEST_RUN and through the user-space engine leave the same
 *     records, counters and events. Only times are left out: the program reads its own clock.
 *     (outcome_ns is still compared for being set at all.)
 *   - a live tap: the guest's frames are written into it, the host's kernel answers them.
 *   - what was attached and pinned is gone afterwards.
 * Skips (77) without root, bpf(2) or /dev/net/tun.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <check.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"
#include "bpf/flow.h"
#include "bpf/flowtable.h"
#include "bpf/reader.h"
#include "bpf/tap.h"
#include "bpf_frames.h"

enum {
	LOOPBACK = 1,
	FRAMES_MAX = 1200,
	STEADY = 801,
	EVENTS_MAX = 16384,
	FIRST_RANDOM = 64,
	PAYLOADS_MAX = 1024
};

static const uint8_t any_mac[6] = {0};
static struct tap_watch *watch;

struct seen {
	size_t count, payload_count;
	size_t loopback, other; /* by whose they are, also those that `events` has no room for */
	struct flow_event events[EVENTS_MAX];
	struct flow_payload_event payloads[PAYLOADS_MAX];
};

static void on_event(const struct flow_event_header *header, void *data)
{
	struct seen *seen = data;

	if (header->type == FLOW_EVENT_PAYLOAD) {
		ck_assert_uint_lt(seen->payload_count, PAYLOADS_MAX);
		memcpy(&seen->payloads[seen->payload_count++], header, header->size);
		return;
	}
	ck_assert_uint_eq(header->size, sizeof(struct flow_event));
	seen->loopback += header->ifindex == LOOPBACK;
	seen->other += header->ifindex != LOOPBACK;
	if (seen->count >= EVENTS_MAX)
		return;
	memcpy(&seen->events[seen->count++], header, sizeof(struct flow_event));
}

static void setup(void)
{
	const char *why = NULL;
	int error = tap_watch_open(&watch, &why);

	ck_assert_msg(error == 0, "%s: %s", why, strerror(-error));
}

static void teardown(void)
{
	tap_watch_close(watch);
	ck_assert_int_eq(tap_watch_unpin(), 0);
	ck_assert_int_ne(access("/sys/fs/bpf/cordon", F_OK), 0);
	ck_assert_int_eq(tap_watch_unpin(), 0);
}

/* False for a frame that ends within its IP header, which newer kernels do not test-run. */
static bool run(int prog, const struct frame *frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes, .data_size_in = frame->size,
	            .repeat = 1);
	uint16_t type = base_be16(frame->bytes + 12);
	int error = bpf_prog_test_run_opts(prog, &opts);

	if (error == -EINVAL && ((type == 0x0800 && frame->size < 14 + 20) ||
	                         (type == 0x86dd && frame->size < 14 + 40)))
		return false;
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq((int)opts.retval, -1);
	return true;
}

/* Long conversations, most of whose packets go the short way; with what they have that does not. */
static size_t make_steady(struct frame *frames)
{
	uint32_t seq[2] = {1000, 2000};
	size_t count = 0;

	frame_make_tcp(&frames[count++], FLOW_GUEST, 41000, 443, PACKET_SYN, 999, "");
	frame_make_tcp(&frames[count++], FLOW_PEER, 41000, 443, PACKET_SYN | PACKET_ACK, 1999, "");
	frame_make_tcp(&frames[count++], FLOW_GUEST, 41000, 443, PACKET_ACK, 1000, "");
	while (count < STEADY) {
		struct frame *tcp = &frames[count++], *udp = &frames[count++];
		enum flow_side_index side = count / 2 % 3 ? FLOW_PEER : FLOW_GUEST;

		/* now and then a repeated one, an empty one, and one from farther away */
		frame_make_tcp(tcp, side, 41000, 443, PACKET_ACK, seq[side] - (count % 38 ? 0 : 16),
		               count % 10 ? "some of the bytes" : "");
		seq[side] += count % 10 ? 17 : 0;
		tcp->bytes[22] = (uint8_t)(count % 50 ? 64 : count / 50);
		frame_begin(udp, side);
		frame_ip(udp, FRAME_IPV6, PACKET_PROTO_UDP);
		frame_udp(udp, side == FLOW_GUEST ? 5000 : 4500, side == FLOW_GUEST ? 4500 : 5000,
		          count % 10 ? 0 : 5);
		frame_put(udp, "hello", count % 10 ? 0 : 5);
		frame_finish(udp);
	}
	return count;
}

/* Every conversation, then odd ones: cut short, and with bytes overwritten, always the same ones. */
static size_t make_frames(struct frame *frames)
{
	size_t base = frame_conversations(frames, FIRST_RANDOM), count = base;
	uint32_t random = 12345;

	while (count < FRAMES_MAX) {
		struct frame *frame = &frames[count];

		*frame = frames[count % base];
		for (int i = 0; i < 3; i++) {
			random = random * 1664525 + 1013904223;
			frame->bytes[12 + (random >> 8) % (frame->size - 12)] =
			        (uint8_t)(random >> 24);
		}
		if (count % 3 == 0)
			frame->size = 15 + (random >> 4) % (frame->size - 14);
		count++;
	}
	return count + make_steady(frames + count);
}

static int compare(const struct flow_record *mine, void *data)
{
	struct flow_record a = *mine, b;

	ck_assert_int_eq(flow_map_find(data, &mine->key, &b), 0);
	ck_assert_int_eq(a.outcome_ns != 0, b.outcome_ns != 0);
	ck_assert_uint_ge(b.last_ns, b.first_ns);
	a.first_ns = b.first_ns;
	a.last_ns = b.last_ns;
	a.outcome_ns = b.outcome_ns;
	a.sent = b.sent;
	a.lock = b.lock; /* copies' are 0, the table's own is not */
	ck_assert_mem_eq(&a, &b, sizeof(a));
	return 0;
}

static int count_record(const struct flow_record *record, void *data)
{
	(void)record;
	++*(size_t *)data;
	return 0;
}

START_TEST(test_same_records)
{
	BASE_AUTO_FREE struct frame *frames = calloc(FRAMES_MAX + STEADY + 2, sizeof(*frames));
	BASE_AUTO_FREE struct seen *mine = calloc(1, sizeof(*mine)),
	                           *theirs = calloc(1, sizeof(*theirs));
	BASE_AUTO_FD int from = bpf_obj_get("/sys/fs/bpf/cordon/from_guest");
	BASE_AUTO_FD int to = bpf_obj_get("/sys/fs/bpf/cordon/to_guest");
	BASE_AUTO_FD int fd = tap_watch_attach(watch, LOOPBACK, any_mac);
	size_t mine_count = 0, their_count = 0, count = make_frames(frames);
	struct flowtable *table;
	struct event_ring *ring;
	struct tap_stats stats, my_stats;
	struct flow_map *map;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flow_map_open(fd, &map), 0);
	ck_assert_int_eq(event_ring_open(tap_watch_events(watch), &ring), 0);
	ck_assert_int_eq(flowtable_open(&table, 16384, 1, on_event, mine), 0);
	for (size_t i = 0; i < count; i++) {
		bool guest = frames[i].side == FLOW_GUEST;

		if (!run(guest ? from : to, &frames[i]))
			continue;
		flowtable_packet(table, frames[i].bytes, frames[i].size, frames[i].size,
		                 guest ? FLOWTABLE_GUEST : FLOWTABLE_PEER, i + 1);
		event_ring_read(ring, EVENTS_MAX, on_event, theirs);
	}
	flow_map_stats(map, &stats);
	my_stats = flowtable_stats(table);
	ck_assert_mem_eq(&stats, &my_stats, sizeof(stats));
	ck_assert_uint_gt(stats.flows, 100);
	ck_assert_uint_eq(stats.evicted, 0);
	flowtable_each(table, compare, map);
	flowtable_each(table, count_record, &mine_count);
	flow_map_each(map, count_record, &their_count);
	ck_assert_uint_eq(mine_count, their_count);
	ck_assert_uint_eq(mine->count, theirs->count);
	for (size_t i = 0; i < mine->count; i++) {
		ck_assert_int_eq(mine->events[i].header.type, theirs->events[i].header.type);
		ck_assert_mem_eq(&mine->events[i].record.key, &theirs->events[i].record.key,
		                 sizeof(struct flow_key));
		ck_assert_int_eq(mine->events[i].record.outcome, theirs->events[i].record.outcome);
		ck_assert_uint_eq(theirs->events[i].header.ifindex, LOOPBACK);
	}
	ck_assert_uint_eq(mine->payload_count, theirs->payload_count);
	ck_assert_uint_gt(mine->payload_count, 20);
	for (size_t i = 0; i < mine->payload_count; i++) {
		struct flow_payload_event *a = &mine->payloads[i], *b = &theirs->payloads[i];

		ck_assert_uint_eq(b->header.ifindex, LOOPBACK);
		ck_assert_uint_eq(b->header.size, flow_payload_event_size(a->captured));
		a->header = b->header;
		a->first_ns = b->first_ns;
		ck_assert_mem_eq(a, b, b->header.size);
	}
	flowtable_close(table);
	event_ring_close(ring);
	flow_map_close(map);
	ck_assert_int_eq(tap_watch_detach(watch, LOOPBACK), 0);
}
END_TEST

enum { RUNNERS = 4, RUNS = 50000 };

/* One of those that use the same flows at the same time: half of them are the guest. Every so many packets
 * one goes the whole way. */
static void runner(int number, int prog)
{
	const enum flow_side_index side = number & 1 ? FLOW_PEER : FLOW_GUEST;
	struct frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.bytes, .repeat = RUNS / 10);

	for (int i = 0; i < 10; i++) {
		if (i & 1)
			frame_make_udp(&frame, side, 7, 8, "something");
		else
			frame_make_tcp(&frame, side, 7, 8, PACKET_ACK, 1000, "");
		opts.data_size_in = frame.size;
		opts.data_size_out = 0; /* what the call before has written there */
		if (bpf_prog_test_run_opts(prog, &opts) < 0)
			_exit(errno);
	}
	_exit(0);
}

/* Several CPUs at the same flows lose no packet, or say so. */
START_TEST(test_together)
{
	BASE_AUTO_FD int from = bpf_obj_get("/sys/fs/bpf/cordon/from_guest");
	BASE_AUTO_FD int to = bpf_obj_get("/sys/fs/bpf/cordon/to_guest");
	BASE_AUTO_FD int fd = tap_watch_attach(watch, LOOPBACK, any_mac);
	struct tap_stats stats;
	struct flow_map *map;
	size_t flows = 0;
	int status;

	ck_assert_int_eq(flow_map_open(fd, &map), 0);
	for (int i = 0; i < RUNNERS; i++)
		if (fork() == 0)
			runner(i, i & 1 ? to : from);
	for (int i = 0; i < RUNNERS; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	flow_map_stats(map, &stats);
	flow_map_each(map, count_record, &flows);
	ck_assert_uint_eq(stats.packets[0], (uint64_t)RUNNERS / 2 * RUNS);
	ck_assert_uint_eq(stats.packets[1], (uint64_t)RUNNERS / 2 * RUNS);
	ck_assert_uint_eq(stats.flows, 2);
	ck_assert_uint_eq(flows, 2);
	flow_map_close(map);
	ck_assert_int_eq(tap_watch_detach(watch, LOOPBACK), 0);
}
END_TEST

/* Who reads a flow map cannot write it. */
START_TEST(test_read_only)
{
	BASE_AUTO_FD int fd = tap_watch_attach(watch, LOOPBACK, any_mac);
	BASE_AUTO_FD int again = tap_watch_flows(watch, LOOPBACK);
	uint8_t element[64 + 8 * 256] = {0};
	uint32_t zero = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(again, 0);
	ck_assert_int_eq(bpf_map_update_elem(fd, &zero, element, 0), -EPERM);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_eq(tap_watch_detach(watch, LOOPBACK), 0);
	ck_assert_int_eq(tap_watch_detach(watch, LOOPBACK), 0);
	ck_assert_int_eq(tap_watch_flows(watch, LOOPBACK), -ENOENT);
}
END_TEST

/* The set outlives who loaded it: a second opener gets the same maps, with what they hold. */
START_TEST(test_reopen)
{
	BASE_AUTO_FD int fd = tap_watch_attach(watch, LOOPBACK, any_mac);
	BASE_AUTO_FD int again = -1;
	struct tap_watch *second;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(tap_watch_open(&second, NULL), 0);
	again = tap_watch_flows(second, LOOPBACK);
	ck_assert_int_ge(again, 0);
	ck_assert_int_eq(tap_watch_detach(second, LOOPBACK), 0);
	tap_watch_close(second);
}
END_TEST

static void address(struct sockaddr *out, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	ck_assert_int_eq(inet_pton(AF_INET, text, &in.sin_addr), 1);
	memcpy(out, &in, sizeof(in));
}

/* A tap that is up, with 10.0.0.5/24 on it and the guest's address known. */
static int make_tap(unsigned int *ifindex)
{
	struct ifreq ifr = {.ifr_name = "cordontest0"};
	struct arpreq arp = {.arp_flags = ATF_COM | ATF_PERM, .arp_dev = "cordontest0"};
	BASE_AUTO_FD int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	BASE_AUTO_FD int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
	ck_assert_int_eq(ioctl(tap, TUNSETIFF, &ifr), 0);
	*ifindex = if_nametoindex("cordontest0");
	address(&ifr.ifr_addr, "10.0.0.5");
	ck_assert_int_eq(ioctl(control, SIOCSIFADDR, &ifr), 0);
	address(&ifr.ifr_netmask, "255.255.255.0");
	ck_assert_int_eq(ioctl(control, SIOCSIFNETMASK, &ifr), 0);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, "\2\0\0\0\0\2", 6);
	ck_assert_int_eq(ioctl(control, SIOCSIFHWADDR, &ifr), 0);
	ifr.ifr_flags = IFF_UP;
	ck_assert_int_eq(ioctl(control, SIOCSIFFLAGS, &ifr), 0);
	address(&arp.arp_pa, "10.0.0.2");
	memcpy(arp.arp_ha.sa_data, frame_guest_mac, 6);
	arp.arp_ha.sa_family = ARPHRD_ETHER;
	ck_assert_int_eq(ioctl(control, SIOCSARP, &arp), 0);
	return base_take_fd(&tap);
}

/* The Internet checksum of IPv4's header and, with its pseudo header, TCP's. */
static void checksum(uint8_t *at, const uint8_t *data, uint32_t size, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < size; i += 2)
		sum += base_be16(data + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

static void send_tcp(int tap, uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct frame frame;
	uint8_t *ip = frame.bytes + 14, *tcp = ip + 20;
	uint32_t pseudo = PACKET_PROTO_TCP + 20, big = htonl(ack);

	frame_make_tcp(&frame, FLOW_GUEST, 40000, port, flags, seq, "");
	memcpy(tcp + 8, &big, 4);
	for (int i = 12; i < 20; i += 2)
		pseudo += base_be16(ip + i);
	checksum(ip + 10, ip, 20, 0);
	checksum(tcp + 16, tcp, 20, pseudo);
	ck_assert_int_eq(write(tap, frame.bytes, frame.size), frame.size);
}

/* The host's next TCP segment from that port: its flags and, in *seq, its sequence number. */
static uint8_t receive_tcp(int tap, uint16_t port, uint32_t *seq)
{
	struct pollfd wait = {.fd = tap, .events = POLLIN};
	uint8_t frame[2048];

	while (poll(&wait, 1, 5000) == 1) {
		ssize_t size = read(tap, frame, sizeof(frame));

		if (size >= 54 && base_be16(frame + 12) == 0x0800 &&
		    frame[23] == PACKET_PROTO_TCP && base_be16(frame + 34) == port) {
			*seq = base_be32(frame + 38);
			return frame[47];
		}
	}
	ck_abort_msg("the host did not answer");
}

START_TEST(test_live)
{
	const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 9};
	BASE_AUTO_FREE struct seen *seen = calloc(1, sizeof(*seen));
	BASE_AUTO_FD int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(8080)};
	struct flow_key key = {{10, 0, 0, 2},    {10, 0, 0, 5}, 40000, 8080, 0,
	                       PACKET_PROTO_TCP, FLOW_IPV4};
	struct event_ring *ring;
	struct flow_record record;
	struct tap_stats stats;
	struct flow_map *map;
	unsigned int ifindex;
	int tap = make_tap(&ifindex), fd;
	uint32_t seq;

	fd = tap_watch_attach(watch, ifindex, other_mac);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flow_map_open(fd, &map), 0);
	close(fd);
	ck_assert_int_eq(event_ring_open(tap_watch_events(watch), &ring), 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&any, sizeof(any)), 0);
	ck_assert_int_eq(listen(server, 1), 0);

	send_tcp(tap, 8080, PACKET_SYN, 100, 0);
	ck_assert_int_eq(receive_tcp(tap, 8080, &seq), PACKET_SYN | PACKET_ACK);
	send_tcp(tap, 8080, PACKET_ACK, 101, seq + 1);
	ck_assert_int_eq(flow_map_find(map, &key, &record), 0);
	ck_assert_int_eq(record.outcome, FLOW_OUTCOME_ESTABLISHED);
	ck_assert_int_eq(record.flags, FLOW_FLAG_FOREIGN_MAC);
	ck_assert_int_eq(record.sides[FLOW_PEER].packets, 1);

	send_tcp(tap, 81, PACKET_SYN, 100, 0);
	ck_assert_int_eq(receive_tcp(tap, 81, &seq), PACKET_RST | PACKET_ACK);
	key.peer_port = 81;
	ck_assert_int_eq(flow_map_find(map, &key, &record), 0);
	ck_assert_int_eq(record.outcome, FLOW_OUTCOME_RESET);

	flow_map_stats(map, &stats);
	ck_assert_uint_eq(stats.foreign_mac, 3);
	ck_assert_uint_eq(stats.packets[FLOW_GUEST], 3);
	event_ring_read(ring, EVENTS_MAX, on_event, seen);
	ck_assert_uint_ge(seen->count, 5);
	ck_assert_int_eq(seen->events[0].header.type, FLOW_EVENT_NEW);
	ck_assert_uint_eq(seen->events[0].header.ifindex, ifindex);
	event_ring_close(ring);
	flow_map_close(map);

	close(tap); /* the tap goes before its detach */
	ck_assert_int_eq((int)if_nametoindex("cordontest0"), 0);
	ck_assert_int_eq(tap_watch_detach(watch, ifindex), 0);
	ck_assert_int_eq(tap_watch_flows(watch, ifindex), -ENOENT);
}
END_TEST

/* A million, or, where each takes its time (the rig), as many as the environment says. */
static uint32_t flood_size(void)
{
	const char *asked = getenv("BPF_FLOOD");

	return asked ? (uint32_t)strtoul(asked, NULL, 10) : 1000000;
}

/*
 * One VM opens a million flows, while another opens a few, at times when nobody reads what either says:
 * of the other one every flow is kept and every event comes through, and what is lost of the first one's is
 * counted.
 */
START_TEST(test_flood)
{
	enum { OTHERS = 100, SILENCE = 16384 };
	BASE_AUTO_FREE struct seen *seen = calloc(1, sizeof(*seen));
	BASE_AUTO_FD int from = bpf_obj_get("/sys/fs/bpf/cordon/from_guest");
	BASE_AUTO_FD int flooder = tap_watch_attach(watch, LOOPBACK, any_mac), other = -1, tap = -1;
	const uint32_t flood = flood_size();
	struct __sk_buff at_other = {0};
	struct flow_map *map, *other_map;
	struct event_ring *ring;
	struct tap_stats stats;
	struct frame frame;
	size_t kept = 0;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.bytes, .ctx_in = &at_other,
	            .ctx_size_in = sizeof(at_other), .repeat = 1);

	tap = make_tap(&at_other.ifindex);
	other = tap_watch_attach(watch, at_other.ifindex, any_mac);
	ck_assert_int_ge(other, 0);
	ck_assert_int_eq(flow_map_open(flooder, &map), 0);
	ck_assert_int_eq(flow_map_open(other, &other_map), 0);
	ck_assert_int_eq(event_ring_open(tap_watch_events(watch), &ring), 0);
	for (uint32_t i = 0, others = 0; i < flood; i++) {
		frame_make_tcp(&frame, FLOW_GUEST, (uint16_t)i, 80, PACKET_SYN, 1, "");
		frame.bytes[30] = (uint8_t)(i >> 16);
		ck_assert(run(from, &frame));
		if (i == (uint64_t)flood * others / OTHERS) {
			frame_make_tcp(&frame, FLOW_GUEST, (uint16_t)others++, 80, PACKET_SYN, 1,
			               "");
			opts.data_size_in = frame.size;
			ck_assert_int_eq(bpf_prog_test_run_opts(from, &opts), 0);
		}
		if (i % SILENCE == SILENCE - 1)
			event_ring_read(ring, INT32_MAX, on_event, seen);
	}
	event_ring_read(ring, INT32_MAX, on_event, seen);
	flow_map_stats(other_map, &stats);
	flow_map_each(other_map, count_record, &kept);
	/* Router solicitations of the device itself may come on top. */
	ck_assert_uint_ge(kept, OTHERS);
	ck_assert_uint_eq(stats.flows, kept);
	ck_assert_uint_eq(stats.events_lost, 0);
	ck_assert_uint_ge(seen->other, OTHERS);
	flow_map_stats(map, &stats);
	ck_assert_uint_eq(stats.flows, flood);
	ck_assert_uint_gt(stats.evicted, 0);
	ck_assert_uint_gt(stats.events_lost, 0);
	ck_assert_uint_eq(seen->loopback + stats.events_lost, flood + stats.evicted);
	event_ring_close(ring);
	flow_map_close(map);
	flow_map_close(other_map);
	ck_assert_int_eq(tap_watch_detach(watch, at_other.ifindex), 0);
	ck_assert_int_eq(tap_watch_detach(watch, LOOPBACK), 0);
}
END_TEST

/* Own namespaces, and a bpf file system of our own at its usual place. NULL, or why not. */
static const char *prepare(void)
{
	const char *missing = NULL;

	if (geteuid() != 0)
		return "needs root";
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		return "no namespaces of its own";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		return "no bpf file system";
	if (!tap_watch_host_check(&missing))
		return missing;
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return "no /dev/net/tun";
	return NULL;
}

int main(void)
{
	Suite *suite = suite_create("bpf_kernel");
	TCase *cases = tcase_create("kernel");
	SRunner *runner = srunner_create(suite);
	const char *missing = prepare();
	int failed;

	if (missing) {
		printf("bpf_kernel: skipped: %s\n", missing);
		srunner_free(runner);
		return 77;
	}
	tcase_set_timeout(cases, 300); /* the verifier takes its time on a slow machine */
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, test_same_records);
	tcase_add_test(cases, test_together);
	tcase_add_test(cases, test_read_only);
	tcase_add_test(cases, test_reopen);
	tcase_add_test(cases, test_live);
	tcase_add_test(cases, test_flood);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
