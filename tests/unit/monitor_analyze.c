/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Captures made here, analyzed by the program in its sandbox, as files and from a pipe. CORDON_ANALYZE names the
 * program. With sanitizers, whose calls are in no list, there is nothing to test.
 */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/base.h"
#include "bpf/packet.h"
#include "bpf_frames.h"
#include "ecs.h"
#include "monitor_hello.h"

static char folder[] = "/tmp/monitor_analyzeXXXXXX";
static char capture_path[64], cut_path[64], text_path[64], payload_path[64];

static void write_captures(void)
{
	pcap_t *pcap =
	        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
	pcap_dumper_t *dump;
	struct frame frame;
	FILE *text;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(capture_path, sizeof(capture_path), "%s/scan.pcap", folder);
	snprintf(cut_path, sizeof(cut_path), "%s/cut.pcap", folder);
	snprintf(text_path, sizeof(text_path), "%s/text", folder);
	for (int i = 0; i < 2; i++) {
		dump = pcap_dump_open(pcap, i ? cut_path : capture_path);
		ck_assert_ptr_nonnull(dump);
		for (uint16_t port = 1; port <= 40; port++) {
			struct pcap_pkthdr header = {.ts = {1750000000 + port, 0}};

			frame_make_tcp(&frame, FLOW_GUEST, 40000, port, PACKET_SYN, 1, "");
			header.caplen = header.len = frame.size;
			pcap_dump((u_char *)dump, &header, frame.bytes);
		}
		pcap_dump_close(dump);
	}
	ck_assert_int_eq(truncate(cut_path, 24 + 39 * (16 + 54) + 20), 0);
	text = fopen(text_path, "w");
	fputs("this is no capture at all, but long enough to be looked at\n", text);
	fclose(text);
	pcap_close(pcap);
}

/* What detectors take apart: whatever that needs, the program has to be allowed. */
static void write_payloads(void)
{
	pcap_t *pcap =
	        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
	struct pcap_pkthdr header = {.ts = {1750000000, 0}};
	pcap_dumper_t *dump;
	struct frame frames[3];

	snprintf(payload_path, sizeof(payload_path), "%s/payload.pcap", folder);
	dump = pcap_dump_open(pcap, payload_path);
	ck_assert_ptr_nonnull(dump);
	frame_begin(&frames[0], FLOW_GUEST);
	frame_ip(&frames[0], FRAME_IPV4, 6);
	frame_tcp(&frames[0], 40000, 443, PACKET_ACK | PACKET_PSH, 1);
	frame_put(&frames[0], hello_bytes, sizeof(hello_bytes));
	frame_finish(&frames[0]);
	frame_begin(&frames[1], FLOW_GUEST);
	frame_ip(&frames[1], FRAME_IPV4, 17);
	frame_udp(&frames[1], 40000, 53, 29);
	frame_put(&frames[1], "\0\1\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1", 29);
	frame_finish(&frames[1]);
	frame_make_ping(&frames[2], FLOW_GUEST, FRAME_IPV4, false);
	for (size_t i = 0; i < BASE_COUNT(frames); i++) {
		header.caplen = header.len = frames[i].size;
		pcap_dump((u_char *)dump, &header, frames[i].bytes);
	}
	pcap_dump_close(dump);
	pcap_close(pcap);
}

static void remove_captures(void)
{
	unlink(payload_path);
	unlink(capture_path);
	unlink(cut_path);
	unlink(text_path);
	rmdir(folder);
}

struct run {
	pid_t pid;
	int input, output;
	int status;
	char text[16384];
};

static void run_start(struct run *run, const char *const *args)
{
	const char *argv[16] = {"cordon-analyze"};
	int in[2], out[2];

	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	run->pid = fork();
	ck_assert_int_ge(run->pid, 0);
	if (run->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execv(getenv("CORDON_ANALYZE"), (char *const *)argv);
		_exit(99);
	}
	close(in[0]);
	close(out[1]);
	run->input = in[1];
	run->output = out[0];
}

static void run_end(struct run *run)
{
	size_t size = 0;
	ssize_t n;

	close(run->input);
	while ((n = read(run->output, run->text + size, sizeof(run->text) - 1 - size)) > 0)
		size += (size_t)n;
	run->text[size] = '\0';
	close(run->output);
	ck_assert_int_eq(waitpid(run->pid, &run->status, 0), run->pid);
}

static void run_all(struct run *run, const char *const *args, int status)
{
	run_start(run, args);
	run_end(run);
	ck_assert_msg(WIFEXITED(run->status) && WEXITSTATUS(run->status) == status, "status %x: %s",
	              run->status, run->text);
}

START_TEST(program_table)
{
	struct run run;

	run_all(&run, (const char *[]){capture_path, NULL}, 0);
	ck_assert_ptr_nonnull(
	        strstr(run.text,
	               "medium   scan.vertical   T1046     10.0.0.2 tried 40 ports of 10.0.0.5"));
	ck_assert_ptr_nonnull(
	        strstr(run.text, "40 packets, 40 flows, 2160 bytes in 39.0 s of capture"));
}
END_TEST

START_TEST(program_payloads)
{
	struct run run;

	write_payloads();
	run_all(&run, (const char *[]){payload_path, NULL}, 0);
	ck_assert_msg(strstr(run.text, "3 packets, 3 flows") != NULL, "%s", run.text);
}
END_TEST

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(program_lists)
{
	char list[80];
	struct run run;

	write_payloads();
	snprintf(list, sizeof(list), "%s/bad.txt", folder);
	write_text(list, "# known\nexample.com\n10.0.0.5\n");
	run_all(&run, (const char *[]){"--intel", list, payload_path, NULL}, 0);
	ck_assert_msg(strstr(run.text, "intel.name 1") != NULL, "%s", run.text);
	ck_assert_msg(strstr(run.text, "intel.tls 1") != NULL, "%s", run.text);
	ck_assert_msg(strstr(run.text, "line 2 of the list bad.txt") != NULL, "%s", run.text);
	ck_assert_msg(strstr(run.text, "line 3 of the list bad.txt") != NULL, "%s", run.text);
	write_text(list, "example.com\n10.0.0.\n");
	run_all(&run, (const char *[]){"--intel", list, payload_path, NULL}, 125);
	ck_assert_msg(strstr(run.text, "bad.txt:2: '10.0.0.' is no address") != NULL, "%s",
	              run.text);
	unlink(list);
}
END_TEST

START_TEST(program_json)
{
	json_t *alert, *summary;
	struct run run;
	char *second;

	run_all(&run,
	        (const char *[]){"--format", "json", "--vm", "10.0.0.0/8", capture_path, NULL}, 0);
	second = strchr(run.text, '\n');
	ck_assert_ptr_nonnull(second);
	*second++ = '\0';
	alert = json_loads(run.text, 0, NULL);
	summary = json_loads(second, 0, NULL);
	ecs_assert(alert);
	ck_assert_ptr_nonnull(summary);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(alert, "rule"), "name")),
	                 "scan.vertical");
	ck_assert_int_eq((int)json_integer_value(json_object_get(summary, "packets")), 40);
	ck_assert_int_eq((int)json_integer_value(json_object_get(summary, "flows")), 40);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(summary, "alerts"),
	                                                         "scan.vertical")),
	                 1);
	ck_assert_double_eq_tol(json_real_value(json_object_get(summary, "seconds")), 39.0, 0.001);
	json_decref(alert);
	json_decref(summary);
}
END_TEST

START_TEST(program_errors)
{
	char missing[96];
	struct run run;

	run_all(&run, (const char *[]){cut_path, NULL}, 0);
	ck_assert_ptr_nonnull(strstr(run.text, "is read up to packet 39"));
	ck_assert_ptr_nonnull(strstr(run.text, "scan.vertical"));
	run_all(&run, (const char *[]){text_path, capture_path, NULL}, 125);
	ck_assert_ptr_nonnull(strstr(run.text, "is no capture"));
	ck_assert_ptr_nonnull(
	        strstr(run.text, "scan.vertical")); /* the other one is read all the same */
	snprintf(missing, sizeof(missing), "%s/missing", folder);
	run_all(&run, (const char *[]){missing, NULL}, 127);
	ck_assert_ptr_nonnull(strstr(run.text, "No such file"));
	run_all(&run, (const char *[]){folder, NULL}, 127);
	run_all(&run, (const char *[]){NULL}, 125);
	run_all(&run, (const char *[]){"--vm", "nowhere", capture_path, NULL}, 125);
	ck_assert_ptr_nonnull(strstr(run.text, "'nowhere'"));
	run_all(&run, (const char *[]){"--format", "xml", capture_path, NULL}, 125);
}
END_TEST

static bool status_has(pid_t pid, const char *line)
{
	char path[64], text[4096];
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : (int)read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[BASE_MAX(n, 0)] = '\0';
	return strstr(text, line) != NULL;
}

/* While it waits for its first byte it is in its role already. */
START_TEST(program_is_locked_before_it_reads)
{
	BASE_AUTO_FD int file = open(capture_path, O_RDONLY);
	char bytes[8192];
	struct run run;
	ssize_t n;

	run_start(&run, (const char *[]){"-", NULL});
	for (int i = 0; i < 1000 && !status_has(run.pid, "\nSeccomp:\t2\n"); i++)
		poll(NULL, 0, 10);
	ck_assert(status_has(run.pid, "\nSeccomp:\t2\n"));
	ck_assert(status_has(run.pid, "\nNoNewPrivs:\t1\n"));
	ck_assert(status_has(run.pid, "\nCapEff:\t0000000000000000\n"));
	if (geteuid() == 0)
		ck_assert(!status_has(run.pid, "\nUid:\t0\t"));
	n = read(file, bytes, sizeof(bytes));
	ck_assert_int_eq((int)write(run.input, bytes, (size_t)n), (int)n);
	run_end(&run);
	ck_assert_msg(WIFEXITED(run.status) && WEXITSTATUS(run.status) == 0, "status %x: %s",
	              run.status, run.text);
	ck_assert_ptr_nonnull(strstr(run.text, "scan.vertical"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_analyze");
	TCase *program = tcase_create("program");
	SRunner *runner;
	int failed;

	if (SANITIZED) {
		printf("skipped: a sanitizer's calls are in no list\n");
		return 77;
	}
	runner = srunner_create(suite);
	signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(program, 60);
	tcase_add_unchecked_fixture(program, write_captures, remove_captures);
	tcase_add_test(program, program_table);
	tcase_add_test(program, program_payloads);
	tcase_add_test(program, program_lists);
	tcase_add_test(program, program_json);
	tcase_add_test(program, program_errors);
	tcase_add_test(program, program_is_locked_before_it_reads);
	suite_add_tcase(suite, program);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
