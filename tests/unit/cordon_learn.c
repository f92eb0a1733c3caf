/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn: what it suggests is a policy, whose rules let each flow through that was answered and deny others, by the
 * firewall's own judge; the rest of the policy stays. And the verb over a capture, checked by `cordon check`; and what
 * `cordon analyze --policy` says of the capture then. CORDON names the program.
 */
#include "cordon/learn.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/wait.h>

#include "base/base.h"
#include "bpf_frames.h"
#include "ecs.h"
#include "firewall/firewall.h"

static const char guest_base[] = "version: 1\n"
                                 "guard: # of libvirt\n"
                                 "  name: web0\n"
                                 "  mac: \"02:00:00:00:00:01\"\n"
                                 "  addresses: [10.0.0.2, \"fd00::2\"]\n"
                                 "\n"
                                 "# what it may\n"
                                 "firewall:\n"
                                 "    ingress:\n"
                                 "        - {from: any, service: ssh} # everybody\n"
                                 "    limits: # how much\n"
                                 "        new_connections: 50/s\n"
                                 "        connections: 1000\n"
                                 "    egress:\n"
                                 "    - {to: any}\n"
                                 "    # the end\n"
                                 "\n"
                                 "# what is watched\n"
                                 "monitor:\n"
                                 "  scan: {respond: [alert, quarantine]}\n";

enum { EGRESS = 0, INGRESS = 1 };

static const struct flow {
	int direction;
	const char *peer;
	int proto, port; /* of ICMP: its type */
	bool answered;
} flows[] = {
        {EGRESS, "192.0.2.1", 6, 443, true},     {EGRESS, "192.0.2.1", 6, 80, true},
        {EGRESS, "192.0.2.2", 6, 443, true},     {EGRESS, "192.0.2.2", 6, 80, true},
        {EGRESS, "192.0.2.53", 17, 53, true},    {EGRESS, "2001:db8::53", 17, 53, true},
        {EGRESS, "192.0.2.9", 1, 8, true},       {EGRESS, "2001:db8::9", 58, 128, true},
        {EGRESS, "192.0.2.47", 47, 0, true},     {INGRESS, "198.51.100.7", 6, 22, true},
        {EGRESS, "203.0.113.5", 6, 25, false},   {INGRESS, "203.0.113.6", 6, 3389, false},
        {EGRESS, "224.0.0.251", 17, 5353, true}, {EGRESS, "10.0.0.1", 17, 67, true},
        {EGRESS, "fe80::1", 58, 135, true},
};

static json_t *flow_json(const struct flow *flow, int number, int bytes)
{
	const bool v6 = strchr(flow->peer, ':'), icmp = flow->proto == 1 || flow->proto == 58;
	char iana[8], id[32], start[32];
	json_t *guest, *peer;

	snprintf(iana, sizeof(iana), "%d", flow->proto);
	snprintf(id, sizeof(id), "1:%d", number);
	snprintf(start, sizeof(start), "2026-01-31T12:34:%02d.000Z", number % 60);
	guest = json_pack("{s:s, s:i}", "ip", v6 ? "fd00::2" : "10.0.0.2", "port",
	                  flow->direction == INGRESS ? flow->port
	                  : icmp                     ? flow->port
	                                             : 40000);
	peer = json_pack("{s:s, s:i}", "ip", flow->peer, "port",
	                 flow->direction == INGRESS ? 40000
	                 : icmp                     ? 0
	                                            : flow->port);
	return json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:i}, s:o, s:o}", "event",
	                 "outcome", flow->answered ? "success" : "unknown", "start", start, "end",
	                 "2026-01-31T12:59:00.000Z", "network", "direction",
	                 flow->direction == INGRESS ? "ingress" : "egress", "type",
	                 v6 ? "ipv6" : "ipv4", "iana_number", iana, "community_id", id, "bytes",
	                 bytes, flow->direction == INGRESS ? "destination" : "source", guest,
	                 flow->direction == INGRESS ? "source" : "destination", peer);
}

static void give(struct learn *learn, const struct flow *flow, int number, int bytes)
{
	json_t *json = flow_json(flow, number, bytes);

	learn_flow(learn, json);
	json_decref(json);
}

static char *written(struct learn *learn, const char *base)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(learn_write(learn, out, base), 0);
	fclose(out);
	return text;
}

static struct policy *parsed(const char *text)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct policy_errors *errors = calloc(1, sizeof(*errors));

	if (policy_parse(text, strlen(text), policy, errors)) {
		policy_errors_print(stderr, "suggestion", errors);
		ck_abort_msg("refused: %s", text);
	}
	free(errors);
	return policy;
}

/* What the policy's rules say of a new connection of that kind. */
static enum policy_action judged(const struct policy *policy, const struct flow *flow)
{
	const struct firewall_nic nic = {.tap = "vnet0",
	                                 .mode = POLICY_NIC_ROUTED,
	                                 .foreign = true,
	                                 .mac = {2, 0, 0, 0, 0, 1},
	                                 .ip4 = {10, 0, 0, 2},
	                                 .ip6 = {0xfd, [15] = 2}};
	const bool v6 = strchr(flow->peer, ':'), icmp = flow->proto == 1 || flow->proto == 58;
	struct firewall_packet packet = {.family = v6 ? 6 : 4,
	                                 .protocol = (uint8_t)flow->proto,
	                                 .type = icmp ? (uint8_t)flow->port : 0,
	                                 .sport = icmp ? 0 : 40000,
	                                 .dport = icmp ? 0 : (uint16_t)flow->port};
	struct firewall_verdict verdict;
	uint8_t *peer = flow->direction == INGRESS ? packet.from : packet.to;
	uint8_t *guest = flow->direction == INGRESS ? packet.to : packet.from;

	ck_assert_int_eq(inet_pton(v6 ? AF_INET6 : AF_INET, flow->peer, peer), 1);
	memcpy(guest, v6 ? nic.ip6 : nic.ip4, v6 ? 16 : 4);
	ck_assert_int_eq(firewall_judge(policy, &nic, 1, &packet, false, NULL, &verdict), 0);
	return verdict.action;
}

START_TEST(what_was_answered_is_allowed)
{
	struct learn *learn = learn_new();
	struct policy *policy;
	char *text;

	for (size_t i = 0; i < BASE_COUNT(flows); i++)
		give(learn, &flows[i], (int)i, 1000);
	text = written(learn, guest_base);
	policy = parsed(text);
	for (size_t i = 0; i < BASE_COUNT(flows); i++) {
		struct flow other = flows[i];

		if (i >= 12)
			continue; /* the firewall has rules of its own for these */
		ck_assert_msg((judged(policy, &flows[i]) == POLICY_ALLOW) == flows[i].answered,
		              "%s %d in: %s", flows[i].peer, flows[i].port, text);
		other.port += other.proto == 47 ? 0 : 1000;
		if (other.proto == 6 || other.proto == 17)
			ck_assert_int_ne(judged(policy, &other), POLICY_ALLOW);
		other = flows[i];
		other.peer = strchr(other.peer, ':') ? "2001:db8::77" : "192.0.2.77";
		ck_assert_int_ne(judged(policy, &other), POLICY_ALLOW);
		other = flows[i];
		other.direction = !other.direction;
		ck_assert_int_ne(judged(policy, &other), POLICY_ALLOW);
	}
	free(policy);
	free(text);
	learn_free(learn);
}
END_TEST

START_TEST(what_is_written)
{
	struct learn *learn = learn_new();
	struct learn_numbers numbers;
	struct policy *policy;
	char *text;

	/* seen twice, and more by the second time */
	for (int look = 1; look <= 2; look++)
		for (size_t i = 0; i < BASE_COUNT(flows); i++)
			give(learn, &flows[i], (int)i, look * 1024);
	give(learn, &flows[0], 30, 1024);
	numbers = learn_numbers(learn);
	ck_assert_uint_eq(numbers.flows, 14);
	ck_assert_uint_eq(numbers.answered, 11);
	ck_assert_uint_eq(numbers.unanswered, 2);
	ck_assert_uint_eq(numbers.left_out, 1);
	text = written(learn, guest_base);
	ck_assert_msg(strstr(text,
	                     "    # 5 flows, 9.0 KiB, 2026-01-31T12:34:00.000Z to "
	                     "2026-01-31T12:59:00.000Z\n"
	                     "    - {to: [192.0.2.1/32, 192.0.2.2/32], proto: tcp, ports: [80, "
	                     "443]}\n") != NULL,
	              "%s", text);
	ck_assert_ptr_nonnull(
	        strstr(text, "    - {from: [198.51.100.7/32], proto: tcp, ports: [22]}\n"));
	ck_assert_ptr_nonnull(
	        strstr(text, "    - {to: [192.0.2.53/32, \"2001:db8::53/128\"], proto: udp, "
	                     "ports: [53]}\n"));
	ck_assert_ptr_nonnull(
	        strstr(text, "    - {to: [192.0.2.9/32], proto: icmpv4, types: [8]}\n"));
	ck_assert_ptr_nonnull(strstr(
	        text,
	        "; nobody answered\n    # - {to: [203.0.113.5/32], proto: tcp, ports: [25]}\n"));
	/* the rest stays, but for the rules */
	ck_assert_ptr_nonnull(strstr(text, "guard: # of libvirt\n"));
	ck_assert_ptr_nonnull(
	        strstr(text, "\n  limits: # how much\n      new_connections: 50/s\n"));
	ck_assert_ptr_nonnull(strstr(text, "# what is watched\nmonitor:\n"));
	ck_assert_ptr_null(strstr(text, "everybody"));
	policy = parsed(text);
	ck_assert_uint_eq(policy->firewall.egress_count, 5);
	ck_assert_uint_eq(policy->firewall.ingress_count, 1);
	ck_assert(policy->monitor.scan.respond & POLICY_RESPOND_QUARANTINE);
	free(policy);
	free(text);
	learn_free(learn);
}
END_TEST

/* Fragments without ports, protocols and types that there are not, and times that would end a comment. */
START_TEST(what_no_rule_can_say)
{
	static const struct flow odd[] = {{EGRESS, "192.0.2.1", 0, 0, true},
	                                  {EGRESS, "192.0.2.1", 17, 0, true},
	                                  {EGRESS, "192.0.2.1", 1, 255, true},
	                                  {EGRESS, "192.0.2.1", 58, 128, true},
	                                  {EGRESS, "2001:db8::1", 1, 8, true}};
	struct learn *learn = learn_new();
	struct policy *policy;
	json_t *json;
	char *text;

	for (size_t i = 0; i < BASE_COUNT(odd); i++)
		give(learn, &odd[i], (int)i, 1);
	json = flow_json(&flows[0], 9, 1);
	json_object_set_new(json_object_get(json, "event"), "end", json_string("2026\n  x: y"));
	learn_flow(learn, json);
	json_decref(json);
	text = written(learn, guest_base);
	policy = parsed(text);
	ck_assert_uint_eq(policy->firewall.egress_count, 0);
	ck_assert_ptr_null(strstr(text, "x: y"));
	free(policy);
	free(text);
	learn_free(learn);
}
END_TEST

/* Bases of other shapes, and nothing learned at all. */
START_TEST(other_bases)
{
	static const char *const bases[] = {
	        "version: 1\nguard: {name: a, mac: \"02:00:00:00:00:01\", addresses: [10.0.0.2]}",
	        ("firewall: {egress: [{to: any}],\n  ingress: []}\nversion: 1\nguard: {name: a, "
	         "mac: "
	         "\"02:00:00:00:00:01\", addresses: [10.0.0.2]}\n"),
	        ("version: 1\nguard: {name: a, mac: \"02:00:00:00:00:01\", addresses: [10.0.0.2]}\n"
	         "firewall:\n  egress:\n    - to: any\n      proto: tcp\n  # none\n"),
	};

	for (size_t i = 0; i < BASE_COUNT(bases); i++)
		for (size_t count = 0; count <= 1; count++) {
			struct learn *learn = learn_new();
			struct policy *policy;
			char *text;

			if (count)
				give(learn, &flows[0], 1, 1);
			text = written(learn, bases[i]);
			policy = parsed(text);
			ck_assert_uint_eq(policy->firewall.egress_count, count);
			ck_assert_uint_eq(policy->firewall.ingress_count, 0);
			free(policy);
			free(text);
			learn_free(learn);
		}
}
END_TEST

/* A scan that was answered: many peers become networks, and what is too much is said. */
START_TEST(many)
{
	struct learn *learn = learn_new();
	struct policy *policy;
	char peer[32], *text = NULL;
	struct flow flow = {EGRESS, peer, 6, 443, true};
	size_t size;
	FILE *out;

	for (int i = 0; i < 1000; i++) {
		snprintf(peer, sizeof(peer), "192.0.%d.%d", 2 + i / 200, 1 + i % 200);
		give(learn, &flow, i, 10);
	}
	text = written(learn, guest_base);
	policy = parsed(text);
	ck_assert_uint_eq(policy->firewall.egress_count, 1);
	ck_assert_ptr_nonnull(strstr(text, "[192.0.2.0/24, 192.0.3.0/24, "));
	ck_assert_ptr_nonnull(strstr(text, "; too many peers to name, so their networks\n"));
	flow.peer = "192.0.6.250";
	ck_assert_int_eq(judged(policy, &flow), POLICY_ALLOW);
	flow.peer = "192.0.7.1";
	ck_assert_int_ne(judged(policy, &flow), POLICY_ALLOW);
	free(policy);
	free(text);
	for (int i = 0; i < 300; i++) { /* each port with a peer of its own */
		snprintf(peer, sizeof(peer), "198.51.100.%d", 1 + i % 250);
		flow.peer = peer;
		flow.port = 1000 + i;
		give(learn, &flow, 2000 + i, 10);
		snprintf(peer, sizeof(peer), "203.0.113.%d", 1 + i % 250);
		flow.port += i % 3;
		give(learn, &flow, 5000 + i, 10);
	}
	out = open_memstream(&text, &size);
	ck_assert_int_eq(learn_write(learn, out, guest_base), -E2BIG);
	fclose(out);
	free(text);
	learn_free(learn);
}
END_TEST

/* --- the verb --- */

static int run(const char *const *argv)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		execv(CORDON, (char *const *)argv);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static char printed[65536];

/* Runs it, and what it printed is in `printed`. */
static int run_print(const char *const *argv)
{
	int ends[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execv(CORDON, (char *const *)argv);
		_exit(99);
	}
	close(ends[1]);
	while ((n = read(ends[0], printed + used, sizeof(printed) - 1 - used)) > 0)
		used += (size_t)n;
	printed[used] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void write_capture(const char *path)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *dump = pcap_dump_open(pcap, path);
	struct frame frame;
	const struct {
		enum flow_side_index side;
		uint8_t flags;
	} packets[] = {{FLOW_GUEST, 2}, {FLOW_PEER, 0x12}, {FLOW_GUEST, 0x10}};

	ck_assert_ptr_nonnull(dump);
	for (uint16_t port = 443; port <= 445; port++)
		for (size_t i = 0; i < BASE_COUNT(packets); i++) {
			struct pcap_pkthdr header = {.ts = {1750000000 + port, (suseconds_t)i}};

			/* nobody answers at 445 */
			if (port == 445 && packets[i].side == FLOW_PEER)
				continue;
			frame_make_tcp(&frame, packets[i].side, 40000, port, packets[i].flags,
			               packets[i].side == FLOW_GUEST ? (uint32_t)i : 7, "");
			header.caplen = header.len = frame.size;
			if (port == 445 && i > 0)
				continue;
			pcap_dump((u_char *)dump, &header, frame.bytes);
		}
	pcap_dump_close(dump);
	pcap_close(pcap);
}

static char folder[32], capture[64], suggested[64];

static void capture_setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/cordon-learn-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(capture, sizeof(capture), "%s/x.pcap", folder);
	snprintf(suggested, sizeof(suggested), "%s/suggested.yaml", folder);
	write_capture(capture);
	ck_assert_int_eq(run((const char *[]){"cordon", "learn", "--pcap", capture, "--vm",
	                                      "10.0.0.2", "-o", suggested, "web0", NULL}),
	                 0);
}

static void capture_teardown(void)
{
	unlink(capture);
	unlink(suggested);
	rmdir(folder);
}

START_TEST(a_capture)
{
	struct flow flow = {EGRESS, "10.0.0.5", 6, 443, true};
	struct policy *policy;
	char *text = NULL;

	capture_setup();
	ck_assert_int_eq(run((const char *[]){"cordon", "check", suggested, NULL}), 0);
	ck_assert_int_gt((int)policy_read_file(suggested, &text), 0);
	policy = parsed(text);
	ck_assert_str_eq(policy->vm.name, "web0");
	ck_assert_int_eq(judged(policy, &flow), POLICY_ALLOW);
	flow.port = 444;
	ck_assert_int_eq(judged(policy, &flow), POLICY_ALLOW);
	flow.port = 445;
	ck_assert_int_ne(judged(policy, &flow), POLICY_ALLOW);
	free(policy);
	free(text);
	capture_teardown();
}
END_TEST

/* The same policy over the same capture denies what was not answered, and by no line. */
START_TEST(what_a_policy_would_deny)
{
	char *line, *save = NULL;
	json_t *flow, *summary;

	capture_setup();
	ck_assert_int_eq(run_print((const char *[]){"cordon", "analyze", "--policy", suggested,
	                                            capture, NULL}),
	                 0);
	ck_assert_msg(strstr(printed,
	                     "suggested.yaml would have denied 1 of 3 flows:\nline 0, egress "
	                     "default deny: 1 flows, ") != NULL,
	              "%s", printed);
	ck_assert_ptr_nonnull(strstr(printed, "\n  tcp 10.0.0.2:40000 > 10.0.0.5:445\n"));
	ck_assert_ptr_nonnull(strstr(printed, " packets, 3 flows, "));
	ck_assert_int_eq(run_print((const char *[]){"cordon", "analyze", "--policy", suggested,
	                                            "--format", "json", capture, NULL}),
	                 0);
	line = strtok_r(printed, "\n", &save);
	flow = json_loads(line, 0, NULL);
	ecs_assert(flow);
	ck_assert_int_eq((int)json_integer_value(
	                         json_object_get(json_object_get(flow, "destination"), "port")),
	                 445);
	summary = json_loads(strtok_r(NULL, "\n", &save), 0, NULL);
	ck_assert_int_eq((int)json_integer_value(json_object_get(summary, "flows")), 3);
	ck_assert_ptr_null(strtok_r(NULL, "\n", &save));
	json_decref(flow);
	json_decref(summary);
	/* what cannot be */
	ck_assert_int_eq(
	        run_print((const char *[]){"cordon", "analyze", "--policy", suggested, "-", NULL}),
	        125);
	ck_assert_int_eq(run_print((const char *[]){"cordon", "analyze", "--policy", capture,
	                                            capture, NULL}),
	                 125);
	ck_assert_int_eq(run_print((const char *[]){"cordon", "analyze", "--policy", suggested,
	                                            "--format", "ipfix", capture, NULL}),
	                 125);
	ck_assert_int_eq(run_print((const char *[]){"cordon", "analyze", "--policy", suggested,
	                                            "/nowhere", NULL}),
	                 127);
	capture_teardown();
}
END_TEST

START_TEST(errors)
{
	static const struct {
		const char *argv[8];
		int status;
	} cases[] = {
	        {{"cordon", "learn", NULL}, 125},
	        {{"cordon", "learn", "--pcap", "/dev/null", NULL}, 125},
	        {{"cordon", "learn", "--for", "soon", "web0", NULL}, 125},
	        {{"cordon", "learn", "--pcap", "/nowhere", "--vm", "10.0.0.2", NULL}, 127},
	        {{"cordon", "learn", "--pcap", "/dev/null", "--vm", "10.0.0.0/8", NULL}, 125},
	        {{"cordon", "learn", "a/b", NULL}, 127},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++)
		ck_assert_int_eq(run(cases[i].argv), cases[i].status);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_learn");
	TCase *tests = tcase_create("learn");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, what_was_answered_is_allowed);
	tcase_add_test(tests, what_is_written);
	tcase_add_test(tests, what_no_rule_can_say);
	tcase_add_test(tests, other_bases);
	tcase_add_test(tests, many);
	if (!SANITIZED) {
		tcase_add_test(tests, a_capture);
		tcase_add_test(tests, what_a_policy_would_deny);
	}
	tcase_add_test(tests, errors);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
