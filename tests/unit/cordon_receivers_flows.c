/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows that couriers deliver as IPFIX: to nfcapd over UDP, and to a collector of the tests' own over UDP, TCP and TLS. The
 * collector is killed while flows come, and so is the courier; in the end each flow is there once, sequence numbers
 * are right, and every message has a template that came before it.
 */
#include <check.h>
#include <poll.h>
#include <signal.h>

#include "base/base.h"
#include "cordon/courier.h"
#include "ipfix_reader.h"
#include "monitor/ipfix.h"
#include "monitor/spool.h"
#include "receivers_collector.h"

enum { FLOWS = 1200, FLOWS_AT_ONCE = 6, DOMAIN = 77 };

static const enum policy_sink_type transports[] = {POLICY_SINK_IPFIX_UDP, POLICY_SINK_IPFIX_TCP,
                                                   POLICY_SINK_IPFIX_TLS};
static struct ipfix_reader reader;

/* The i-th flow has the port i, and i packets. */
static struct flow_record flow(unsigned int i)
{
	struct flow_record record = {.first_ns = 1750000000000000000ull,
	                             .state = FLOW_STATE_CLOSED};

	record.last_ns = record.first_ns + i * 1000000ull;
	record.key.family = i % 5 ? FLOW_IPV4 : FLOW_IPV6;
	record.key.proto = 6;
	memcpy(record.key.guest, (uint8_t[]){10, 0, 0, 2}, 4);
	memcpy(record.key.peer, (uint8_t[]){10, 0, 0, 5}, 4);
	record.key.guest_port = (uint16_t)i;
	record.key.peer_port = 443;
	record.sides[0] = (struct flow_side){.packets = i, .bytes = i * 114ull, .tcp_flags = 0x1b};
	record.sides[1] = (struct flow_side){.packets = 1, .bytes = 114, .tcp_flags = 0x12};
	return record;
}

static void append(int inbox, unsigned int from, unsigned int to)
{
	const struct ipfix_origin origin = {.vm = "web0", .ifindex = 3};

	for (unsigned int i = from; i < to; i += FLOWS_AT_ONCE) {
		struct ipfix_batch batch = {0};
		uint8_t spooled[IPFIX_SPOOLED_MAX];

		for (unsigned int n = i; n < i + FLOWS_AT_ONCE; n++) {
			const struct flow_record record = flow(n);

			ck_assert(ipfix_add(&batch, &record, &origin, IPFIX_END_DETECTED));
		}
		ck_assert_int_eq(spool_append(inbox, ALERT_LOW, (char *)spooled,
		                              ipfix_spool(&batch, spooled)),
		                 0);
	}
}

/* What has arrived in "out": the whole of it is read again. */
static size_t arrived(void)
{
	BASE_AUTO_FILE FILE *out = fopen("out", "re");
	static char bytes[4 << 20];
	size_t size = out ? fread(bytes, 1, sizeof(bytes), out) : 0, whole = 0;

	/* the last message may be on its way */
	while (size - whole >= IPFIX_HEADER && ipfix_message_size(bytes + whole) <= size - whole)
		whole += ipfix_message_size(bytes + whole);
	memset(&reader, 0, sizeof(reader));
	ipfix_read(&reader, bytes, whole, true);
	return reader.count;
}

static void wait_arrived(size_t count)
{
	for (int i = 0; i < RECEIVERS_WAIT_MS / 20 && arrived() < count; i++)
		poll(NULL, 0, 20);
	ck_assert_uint_eq(arrived(), count);
}

static void check_all(void)
{
	wait_arrived(FLOWS);
	ck_assert_uint_eq(reader.domain, DOMAIN);
	for (unsigned int i = 0; i < FLOWS; i++) {
		const struct ipfix_read *read = &reader.records[i];

		ck_assert_uint_eq(read->source_port, i);
		ck_assert_uint_eq(read->packets[0], i);
		ck_assert_uint_eq(read->octets[0], i * 100);
		ck_assert_str_eq(read->name, "web0");
	}
}

START_TEST(an_outage)
{
	struct policy_sink sink = collector_sink(transports[_i], false);

	sink.domain = DOMAIN;
	BASE_AUTO_FD int inbox = receivers_open(&sink);
	append(inbox, 0, 60);
	collector_start();
	wait_arrived(60);
	append(inbox, 60, 120);
	wait_arrived(120);
	receivers_delivered(20);
	receivers_kill(SIGKILL);
	append(inbox, 120, 300);
	receivers_courier_kill();
	append(inbox, 300, 600);
	courier_recover();
	receivers_away();
	collector_start();
	append(inbox, 600, FLOWS);
	check_all();
	receivers_tell(&sink, FLOWS, "flows");
}
END_TEST

/* What nfdump has printed are these flows, each once. */
static size_t check_lines(const char *text, bool seen[FLOWS])
{
	size_t lines = 0;

	for (const char *at = text; *at; at += strcspn(at, "\n") + 1, lines++) {
		unsigned int i;
		char want[IPFIX_READ_LINE];

		ck_assert_msg(sscanf(at, "%*[^,],%*[^,],%u,", &i) == 1, "no flow: '%.200s'", at);
		ck_assert_uint_lt(i, FLOWS);
		ck_assert_msg(!seen[i], "flow %u is there twice", i);
		seen[i] = true;
		/* the address of IPv6 has the same bytes as that of IPv4 */
		snprintf(want, sizeof(want), "6,%s,%u,%s,443,%u,%u,1,100,...AP.SF\n",
		         i % 5 ? "10.0.0.2" : "a00:2::", i, i % 5 ? "10.0.0.5" : "a00:5::", i,
		         i * 100);
		ck_assert_msg(strncmp(at, want, strlen(want)) == 0 || i == 0, "no %s", want);
	}
	return lines;
}

/* It goes and comes back; what was sent to it meanwhile waits. */
START_TEST(to_nfcapd)
{
	static bool seen[FLOWS];
	struct policy_sink sink = collector_sink(POLICY_SINK_IPFIX_UDP, false);
	size_t lines;
	pid_t nfcapd;

	memset(seen, 0, sizeof(seen));
	sink.domain = DOMAIN;
	BASE_AUTO_FD int inbox = receivers_open(&sink);
	receivers_shell("mkdir first second");
	nfcapd = nfcapd_start("first", receivers.port);
	append(inbox, 0, 600);
	receivers_delivered(600 / FLOWS_AT_ONCE);
	lines = check_lines(nfcapd_end(nfcapd, "first", receivers.port), seen);
	append(inbox, 600, 900);
	ck_assert(receivers_wait(HOST_LOG_DIR "/monitor.messages", "takes no alerts: Connection"));
	receivers_away();
	nfcapd = nfcapd_start("second", receivers.port);
	append(inbox, 900, FLOWS);
	receivers_delivered(FLOWS / FLOWS_AT_ONCE);
	lines += check_lines(nfcapd_end(nfcapd, "second", receivers.port), seen);
	ck_assert_uint_eq(lines, FLOWS);
	receivers_tell(&sink, FLOWS, "flows, at nfcapd");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_receivers_flows");
	TCase *tests = tcase_create("receivers");
	bool nfcapd = nfcapd_there();
	int status;

	tcase_add_checked_fixture(tests, receivers_setup, receivers_teardown);
	tcase_set_timeout(tests, 100);
	tcase_add_loop_test(tests, an_outage, 0, BASE_COUNT(transports));
	if (nfcapd)
		tcase_add_test(tests, to_nfcapd);
	suite_add_tcase(suite, tests);
	status = receivers_main("cordon_receivers_flows", suite);
	return status == 0 && !nfcapd ? RECEIVERS_SKIP : status;
}
