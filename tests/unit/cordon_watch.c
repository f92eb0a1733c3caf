/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing among what the monitor has seen: the filter's expressions, right and wrong ones; `flows` once and followed;
 * `learn` of a guest that runs; `alerts` since a time. The monitor is a fake one, the log a file of the test's own.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cordon/filter.h"
#include "cordon/verbs.h"
#include "fake_monitor.h"
#include "monitor/alert_text.h"

enum { WAIT_MS = 30000 };

/* 10.0.0.2:1 to 192.0.2.7:443 over TCP and TLS, refused; 2,000 bytes in 20 packets. */
static json_t *one_flow(void)
{
	json_t *flow = flow_make("web0", "192.0.2.7", false, 1, 1500, 500);
	json_t *network = json_object_get(flow, "network");

	json_object_set_new(network, "transport", json_string("tcp"));
	json_object_set_new(network, "iana_number", json_string("6"));
	json_object_set_new(network, "type", json_string("ipv4"));
	json_object_set_new(network, "protocol", json_string("tls"));
	json_object_set_new(network, "bytes", json_integer(2000));
	json_object_set_new(network, "packets", json_integer(20));
	json_object_set_new(json_object_get(flow, "event"), "end",
	                    json_string("2026-01-31T12:59:00.000Z"));
	json_object_set_new(flow, "cordon", json_pack("{s:s}", "outcome", "refused"));
	return flow;
}

START_TEST(expressions)
{
	static const struct {
		const char *text;
		bool has;
	} cases[] = {
	        {"guest web0", true},
	        {"guest db", false},
	        {"proto tcp", true},
	        {"proto 6", true},
	        {"proto ipv4", true},
	        {"proto udp", false},
	        {"direction out", true},
	        {"direction in", false},
	        {"outcome refused", true},
	        {"outcome unanswered", false},
	        {"app tls", true},
	        {"host 10.0.0.2", true},
	        {"src 10.0.0.0/8", true},
	        {"dst 10.0.0.0/8", false},
	        {"dst 192.0.2.0/29", true},
	        {"dst 192.0.2.8/29", false},
	        {"host 2001:db8::/32", false},
	        {"port 443", true},
	        {"sport 443", false},
	        {"dport 400-500", true},
	        {"bytes > 1K", true},
	        {"bytes<1K", false},
	        {"packets < 21", true},
	        {"not proto udp", true},
	        {"proto udp or dport 443", true},
	        {"proto udp or dport 443 and guest db", false},
	        {"(proto udp or dport 443) and guest web0", true},
	        {"not (proto tcp and not guest db)", false},
	        {"not not proto tcp", true},
	};
	json_t *flow = one_flow();

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		char why[FILTER_WHY_MAX];
		struct filter *filter = filter_make(cases[i].text, why);

		ck_assert_msg(filter != NULL, "%s: %s", cases[i].text, why);
		ck_assert_msg(filter_has(filter, flow) == cases[i].has, "%s", cases[i].text);
		filter_free(filter);
	}
	ck_assert(filter_has(NULL, flow));
	json_decref(flow);
}
END_TEST

START_TEST(wrong_expressions)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	        {"", "found the end, expected guest, proto"},
	        {"tcp", "found 'tcp', expected guest, proto"},
	        {"proto", "found the end, expected a protocol"},
	        {"port 70000", "found '70000', expected a port"},
	        {"port 9-8", "found '9-8', expected a port"},
	        {"port x", "found 'x', expected a port"},
	        {"host example.org", "found 'example.org', expected an address"},
	        {"direction up", "found 'up', expected in or out"},
	        {"outcome lost", "found 'lost', expected unanswered, unreachable"},
	        {"bytes 5", "found '5', expected > or <"},
	        {"bytes > many", "found 'many', expected > or <"},
	        {"(proto tcp", "found the end, expected and, or, or ')'"},
	        {"proto tcp)", "found ')', expected and, or, or the end"},
	        {"proto tcp proto udp", "found 'proto', expected and, or, or the end"},
	        {"not", "found the end, expected guest"},
	};
	char deep[512] = "", why[FILTER_WHY_MAX], *many = calloc(1, 65536);

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		ck_assert_msg(filter_make(cases[i].text, why) == NULL, "%s", cases[i].text);
		ck_assert_msg(strncmp(why, cases[i].why, strlen(cases[i].why)) == 0, "%s: %s",
		              cases[i].text, why);
	}
	memset(deep, '(', 400);
	ck_assert_ptr_null(filter_make(deep, why));
	for (size_t i = 0; i < 200; i++)
		snprintf(many + strlen(many), 32, "%sport 1", i ? " or " : "");
	ck_assert_ptr_null(filter_make(many, why));
	ck_assert_str_eq(why, "it has more than 128 terms");
	free(many);
}
END_TEST

/* --- the verbs --- */

static void fake_answers(int fd, const struct monitor_request *request)
{
	(void)request;
	answer(fd, MONITOR_TEXT, one_flow());
	/* what came of it is another thing at each look */
	for (int i = 0; i < 2; i++) {
		json_t *flow = flow_make("db", "192.0.2.9", false, 2 + i, 1, 1);

		json_object_update_new(json_object_get(flow, "network"),
		                       json_pack("{s:s, s:s}", "type", "ipv4", "iana_number", "6"));
		json_object_update_new(json_object_get(flow, "event"),
		                       json_pack("{s:s, s:s}", "outcome", "success", "end",
		                                 "2026-01-31T12:59:00.000Z"));
		if (i) /* both have the same Community ID but for this */
			json_object_set_new(json_object_get(flow, "network"), "community_id",
			                    json_string("1:3"));
		json_object_set_new(flow, "cordon",
		                    json_pack("{s:s}", "outcome",
		                              i && time(NULL) % 2 ? "answered" : "no answer"));
		answer(fd, MONITOR_TEXT, flow);
	}
}

static pid_t child;

/* What it prints can be read there. */
static FILE *verb(int (*run)(int, char **), const char *const *args)
{
	char *argv[8] = {(char *)"verb"};
	int argc = 1, ends[2];

	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)args[argc - 1];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		exit(run(argc, argv));
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

static int ended(FILE *out)
{
	int status;

	fclose(out);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static size_t lines_of(FILE *out, char *last, size_t size)
{
	size_t lines = 0;

	while (fgets(last, (int)size, out))
		lines++;
	return lines;
}

START_TEST(flows_once)
{
	char line[4096];
	FILE *out = verb(verb_flows,
	                 (const char *[]){"--filter", "outcome refused", "--format", "json", NULL});
	json_t *flow;

	ck_assert_uint_eq(lines_of(out, line, sizeof(line)), 1);
	flow = json_loads(line, 0, NULL);
	ck_assert_ptr_nonnull(flow);
	json_decref(flow);
	ck_assert_int_eq(ended(out), 0);
	out = verb(verb_flows, (const char *[]){"--filter", "outcome", NULL});
	ck_assert_uint_eq(lines_of(out, line, sizeof(line)), 0);
	ck_assert_int_eq(ended(out), VERB_FAILED);
}
END_TEST

/* A flow again only when something has come of it. */
START_TEST(flows_followed)
{
	char line[4096];
	size_t refused = 0, quiet = 0, changes = 0;
	FILE *out = verb(verb_flows, (const char *[]){"--follow", "--format", "json", NULL});

	while (changes < 3 && fgets(line, sizeof(line), out)) {
		refused += strstr(line, "\"refused\"") != NULL;
		quiet +=
		        strstr(line, "\"port\":2,") != NULL || strstr(line, "\"port\": 2,") != NULL;
		changes +=
		        strstr(line, "\"port\":3,") != NULL || strstr(line, "\"port\": 3,") != NULL;
	}
	ck_assert_uint_eq(refused, 1);
	ck_assert_uint_eq(quiet, 1);
	ck_assert_uint_eq(changes, 3);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fclose(out);
}
END_TEST

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

/* Two looks at the same flows: each counts once. */
START_TEST(learning)
{
	static const char policy[] =
	        "version: 1\nvm: {name: web0, kernel: k, nics: [{mode: nat}]}\n"
	        "firewall: {egress: [{to: any}]}\n";
	char folder[] = "/tmp/cordon-watch-XXXXXX", text[8192] = "", line[1024];
	FILE *out;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert(mkdir("run", 0700) == 0 && mkdir("run/vms", 0700) == 0 &&
	          mkdir("run/vms/web0", 0700) == 0);
	write_file("run/vms/web0/policy.yaml", policy);
	out = verb(verb_learn, (const char *[]){"--for", "1s", "web0", NULL});
	while (fgets(line, sizeof(line), out))
		strncat(text, line, sizeof(text) - strlen(text) - 1);
	ck_assert_int_eq(ended(out), 0);
	ck_assert_msg(strstr(text, "from 3 flows: 2 are allowed here, 1 were not") != NULL, "%s",
	              text);
	ck_assert_ptr_nonnull(strstr(text, "vm: {name: web0, kernel: k, nics: [{mode: nat}]}\n"));
	ck_assert_ptr_nonnull(
	        strstr(text, "\n    - {to: [192.0.2.9/32], proto: tcp, ports: [443]}\n"));
	ck_assert_ptr_nonnull(
	        strstr(text, "\n    # - {to: [192.0.2.7/32], proto: tcp, ports: [443]}\n"));
	/* without its policy there is nothing to put them into */
	unlink("run/vms/web0/policy.yaml");
	out = verb(verb_learn, (const char *[]){"--for", "1s", "web0", NULL});
	ck_assert_int_eq(ended(out), VERB_FAILED);
	ck_assert(rmdir("run/vms/web0") == 0 && rmdir("run/vms") == 0 && rmdir("run") == 0);
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(folder);
}
END_TEST

START_TEST(alerts_since)
{
	static const struct {
		const char *since;
		size_t lines;
	} cases[] = {{"2026-01-31", 3},           {"2026-02-01", 2}, {"2026-02-01T12:00Z", 2},
	             {"2026-02-01T12:00:01Z", 1}, {"10m", 1},        {"1s", 0}};
	static const char *const wrong[] = {"yesterday", "2026-1-31", "2026-02-01 12:00", ""};
	const char *times[] = {"2026-01-31T12:34:56.789Z", "2026-02-01T12:00:00.001Z", NULL};
	char folder[] = "/tmp/cordon-watch-XXXXXX", now[32], line[4096];
	FILE *log, *out;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(mkdir("log", 0700), 0);
	alert_time(now, (uint64_t)(time(NULL) - 60) * 1000000000);
	times[2] = now;
	log = fopen(HOST_ALERT_LOG, "we");
	for (size_t i = 0; i < BASE_COUNT(times); i++)
		fprintf(log, "{\"@timestamp\": \"%s\", \"host\": {\"name\": \"web0\"}}\n",
		        times[i]);
	fclose(log);
	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		out = verb(verb_alerts, (const char *[]){"--since", cases[i].since, NULL});
		ck_assert_msg(lines_of(out, line, sizeof(line)) == cases[i].lines, "%s",
		              cases[i].since);
		ck_assert_int_eq(ended(out), 0);
	}
	for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
		out = verb(verb_alerts, (const char *[]){"--since", wrong[i], NULL});
		ck_assert_int_eq(ended(out), VERB_FAILED);
	}
	unlink(HOST_ALERT_LOG);
	rmdir("log");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_watch");
	TCase *tests = tcase_create("watch");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, expressions);
	tcase_add_test(tests, wrong_expressions);
	tcase_add_test(tests, flows_once);
	tcase_add_test(tests, flows_followed);
	tcase_add_test(tests, learning);
	tcase_add_test(tests, alerts_since);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
