/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is found by the shape of flows: tunnels in pings, beacons, long connections, exfiltration. */
#include "monitor_fixture.h"
#include "monitor_hello.h"

static uint32_t chance_state = 7;

static uint32_t chance(uint32_t below)
{
	chance_state = chance_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(chance_state >> 8) * below >> 24);
}

/* --- pings --- */

struct pings {
	uint32_t requests, replies, size_out, size_in;
	bool fresh;  /* other content each time */
	bool packet; /* an IPv4 packet */
};

static struct watch *ping(const struct pings *pings)
{
	static const uint8_t inner[20] = {0x45, 0,    0,  64, 0, 0, 0x40, 0, 64, 17,
	                                  0x26, 0xab, 10, 0,  0, 1, 10,   0, 0,  2};
	struct watch *watch = watch_new(&icmp_detector, NULL);
	struct flow_event event = event_make(FLOW_EVENT_NEW, ICMP, HOST, 0, START);

	event.record.key.guest_port = 8;
	for (uint32_t i = 1; i <= pings->requests; i++) {
		const uint64_t now = START + i * SECOND;
		const uint32_t replies = BASE_MIN(i, pings->replies);

		event.header.type = i == 1 ? FLOW_EVENT_NEW : FLOW_EVENT_UPDATE;
		event.header.time_ns = event.record.last_ns = now;
		event_side(&event, FLOW_GUEST, i, (uint64_t)i * pings->size_out, "", 0);
		event_side(&event, FLOW_PEER, replies, (uint64_t)replies * pings->size_in, "", 0);
		if (i == pings->requests)
			event_side(&event, FLOW_PEER, pings->replies,
			           (uint64_t)pings->replies * pings->size_in, "", 0);
		if (i == 1 || (i >= 64 && (i & (i - 1)) == 0) || i == pings->requests)
			watch_event(watch, &event.header);
		for (int side = 0; side < 2 && (i & (i - 1)) == 0; side++) {
			struct flow_payload_event look = {.key = event.record.key,
			                                  .kind = FLOW_PAYLOAD_ICMP};

			look.header.type = FLOW_EVENT_PAYLOAD;
			look.header.time_ns = now;
			look.side = (uint8_t)side;
			look.captured = (uint16_t)(side ? pings->size_in : pings->size_out);
			look.length = look.captured;
			look.header.size = flow_payload_event_size(look.captured);
			for (uint32_t n = 0; n < look.captured; n++)
				look.bytes[n] = (uint8_t)(n < 16 || pings->fresh ? chance(256) : n);
			if (pings->packet)
				memcpy(look.bytes, inner, sizeof(inner));
			watch_event(watch, &look.header);
		}
		watch_tick(watch, now);
	}
	return watch;
}

START_TEST(ping_tunnels)
{
	static const struct pings cases[] = {
	        {200, 200, 100, 300, false, false}, /* other sizes */
	        {200, 300, 100, 100, false, false}, /* more replies than requests */
	        {200, 200, 100, 100, true, false},  /* other content */
	        {200, 200, 64, 64, false, true},    /* packets */
	        {16, 1000, 28, 1052, false, false}, /* a file that is fetched */
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = ping(&cases[i]);

		ck_assert_msg(watch->count[ALERT_NEW] == 1, "%zu", i);
		ck_assert_str_eq(watch->first.rule, "icmp.tunnel");
		ck_assert_int_ge(watch->severity, ALERT_MEDIUM);
		watch_end(watch);
	}
}
END_TEST

START_TEST(pings_are_none)
{
	static const struct pings cases[] = {
	        {20000, 19000, 56, 56, false, false},   /* a monitor, with losses */
	        {2000, 2000, 1400, 1400, false, false}, /* a path test */
	        {4000, 0, 56, 0, false, false},         /* nobody there */
	        {10, 10, 100, 300, true, false},        /* too little to say */
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = ping(&cases[i]);

		ck_assert_msg(watch->severity <= ALERT_LOW, "%zu: %s", i, watch->last.sentence);
		watch_end(watch);
	}
}
END_TEST

/* --- beacons --- */

struct calls {
	uint32_t peer;
	uint16_t port;
	uint32_t count;
	uint64_t interval, jitter; /* + or - */
	uint32_t bytes, vary;
};

static void call(struct watch *watch, const struct calls *calls, uint64_t time, uint32_t guest)
{
	struct flow_event event = event_make(FLOW_EVENT_NEW, TCP, calls->peer, calls->port, time);

	key_address(event.record.key.guest, guest);
	watch_event(watch, &event.header);
	event_side(&event, FLOW_GUEST, 6, calls->bytes + chance(calls->vary + 1), "x", 1);
	event_side(&event, FLOW_PEER, 6, calls->bytes, "y", 1);
	event_close(&event, SECOND / 5);
	watch_event(watch, &event.header);
}

static struct watch *calls_make(const struct calls *calls, struct detector_world *world)
{
	struct watch *watch = watch_new(&beacon_detector, world);
	uint64_t time = START;

	for (uint32_t i = 0; i < calls->count; i++) {
		uint64_t ms = calls->jitter / 1000000;

		call(watch, calls, time, 0x0a4d0006);
		time += calls->interval - ms * 1000000 +
		        (uint64_t)chance((uint32_t)(2 * ms) + 1) * 1000000;
		watch_tick(watch, time);
	}
	return watch;
}

START_TEST(beacons)
{
	static const struct calls cases[] = {
	        {HOST, 443, 200, 60 * SECOND, 6 * SECOND, 500, 0},   /* 10 % */
	        {HOST, 443, 200, 60 * SECOND, 12 * SECOND, 500, 60}, /* 20 % */
	        {HOST, 443, 200, 60 * SECOND, 30 * SECOND, 500, 60}, /* 50 % */
	        {LAN_HOST, 8080, 200, 60 * SECOND, 12 * SECOND, 500, 0},
	        {HOST, 443, 40, HOUR, HOUR / 5, 500, 0},
	        {HOST, 4444, 60, 30 * SECOND, 0, 500, 0}, /* nobody's port */
	        {HOST, 443, 400, 2 * SECOND, 0, 3000, 0}, /* in a hurry */
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = calls_make(&cases[i], NULL);

		ck_assert_msg(watch->count[ALERT_NEW] == 1, "%zu: %zu", i, watch->count[ALERT_NEW]);
		ck_assert_msg(watch->severity == ALERT_MEDIUM, "%zu: %u", i, watch->severity);
		ck_assert_uint_eq(watch->last.confidence, 70);
		watch_end(watch);
	}
}
END_TEST

/* Who asks, and for what, is in the alert. */
START_TEST(a_beacon_by_tls)
{
	static const struct calls calls = {HOST, 443, 0, 60 * SECOND, 0, 500, 0};
	struct watch *watch = watch_new(&beacon_detector, NULL);

	for (uint64_t i = 0; i < 40; i++) {
		struct flow_payload_event hello = {.kind = FLOW_PAYLOAD_TLS, .side = FLOW_GUEST};
		uint64_t time = START + i * 60 * SECOND + chance(12) * SECOND;

		call(watch, &calls, time, 0x0a4d0006);
		hello.header.type = FLOW_EVENT_PAYLOAD;
		hello.header.time_ns = time;
		hello.key = event_make(FLOW_EVENT_NEW, TCP, HOST, 443, time).record.key;
		hello.captured = sizeof(hello_bytes);
		memcpy(hello.bytes, hello_bytes, sizeof(hello_bytes));
		watch_event(watch, &hello.header);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_str_eq(watch->last.name, "www.example.com");
	ck_assert_str_eq(watch->last.ja4, HELLO_JA4);
	watch_end(watch);
}
END_TEST

/* Regular, but as ordinary programs are: low at most. */
START_TEST(pollers)
{
	static const struct calls cases[] = {
	        {HOST, 443, 300, 60 * SECOND, 0, 900, 0},
	        {HOST, 443, 300, 60 * SECOND, SECOND / 2, 900, 0},
	        {LAN_HOST, 9100, 300, 15 * SECOND, SECOND / 10, 20000, 0},
	        {HOST, 443, 300, 60 * SECOND, 12 * SECOND, 500, 20000}, /* other work each time */
	        {LAN_HOST, 8080, 400, 2 * SECOND, 0, 300, 0},           /* a health check */
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = calls_make(&cases[i], NULL);

		ck_assert_msg(watch->severity <= ALERT_LOW, "%zu: %s (%llu)", i,
		              watch->last.sentence, (unsigned long long)watch->last.facts[6].value);
		watch_end(watch);
	}
}
END_TEST

/* Arrivals by chance, and a connection each half second, which would look regular if joined. */
START_TEST(chance_is_none)
{
	const struct calls calls = {HOST, 443, 0, 0, 0, 500, 0};
	struct watch *watch = watch_new(&beacon_detector, NULL);
	uint64_t time = START;

	for (int i = 0; i < 2000; i++) {
		uint32_t wait = 0;

		while (chance(60) != 0)
			wait++;
		time += (wait + 1) * SECOND;
		call(watch, &calls, time, 0x0a4d0006);
	}
	ck_assert_msg(watch->count[ALERT_NEW] == 0, "%s", watch->last.sentence);
	for (int i = 0; i < 5000; i++)
		call(watch, &calls, time + 100 * SECOND + (uint64_t)i * SECOND / 2, 0x0a4d0006);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

/* --- long connections --- */

/* So many connections a second apart, or several in one, to one port. */
static unsigned int strobe(uint32_t peer, uint16_t port, unsigned int count, uint64_t apart,
                           struct detector_world *world)
{
	struct watch *watch = watch_new(&beacon_detector, world);
	unsigned int severity = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct flow_event event =
		        event_make(FLOW_EVENT_NEW, TCP, peer, port, START + i * apart);

		watch_event(watch, &event.header);
		if (watch->last.rule && strcmp(watch->last.rule, "beacon.strobe") == 0)
			severity = watch->last.severity;
	}
	watch_end(watch);
	return severity;
}

START_TEST(strobes)
{
	struct detector_world *world = world_create();
	struct flow_key key = event_make(FLOW_EVENT_NEW, TCP, HOST, 4444, START).record.key;

	ck_assert_uint_eq(strobe(HOST, 4444, 86399, SECOND / 5, NULL), 0);
	ck_assert_uint_eq(strobe(HOST, 4444, 90000, SECOND / 5, world), ALERT_MEDIUM);
	ck_assert_uint_eq(strobe(HOST, 4444, 90000, 97 * SECOND / 100, NULL), ALERT_MEDIUM);
	/* spread over more than a day */
	ck_assert_uint_eq(strobe(HOST, 4444, 100000, 2 * SECOND, NULL), 0);
	ck_assert_uint_eq(strobe(HOST, 443, 90000, SECOND / 5, NULL), ALERT_LOW);
	ck_assert_uint_eq(strobe(LAN_HOST, 4444, 90000, SECOND / 5, NULL), ALERT_LOW);
	/* it's everybody's */
	for (uint32_t i = 1; i < 9; i++)
		world_calls(world, &key, (struct world_guest){i, i}, START, START);
	ck_assert_uint_eq(strobe(HOST, 4444, 90000, SECOND / 5, world), ALERT_LOW);
	world_destroy(world);
}
END_TEST

static void hold(struct watch *watch, uint16_t port, uint16_t guest_port, uint64_t hours,
                 uint64_t rate, bool end)
{
	struct flow_event event = event_make(FLOW_EVENT_UPDATE, TCP, HOST, port, START);
	uint64_t seconds = hours * 3600;

	event.record.key.guest_port = guest_port;
	event.record.outcome = FLOW_OUTCOME_ESTABLISHED;
	for (uint64_t s = 600; s <= seconds; s += 600) {
		event.header.time_ns = event.record.last_ns = START + s * SECOND;
		event_side(&event, FLOW_GUEST, (uint32_t)(s / 30), s * rate, "x", 1);
		event_side(&event, FLOW_PEER, (uint32_t)(s / 30), s * rate, "x", 1);
		watch_event(watch, &event.header);
		watch_tick(watch, event.header.time_ns);
	}
	event.header.type = FLOW_EVENT_END;
	if (end)
		watch_event(watch, &event.header);
}

START_TEST(long_connections)
{
	struct watch *watch = watch_new(&longconn_detector, NULL);

	hold(watch, 4444, 40000, 2, 1, true);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_uint_eq(watch->count[ALERT_END], 1);
	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	watch_end(watch);

	/* a session at a usual port, and a busy one */
	watch = watch_new(&longconn_detector, NULL);
	hold(watch, 22, 40000, 30, 1, true);
	hold(watch, 4444, 40001, 30, 10000, true);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 2);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);

	watch = watch_new(&longconn_detector, NULL);
	for (uint16_t i = 0; i < 50; i++) {
		struct flow_event event = event_make(FLOW_EVENT_OUTCOME, TCP, HOST, 4444, START);

		event_close(&event, 50 * MINUTE);
		watch_event(watch, &event.header);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

/* Peers of a peer-to-peer program. */
START_TEST(many_long_connections_are_low)
{
	struct watch *watch = watch_new(&longconn_detector, NULL);

	for (uint16_t i = 0; i < 8; i++) {
		struct flow_event event = event_make(FLOW_EVENT_UPDATE, TCP, HOST + i, 8333, START);

		event.record.last_ns = event.header.time_ns = START + 10 * MINUTE;
		event_side(&event, FLOW_GUEST, 20, 600, "x", 1);
		event_side(&event, FLOW_PEER, 20, 600, "x", 1);
		watch_event(watch, &event.header);
	}
	hold(watch, 8333, 40000, 2, 1, true);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

/* --- exfiltration --- */

static void send_out(struct watch *watch, uint32_t peer, uint64_t out, uint64_t in, uint64_t time)
{
	struct flow_event event = event_make(FLOW_EVENT_UPDATE, TCP, peer, 443, time);

	/* as it tells of itself on the way */
	for (uint64_t sent = 65536; sent < out; sent *= 2) {
		event_side(&event, FLOW_GUEST, (uint32_t)(sent / 1500), sent, "x", 1);
		event_side(&event, FLOW_PEER, 1, in, "x", 1);
		watch_event(watch, &event.header);
	}
	event_side(&event, FLOW_GUEST, (uint32_t)(out / 1500), out, "x", 1);
	event_side(&event, FLOW_PEER, 1, in, "x", 1);
	event_close(&event, 10 * SECOND);
	watch_event(watch, &event.header);
	event.header.type = FLOW_EVENT_END;
	watch_event(watch, &event.header);
}

#define MIB (1ull << 20)

START_TEST(exfiltration_without_a_baseline)
{
	struct watch *watch = watch_new(&exfil_detector, NULL);

	send_out(watch, HOST, 7 * MIB, MIB / 2, START);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	send_out(watch, HOST, 3 * MIB, MIB / 2, START + SECOND);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	ck_assert_uint_le(watch->last.facts[0].value, 11 * MIB); /* counted once */
	send_out(watch, HOST, 40 * MIB, MIB / 2, START + 2 * SECOND);
	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	watch_end(watch);

	/* a download, and one's acknowledgements */
	watch = watch_new(&exfil_detector, NULL);
	send_out(watch, HOST, 40 * MIB, 2000 * MIB, START);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

static void serve(struct watch *watch, uint32_t peer, uint16_t port, uint64_t out, bool opened,
                  uint64_t time)
{
	struct flow_event event = event_make(FLOW_EVENT_END, TCP, peer, port, time);

	event.record.flags = opened ? FLOW_FLAG_PEER_OPENED : 0;
	event_side(&event, FLOW_GUEST, (uint32_t)(out / 1500) + 1, out, "x", 1);
	event_side(&event, FLOW_PEER, 1, 100, "x", 1);
	watch_event(watch, &event.header);
}

/* What looks the same by its volume: while nothing is learnt, it is low. */
START_TEST(ordinary_uploads_are_low)
{
	struct watch *watch = watch_new(&exfil_detector, NULL);

	serve(watch, LAN_HOST, 22, 4000 * MIB, false, START); /* a backup */
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);

	watch = watch_new(&exfil_detector, NULL);
	for (uint32_t i = 0; i < 10; i++) /* downloads from the guest */
		serve(watch, HOST + i, 40000, 100 * MIB, true, START + i * MINUTE);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);

	watch = watch_new(&exfil_detector, NULL);
	for (uint32_t i = 0; i < 40; i++) /* a swarm */
		serve(watch, HOST + i * 77, (uint16_t)(20000 + i * 991 % 30000),
		      i < 20 ? 2000 : 50 * MIB, false, START + i * MINUTE);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);

	watch = watch_new(&exfil_detector, NULL); /* a shared screen */
	struct flow_event call = event_make(FLOW_EVENT_END, UDP, HOST, 3478, START);
	event_side(&call, FLOW_GUEST, 90000, 90 * MIB, "x", 1);
	event_side(&call, FLOW_PEER, 1000, 100000, "x", 1);
	watch_event(watch, &call.header);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);

	/* but many small ones to the same service are no swarm */
	watch = watch_new(&exfil_detector, NULL);
	for (uint32_t i = 0; i < 40; i++)
		serve(watch, HOST + i * 77, 443, i < 39 ? 2000 : 50 * MIB, false,
		      START + i * MINUTE);
	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	watch_end(watch);
}
END_TEST

START_TEST(exfiltration_above_the_baseline)
{
	struct watch *watch = watch_new(&exfil_detector, NULL);

	for (uint64_t i = 0; i < 48; i++)
		send_out(watch, HOST + (uint32_t)i % 5, 300000 + chance(100000), 100000,
		         START + i * 10 * MINUTE);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	send_out(watch, HOST + 9, 9 * MIB, 10000, START + 8 * HOUR);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	watch_end(watch);

	/* who sends as much every ten minutes is used to it */
	watch = watch_new(&exfil_detector, NULL);
	for (uint64_t i = 0; i < 48; i++)
		send_out(watch, HOST, 3 * MIB + chance(MIB), 100000, START + i * 10 * MINUTE);
	ck_assert_int_le(watch->severity, ALERT_LOW); /* while it was not known yet */
	send_out(watch, HOST + 9, 15 * MIB, 10000, START + 8 * HOUR);
	ck_assert_int_le(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_shapes");
	TCase *tests = tcase_create("shapes");

	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, ping_tunnels);
	tcase_add_test(tests, pings_are_none);
	tcase_add_test(tests, beacons);
	tcase_add_test(tests, a_beacon_by_tls);
	tcase_add_test(tests, pollers);
	tcase_add_test(tests, chance_is_none);
	tcase_add_test(tests, strobes);
	tcase_add_test(tests, long_connections);
	tcase_add_test(tests, many_long_connections_are_low);
	tcase_add_test(tests, exfiltration_without_a_baseline);
	tcase_add_test(tests, exfiltration_above_the_baseline);
	tcase_add_test(tests, ordinary_uploads_are_low);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
