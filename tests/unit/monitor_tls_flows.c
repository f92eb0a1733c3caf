/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom a certificate is for; what TLS connections say of themselves, put together from segments. */
#include "monitor_certificates.h"
#include "monitor_fixture.h"
#include "monitor_hello.h"

#include "monitor/tls_flows.h"

START_TEST(names_of_certificates)
{
	static const struct {
		const char *wanted;
		bool san, cn;
	} cases[] = {
	        {"example.org", true, false},
	        {"EXAMPLE.org", true, false},
	        {"www.example.com", true, true},
	        {"a.b.example.com", false, false},
	        {"example.com", false, false},
	        {"ignored.example", false, false},
	        {"www.example.com.evil", false, false},
	        {"", false, false},
	        {"192.0.2.1", false, false},
	};
	struct x509_names names;

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		ck_assert_int_eq(x509_names(certificate_san, sizeof(certificate_san),
		                            cases[i].wanted, &names),
		                 0);
		ck_assert_str_eq(names.first, "example.org");
		ck_assert_msg(names.matches == cases[i].san, "%s", cases[i].wanted);
		ck_assert_int_eq(
		        x509_names(certificate_cn, sizeof(certificate_cn), cases[i].wanted, &names),
		        0);
		ck_assert_str_eq(names.first, "www.example.com");
		ck_assert_msg(names.matches == cases[i].cn, "%s", cases[i].wanted);
	}
}
END_TEST

/* None that is cut short is one; and no changed byte reads behind the end, or makes it slow. */
START_TEST(broken_certificates)
{
	struct x509_names names;

	for (size_t i = 0; i < sizeof(certificate_san); i++) {
		uint8_t *copy = malloc(i ? i : 1);

		memcpy(copy, certificate_san, i);
		ck_assert_int_eq(x509_names(copy, i, "example.org", &names), -EBADMSG);
		free(copy);
	}
	for (size_t i = 0; i < sizeof(certificate_san); i++) {
		uint8_t *copy = malloc(sizeof(certificate_san));

		memcpy(copy, certificate_san, sizeof(certificate_san));
		copy[i] ^= 0x81;
		x509_names(copy, sizeof(certificate_san), "example.org", &names);
		ck_assert_ptr_nonnull(memchr(names.first, '\0', sizeof(names.first)));
		free(copy);
	}
}
END_TEST

/* --- flows --- */

static struct flow_payload_event segment(enum flow_side_index side, const void *bytes,
                                         size_t offset, size_t size)
{
	struct flow_payload_event event = {.kind = FLOW_PAYLOAD_TLS, .side = (uint8_t)side};

	event.header.type = FLOW_EVENT_PAYLOAD;
	event.header.time_ns = START;
	event.key = event_make(FLOW_EVENT_NEW, TCP, HOST, 443, START).record.key;
	event.offset = (uint32_t)offset;
	event.captured = (uint16_t)size;
	event.length = (uint32_t)size;
	memcpy(event.bytes, (const uint8_t *)bytes + offset, size);
	return event;
}

static size_t put(uint8_t *out, size_t at, size_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[at + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return at + bytes;
}

/* A server's hello of this version, and a certificate in a record of its own or in two. */
static size_t flight(uint8_t *out, uint16_t version, const uint8_t *certificate, size_t size,
                     size_t cut)
{
	uint8_t message[2048];
	size_t at, n = 0;

	at = put(message, 0, 2, 1);
	at = put(message, at, version > 0x0303 ? 46 : 40, 3);
	at = put(message, at, 0x0303, 2);
	memset(message + at, 'R', 32);
	at = put(message, at + 32, 0, 1);
	at = put(message, at, 0xc02f, 2);
	at = put(message, at, 0, 1);
	at = put(message, at, version > 0x0303 ? 6 : 0, 2);
	if (version > 0x0303) {
		at = put(message, at, 43, 2);
		at = put(message, at, 2, 2);
		at = put(message, at, version, 2);
	}
	n = put(out, n, 0x160303, 3);
	n = put(out, n, at, 2);
	memcpy(out + n, message, at);
	n += at;
	at = put(message, 0, 11, 1);
	at = put(message, at, size + 6, 3);
	at = put(message, at, size + 3, 3);
	at = put(message, at, size, 3);
	memcpy(message + at, certificate, size);
	at += size;
	cut = cut ? cut : at;
	for (size_t from = 0, part; from < at; from += part) {
		part = BASE_MIN(cut, at - from);
		n = put(out, n, 0x160303, 3);
		n = put(out, n, part, 2);
		memcpy(out + n, message + from, part);
		n += part;
	}
	return n;
}

static struct tls_flow say(uint16_t version, const uint8_t *certificate, size_t size, size_t cut,
                           size_t step)
{
	struct tls_flows *flows = tls_flows_create(8);
	struct flow_payload_event event = segment(FLOW_GUEST, hello_bytes, 0, sizeof(hello_bytes));
	const struct tls_flow *found;
	struct tls_flow flow;
	uint8_t bytes[4096];
	size_t length = flight(bytes, version, certificate, size, cut);

	ck_assert_ptr_null(tls_flows_find(flows, &event.key));
	tls_flows_seen(flows, &event);
	for (size_t at = 0; at < length; at += step) {
		event = segment(FLOW_PEER, bytes, at, BASE_MIN(step, length - at));
		tls_flows_seen(flows, &event);
		tls_flows_seen(flows, &event); /* sent again */
	}
	found = tls_flows_find(flows, &event.key);
	ck_assert_ptr_nonnull(found);
	flow = *found;
	tls_flows_destroy(flows);
	return flow;
}

START_TEST(what_flows_say)
{
	static const size_t steps[] = {2000, 100, 7}, cuts[] = {0, 60, 3};
	struct tls_flow flow;

	for (size_t i = 0; i < BASE_COUNT(steps); i++) {
		flow = say(0x0303, certificate_san, sizeof(certificate_san), cuts[i], steps[i]);
		ck_assert_str_eq(flow.name, "www.example.com");
		ck_assert_str_eq(flow.ja4, HELLO_JA4);
		ck_assert_str_eq(flow.alpn, "h2");
		ck_assert_uint_eq(flow.version, 0x0303);
		ck_assert_str_eq(flow.certificate, "example.org");
		ck_assert(!flow.mismatch);
	}
	/* in TLS 1.3 what follows is encrypted, whatever it looks like */
	flow = say(0x0304, certificate_san, sizeof(certificate_san), 0, 100);
	ck_assert_uint_eq(flow.version, 0x0304);
	ck_assert_str_eq(flow.certificate, "");
	ck_assert(!flow.mismatch);
}
END_TEST

START_TEST(a_mismatch)
{
	uint8_t other[sizeof(certificate_cn)];
	struct tls_flow flow;

	memcpy(other, certificate_cn, sizeof(other));
	for (size_t i = 0; i + 3 < sizeof(other); i++)
		if (memcmp(other + i, "www", 3) == 0)
			other[i] = 'x';
	flow = say(0x0303, other, sizeof(other), 0, 1448);
	ck_assert_str_eq(flow.certificate, "xww.example.com");
	ck_assert(flow.mismatch);
	flow = say(0x0303, certificate_cn, sizeof(certificate_cn), 0, 1448);
	ck_assert(!flow.mismatch);
}
END_TEST

START_TEST(as_fields)
{
	const struct tls_flow flow = say(0x0303, certificate_cn, sizeof(certificate_cn), 0, 1448);
	struct flow_event event = event_make(FLOW_EVENT_NEW, TCP, HOST, 443, START);
	json_t *json = alert_flow_json(&event.record, "web0", 0, &flow);
	char *text = json_dumps(json_object_get(json, "tls"), JSON_COMPACT);

	ck_assert_str_eq(
	        text, "{\"client\":{\"server_name\":\"www.example.com\"},\"next_protocol\":\"h2\","
	              "\"version\":\"1.2\",\"version_protocol\":\"tls\",\"server\":{\"x509\":"
	              "{\"alternative_names\":[\"www.example.com\"]}}}");
	free(text);
	text = json_dumps(json_object_get(json_object_get(json, "cordon"), "tls"), JSON_COMPACT);
	ck_assert_str_eq(text, "{\"ja4\":\"" HELLO_JA4 "\",\"certificate_mismatch\":false}");
	free(text);
	json_decref(json);
}
END_TEST

/* More flows and more servers than there is room for. */
START_TEST(many)
{
	struct tls_flows *flows = tls_flows_create(64);
	uint8_t bytes[4096];
	size_t length = flight(bytes, 0x0303, certificate_cn, sizeof(certificate_cn), 0);
	struct flow_payload_event event;

	for (uint32_t i = 0; i < 2000; i++) {
		event = segment(FLOW_GUEST, hello_bytes, 0, sizeof(hello_bytes));
		event.key.guest_port = (uint16_t)i;
		event.header.time_ns = START + i;
		tls_flows_seen(flows, &event);
		event = segment(FLOW_PEER, bytes, 0, 200);
		event.key.guest_port = (uint16_t)i;
		event.header.time_ns = START + i;
		tls_flows_seen(flows, &event);
	}
	/* the last one goes on; one whose place was taken does not */
	event = segment(FLOW_PEER, bytes, 200, length - 200);
	event.key.guest_port = 1999;
	event.header.time_ns = START + 2000;
	tls_flows_seen(flows, &event);
	ck_assert_str_eq(tls_flows_find(flows, &event.key)->certificate, "www.example.com");
	event.key.guest_port = 1900;
	tls_flows_seen(flows, &event);
	ck_assert_str_eq(tls_flows_find(flows, &event.key)->certificate, "");
	tls_flows_destroy(flows);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_tls_flows");
	TCase *tests = tcase_create("tls");

	tcase_add_test(tests, names_of_certificates);
	tcase_add_test(tests, broken_certificates);
	tcase_add_test(tests, what_flows_say);
	tcase_add_test(tests, a_mismatch);
	tcase_add_test(tests, as_fields);
	tcase_add_test(tests, many);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
