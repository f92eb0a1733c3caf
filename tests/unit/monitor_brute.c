/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logins tried one after another, and what only looks so. */
#include "monitor_fixture.h"

struct shape {
	const char *client;
	size_t client_size; /* of its first bytes */
	const char *server;
	size_t server_size;
	uint64_t out, in; /* payload */
	uint16_t port;
};

#define HEAD(text) text, sizeof(text) - 1

static const struct shape ssh = {HEAD("SSH-2.0-libssh"), HEAD("SSH-2.0-OpenSSH_9.2"), 2100, 2600,
                                 22};

static void login(struct watch *watch, const struct shape *shape, uint64_t time, uint64_t extra,
                  bool incoming)
{
	struct flow_event event = event_make(FLOW_EVENT_OUTCOME, TCP, HOST, shape->port, time);
	const unsigned int client = incoming ? FLOW_PEER : FLOW_GUEST;

	event_side(&event, client, 12, shape->out + extra, shape->client, shape->client_size);
	event_side(&event, !client, 12, shape->in + extra, shape->server, shape->server_size);
	if (incoming) {
		uint16_t port = event.record.key.guest_port;

		event.record.flags |= FLOW_FLAG_PEER_OPENED;
		event.record.key.guest_port = shape->port;
		event.record.key.peer_port = port;
	}
	event_close(&event, 2 * SECOND);
	watch_event(watch, &event.header);
}

static struct watch *logins(const struct shape *shape, size_t count, uint64_t apart, uint64_t vary,
                            bool incoming)
{
	struct watch *watch = watch_new(&brute_detector, NULL);

	for (size_t i = 0; i < count; i++) {
		login(watch, shape, START + i * apart, i * 2654435761u % (vary + 1), incoming);
		watch_tick(watch, START + i * apart + SECOND);
	}
	return watch;
}

START_TEST(each_service)
{
	static const struct {
		struct shape shape;
		const char *rule;
		size_t count;
		uint64_t apart;
	} cases[] = {
	        {{HEAD("SSH-2.0-Go"), HEAD("SSH-2.0-OpenSSH"), 2000, 2500, 2222},
	         "brute.ssh",
	         40,
	         SECOND},
	        {{HEAD("USER root\r\n"), HEAD("220 ready"), 60, 120, 21}, "brute.ftp", 40, SECOND},
	        {{HEAD("\x03\0\0\x13\x0e\xe0"), HEAD("\x03\0\0\x13\x0e\xd0"), 3000, 2000, 3389},
	         "brute.rdp",
	         40,
	         SECOND},
	        {{HEAD("\0\0\0\x90\xfeSMB"), HEAD("\0\0\0\x90\xfeSMB"), 900, 1100, 445},
	         "brute.smb",
	         40,
	         SECOND},
	        {{HEAD("GET /admin"), HEAD("HTTP/1.1 401 Unauth"), 200, 400, 8080},
	         "brute.http",
	         40,
	         SECOND},
	        {{HEAD("\xff\xfc\x01"), HEAD("\xff\xfd\x01"), 90, 300, 23},
	         "brute.telnet",
	         40,
	         SECOND},
	        {{HEAD("\0\0\0\x54\0\3\0\0"), HEAD("R\0\0\0\x17"), 200, 150, 5432},
	         "brute.database",
	         90,
	         SECOND / 2},
	        {{HEAD("\xa0\0\0\1"),
	          HEAD("\x4a\0\0\0\x0a"
	               "8.0.36"),
	          200, 180, 3306},
	         "brute.database",
	         90,
	         SECOND / 2},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch =
		        logins(&cases[i].shape, cases[i].count, cases[i].apart, 8, false);

		ck_assert_msg(watch->count[ALERT_NEW] == 1, "%s: %zu", cases[i].rule,
		              watch->count[ALERT_NEW]);
		ck_assert_str_eq(watch->first.rule, cases[i].rule);
		ck_assert_str_eq(watch->first.technique, "T1110");
		ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
		watch_end(watch);
	}
}
END_TEST

/* Four at a time: eight connections. */
START_TEST(several_in_a_connection)
{
	static const struct shape ftp = {HEAD("USER root\r\n"), HEAD("220 ready"), 130, 300, 21};
	struct watch *watch = logins(&ftp, 8, 10 * SECOND, 8, false);

	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_end(watch);
	watch = logins(&ftp, 4, 10 * SECOND, 8, false);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

START_TEST(others_try_the_guest)
{
	struct watch *watch = logins(&ssh, 40, SECOND, 40, true);

	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_mem_eq(watch->first.source, ((uint8_t[]){198, 51, 100, 20}), 4);
	ck_assert_uint_eq(watch->first.port, 22);
	watch_end(watch);
}
END_TEST

START_TEST(slowly)
{
	struct watch *watch = watch_new(&brute_detector, NULL);

	for (uint64_t i = 0; i < 60; i++)
		login(watch, &ssh, START + i * MINUTE + i * i * 7919 % 50 * SECOND, i % 40, false);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_end(watch);
}
END_TEST

/* A check every minute is as frequent, but regular. */
START_TEST(a_monitor_is_low)
{
	struct watch *watch = logins(&ssh, 600, MINUTE, 0, false);

	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	/* and who works there is no guess that was right */
	login(watch, &ssh, START + 601 * MINUTE, 100000, false);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

START_TEST(nineteen_are_none)
{
	struct watch *watch = logins(&ssh, 19, SECOND, 0, false);

	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

/* Sessions that do something have sizes of their own. */
START_TEST(work_is_none)
{
	struct watch *watch = logins(&ssh, 200, 10 * SECOND, 5500, false);

	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

/* A web application opens its database for each request, ten a second at times, one or two in the mean. */
START_TEST(a_database_client_is_none)
{
	static const struct shape query = {HEAD("\0\0\0\x54\0\3\0\0"), HEAD("R\0\0\0\x17"), 300,
	                                   900, 5432};
	struct watch *watch = logins(&query, 400, 2 * SECOND, 2000, false);

	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

START_TEST(a_session_after_it_is_critical)
{
	struct watch *watch = logins(&ssh, 60, SECOND, 40, false);

	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	login(watch, &ssh, START + 70 * SECOND, 100000, false);
	ck_assert_int_eq(watch->severity, ALERT_CRITICAL);
	ck_assert(strstr(watch->last.sentence, "a session followed") != NULL);
	watch_end(watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_brute");
	TCase *tests = tcase_create("brute");

	tcase_add_test(tests, each_service);
	tcase_add_test(tests, several_in_a_connection);
	tcase_add_test(tests, others_try_the_guest);
	tcase_add_test(tests, slowly);
	tcase_add_test(tests, a_monitor_is_low);
	tcase_add_test(tests, nineteen_are_none);
	tcase_add_test(tests, work_is_none);
	tcase_add_test(tests, a_database_client_is_none);
	tcase_add_test(tests, a_session_after_it_is_critical);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
