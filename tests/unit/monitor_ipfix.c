/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows as IPFIX: what is written is read back by a collector of the tests' own, which goes by the templates, and by
 * Debian's nfcapd, whose nfdump prints the same flows; and `cordon analyze --format ipfix` writes the same again.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "bpf/flow.h"
#include "bpf/flowtable.h"
#include "bpf_frames.h"
#include "ecs.h"
#include "ipfix_reader.h"
#include "monitor/exported.h"
#include "monitor/ipfix.h"

#define SECOND 1000000000ull
#define START  (1750000000 * SECOND)

enum { FRAMES_MAX = 512, FLOWS_MAX = 512, DOMAIN = 7 };

static struct frame frames[FRAMES_MAX];
static size_t frame_count;
static struct flow_record flows[FLOWS_MAX];
static size_t flows_made;
static struct ipfix_reader reader;
static struct ipfix_batch batch;
static uint8_t stream[1 << 20];
static size_t stream_size;
static uint32_t sequence;

static void put_message(void)
{
	if (stream_size == 0)
		stream_size = ipfix_templates(stream, 1750000000, 0, DOMAIN);
	ipfix_header(stream + stream_size, IPFIX_HEADER + batch.size, 1750000000, sequence, DOMAIN);
	memcpy(stream + stream_size + IPFIX_HEADER, batch.bytes, batch.size);
	stream_size += IPFIX_HEADER + (size_t)batch.size;
	sequence += batch.count;
	memset(&batch, 0, sizeof(batch));
}

static void put_flow(const struct flow_event_header *header, void *data)
{
	const struct flow_event *event = (const struct flow_event *)header;
	const struct ipfix_origin origin = {.vm = "web0", .ifindex = 12};
	enum ipfix_end end;

	(void)data;
	if (header->type != FLOW_EVENT_END)
		return;
	end = ipfix_end_of(&event->record, header->time_ns,
	                   event->record.last_ns + flow_idle_ns(&event->record));
	ck_assert_uint_lt(flows_made, FLOWS_MAX);
	if (event->record.key.family != FLOW_ARP)
		flows[flows_made++] = event->record;
	if (ipfix_add(&batch, &event->record, &origin, end))
		return;
	put_message();
	ck_assert(ipfix_add(&batch, &event->record, &origin, end));
}

/* Every kind of conversation; whose flows they are is in `flows`, and in `stream`. */
static void setup(void)
{
	struct flowtable *table;

	flows_made = stream_size = sequence = 0;
	memset(&batch, 0, sizeof(batch));
	memset(&reader, 0, sizeof(reader));
	frame_count = frame_conversations(frames, FRAMES_MAX);
	ck_assert_int_eq(flowtable_open(&table, 1024, 1, put_flow, NULL), 0);
	for (size_t i = 0; i < frame_count; i++)
		flowtable_packet(table, frames[i].bytes, frames[i].size, frames[i].size,
		                 FLOWTABLE_EITHER, START + i * 10000000);
	flowtable_finish(table, START + frame_count * 10000000);
	flowtable_close(table);
	put_message();
}

START_TEST(what_is_written)
{
	ipfix_read(&reader, stream, stream_size, false);
	ck_assert_uint_eq(reader.count, flows_made);
	ck_assert_uint_gt(flows_made, 20);
	ck_assert_uint_eq(reader.domain, DOMAIN);
	ck_assert_uint_eq(reader.template_count, 2);
	ck_assert_uint_gt(reader.messages, 2);
	for (size_t i = 0; i < flows_made; i++) {
		const struct ipfix_read *read = &reader.records[i];
		const struct flow_record *flow = &flows[i];
		const bool peer = flow->flags & FLOW_FLAG_PEER_OPENED;
		const struct flow_side *side = &flow->sides[peer], *other = &flow->sides[!peer];
		const uint64_t link = flow->key.vlan ? 18 : 14;

		ck_assert_str_eq(read->name, "web0");
		ck_assert_uint_eq(read->version, flow->key.family);
		ck_assert_uint_eq(read->proto, flow->key.proto);
		ck_assert_uint_eq(read->biflow, 1);
		ck_assert_uint_eq(read->packets[0], side->packets);
		ck_assert_uint_eq(read->packets[1], other->packets);
		ck_assert_uint_eq(read->octets[0], side->bytes - link * side->packets);
		ck_assert_uint_eq(read->octets[1], other->bytes - link * other->packets);
		ck_assert_uint_eq(read->flags[0], side->tcp_flags);
		ck_assert_uint_eq(read->flags[1], other->tcp_flags);
		ck_assert_uint_eq(read->start_ms, flow->first_ns / 1000000);
		ck_assert_uint_eq(read->end_ms, flow->last_ns / 1000000);
		ck_assert_uint_eq(read->reason, flow->state >= FLOW_STATE_CLOSED ? 3 : 5);
	}
}
END_TEST

/* A name as long as one can be, and a batch that is full. */
START_TEST(limits)
{
	char name[IPFIX_NAME_MAX + 1];
	const struct ipfix_origin origin = {.vm = name};
	struct flow_record record = flows[0];
	uint8_t spooled[IPFIX_SPOOLED_MAX];
	uint16_t count, added = 0;
	size_t size;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	record.key.family = FLOW_IPV6;
	memset(&batch, 0, sizeof(batch));
	while (ipfix_add(&batch, &record, &origin, IPFIX_END_IDLE))
		added++;
	ck_assert_uint_gt(added, 5);
	ck_assert_uint_eq(batch.count, added);
	ck_assert_uint_le(batch.size, IPFIX_BATCH_MAX);
	size = ipfix_spool(&batch, spooled);
	ck_assert_int_eq(ipfix_unspool(spooled, size, &count), 0);
	ck_assert_uint_eq(count, added);
	ck_assert_int_eq(ipfix_unspool(spooled, 5, &count), -EBADMSG);
	ck_assert_int_eq(ipfix_unspool(spooled, IPFIX_SPOOLED_MAX + 1, &count), -EBADMSG);
	record.key.family = FLOW_ARP;
	ck_assert(ipfix_add(&batch, &record, &origin, IPFIX_END_IDLE));
	ck_assert_uint_eq(batch.count, added);
}
END_TEST

/* A flow of hours: a record every half hour, and all of them together say what it had. */
START_TEST(a_flow_that_lasts)
{
	struct exported *exported = exported_new();
	struct flow_record record = flows[0];
	uint64_t packets = 0, bytes = 0, end = 0;
	size_t records = 0, due = 0;

	record.first_ns = START;
	for (uint64_t minute = 10; minute <= 300; minute += 10) {
		struct flow_record rest;

		record.last_ns = START + minute * 60 * SECOND;
		record.sides[0].packets = minute * 7;
		record.sides[1].bytes = minute * 1000;
		rest = record;
		if (minute < 300 && !exported_due(exported, &record, record.last_ns))
			continue;
		exported_rest(exported, &rest, minute == 300);
		/* one begins where the one before has ended */
		ck_assert_uint_eq(rest.first_ns, records ? end : START);
		end = rest.last_ns;
		packets += rest.sides[0].packets;
		bytes += rest.sides[1].bytes;
		records++;
	}
	ck_assert_uint_eq(records, 10);
	ck_assert_uint_eq(packets, 2100);
	ck_assert_uint_eq(bytes, 300000);
	/* it is forgotten: what has the same key is another flow */
	exported_rest(exported, &record, true);
	ck_assert_uint_eq(record.sides[0].packets, 2100);
	/* more than can be remembered have one record each, at their end */
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(record.key.peer, &i, sizeof(i));
		due += exported_due(exported, &record, START + 7200 * SECOND);
	}
	ck_assert_uint_gt(due, 1000);
	ck_assert_uint_lt(due, 2049);
	/* and the places of those whose ends were lost are given away */
	record.first_ns = START + 7200 * SECOND;
	ck_assert(exported_due(exported, &record, START + 30 * 3600 * SECOND));
	exported_free(exported);
}
END_TEST

static int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the lines of a text; how many. */
static size_t lines_of(char *text, char *out[FLOWS_MAX])
{
	char *save = NULL;
	size_t count = 0;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		ck_assert_uint_lt(count, FLOWS_MAX);
		out[count++] = line;
	}
	qsort(out, count, sizeof(*out), line_compare);
	return count;
}

static void send_all(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_port = htons(port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	BASE_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (size_t at = 0; at < stream_size; at += ipfix_message_size(stream + at))
		ck_assert_int_eq((int)sendto(fd, stream + at, ipfix_message_size(stream + at), 0,
		                             (struct sockaddr *)&to, sizeof(to)),
		                 (int)ipfix_message_size(stream + at));
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	BASE_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	return ntohs(at.sin_port);
}

static void folder_remove(const char *folder)
{
	pid_t child = fork();

	if (child == 0) {
		execlp("rm", "rm", "-rf", "--", folder, NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

START_TEST(nfdump_prints_the_same)
{
	char folder[] = "/tmp/cordon-ipfix-XXXXXX", *seen[FLOWS_MAX], *own[FLOWS_MAX];
	static char text[FLOWS_MAX * IPFIX_READ_LINE];
	const uint16_t port = free_port();
	size_t used = 0, count;
	pid_t nfcapd;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ipfix_read(&reader, stream, stream_size, false);
	nfcapd = nfcapd_start(folder, port);
	send_all(port);
	for (size_t i = 0; i < reader.count; i++) {
		char line[IPFIX_READ_LINE];

		ipfix_line(&reader.records[i], line);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", line);
	}
	count = lines_of(nfcapd_end(nfcapd, folder, port), seen);
	folder_remove(folder);
	ck_assert_uint_eq(lines_of(text, own), count);
	for (size_t i = 0; i < count; i++)
		ck_assert_str_eq(seen[i], own[i]);
}
END_TEST

static void write_capture(const char *path)
{
	pcap_t *pcap =
	        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
	pcap_dumper_t *dump = pcap_dump_open(pcap, path);

	ck_assert_ptr_nonnull(dump);
	for (size_t i = 0; i < frame_count; i++) {
		const uint64_t time = START + i * 10000000;
		const struct pcap_pkthdr header = {
		        .ts = {(time_t)(time / SECOND), (suseconds_t)(time % SECOND)},
		        .caplen = frames[i].size,
		        .len = frames[i].size};

		pcap_dump((u_char *)dump, &header, frames[i].bytes);
	}
	pcap_dump_close(dump);
	pcap_close(pcap);
}

/* What cordon-analyze writes of the conversations in that format. */
static size_t analyzed(const char *format, uint8_t *out, size_t most)
{
	char path[] = "/tmp/cordon-ipfix-XXXXXX";
	int fd = mkstemp(path), ends[2], status;
	size_t used = 0;
	pid_t child;
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	close(fd);
	write_capture(path);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl(getenv("CORDON_ANALYZE"), "cordon-analyze", "--format", format, path, NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], out + used, most - used)) > 0)
		used += (size_t)n;
	close(ends[0]);
	unlink(path);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return used;
}

START_TEST(a_file_of_a_capture)
{
	static uint8_t file[1 << 20];
	size_t used = analyzed("ipfix", file, sizeof(file));
	uint64_t octets[2] = {0}, sides[2] = {0};

	ipfix_read(&reader, file, used, false);
	ck_assert_uint_eq(reader.count, flows_made);
	ck_assert_uint_eq(reader.template_messages, 1);
	/* the order of the ends is the table's, and its seed another one: the sums are the same */
	for (size_t i = 0; i < flows_made; i++)
		for (size_t side = 0; side < 2; side++) {
			const bool peer = flows[i].flags & FLOW_FLAG_PEER_OPENED;
			const struct flow_side *of = &flows[i].sides[peer != side];

			octets[side] += reader.records[i].octets[side];
			sides[side] += of->bytes - of->packets * (flows[i].key.vlan ? 18 : 14);
		}
	ck_assert_uint_eq(octets[0], sides[0]);
	ck_assert_uint_eq(octets[1], sides[1]);
}
END_TEST

/* The same flows as lines: each is an object of the schema (ARP is a flow there, too). */
START_TEST(lines_of_a_capture)
{
	static uint8_t file[1 << 20];
	size_t used = analyzed("flows", file, sizeof(file) - 1), lines = 0;
	char *save = NULL;

	file[used] = '\0';
	for (char *line = strtok_r((char *)file, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save), lines++) {
		json_t *flow = json_loads(line, 0, NULL);

		ecs_assert(flow);
		json_decref(flow);
	}
	ck_assert_uint_gt(lines, flows_made);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_ipfix");
	TCase *tests = tcase_create("ipfix");
	bool nfcapd = nfcapd_there();
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, what_is_written);
	tcase_add_test(tests, limits);
	tcase_add_test(tests, a_flow_that_lasts);
	if (nfcapd)
		tcase_add_test(tests, nfdump_prints_the_same);
	if (!SANITIZED) {
		tcase_add_test(tests, a_file_of_a_capture);
		tcase_add_test(tests, lines_of_a_capture);
	}
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : nfcapd ? 0 : 77;
}
