// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VM more costs the firewall, and what a packet costs with many VMs: in namespaces, with real packets of
 * one guest. The other VMs have rules and no taps: only a kernel that binds netdev chains by name takes them.
 * Of the last 4,000, only the elements in the maps are there, which is all of them that a packet of another VM
 * meets: to load so many takes libnftables the better part of an hour, as docs/PERFORMANCE.md says.
 *
 *   usage: bench_firewall
 *
 * A packet's cost is CPU time: from the guest's send to the world's socket it is one thread's, softirq and all,
 * so other load on the machine hardly shows in it. Of several rounds the least counts.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"
#include "firewall/rules.h"
#include "tests/traffic/firewall_fixture.h"

enum { BATCH = 100, ROUNDS = 25, PACKETS = 20000, ADDS = 5, STEPS = 3, MAPPED = 5000 };

static const int steps[STEPS] = {1, 100, 1000};

static double clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void plan(int i, struct policy *policy, struct firewall_nic *nic)
{
	uint16_t host = (uint16_t)(i * 4);
	uint8_t high = (uint8_t)(i >> 8), low = (uint8_t)i;

	snprintf(policy->vm.name, sizeof(policy->vm.name), "vm%d", i);
	*nic = fixture.nics[0];
	snprintf(nic->tap, sizeof(nic->tap), "cn%d", i);
	memcpy(nic->mac, (uint8_t[]){2, 0xcd, 0, 0, high, low}, 6);
	memcpy(nic->gateway4, (uint8_t[]){10, 78, (uint8_t)(host >> 8), (uint8_t)(host + 1)}, 4);
	memcpy(nic->ip4, (uint8_t[]){10, 78, (uint8_t)(host >> 8), (uint8_t)(host + 2)}, 4);
	nic->ip6[3] = nic->gateway6[3] = 1;
	nic->ip6[4] = nic->gateway6[4] = high;
	nic->ip6[5] = nic->gateway6[5] = low;
}

/* VMs [from, to), some in each transaction. */
static void load(struct policy *policy, int from, int to)
{
	for (int i = from; i < to;) {
		char *text = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);

		if (!out)
			abort();
		for (int end = BASE_MIN(i + BATCH, to); i < end; i++) {
			struct firewall_nic nic;

			plan(i, policy, &nic);
			if (firewall_explain(out, policy, &nic, 1))
				abort();
		}
		fclose(out);
		if (firewall_run(fixture.fw, text)) {
			fprintf(stderr, "bench: %s\n", firewall_error(fixture.fw));
			exit(1);
		}
		free(text);
	}
}

/* Elements for taps [from, to), which lead where those of vm1 do. */
static void load_maps(int from, int to)
{
	for (size_t m = 0; m < firewall_maps_of("inet"); m++) {
		char *text = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);

		if (!out)
			abort();
		for (int i = from; i < to; i++)
			fprintf(out, "%s\"cn%d\" : jump vm_vm1_0_%s", i == from ? "" : ", ", i,
			        firewall_maps[m].suffix);
		fclose(out);
		char *command BASE_AUTO_FREE = NULL;

		if (asprintf(&command, "add element inet cordon %s { %s }\n", firewall_maps[m].map,
		             text) < 0 ||
		    firewall_run(fixture.fw, command)) {
			fprintf(stderr, "bench: %s\n", firewall_error(fixture.fw));
			exit(1);
		}
		free(text);
	}
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians: of the time that passes, and of this process's. */
static void add_one(struct policy *policy, int i, double *wall, double *cpu)
{
	double walls[ADDS], cpus[ADDS];
	struct firewall_nic nic;

	for (int k = 0; k < ADDS; k++) {
		double wall_from, cpu_from;

		plan(i, policy, &nic);
		wall_from = clock_ms(CLOCK_MONOTONIC);
		cpu_from = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
		if (firewall_vm_apply(fixture.fw, policy, &nic, 1))
			abort();
		walls[k] = clock_ms(CLOCK_MONOTONIC) - wall_from;
		cpus[k] = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_from;
		if (firewall_vm_remove(fixture.fw, policy->vm.name))
			abort();
	}
	qsort(walls, ADDS, sizeof(*walls), order);
	qsort(cpus, ADDS, sizeof(*cpus), order);
	*wall = walls[ADDS / 2];
	*cpu = cpus[ADDS / 2];
}

/* Nanoseconds a packet from the guest to the world and its socket. */
static double packet_cost(int sender, int receiver)
{
	double least = 1e9;
	char byte;

	for (int round = 0; round < ROUNDS; round++) {
		double from = clock_ms(CLOCK_THREAD_CPUTIME_ID);
		int got = 0;

		for (int i = 0; i < PACKETS; i++) {
			if (send(sender, "x", 1, 0) < 0)
				abort();
			got += recv(receiver, &byte, 1, MSG_DONTWAIT) == 1;
		}
		from = (clock_ms(CLOCK_THREAD_CPUTIME_ID) - from) * 1e6 / PACKETS;
		/* a round of which another CPU took a part is none */
		if (got > PACKETS * 9 / 10 && from < least)
			least = from;
	}
	return least;
}

static long slab_kib(void)
{
	FILE *info BASE_AUTO_FILE = fopen("/proc/meminfo", "re");
	char line[128];
	long kib = 0;

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "SUnreclaim: %ld", &kib) == 1)
			break;
	return kib;
}

static int connected(int where, const char *from, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = net_bound(&fixture.net, where, SOCK_DGRAM, from, 0);

	inet_pton(AF_INET, "192.0.2.10", &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		abort();
	return fd;
}

START_TEST(bench)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	double wall[STEPS], cpu[STEPS], cost[STEPS], mapped, loading = 0;
	int sender, receiver, have = 1;
	long slab;

	ck_assert_ptr_nonnull(policy);
	fixture_open();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, "192.0.2.0/24", ALLOWED_PORT);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 443);
	fixture_start(0);
	*policy = *fixture.policies[0];
	receiver = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", ALLOWED_PORT);
	sender = connected(0, "10.77.0.2", ALLOWED_PORT);
	slab = slab_kib();
	for (int s = 0; s < STEPS; s++) {
		double from = clock_ms(CLOCK_MONOTONIC);

		load(policy, have, steps[s]);
		loading += clock_ms(CLOCK_MONOTONIC) - from;
		have = steps[s];
		add_one(policy, 9000, &wall[s], &cpu[s]);
		cost[s] = packet_cost(sender, receiver);
		fprintf(stderr,
		        "%5d VMs: one more %.2f ms (%.2f ms of CPU), a packet %.0f ns of CPU\n",
		        have, wall[s], cpu[s], cost[s]);
	}
	slab = slab_kib() - slab;
	load_maps(have, MAPPED);
	mapped = packet_cost(sender, receiver);
	fprintf(stderr, "%5d VMs in the maps: a packet %.0f ns of CPU\n", MAPPED, mapped);
	fprintf(stderr, "%d VMs: loaded in %.0f ms, %.1f KiB of the kernel's memory each\n", have,
	        loading, (double)slab / have);
	printf("{\"name\":\"add_vm_at_1_ms\",\"value\":%.2f,\"unit\":\"ms\"},"
	       "{\"name\":\"add_vm_at_1000_ms\",\"value\":%.2f,\"unit\":\"ms\"},"
	       "{\"name\":\"add_vm_at_1000_cpu_ms\",\"value\":%.2f,\"unit\":\"ms\"},"
	       "{\"name\":\"load_1000_ms\",\"value\":%.0f,\"unit\":\"ms\"},"
	       "{\"name\":\"kernel_memory_per_vm\",\"value\":%.1f,\"unit\":\"KiB\"},"
	       "{\"name\":\"packet_cost_1\",\"value\":%.0f,\"unit\":\"ns\"},"
	       "{\"name\":\"packet_cost_5000_over_1\",\"value\":%.3f,\"unit\":\"ratio\"}",
	       wall[0], wall[2], cpu[2], loading, (double)slab / have, cost[0], mapped / cost[0]);
	fflush(stdout);
	free(policy);
}
END_TEST

/* The namespaces' helpers say what is wrong by way of Check. */
int main(void)
{
	TCase *tests = tcase_create("bench");
	Suite *suite = suite_create("bench");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, bench);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
