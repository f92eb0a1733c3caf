// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a packet costs at the tap, in test-runs: beside an empty program, whose cost (the driver's) is
 * taken off both, and beside a minimal LRU_HASH flow map, at 1, 5,000 and 50,000 flows. Rounds
 * alternate between the two, and the least of each counts: other work on the machine only adds.
 *
 * Ends with one line of JSON. In namespaces of its own; needs root.
 */
#include <bpf/bpf.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/base.h"
#include "bench_bpf.skel.h"
#include "bpf/reader.h"
#include "bpf/tap.h"
#include "tests/unit/bpf_frames.h"

enum { EMPTY, LEAST, CORDON, TARGETS };
enum { ROUNDS = 12, REPEAT = 400000, LOOPBACK = 1, FLOWS_ROOM = 131072 };

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

static int measure(struct bench_bpf *bench)
{
	static const uint32_t flows[] = {1, 5000, 50000};
	char json[1024] = "", *at = json;

	for (size_t i = 0; i < BASE_COUNT(flows); i++) {
		int best[TARGETS], ours, theirs, error = least_of(bench, flows[i], best);

		if (error)
			return error;
		ours = best[CORDON] - best[EMPTY];
		theirs = BASE_MAX(best[LEAST] - best[EMPTY], 1);
		printf("%6u flows: empty %d ns, LRU_HASH +%d ns, cordon +%d ns (%.2f)\n", flows[i],
		       best[EMPTY], theirs, ours, (double)ours / theirs);
		at += snprintf(
		        at, sizeof(json) - (size_t)(at - json),
		        "%s{\"name\": \"packet_%u_flows\", \"value\": %d, \"unit\": \"ns\", "
		        "\"peer\": \"minimal LRU_HASH\", \"peer_value\": %d, \"ratio\": %.2f}",
		        i ? ", " : "", flows[i], ours, theirs, (double)ours / theirs);
	}
	printf("{\"bench\": \"bpf\", \"figures\": [%s]}\n", json);
	return 0;
}

static int prepare(struct bench_bpf *bench, struct tap_watch *watch)
{
	BASE_AUTO_FD int flows =
	        tap_watch_attach_sized(watch, LOOPBACK, (uint8_t[6]){0}, FLOWS_ROOM);
	BASE_AUTO_FD int cordon = bpf_obj_get("/sys/fs/bpf/cordon/from_guest");
	const int programs[TARGETS] = {bpf_program__fd(bench->progs.empty),
	                               bpf_program__fd(bench->progs.least), cordon};
	int error = BASE_MIN(flows, cordon);

	for (uint32_t i = 0; i < TARGETS && error >= 0; i++)
		error = bpf_map_update_elem(bpf_map__fd(bench->maps.targets), &i, &programs[i], 0);
	return error < 0 ? error : 0;
}

int main(void)
{
	struct tap_watch *watch = NULL;
	struct bench_bpf *bench;
	const char *why = "namespaces and a bpf file system of its own (root?)";
	int error;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		error = -errno;
	else
		error = tap_watch_open(&watch, &why);
	if (error) {
		fprintf(stderr, "bench_bpf: %s: %s\n", why, strerror(-error));
		return 1;
	}
	bench = bench_bpf__open_and_load();
	error = bench ? prepare(bench, watch) : -errno;
	if (!error)
		error = measure(bench);
	if (error)
		fprintf(stderr, "bench_bpf: %s\n", strerror(-error));
	bench_bpf__destroy(bench);
	tap_watch_detach(watch, LOOPBACK);
	tap_watch_close(watch);
	tap_watch_unpin();
	return error ? 1 : 0;
}
