// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VM costs the firewall beside many others, and what a packet costs with them: in namespaces, with real
 * packets of one guest. The other VMs have rules and no taps: only a kernel that binds netdev chains by name takes
 * them.
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

enum { ROUNDS = 25, PACKETS = 20000, TIMES = 21, STEPS = 4 };

static const int steps[STEPS] = {1, 100, 1000, 5000};

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

static void apply(const struct policy *policy, const struct firewall_nic *nic)
{
	if (firewall_vm_apply(fixture.fw, policy, nic, 1)) {
		fprintf(stderr, "bench: %s\n", firewall_error(fixture.fw));
		exit(1);
	}
}

/* VMs [from, to), one after the other. */
static void load(struct policy *policy, int from, int to)
{
	for (int i = from; i < to; i++) {
		struct firewall_nic nic;

		plan(i, policy, &nic);
		apply(policy, &nic);
	}
}

/* Names, sets, limits, quotas, rejects, groups and a forward: what a VM's rules can have beside matches and verdicts. */
static const char all_of_it[] =
        "version: 1\n"
        "vm:\n"
        "  name: vm9001\n"
        "  groups: [blue]\n"
        "  kernel: debian-12\n"
        "  nics: [{mode: nat, forward: [{host: 8080, guest: 80}]}]\n"
        "firewall:\n"
        "  sets: {offices: [192.0.2.0/24, 198.51.100.0/24, '2001:db8::/48']}\n"
        "  ingress:\n"
        "    - {from: [192.0.2.1, 192.0.2.3, 192.0.2.7, 192.0.2.64/26, 198.51.100.1], proto: tcp,\n"
        "       ports: [80, 443, 8000-8100, 9000, 9001]}\n"
        "    - {from: set:offices, proto: tcp, ports: [22], limits: {new_connections: 5/s}}\n"
        "    - {from: world, action: reject, proto: tcp, ports: [25]}\n"
        "  egress:\n"
        "    - {to: {names: [www.example.org, '*.example.com']}, proto: tcp, ports: [443]}\n"
        "    - {to: group:blue, service: [postgresql, ping]}\n"
        "    - {to: 203.0.113.0/24, service: https, limits: {bandwidth: 10Mbit, quota: 10G}}\n"
        "    - {to: 203.0.114.0/24, action: reject, log: true}\n"
        "  limits: {new_connections: 50/s, connections: 1000, bandwidth: 100Mbit, packets: "
        "10000/s,\n"
        "    quota: 100G}\n";

static void parse_all_of_it(struct policy *policy)
{
	struct policy_errors *errors BASE_AUTO_FREE = calloc(1, sizeof(*errors));

	if (!errors || policy_parse(all_of_it, sizeof(all_of_it) - 1, policy, errors))
		abort();
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What is done to one VM more, and what it costs: medians of the time that passes, and of this process's. */
enum act { ADD, CHANGE, REMOVE, ACTS };
struct cost {
	double wall[ACTS], cpu[ACTS];
};

static void act(enum act what, struct policy *policy, const struct firewall_nic *nic)
{
	if (what == REMOVE) {
		if (firewall_vm_remove(fixture.fw, policy->vm.name))
			abort();
		return;
	}
	policy->ports[0].last = (uint16_t)(policy->ports[0].first + (what == CHANGE));
	apply(policy, nic);
}

static void one_more(struct policy *policy, int i, struct cost *cost)
{
	double walls[ACTS][TIMES], cpus[ACTS][TIMES];
	struct firewall_nic nic;

	plan(i, policy, &nic);
	for (int k = 0; k < TIMES; k++)
		for (enum act a = ADD; a < ACTS; a++) {
			double wall = clock_ms(CLOCK_MONOTONIC),
			       cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);

			act(a, policy, &nic);
			walls[a][k] = clock_ms(CLOCK_MONOTONIC) - wall;
			cpus[a][k] = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		}
	policy->ports[0].last = policy->ports[0].first;
	for (enum act a = ADD; a < ACTS; a++) {
		qsort(walls[a], TIMES, sizeof(**walls), order);
		qsort(cpus[a], TIMES, sizeof(**cpus), order);
		cost->wall[a] = walls[a][TIMES / 2];
		cost->cpu[a] = cpus[a][TIMES / 2];
	}
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

/* Its name is WHAT, the number of VMs, and END. */
static void figure(const char *what, int n, const char *end, double value, const char *unit)
{
	static bool any;

	printf("%s{\"name\":\"%s_%d%s\",\"value\":%.3f,\"unit\":\"%s\"}", any ? "," : "", what, n,
	       end, value, unit);
	any = true;
}

START_TEST(bench)
{
	struct policy *policy = calloc(1, sizeof(*policy)), *full = calloc(1, sizeof(*full));
	double packet[STEPS], loading = 0;
	struct cost cost[STEPS], whole;
	int sender, receiver, have = 1;
	long slab;

	ck_assert(policy && full);
	parse_all_of_it(full);
	fixture_open();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, "192.0.2.0/24", ALLOWED_PORT);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 443);
	fixture_start(0);
	*policy = *fixture.policies[0];
	receiver = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", ALLOWED_PORT);
	sender = connected(0, "10.77.0.2", ALLOWED_PORT);
	slab = slab_kib();
	for (int s = 0; s < STEPS; s++) {
		double from = clock_ms(CLOCK_MONOTONIC), kib;

		load(policy, have, steps[s]);
		loading += clock_ms(CLOCK_MONOTONIC) - from;
		have = steps[s];
		kib = (double)(slab_kib() - slab);
		one_more(policy, 9000, &cost[s]);
		one_more(full, 9001, &whole);
		packet[s] = packet_cost(sender, receiver);
		fprintf(stderr,
		        "%5d VMs: one more %.2f ms (%.2f of CPU), changed %.2f (%.2f), removed "
		        "%.2f "
		        "(%.2f); a packet %.0f ns of CPU; loaded in %.0f ms, %.1f KiB of the "
		        "kernel's "
		        "memory each\n",
		        have, cost[s].wall[ADD], cost[s].cpu[ADD], cost[s].wall[CHANGE],
		        cost[s].cpu[CHANGE], cost[s].wall[REMOVE], cost[s].cpu[REMOVE], packet[s],
		        loading, kib / have);
		fprintf(stderr,
		        "%5d VMs: one more with all kinds of rules %.2f ms (%.2f of CPU), changed "
		        "%.2f, removed "
		        "%.2f\n",
		        have, whole.wall[ADD], whole.cpu[ADD], whole.wall[CHANGE],
		        whole.wall[REMOVE]);
		figure("add_full_vm_at", have, "_ms", whole.wall[ADD], "ms");
		figure("change_full_vm_at", have, "_ms", whole.wall[CHANGE], "ms");
		figure("remove_full_vm_at", have, "_ms", whole.wall[REMOVE], "ms");
		figure("add_vm_at", have, "_ms", cost[s].wall[ADD], "ms");
		figure("add_vm_at", have, "_cpu_ms", cost[s].cpu[ADD], "ms");
		figure("change_vm_at", have, "_ms", cost[s].wall[CHANGE], "ms");
		figure("remove_vm_at", have, "_ms", cost[s].wall[REMOVE], "ms");
		figure("packets_per_cpu_second_at", have, "", 1e9 / packet[s], "1/s");
		if (s > 1) {
			figure("load", have, "_ms", loading, "ms");
			figure("kernel_memory_of", have, "", kib, "KiB");
		}
	}
	figure("packet_cost", 1, "", packet[0], "ns");
	figure("packet_cost", steps[STEPS - 1], "_over_1", packet[STEPS - 1] / packet[0], "ratio");
	fflush(stdout);
	free(policy);
	free(full);
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
