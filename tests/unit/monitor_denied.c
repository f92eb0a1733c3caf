/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Denied egress: messages of nfnetlink_log as the kernel writes them, broken ones, and what the detector makes of them.
 */
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>

#include "monitor/denied.h"
#include "policies/policies.h"
#include "tests/unit/monitor_fixture.h"

enum { BUFFER = 1024 };

/* One datagram, as it grows. */
struct datagram {
	uint8_t bytes[BUFFER];
	size_t size;
};

struct heard {
	struct denied_event last;
	size_t count;
};

static void hear(struct denied_event *event, void *data)
{
	struct heard *heard = data;

	heard->last = *event;
	heard->count++;
}

static void attribute(struct datagram *to, uint16_t type, const void *value, size_t size)
{
	const uint16_t head[] = {(uint16_t)(NLA_HDRLEN + size), type};

	memcpy(to->bytes + to->size, head, sizeof(head));
	memcpy(to->bytes + to->size + NLA_HDRLEN, value, size);
	to->size += NLA_ALIGN(NLA_HDRLEN + size);
}

/* IPv4 TCP from 192.0.2.20 to `peer`, a SYN. */
static size_t make_syn(uint8_t packet[40], uint32_t peer, uint16_t port)
{
	const uint8_t head[40] = {0x45, 0, 0,   40, 0, 0,  0,           0,    64,          6,
	                          0,    0, 192, 0,  2, 20, [20] = 0x9c, 0x40, [32] = 0x50, 0x02};

	memcpy(packet, head, sizeof(head));
	for (int i = 0; i < 4; i++)
		packet[16 + i] = (uint8_t)(peer >> (24 - 8 * i));
	packet[22] = (uint8_t)(port >> 8);
	packet[23] = (uint8_t)port;
	return sizeof(head);
}

/* `out` is where it would have gone. */
static void message_on(struct datagram *to, const char *prefix, uint32_t ifindex, uint32_t port,
                       uint32_t out, const void *packet, size_t size)
{
	const size_t begin = to->size;
	struct nlmsghdr header = {.nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET};
	const struct nfgenmsg family = {.nfgen_family = 2};
	const uint8_t in[4] = {0, 0, (uint8_t)(ifindex >> 8), (uint8_t)ifindex};
	const uint8_t by[4] = {0, 0, (uint8_t)(port >> 8), (uint8_t)port};

	memcpy(to->bytes + begin + NLMSG_HDRLEN, &family, sizeof(family));
	to->size += NLMSG_HDRLEN + sizeof(family);
	attribute(to, NFULA_PREFIX, prefix, strlen(prefix) + 1);
	attribute(to, NFULA_IFINDEX_INDEV, in, sizeof(in));
	if (port)
		attribute(to, NFULA_IFINDEX_PHYSINDEV, by, sizeof(by));
	attribute(to, NFULA_IFINDEX_OUTDEV, (uint8_t[]){0, 0, 1, 1}, 4);
	if (out)
		attribute(to, NFULA_IFINDEX_PHYSOUTDEV, (uint8_t[]){0, 0, 0, (uint8_t)out}, 4);
	attribute(to, NFULA_PAYLOAD, packet, size);
	header.nlmsg_len = (uint32_t)(to->size - begin);
	memcpy(to->bytes + begin, &header, sizeof(header));
}

static void message(struct datagram *to, const char *prefix, uint32_t ifindex, uint32_t port,
                    const void *packet, size_t size)
{
	message_on(to, prefix, ifindex, port, 0, packet, size);
}

START_TEST(test_messages)
{
	struct datagram datagram = {0};
	struct heard heard = {0};
	uint8_t packet[40];
	size_t size = make_syn(packet, 0xcb007107, 80);

	message(&datagram, "cordon denied line 12 ", 7, 0, packet, size);
	denied_read(datagram.bytes, datagram.size, hear, &heard);
	ck_assert_uint_eq(heard.count, 1);
	ck_assert_uint_eq(heard.last.header.ifindex, 7);
	ck_assert_uint_eq(heard.last.line, 12);
	ck_assert_uint_eq(heard.last.more, 0);
	ck_assert_uint_eq(heard.last.key.family, FLOW_IPV4);
	ck_assert_uint_eq(heard.last.key.proto, TCP);
	ck_assert_uint_eq(heard.last.key.peer_port, 80);
	ck_assert_mem_eq(heard.last.key.guest, "\xc0\0\x02\x14", 4);
	ck_assert_mem_eq(heard.last.key.peer, "\xcb\0\x71\x07", 4);

	/* several at once; a bridge's port; what is beyond the share */
	message(&datagram, "cordon denied more ", 9, 300, packet, size);
	denied_read(datagram.bytes, datagram.size, hear, &heard);
	ck_assert_uint_eq(heard.count, 3);
	ck_assert_uint_eq(heard.last.header.ifindex, 300);
	ck_assert_uint_eq(heard.last.line, 0);
	ck_assert_uint_eq(heard.last.more, DENIED_MORE - 1);
}
END_TEST

/* To a guest: it is known by where the packet would have gone, and the guest is who it was for. */
START_TEST(test_inward)
{
	struct datagram datagram = {0};
	struct heard heard = {0};
	uint8_t packet[40];
	size_t size = make_syn(packet, 0xcb007107, 80);

	message_on(&datagram, "cordon denied to line 12 ", 7, 8, 0, packet, size);
	denied_read(datagram.bytes, datagram.size, hear, &heard);
	ck_assert_uint_eq(heard.count, 1);
	ck_assert_uint_eq(heard.last.inward, 1);
	ck_assert_uint_eq(heard.last.header.ifindex, 0x101);
	ck_assert_uint_eq(heard.last.line, 12);
	ck_assert_uint_eq(heard.last.key.guest_port, 80);
	ck_assert_mem_eq(heard.last.key.guest, "\xcb\0\x71\x07", 4);
	ck_assert_mem_eq(heard.last.key.peer, "\xc0\0\x02\x14", 4);
	message_on(&datagram, "cordon denied to more ", 7, 8, 9, packet, size);
	denied_read(datagram.bytes, datagram.size, hear, &heard);
	ck_assert_uint_eq(heard.count, 3);
	ck_assert_uint_eq(heard.last.header.ifindex, 9);
	ck_assert_uint_eq(heard.last.more, DENIED_MORE - 1);
}
END_TEST

START_TEST(test_not_ours)
{
	static const char *const prefixes[] = {"cordon web0 egress[0] line 11 ",
	                                       "",
	                                       "other: ",
	                                       "cordon denied egress[0] line 3 ",
	                                       "cordon denied to ",
	                                       "cordon denied to egress[0] line 3 "};
	struct datagram datagram = {0};
	struct heard heard = {0};
	uint8_t packet[40];

	make_syn(packet, 0xcb007107, 80);
	for (size_t i = 0; i < BASE_COUNT(prefixes); i++)
		message(&datagram, prefixes[i], 7, 0, packet, sizeof(packet));
	message(&datagram, "cordon denied line 0 ", 7, 0, packet, 0);
	message(&datagram, "cordon denied line 0 ", 7, 0, packet, 12); /* no whole header */
	message(&datagram, "cordon denied line 0 ", 7, 0, "\x20 no packet", 12);
	denied_read(datagram.bytes, datagram.size, hear, &heard);
	ck_assert_uint_eq(heard.count, 0);
}
END_TEST

/* Cut anywhere, and with each byte of its lengths made large: nothing is read that is not there (ASan sees). */
START_TEST(test_broken)
{
	struct datagram datagram = {0};
	struct heard heard = {0};
	uint8_t packet[40];

	message(&datagram, "cordon denied line 12 ", 7, 3, packet, make_syn(packet, HOST, 443));
	for (size_t size = 0; size < datagram.size; size++) {
		uint8_t *cut = malloc(size + !size);

		ck_assert_ptr_nonnull(cut);
		memcpy(cut, datagram.bytes, size);
		denied_read(cut, size, hear, &heard);
		for (size_t at = 0; at < size; at++) {
			const uint8_t was = cut[at];

			cut[at] = 0xff;
			denied_read(cut, size, hear, &heard);
			cut[at] = was;
		}
		free(cut);
	}
	ck_assert_uint_eq(heard.count, 0); /* none of them was whole */
}
END_TEST

static void deny(struct watch *watch, uint64_t when, uint32_t peer, uint16_t port, uint32_t line,
                 uint32_t more)
{
	struct denied_event event = {
	        .header = {.type = DENIED_EVENT, .size = sizeof(event), .time_ns = START + when},
	        .key = {.guest = {192, 0, 2, 20},
	                .peer = {(uint8_t)(peer >> 24), (uint8_t)(peer >> 16), (uint8_t)(peer >> 8),
	                         (uint8_t)peer},
	                .guest_port = 40000,
	                .peer_port = port,
	                .proto = TCP,
	                .family = FLOW_IPV4},
	        .line = line,
	        .more = more,
	};

	watch_event(watch, &event.header);
}

START_TEST(test_one_finding)
{
	struct watch *watch = watch_new(&denied_detector, NULL);

	for (unsigned int i = 0; i < 10; i++)
		deny(watch, i * SECOND, HOST, 123, 14, 0);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_uint_eq(watch->count[ALERT_UPDATE], 0);
	ck_assert_uint_eq(watch->severity, ALERT_LOW);
	ck_assert_str_eq(watch->first.rule, "egress.denied");
	ck_assert_ptr_nonnull(strstr(watch->first.sentence, "by line 14 of its policy"));
	ck_assert_uint_eq(watch->first.flows[0].peer_port, 123);
	/* what was not logged is in it as soon as it is known */
	deny(watch, 20 * SECOND, HOST, 123, 0, DENIED_MORE - 1);
	ck_assert_uint_eq(watch->count[ALERT_UPDATE], 1);
	ck_assert_ptr_nonnull(strstr(watch->last.sentence, "1,034 packets to 1 destination,"));
	/* other kinds of destinations are others' findings */
	deny(watch, 21 * SECOND, LAN_HOST, 445, 0, 0);
	deny(watch, 22 * SECOND, 0xa9fea9fe, 80, 0, 0);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 3);
	ck_assert_str_eq(watch->last.technique, "T1552.005");
	watch_tick(watch, START + 30 * MINUTE);
	ck_assert_uint_eq(watch->count[ALERT_END], 0);
	watch_tick(watch, START + 2 * HOUR);
	ck_assert_uint_eq(watch->count[ALERT_END], 3);
	watch_end(watch);
}
END_TEST

/* All that the firewall knows for one, of either family. */
START_TEST(test_metadata)
{
	for (size_t i = 0; i < policy_metadata_count; i++) {
		struct watch *watch = watch_new(&denied_detector, NULL);
		struct denied_event event = {
		        .header = {.type = DENIED_EVENT, .size = sizeof(event), .time_ns = START},
		        .key = {.peer_port = 80, .proto = TCP},
		};

		event.key.family = policy_metadata[i].family == 4 ? FLOW_IPV4 : FLOW_IPV6;
		memcpy(event.key.peer, policy_metadata[i].addr, 16);
		watch_event(watch, &event.header);
		ck_assert_str_eq(watch->last.technique, "T1552.005");
		event.key.peer[event.key.family == FLOW_IPV4 ? 3 : 15] ^= 1;
		watch_event(watch, &event.header);
		ck_assert_str_eq(watch->last.technique, "T1071");
		watch_end(watch);
	}
}
END_TEST

START_TEST(test_many_destinations)
{
	struct watch *watch = watch_new(&denied_detector, NULL);

	for (uint16_t port = 1; port <= 20; port++)
		deny(watch, port * SECOND, HOST, port, 0, 0);
	ck_assert_uint_eq(watch->severity, ALERT_LOW);
	for (uint16_t port = 21; port <= 60; port++)
		deny(watch, port * SECOND, HOST, port, 0, 0);
	ck_assert_uint_eq(watch->severity, ALERT_MEDIUM);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_str_eq(watch->last.technique, "T1046");
	ck_assert_uint_eq(watch->last.flow_count, ALERT_FLOWS_MAX);
	watch_end(watch);
}
END_TEST

/* However much it is, it stays low: others' packets bring no response upon the guest. */
START_TEST(test_ingress)
{
	struct watch *watch = watch_new(&denied_detector, NULL);
	struct denied_event event = {
	        .header = {.type = DENIED_EVENT, .size = sizeof(event), .time_ns = START},
	        .key = {.guest = {192, 0, 2, 20},
	                .peer = {203, 0, 113, 7},
	                .peer_port = 40000,
	                .guest_port = 22,
	                .proto = TCP,
	                .family = FLOW_IPV4},
	        .inward = 1,
	};

	watch_event(watch, &event.header);
	ck_assert_str_eq(watch->last.rule, "ingress.denied");
	ck_assert_str_eq(watch->last.technique, "T1595");
	ck_assert_mem_eq(watch->last.source, event.key.peer, 16);
	ck_assert_mem_eq(watch->last.target, event.key.guest, 16);
	ck_assert_ptr_nonnull(
	        strstr(watch->last.sentence,
	               "was not to be reached from the Internet: 1 packet of 1 sender "
	               "and port, the first from 203.0.113.7 to port 22; no rule allows "
	               "it"));
	/* the sender's own port is of no account */
	event.key.peer_port++;
	watch_event(watch, &event.header);
	memcpy(event.key.peer, (uint8_t[]){10, 77, 0, 6}, 4);
	for (uint16_t port = 1; port <= 200; port++) {
		event.key.guest_port = port;
		watch_event(watch, &event.header);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 2);
	ck_assert_str_eq(watch->last.technique, "T1046");
	ck_assert_uint_eq(watch->severity, ALERT_LOW);
	watch_tick(watch, START + 2 * HOUR);
	ck_assert_uint_eq(watch->count[ALERT_END], 2);
	watch_end(watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_denied");
	TCase *log = tcase_create("log"), *detector = tcase_create("detector");
	SRunner *runner;
	int failed;

	tcase_add_test(log, test_messages);
	tcase_add_test(log, test_inward);
	tcase_add_test(log, test_not_ours);
	tcase_add_test(log, test_broken);
	tcase_add_test(detector, test_one_finding);
	tcase_add_test(detector, test_many_destinations);
	tcase_add_test(detector, test_metadata);
	tcase_add_test(detector, test_ingress);
	suite_add_tcase(suite, log);
	suite_add_tcase(suite, detector);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
