// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a packet costs at the tap, beside an empty program, whose cost is taken off both, and beside a
 * minimal LRU_HASH flow map, at 1, 5,000 and 50,000 flows of 64-byte frames:
 *
 *   run   in test-runs, one packet after the other and nothing between them (bpf.bpf.c)
 *   veth  at the far end of a veth pair that a packet socket fills: by the kernel's own account of the
 *         program's time, with all that the network stack does to the caches between two packets; and
 *         what is lost of the pair's throughput
 *
 * Rounds alternate between the programs; of test-runs the least counts (other work on the machine only
 * adds), of the rest the median, and the median of the rounds' ratios. It has a CPU for itself, with SCHED_FIFO: what other
 * programs leave of the caches would be measured else, which is little when they had the CPU some hundred packets ago.
 * Ends with one line of JSON. Needs root, and a network namespace of its own with a veth pair bench0, bench1 (bpf.sh).
 */
#include <bpf/bpf.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/base.h"
#include "bench_bpf.skel.h"
#include "bpf_bench.h"
#include "bpf/reader.h"
#include "bpf/tap.h"
#include "tests/unit/bpf_frames.h"

enum { EMPTY, LEAST, CORDON, TARGETS };
enum { ROUNDS = 12, REPEAT = 400000, LOOPBACK = 1 };

struct driver { /* as in bpf.bpf.c */
	uint32_t flows, target, random, reserved;
};

static int run(struct bench_bpf *bench, uint32_t target, uint32_t flows, uint32_t repeat)
{
	struct driver driver = {.flows = flows, .target = target, .random = 1};
	uint32_t zero = 0;
	struct frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.bytes, .repeat = (int)repeat);
	int error = bpf_map_update_elem(bpf_map__fd(bench->maps.driver), &zero, &driver, 0);

	frame_make_udp(&frame, FLOW_GUEST, 1, 2, "0123456789abcdef012");
	opts.data_size_in = frame.size; /* 61: a 64-byte frame but for its checksum */
	if (!error)
		error = bpf_prog_test_run_opts(bpf_program__fd(bench->progs.drive), &opts);
	if (!error && (int)opts.retval != -1)
		error = -EPROTO; /* the driver found no target */
	return error ? error : (int)opts.duration;
}

static int least_of(struct bench_bpf *bench, uint32_t flows, int best[TARGETS])
{
	for (int target = 0; target < TARGETS; target++)
		best[target] = INT32_MAX;
	for (int round = 0; round < ROUNDS; round++)
		for (int target = 0; target < TARGETS; target++) {
			int ns = run(bench, (uint32_t)target, flows, REPEAT);

			if (ns < 0)
				return ns;
			/* The first round fills the tables. */
			if (round > 0)
				best[target] = BASE_MIN(best[target], ns);
		}
	return 0;
}

static void figures_append(struct figures *figures, const char *text)
{
	size_t room = sizeof(figures->json) - figures->size;

	figures->size += (size_t)snprintf(figures->json + figures->size, room, "%s%s",
	                                  figures->size ? ", " : "", text);
	figures->size = BASE_MIN(figures->size, sizeof(figures->json) - 1);
}

void figures_cost(struct figures *figures, const char *name, int empty, int least, int cordon,
                  double ratio)
{
	int ours = cordon - empty, theirs = BASE_MAX(least - empty, 1);
	char text[256];

	printf("%20s: empty %d ns, LRU_HASH +%d ns, cordon +%d ns (%.2f)\n", name, empty, theirs,
	       ours, ratio);
	snprintf(text, sizeof(text),
	         "{\"name\": \"%s\", \"value\": %d, \"unit\": \"ns\", \"peer\": "
	         "\"minimal LRU_HASH\", \"peer_value\": %d, \"ratio\": %.2f}",
	         name, ours, theirs, ratio);
	figures_append(figures, text);
}

void figures_add(struct figures *figures, const char *name, double value, const char *unit)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"name\": \"%s\", \"value\": %.1f, \"unit\": \"%s\"}", name,
	         value, unit);
	figures_append(figures, text);
}

static int measure_run(struct bench_bpf *bench, uint32_t flows, struct figures *figures)
{
	int best[TARGETS], error = least_of(bench, flows, best);
	char name[32];

	if (error)
		return error;
	snprintf(name, sizeof(name), "run_%u_flows", flows);
	figures_cost(figures, name, best[EMPTY], best[LEAST], best[CORDON],
	             (double)(best[CORDON] - best[EMPTY]) / BASE_MAX(best[LEAST] - best[EMPTY], 1));
	return 0;
}

static int prepare(struct bench_bpf *bench, struct tap_watch *watch)
{
	BASE_AUTO_FD int flows = tap_watch_attach(watch, LOOPBACK, (uint8_t[6]){0});
	BASE_AUTO_FD int cordon = bpf_obj_get("/sys/fs/bpf/cordon/from_guest");
	const int programs[TARGETS] = {bpf_program__fd(bench->progs.empty),
	                               bpf_program__fd(bench->progs.least), cordon};
	int error = BASE_MIN(flows, cordon);

	for (uint32_t i = 0; i < TARGETS && error >= 0; i++)
		error = bpf_map_update_elem(bpf_map__fd(bench->maps.targets), &i, &programs[i], 0);
	return error < 0 ? error : 0;
}

static void bench_free(struct bench_bpf **bench)
{
	bench_bpf__destroy(*bench);
}

/* Both tables have the same room. */
static int measure(struct tap_watch *watch, uint32_t flows, uint32_t room, struct figures *figures)
{
	BASE_CLEANUP(bench_free) struct bench_bpf *bench = bench_bpf__open();
	int error;

	if (!bench || bpf_map__set_max_entries(bench->maps.lru, room) < 0)
		return -errno;
	error = bench_bpf__load(bench);
	if (!error)
		error = prepare(bench, watch);
	if (!error)
		error = measure_run(bench, flows, figures);
	tap_watch_detach(watch, LOOPBACK);
	if (!error)
		error = veth_measure(watch, bpf_program__fd(bench->progs.empty),
		                     bpf_program__fd(bench->progs.least), flows, figures);
	return error;
}

/* The last CPU that there is, before all others who want it; and says what else the machine does. */
static void have_a_cpu(void)
{
	const struct sched_param first = {.sched_priority = 1};
	double load[1] = {0};
	cpu_set_t all, one;
	int cpu = CPU_SETSIZE - 1;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(all), &all) == 0) {
		while (cpu > 0 && !CPU_ISSET(cpu, &all))
			cpu--;
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	getloadavg(load, 1);
	printf("load %.1f; %s\n", load[0],
	       sched_setscheduler(0, SCHED_FIFO, &first) < 0
	               ? "no SCHED_FIFO: others get in between"
	               : "one CPU is the bench's");
}

int main(void)
{
	/* what a VM has room for if nobody says otherwise, and what 50,000 need */
	static const struct {
		uint32_t flows, room;
	} counts[] = {{1, 16384}, {5000, 16384}, {50000, 131072}};
	struct tap_watch *watch = NULL;
	struct figures figures = {0};
	const char *why = "a mount namespace and a bpf file system of its own (root?)";
	int error = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		error = -errno;
	have_a_cpu();
	for (size_t i = 0; i < BASE_COUNT(counts) && !error; i++) {
		error = tap_watch_open_sized(&watch, counts[i].room, &why);
		if (error)
			break;
		error = measure(watch, counts[i].flows, counts[i].room, &figures);
		tap_watch_close(watch);
		tap_watch_unpin();
	}
	if (error)
		fprintf(stderr, "bench_bpf: %s: %s\n", why ? why : "measuring", strerror(-error));
	else
		printf("{\"bench\": \"bpf\", \"figures\": [%s]}\n", figures.json);
	return error ? 1 : 0;
}
