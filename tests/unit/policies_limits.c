/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hostile text and a lost parser can do: nothing. Bounds of size, depth and number; the child's
 * role; and results that no parser makes.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "policies/internal.h"

static struct policy policy;
static struct policy_errors errors;

static const char good[] = "version: 1\n"
                           "vm: {name: a, kernel: k, nics: [{}]}\n"
                           "firewall:\n"
                           "  egress: [{to: [192.0.2.1, 2001:db8::/32], proto: tcp, ports: 443}]\n"
                           "monitor: {sinks: [{syslog: udp://192.0.2.9:514}]}\n";

static int parse(const char *text)
{
	return policy_parse(text, strlen(text), &policy, &errors);
}

/* `head`, then `size` bytes of `fill` over and over. */
static char *text_of(const char *head, const char *fill, size_t size)
{
	char *text = malloc(size + 1);
	size_t used = strlen(head), step = strlen(fill);

	memcpy(text, head, used);
	for (; used < size; used++)
		text[used] = fill[(used - strlen(head)) % step];
	text[size] = '\0';
	return text;
}

START_TEST(test_size)
{
	char *text BASE_AUTO_FREE = text_of(good, "#", POLICY_SIZE_MAX + 1);

	ck_assert_int_eq(policy_parse(text, POLICY_SIZE_MAX, &policy, &errors), 0);
	ck_assert_int_eq(policy_parse(text, POLICY_SIZE_MAX + 1, &policy, &errors), -EINVAL);
	ck_assert_uint_eq(errors.count, 1);
	ck_assert_str_eq(errors.list[0].found, "more than 256 KiB");
	ck_assert_int_eq(policy_parse("", 0, &policy, &errors), -EINVAL);
	ck_assert_str_eq(errors.list[0].found, "an empty policy");
}
END_TEST

START_TEST(test_file_size)
{
	char path[] = "/tmp/cordon-policies-XXXXXX";
	int fd BASE_AUTO_FD = mkstemp(path);
	char *text BASE_AUTO_FREE = NULL;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, POLICY_SIZE_MAX + 1), 0);
	ck_assert_int_eq(policy_read_file(path, &text), -EFBIG);
	ck_assert_int_eq(ftruncate(fd, POLICY_SIZE_MAX), 0);
	ck_assert_int_eq(policy_read_file(path, &text), POLICY_SIZE_MAX);
	unlink(path);
	ck_assert_int_eq(policy_read_file(path, &(char *){NULL}), -ENOENT);
	ck_assert_int_eq(policy_read_file("/", &(char *){NULL}), -EISDIR);
}
END_TEST

START_TEST(test_depth)
{
	static const char at_16[] = "a: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]";
	static const char at_17[] = "a: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]";

	ck_assert_int_eq(parse(at_16), -EINVAL);
	ck_assert_ptr_null(strstr(errors.list[0].found, "depth"));
	ck_assert_int_eq(parse(at_17), -EINVAL);
	ck_assert_uint_eq(errors.count, 1);
	ck_assert_str_eq(errors.list[0].found, "a list or mapping at depth 17");
	ck_assert_uint_eq(errors.list[0].column, 19);
}
END_TEST

/* The CPU time of the child is bounded by its limit; here it has to end long before, by itself. */
START_TEST(test_nesting_without_end)
{
	static const struct {
		const char *head, *fill;
	} texts[] = {
	        {"a: ", "["},     {"a: ", "{"},  {"a: ", "[\n"}, {"", "- "},    {"", "? "},
	        {"a: ", "[{a: "}, {"", "a:\n "}, {"a: ", "\"["}, {"a: ", "['"}, {"a: ", "[#]\n"},
	};

	for (size_t i = 0; i < BASE_COUNT(texts); i++) {
		char *text BASE_AUTO_FREE = text_of(texts[i].head, texts[i].fill, 50000);
		char *most BASE_AUTO_FREE = text_of(texts[i].head, texts[i].fill, POLICY_SIZE_MAX);

		ck_assert_int_eq(policy_parse(text, 50000, &policy, &errors), -EINVAL);
		ck_assert_int_eq(policy_parse(most, POLICY_SIZE_MAX, &policy, &errors), -EINVAL);
	}
}
END_TEST

START_TEST(test_numbers_of_things)
{
	char *nodes BASE_AUTO_FREE = text_of("a: [", "a,", POLICY_SIZE_MAX);
	char *keys BASE_AUTO_FREE = NULL, *cidrs BASE_AUTO_FREE = NULL;
	size_t size;
	FILE *out = open_memstream(&keys, &size);

	ck_assert_int_eq(parse(nodes), -EINVAL);
	ck_assert_str_eq(errors.list[0].found, "too many values in one policy");

	for (int i = 0; i <= POLICY_KEYS_MAX; i++)
		fprintf(out, "k%d: 1\n", i);
	fclose(out);
	ck_assert_int_eq(parse(keys), -EINVAL);
	ck_assert_str_eq(errors.list[0].found, "too many keys in one mapping");

	out = open_memstream(&cidrs, &size);
	fputs("version: 1\nvm: {name: a, kernel: k, nics: [{}]}\nfirewall:\n  egress:\n  - to: [",
	      out);
	for (int i = 0; i <= POLICY_CIDRS_MAX; i++)
		fprintf(out, "10.%d.%d.1, ", i / 256, i % 256);
	fputs("]\n", out);
	fclose(out);
	ck_assert_int_eq(parse(cidrs), -EINVAL);
	ck_assert_uint_eq(errors.count, 1);
	ck_assert_str_eq(errors.list[0].expected, "at most 2048 addresses in one policy");
}
END_TEST

/* ---- the child's role ---- */

static void open_a_file(void *reached)
{
	*(int *)reached = 1;
	open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	*(int *)reached = 2;
}

static void make_a_socket(void *reached)
{
	*(int *)reached = 1;
	socket(AF_INET, SOCK_STREAM, 0);
	*(int *)reached = 2;
}

static void start_a_program(void *reached)
{
	*(int *)reached = 1;
	execl("/bin/true", "true", NULL);
	*(int *)reached = 2;
}

static void make_memory_executable(void *reached)
{
	*(int *)reached = 1;
	(void)!mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	            0);
	*(int *)reached = 2;
}

START_TEST(test_child_is_killed)
{
	static const policy_child_fn deeds[] = {open_a_file, make_a_socket, start_a_program,
	                                        make_memory_executable};
	int *reached =
	        mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(reached != MAP_FAILED);
	ck_assert_int_eq(policy_run_child(deeds[_i], reached), -ECHILD);
	ck_assert_int_eq(*reached, 1);
	munmap(reached, sizeof(int));
}
END_TEST

static void spin(void *unused)
{
	(void)unused;
	for (volatile unsigned int i = 0;; i++)
		;
}

START_TEST(test_child_has_a_cpu_limit)
{
	ck_assert_int_eq(policy_run_child(spin, NULL), -ETIME);
}
END_TEST

/* The role is the child's alone. */
START_TEST(test_caller_is_unchanged)
{
	char path[64];
	int fd BASE_AUTO_FD = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct rlimit limit;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(parse(good), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_CPU, &limit), 0);
	ck_assert(limit.rlim_cur == RLIM_INFINITY);
}
END_TEST

/* ---- what a lost child might leave ---- */

#define SPOIL(name, ...)                   \
	static void name(struct policy *p) \
	{                                  \
		__VA_ARGS__;               \
	}
SPOIL(spoil_version, p->version = 2)
SPOIL(spoil_name, memset(p->vm.name, 'a', sizeof(p->vm.name)))
SPOIL(spoil_name_dots, memcpy(p->vm.name, "../a", sizeof("../a")))
SPOIL(spoil_vcpus, p->vm.vcpus = 0)
SPOIL(spoil_memory, p->vm.memory += 4096)
SPOIL(spoil_kernel, memset(p->vm.kernel, 'k', sizeof(p->vm.kernel)))
SPOIL(spoil_guard, p->vm.guard = true)
SPOIL(spoil_cmdline, memcpy(p->vm.cmdline, "a\nb", sizeof("a\nb")))
SPOIL(spoil_disks, p->vm.disk_count = POLICY_DISKS_MAX + 1)
SPOIL(spoil_disk, p->vm.disk_count = 1)
SPOIL(spoil_nics, p->vm.nic_count = SIZE_MAX)
SPOIL(spoil_vhosts, p->vm.vhost_count = POLICY_VHOST_MAX + 1)
SPOIL(spoil_vhost, p->vm.vhost_count = 1)
SPOIL(spoil_mode, p->vm.nics[0].mode = 9)
SPOIL(spoil_mtu, p->vm.nics[0].mtu = 60000)
SPOIL(spoil_queues, p->vm.nics[0].queues = 9)
SPOIL(spoil_bridge, memcpy(p->vm.nics[0].bridge, "a b", sizeof("a b")))
SPOIL(spoil_rules, p->firewall.egress_count = POLICY_RULES_MAX + 1)
SPOIL(spoil_proto, p->firewall.egress[0].proto = 77)
SPOIL(spoil_action, p->firewall.egress[0].action = 77)
SPOIL(spoil_bool, memset(&p->firewall.egress[0].log, 2, 1))
SPOIL(spoil_span, p->firewall.egress[0].cidrs.count = 3)
SPOIL(spoil_span_first, p->firewall.egress[0].ports.first = UINT16_MAX)
SPOIL(spoil_any, p->firewall.egress[0].any = true)
SPOIL(spoil_nobody, p->firewall.egress[0].cidrs.count = 0)
SPOIL(spoil_peer_kind, p->peer_count = 1; p->peers[0].kind = 9)
SPOIL(spoil_peer_set, p->peer_count = 1; p->peers[0].kind = POLICY_PEER_SET;
      strcpy(p->peers[0].name, "x"))
SPOIL(spoil_services, p->firewall.egress[0].services = 1ull << 63)
SPOIL(spoil_types, p->firewall.egress[0].types4[0] = 1)
SPOIL(spoil_forwards, p->vm.nics[0].forward_count = POLICY_FORWARDS_MAX + 1)
SPOIL(spoil_groups, p->vm.group_count = POLICY_GROUPS_MAX + 1)
SPOIL(spoil_sets, p->firewall.set_count = POLICY_SETS_MAX + 1)
SPOIL(spoil_routing_headers, p->firewall.routing_headers[0] = 1)
SPOIL(spoil_ports_of_any, p->firewall.egress[0].proto = POLICY_PROTO_ANY)
SPOIL(spoil_cidrs, p->cidr_count = POLICY_CIDRS_MAX + 1)
SPOIL(spoil_family, p->cidrs[0].family = 5)
SPOIL(spoil_prefix, p->cidrs[0].prefix = 33)
SPOIL(spoil_host_bits, p->cidrs[0].prefix = 8)
SPOIL(spoil_ports, p->ports[0].first = 444)
SPOIL(spoil_port_zero, p->ports[0].first = 0)
SPOIL(spoil_names, p->name_count = 1)
SPOIL(spoil_respond, p->monitor.scan.respond = 64)
SPOIL(spoil_expect, p->monitor.expect.egress = UINT64_MAX)
SPOIL(spoil_lists, p->monitor.list_count = POLICY_LISTS_MAX + 1)
SPOIL(spoil_suppress, (p->monitor.suppress_count = 1, p->monitor.suppress[0].rule[0] = 'x'))
SPOIL(spoil_scan, p->monitor.scan_ports = 0)
SPOIL(spoil_sinks, p->monitor.sink_count = POLICY_SINKS_MAX + 1)
SPOIL(spoil_sink, memcpy(p->monitor.sinks[0].target, "a b", sizeof("a b")))
SPOIL(spoil_sink_type, p->monitor.sinks[0].type = POLICY_SINK_IPFIX_TLS + 1)
SPOIL(spoil_ring, p->capture.ring = UINT64_MAX)
SPOIL(spoil_confidential, p->confidential.type = 6)

START_TEST(test_spoilt_results)
{
	static void (*const spoils[])(struct policy *) = {
	        spoil_version,      spoil_name,         spoil_name_dots, spoil_vcpus,
	        spoil_memory,       spoil_kernel,       spoil_cmdline,   spoil_disks,
	        spoil_vhosts,       spoil_vhost,        spoil_disk,      spoil_nics,
	        spoil_mode,         spoil_mtu,          spoil_queues,    spoil_bridge,
	        spoil_peer_kind,    spoil_peer_set,     spoil_services,  spoil_types,
	        spoil_forwards,     spoil_groups,       spoil_sets,      spoil_routing_headers,
	        spoil_rules,        spoil_proto,        spoil_action,    spoil_bool,
	        spoil_span,         spoil_span_first,   spoil_any,       spoil_nobody,
	        spoil_ports_of_any, spoil_cidrs,        spoil_family,    spoil_prefix,
	        spoil_host_bits,    spoil_ports,        spoil_port_zero, spoil_names,
	        spoil_respond,      spoil_scan,         spoil_suppress,  spoil_expect,
	        spoil_lists,        spoil_sinks,        spoil_sink,      spoil_sink_type,
	        spoil_ring,         spoil_confidential, spoil_guard,
	};
	static struct policy spoilt;

	ck_assert_int_eq(parse(good), 0);
	ck_assert(policy_valid(&policy));
	for (size_t i = 0; i < BASE_COUNT(spoils); i++) {
		memcpy(&spoilt, &policy, sizeof(spoilt));
		spoils[i](&spoilt);
		ck_assert_msg(!policy_valid(&spoilt), "spoilt result %zu was taken", i);
	}
}
END_TEST

START_TEST(test_spoilt_errors)
{
	ck_assert_int_eq(parse("version: 2\n"), -EINVAL);
	ck_assert(policy_errors_valid(&errors));
	memcpy(errors.list[0].found, "\033[2J", sizeof("\033[2J"));
	ck_assert(!policy_errors_valid(&errors));
	memcpy(errors.list[0].found, "text", sizeof("text"));
	ck_assert(policy_errors_valid(&errors));
	memset(errors.list[0].hint, 'h', sizeof(errors.list[0].hint));
	ck_assert(!policy_errors_valid(&errors));
	errors.list[0].hint[0] = '\0';
	errors.list[0].line = 0;
	ck_assert(!policy_errors_valid(&errors));
	errors.count = POLICY_ERRORS_MAX + 1;
	ck_assert(!policy_errors_valid(&errors));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies_limits");
	TCase *limits = tcase_create("limits"), *child = tcase_create("child");
	TCase *results = tcase_create("results");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(limits, 60);
	tcase_set_timeout(child, 60);
	tcase_add_test(limits, test_size);
	tcase_add_test(limits, test_file_size);
	tcase_add_test(limits, test_depth);
	tcase_add_test(limits, test_nesting_without_end);
	tcase_add_test(limits, test_numbers_of_things);
	tcase_add_loop_test(child, test_child_is_killed, 0, 4);
	tcase_add_test(child, test_child_has_a_cpu_limit);
	tcase_add_test(child, test_caller_is_unchanged);
	tcase_add_test(results, test_spoilt_results);
	tcase_add_test(results, test_spoilt_errors);
	suite_add_tcase(suite, limits);
	suite_add_tcase(suite, child);
	suite_add_tcase(suite, results);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
