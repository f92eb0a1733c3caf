/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Captures made here, analyzed: by the library, frame by frame, and by the program in its sandbox, as files
 * and from a pipe. CORDON_ANALYZE names the program; with sanitizers, whose calls are in no list, the
 * program's own tests are left out.
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
#include "monitor/arena.h"
#include "monitor/offline.h"
#include "monitor_hello.h"

#define SECOND 1000000000ull
#define START  (1750000000 * SECOND)

struct seen {
	size_t findings, rank; /* ended; of those, the highest severity */
	char rule[32], vm[46], sentence[ALERT_SENTENCE_MAX];
};

static void seen_add(const struct alert *alert, const char *vm, void *data)
{
	struct seen *seen = data;

	if (alert->stage != ALERT_END)
		return;
	seen->findings++;
	seen->rank = BASE_MAX(seen->rank, (size_t)alert->severity);
	base_copy_string(seen->rule, sizeof(seen->rule), alert->rule);
	base_copy_string(seen->vm, sizeof(seen->vm), vm);
	base_copy_string(seen->sentence, sizeof(seen->sentence), alert->sentence);
}

static struct offline *offline_new(struct seen *seen, const struct offline_cidr *vms, size_t count)
{
	const struct offline_config config = {.flows = 8192, .vms = vms, .vm_count = count};
	struct offline *offline;

	memset(seen, 0, sizeof(*seen));
	ck_assert_int_eq(offline_open(&offline, &config, seen_add, seen), 0);
	return offline;
}

static void feed_bytes(struct offline *offline, int linktype, const uint8_t *bytes,
                       uint32_t captured, uint32_t wire, uint64_t time)
{
	const struct capfile_packet packet = {.bytes = bytes,
	                                      .captured = captured,
	                                      .wire = wire,
	                                      .unix_ns = time,
	                                      .linktype = linktype};

	offline_packets(offline, &packet, 1);
}

static void feed(struct offline *offline, const struct frame *frame, uint64_t time)
{
	feed_bytes(offline, DLT_EN10MB, frame->bytes, frame->size, frame->size, time);
}

/* Ports 1 to `count` of 10.0.0.5 by 10.0.0.2, refused. */
static void feed_scan(struct offline *offline, uint16_t count, uint64_t start)
{
	struct frame frame;

	for (uint16_t port = 1; port <= count; port++) {
		frame_make_tcp(&frame, FLOW_GUEST, 40000, port, PACKET_SYN, 1, "");
		feed(offline, &frame, start + port * 10000000ull);
		frame_make_tcp(&frame, FLOW_PEER, 40000, port, PACKET_RST | PACKET_ACK, 0, "");
		feed(offline, &frame, start + port * 10000000ull + 1000);
	}
}

START_TEST(a_scan)
{
	struct offline_stats stats;
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);

	feed_scan(offline, 40, START);
	ck_assert_uint_eq(seen.findings, 0); /* it goes on */
	offline_finish(offline);
	ck_assert_uint_eq(seen.findings, 1);
	ck_assert_str_eq(seen.rule, "scan.vertical");
	ck_assert_str_eq(seen.vm, "10.0.0.2");
	ck_assert_str_eq(seen.sentence,
	                 "tried 40 ports of 10.0.0.5 in 1 s; 40 refused, 0 unanswered");
	offline_stats(offline, &stats);
	ck_assert_uint_eq(stats.packets, 80);
	ck_assert_uint_eq(stats.flows, 40);
	ck_assert_uint_eq(stats.unread, 0);
	ck_assert_uint_eq(stats.first_ns, START + 10000000);
	offline_close(offline);
}
END_TEST

/* The same packets behind other link headers. */
START_TEST(link_types)
{
	static const struct {
		int type;
		uint32_t size;
		uint8_t header[20];
	} links[] = {
	        {DLT_RAW, 0, {0}},
	        {DLT_IPV4, 0, {0}},
	        {DLT_NULL, 4, {2}},
	        {DLT_LOOP, 4, {[3] = 2}},
	        {DLT_LINUX_SLL, 16, {[14] = 0x08}},
	        {DLT_LINUX_SLL2, 20, {0x08}},
	};

	for (size_t i = 0; i < BASE_COUNT(links); i++) {
		struct seen seen;
		struct offline *offline = offline_new(&seen, NULL, 0);

		ck_assert(offline_linktype_known(links[i].type));
		for (uint16_t port = 1; port <= 20; port++) {
			uint8_t bytes[20 + FRAME_MAX];
			struct frame frame;
			uint32_t size;

			frame_make_tcp(&frame, FLOW_GUEST, 40000, port, PACKET_SYN, 1, "");
			size = frame.size - 14;
			memcpy(bytes, links[i].header, links[i].size);
			memcpy(bytes + links[i].size, frame.bytes + 14, size);
			/* cut short, and lying about it, too */
			feed_bytes(offline, links[i].type, bytes, port % 4, links[i].size + size,
			           START);
			feed_bytes(offline, links[i].type, bytes, links[i].size + size,
			           links[i].size + size, START + port);
		}
		offline_finish(offline);
		ck_assert_uint_eq(seen.findings, 1);
		ck_assert_str_eq(seen.vm, "10.0.0.2");
		offline_close(offline);
	}
	ck_assert(!offline_linktype_known(DLT_IEEE802_11));
}
END_TEST

/* With --vm, what others do is no finding; what they send to a VM is still seen as its answers. */
START_TEST(only_vms)
{
	static const struct {
		const char *vm;
		size_t findings;
	} cases[] = {{"10.0.0.2", 1},    {"10.0.0.0/24", 1}, {"0.0.0.0/0", 1},
	             {"10.0.0.5/32", 0}, {"10.0.0.3/32", 0}, {"fd00::/8", 0}};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct offline_cidr cidr;
		struct offline *offline;
		struct seen seen;

		ck_assert_int_eq(offline_cidr_parse(cases[i].vm, &cidr), 0);
		offline = offline_new(&seen, &cidr, 1);
		feed_scan(offline, 40, START);
		offline_finish(offline);
		ck_assert_msg(seen.findings == cases[i].findings, "%s: %zu", cases[i].vm,
		              seen.findings);
		offline_close(offline);
	}
}
END_TEST

START_TEST(cidrs)
{
	static const char *const bad[] = {"",          "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/-1",
	                                  "10.0.0/8",  "fd00::/129",  "10.0.0.0/8x", "web0",
	                                  "fd00::1/ 8"};
	struct offline_cidr cidr;

	for (size_t i = 0; i < BASE_COUNT(bad); i++)
		ck_assert_msg(offline_cidr_parse(bad[i], &cidr) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(offline_cidr_parse("fd00::/12", &cidr), 0);
	ck_assert_uint_eq(cidr.bits, 12);
	ck_assert_int_eq(cidr.family, FLOW_IPV6);
}
END_TEST

START_TEST(backscatter_is_nobodys_scan)
{
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);
	struct frame frame;

	for (uint16_t port = 1; port <= 200; port++) {
		frame_make_tcp(&frame, FLOW_PEER, port, 80,
		               port % 2 ? PACKET_SYN | PACKET_ACK : PACKET_RST, 1, "");
		feed(offline, &frame, START + port * SECOND);
	}
	offline_finish(offline);
	ck_assert_uint_eq(seen.findings, 0);
	offline_close(offline);
}
END_TEST

/* A hundred thousand made-up sources: bounded, and who scans meanwhile is found. */
START_TEST(many_sources)
{
	struct offline_stats stats;
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);
	struct frame frame;

	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t time = START + i * 100000ull;

		if (i % 2500 == 0) {
			frame_make_tcp(&frame, FLOW_GUEST, 40000, (uint16_t)(i / 2500 + 1),
			               PACKET_SYN, 1, "");
			feed(offline, &frame, time);
		}
		frame_make_tcp(&frame, FLOW_GUEST, 40000, 80, PACKET_SYN, 1, "");
		frame.bytes[26] = 11;
		frame.bytes[27] = (uint8_t)(i >> 16);
		frame.bytes[28] = (uint8_t)(i >> 8);
		frame.bytes[29] = (uint8_t)i;
		feed(offline, &frame, time);
	}
	offline_finish(offline);
	offline_stats(offline, &stats);
	ck_assert_uint_ge(stats.unwatched, 90000);
	ck_assert_uint_eq(seen.findings, 1);
	ck_assert_str_eq(seen.vm, "10.0.0.2");
	ck_assert_msg(strstr(seen.sentence, "tried 40 ports ") != NULL, "%s", seen.sentence);
	offline_close(offline);
}
END_TEST

/* A second capture, from before the first: nothing of the first is left to mix with. */
START_TEST(time_goes_back)
{
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);
	struct offline_stats stats;

	feed_scan(offline, 40, START);
	feed_scan(offline, 4, START - 86400 * SECOND);
	ck_assert_uint_eq(seen.findings, 1);
	offline_finish(offline);
	ck_assert_uint_eq(seen.findings, 1);
	offline_stats(offline, &stats);
	ck_assert_uint_eq(stats.flows, 44);
	offline_close(offline);
}
END_TEST

/* --- the program --- */

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

START_TEST(memory_comes_back_clean)
{
	enum { SIZE = 1000 };
	struct arena *arena = arena_open(4 * SIZE);
	uint8_t *first, *second, other;

	ck_assert_ptr_nonnull(arena);
	first = arena_take(arena, SIZE);
	second = arena_take(arena, SIZE);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	memset(first, 1, SIZE);
	memset(second, 2, SIZE);
	ck_assert(first[0] == 1 && first[SIZE - 1] == 1);
	ck_assert(arena_give(arena, first, SIZE));
	ck_assert(!arena_give(arena, &other, SIZE));
	/* another size has places of its own */
	ck_assert_ptr_ne(arena_take(arena, SIZE / 2), first);
	ck_assert_ptr_eq(arena_take(arena, SIZE), first);
	for (size_t i = 0; i < SIZE; i++)
		ck_assert_uint_eq(first[i], 0);
	ck_assert_ptr_nonnull(arena_take(arena, SIZE));
	ck_assert_ptr_null(arena_take(arena, SIZE));
	arena_close(arena);
}
END_TEST

static void add_program(Suite *suite)
{
	TCase *program = tcase_create("program");

	tcase_set_timeout(program, 60);
	tcase_add_unchecked_fixture(program, write_captures, remove_captures);
	tcase_add_test(program, program_table);
	tcase_add_test(program, program_payloads);
	tcase_add_test(program, program_lists);
	tcase_add_test(program, program_json);
	tcase_add_test(program, program_errors);
	tcase_add_test(program, program_is_locked_before_it_reads);
	suite_add_tcase(suite, program);
}

int main(void)
{
	Suite *suite = suite_create("monitor_analyze");
	TCase *tests = tcase_create("offline");
	SRunner *runner = srunner_create(suite);
	int failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_scan);
	tcase_add_test(tests, link_types);
	tcase_add_test(tests, only_vms);
	tcase_add_test(tests, cidrs);
	tcase_add_test(tests, backscatter_is_nobodys_scan);
	tcase_add_test(tests, many_sources);
	tcase_add_test(tests, time_goes_back);
	tcase_add_test(tests, memory_comes_back_clean);
	suite_add_tcase(suite, tests);
	if (SANITIZED)
		printf("monitor_analyze: the program's tests are left out: a sanitizer's calls are "
		       "in no list\n");
	else
		add_program(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
