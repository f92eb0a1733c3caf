/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The design's example policy, field by field.
 */
#include <arpa/inet.h>
#include <check.h>

#include "base/base.h"
#include "policies/policies.h"

static struct policy policy;
static struct policy_errors errors;

static void parse_file(const char *path)
{
	char *text BASE_AUTO_FREE = NULL;
	ssize_t size = policy_read_file(path, &text);
	int result;

	ck_assert_msg(size > 0, "%s: %zd", path, size);
	result = policy_parse(text, (size_t)size, &policy, &errors);
	if (result)
		policy_errors_print(stderr, path, &errors);
	ck_assert_int_eq(result, 0);
}

static void setup(void)
{
	parse_file(POLICIES_DIR "/web.yaml");
}

START_TEST(test_vm)
{
	const struct policy_vm *vm = &policy.vm;

	ck_assert_uint_eq(policy.version, 1);
	ck_assert_str_eq(vm->name, "web0");
	ck_assert_uint_eq(vm->vcpus, 2);
	ck_assert_uint_eq(vm->memory, 512ull << 20);
	ck_assert_str_eq(vm->kernel, "debian-12");
	ck_assert_str_eq(vm->initrd, "");
	ck_assert_str_eq(vm->cmdline, "");
	ck_assert_uint_eq(vm->disk_count, 1);
	ck_assert_str_eq(vm->disks[0].path, "web0.raw");
	ck_assert_int_eq(vm->disks[0].format, POLICY_DISK_RAW);
	ck_assert(!vm->disks[0].read_only);
	ck_assert_uint_eq(vm->disks[0].limit.bandwidth, 100ull << 20);
	ck_assert_uint_eq(vm->disks[0].limit.iops, 2000);
	ck_assert_uint_eq(vm->disks[0].line, 7);
	ck_assert_uint_eq(vm->nic_count, 1);
	ck_assert_int_eq(vm->nics[0].mode, POLICY_NIC_NAT);
	ck_assert_uint_eq(vm->nics[0].mtu, 0);
	ck_assert_uint_eq(vm->nics[0].line, 8);
}
END_TEST

START_TEST(test_isolation)
{
	const struct policy_isolation *isolation = &policy.isolation;

	ck_assert_uint_eq(isolation->cpus[0], 1u << 2 | 1u << 3);
	for (size_t i = 1; i < sizeof(isolation->cpus); i++)
		ck_assert_uint_eq(isolation->cpus[i], 0);
	ck_assert(isolation->core_scheduling);
	ck_assert_uint_eq(isolation->huge_pages, 2ull << 20);
	ck_assert_uint_eq(isolation->memory_overhead, 32ull << 20);
	ck_assert(isolation->any);
	ck_assert_int_eq(policy.confidential.type, POLICY_CC_NONE);
	ck_assert_uint_eq(policy.confidential.line, 12);
}
END_TEST

START_TEST(test_firewall)
{
	const struct policy_firewall *firewall = &policy.firewall;
	const struct policy_rule *rule = &firewall->ingress[0];
	const struct policy_cidr *cidr;

	ck_assert_uint_eq(firewall->ingress_count, 1);
	ck_assert(rule->any);
	ck_assert_int_eq(rule->action, POLICY_ALLOW);
	ck_assert_int_eq(rule->proto, POLICY_PROTO_TCP);
	ck_assert(!rule->log);
	ck_assert_uint_eq(rule->line, 15);
	ck_assert_uint_eq(rule->ports.count, 2);
	ck_assert_uint_eq(policy.ports[rule->ports.first].first, 80);
	ck_assert_uint_eq(policy.ports[rule->ports.first + 1].last, 443);

	ck_assert_uint_eq(firewall->egress_count, 2);
	rule = &firewall->egress[0];
	ck_assert(!rule->any);
	ck_assert_uint_eq(rule->names.count, 1);
	ck_assert_uint_eq(rule->cidrs.count, 0);
	ck_assert_str_eq(policy.names[rule->names.first], "www.example.org");
	ck_assert_uint_eq(rule->line, 17);
	rule = &firewall->egress[1];
	ck_assert_int_eq(rule->proto, POLICY_PROTO_UDP);
	ck_assert_uint_eq(rule->cidrs.count, 1);
	cidr = &policy.cidrs[rule->cidrs.first];
	ck_assert_uint_eq(cidr->family, 4);
	ck_assert_uint_eq(cidr->prefix, 32);
	ck_assert_uint_eq(cidr->line, 18);
	ck_assert_uint_eq(base_be32(cidr->addr), 0x0a000035);
	ck_assert_uint_eq(rule->line, 18);

	ck_assert_uint_eq(firewall->limits.new_connections, 50);
	ck_assert_uint_eq(firewall->limits.connections, 1000);
	ck_assert_uint_eq(firewall->limits.bandwidth, 12500000);
	ck_assert(firewall->dns);
}
END_TEST

START_TEST(test_monitor)
{
	const struct policy_monitor *monitor = &policy.monitor;

	ck_assert(monitor->scan.enabled);
	ck_assert_uint_eq(monitor->scan.respond, POLICY_RESPOND_ALERT | POLICY_RESPOND_THROTTLE);
	ck_assert_uint_eq(monitor->scan.line, 22);
	ck_assert_uint_eq(monitor->scan_ports, 15);
	ck_assert_uint_eq(monitor->scan_hosts, 15);
	ck_assert_uint_eq(monitor->dns_tunnel.respond, POLICY_RESPOND_ALERT |
	                                                       POLICY_RESPOND_CAPTURE |
	                                                       POLICY_RESPOND_QUARANTINE);
	ck_assert(monitor->beacon.enabled);
	ck_assert_uint_eq(monitor->beacon.respond, POLICY_RESPOND_ALERT);
	ck_assert_uint_eq(monitor->beacon.line, 0);
	ck_assert_uint_eq(monitor->sink_count, 0);
	ck_assert_uint_eq(policy.capture.ring, 64ull << 20);
	ck_assert_uint_eq(policy.capture.snaplen, 256);
	ck_assert_uint_eq(policy.capture.before_alert, 30);
	ck_assert_uint_eq(policy.capture.line, 26);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies_example");
	TCase *example = tcase_create("example");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(example, setup, NULL);
	tcase_add_test(example, test_vm);
	tcase_add_test(example, test_isolation);
	tcase_add_test(example, test_firewall);
	tcase_add_test(example, test_monitor);
	suite_add_tcase(suite, example);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
