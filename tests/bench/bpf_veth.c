// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The programs at a veth pair that is saturated: a packet socket sends as fast as it can, the far end's
 * host throws each packet away, as it is not for it. What the program takes is what the kernel says it took
 * (BPF_ENABLE_STATS); what the pair takes is by the clock.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/base.h"
#include "bpf_bench.h"
#include "tests/unit/bpf_frames.h"

enum { EMPTY, LEAST, CORDON, TARGETS };
enum { ROUNDS = 21, PACKETS = 100000, BATCH = 100, PORTS_AT = 34 };

struct veth {
	int socket;
	unsigned int peer; /* the far end's ifindex */
	uint32_t random;
	struct frame frames[BATCH];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];
};

static int veth_up(const char *name)
{
	struct ifreq ifr = {0};
	BASE_AUTO_FD int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	base_copy_string(ifr.ifr_name, sizeof(ifr.ifr_name), name);
	ifr.ifr_flags = IFF_UP | IFF_NOARP;
	return ioctl(control, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int veth_open(struct veth *veth)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	const int on = 1;

	if (veth_up("bench0") || veth_up("bench1"))
		return -ENODEV;
	veth->peer = if_nametoindex("bench1");
	at.sll_ifindex = (int)if_nametoindex("bench0");
	/* protocol 0: it hears nothing */
	veth->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (veth->socket < 0 || bind(veth->socket, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setsockopt(veth->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0)
		return -errno;
	for (int i = 0; i < BATCH; i++) {
		frame_make_udp(&veth->frames[i], FLOW_GUEST, 1, 2, "0123456789abcdef01");
		veth->parts[i] = (struct iovec){veth->frames[i].bytes, veth->frames[i].size};
		veth->messages[i].msg_hdr =
		        (struct msghdr){.msg_iov = &veth->parts[i], .msg_iovlen = 1};
	}
	return 0;
}

static int veth_send(struct veth *veth, uint32_t flows)
{
	for (int sent = 0; sent < PACKETS; sent += BATCH) {
		for (int i = 0; i < BATCH; i++) {
			uint32_t ports;

			veth->random = veth->random * 1664525 + 1013904223;
			ports = (veth->random >> 8) % flows + 0x10001;
			memcpy(veth->frames[i].bytes + PORTS_AT, &ports, sizeof(ports));
		}
		if (sendmmsg(veth->socket, veth->messages, BATCH, 0) != BATCH)
			return -errno;
	}
	return 0;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int program_time(int fd, uint64_t *ns, uint64_t *runs)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	*ns = info.run_time_ns;
	*runs = info.run_cnt;
	return 0;
}

/* One round of one program: its ns a packet, and the pair's. */
static int veth_round(struct veth *veth, int program, uint32_t flows, int *program_ns, int *pair_ns)
{
	uint64_t ns[2], runs[2], begin = clock_ns();
	int error = program_time(program, &ns[0], &runs[0]);

	if (!error)
		error = veth_send(veth, flows);
	*pair_ns = (int)((clock_ns() - begin) / PACKETS);
	if (!error)
		error = program_time(program, &ns[1], &runs[1]);
	if (!error && runs[1] - runs[0] < PACKETS / 2)
		error = -EPROTO; /* the packets did not come by */
	if (!error)
		*program_ns = (int)((ns[1] - ns[0]) / (runs[1] - runs[0]));
	return error;
}

static int attach(const struct veth *veth, int program, bool on)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)veth->peer, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1, .prog_fd = program);
	LIBBPF_OPTS(bpf_tc_opts, gone, .handle = 1, .priority = 1);

	return on ? bpf_tc_attach(&hook, &opts) : bpf_tc_detach(&hook, &gone);
}

/* Takes the program off again that tap_watch_attach() has put there, by tcx or by clsact. */
static void take_off(int program, unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
	            .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	union bpf_attr attr = {0};

	attr.target_fd = ifindex;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = 46; /* BPF_TCX_INGRESS, of newer headers */
	if (syscall(SYS_bpf, BPF_PROG_DETACH, &attr, sizeof(attr)) < 0)
		bpf_tc_hook_destroy(&hook);
}

static int ascending(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int median(int *values)
{
	qsort(values, ROUNDS, sizeof(values[0]), ascending);
	return values[ROUNDS / 2];
}

/* One target's turn: attached for one round. */
static int veth_turn(struct veth *veth, const int programs[TARGETS], int target, uint32_t flows,
                     int *program_ns, int *pair_ns)
{
	int error = attach(veth, programs[target], true);

	if (!error)
		error = veth_round(veth, programs[target], flows, program_ns, pair_ns);
	attach(veth, programs[target], false);
	return error;
}

/* Of LRU_HASH's cost in the same round, in thousandths; the median of all. */
static double ratio_of(int program_ns[TARGETS][ROUNDS])
{
	int ratios[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		ratios[i] = 1000 * (program_ns[CORDON][i] - program_ns[EMPTY][i]) /
		            BASE_MAX(program_ns[LEAST][i] - program_ns[EMPTY][i], 1);
	return median(ratios) / 1000.0;
}

static int veth_rounds(struct veth *veth, const int programs[TARGETS], uint32_t flows,
                       int program[TARGETS], int pair[TARGETS], double *ratio)
{
	int program_ns[TARGETS][ROUNDS], pair_ns[TARGETS][ROUNDS];

	/* The first two fill the tables. In every other one ours comes after the empty program, which leaves the caches
	 * as they are, and LRU_HASH after ours. */
	for (int round = -2; round < ROUNDS; round++)
		for (int turn = 0; turn < TARGETS; turn++) {
			int target = round & 1 ? (TARGETS - turn) % TARGETS : turn;
			int at = BASE_MAX(round, 0);
			int error = veth_turn(veth, programs, target, flows,
			                      &program_ns[target][at], &pair_ns[target][at]);

			if (error)
				return error;
		}
	*ratio = ratio_of(program_ns);
	for (int target = 0; target < TARGETS; target++) {
		program[target] = median(program_ns[target]);
		pair[target] = median(pair_ns[target]);
	}
	return 0;
}

static void report(struct figures *figures, uint32_t flows, const int program[TARGETS],
                   const int pair[TARGETS], double ratio)
{
	char name[32];

	snprintf(name, sizeof(name), "veth_%u_flows", flows);
	figures_cost(figures, name, program[EMPTY], program[LEAST], program[CORDON], ratio);
	snprintf(name, sizeof(name), "veth_%u_flows_loss", flows);
	figures_add(figures, name, 100.0 * (1.0 - (double)pair[EMPTY] / BASE_MAX(pair[CORDON], 1)),
	            "%");
	printf("%20s: %d ns a packet with an empty program, %d with LRU_HASH, %d with ours\n", name,
	       pair[EMPTY], pair[LEAST], pair[CORDON]);
}

int veth_measure(struct tap_watch *watch, int empty, int least, uint32_t flows,
                 struct figures *figures)
{
	BASE_AUTO_FD int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	BASE_AUTO_FD int cordon = bpf_obj_get("/sys/fs/bpf/cordon/from_guest");
	BASE_AUTO_FREE struct veth *veth = calloc(1, sizeof(*veth));
	const int programs[TARGETS] = {empty, least, cordon};
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	double ratio = 0;
	int program[TARGETS], pair[TARGETS], map, error = veth ? veth_open(veth) : -ENOMEM;

	if (error)
		return error;
	/* for its map; then it comes and goes as the others do */
	map = tap_watch_attach(watch, veth->peer, (uint8_t[6]){0});
	error = map < 0 ? map : 0;
	take_off(cordon, veth->peer);
	hook.ifindex = (int)veth->peer;
	if (!error)
		error = bpf_tc_hook_create(&hook);
	if (!error)
		error = veth_rounds(veth, programs, flows, program, pair, &ratio);
	bpf_tc_hook_destroy(&hook);
	base_close(&map);
	tap_watch_detach(watch, veth->peer);
	base_close(&veth->socket);
	if (!error)
		report(figures, flows, program, pair, ratio);
	return error;
}
