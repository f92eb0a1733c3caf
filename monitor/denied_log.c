/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads what nfnetlink_log sends. Lengths are checked as if they were a guest's, although the kernel writes them:
 * that costs nothing, and the fuzzer needs no kernel. The packet is read by the one parser that there is, which wants
 * a frame: it gets an Ethernet header for it.
 */
#include <linux/if_ether.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>

#include "base/base.h"
#include "bpf/flow.h"
#include "monitor/denied.h"

struct denied_message {
	const uint8_t *packet;
	size_t packet_size;
	char prefix[64];
	uint32_t in, in_port; /* where it came in; on a bridge, by which of its ports */
	uint32_t out, out_port;
};

static void denied_attribute(struct denied_message *message, uint16_t type, const uint8_t *at,
                             size_t size)
{
	switch (type & NLA_TYPE_MASK) {
	case NFULA_PREFIX:
		snprintf(message->prefix, sizeof(message->prefix), "%.*s",
		         (int)BASE_MIN(size, sizeof(message->prefix)), (const char *)at);
		break;
	case NFULA_PAYLOAD:
		message->packet = at;
		message->packet_size = size;
		break;
	case NFULA_IFINDEX_INDEV: message->in = size == 4 ? base_be32(at) : 0; break;
	case NFULA_IFINDEX_PHYSINDEV: message->in_port = size == 4 ? base_be32(at) : 0; break;
	case NFULA_IFINDEX_OUTDEV: message->out = size == 4 ? base_be32(at) : 0; break;
	case NFULA_IFINDEX_PHYSOUTDEV: message->out_port = size == 4 ? base_be32(at) : 0; break;
	default: break;
	}
}

/* nfgenmsg, then attributes: a length that holds its own four bytes, a type, the value, up to the next four. */
static void denied_attributes(struct denied_message *message, const uint8_t *at, size_t size)
{
	while (size >= NLA_HDRLEN) {
		uint16_t length, type;
		size_t step;

		memcpy(&length, at, sizeof(length));
		memcpy(&type, at + 2, sizeof(type));
		if (length < NLA_HDRLEN || length > size)
			return;
		denied_attribute(message, type, at + NLA_HDRLEN, length - NLA_HDRLEN);
		step = BASE_MIN((size_t)NLA_ALIGN(length), size);
		at += step;
		size -= step;
	}
}

static bool denied_prefix(const char *prefix, struct denied_event *event)
{
	static const char denied[] = "cordon denied ", to[] = "to ", line[] = "line ",
	                  more[] = "more";
	const char *word = prefix + sizeof(denied) - 1;

	if (strncmp(prefix, denied, sizeof(denied) - 1) != 0)
		return false;
	event->inward = strncmp(word, to, sizeof(to) - 1) == 0;
	word += event->inward ? sizeof(to) - 1 : 0;
	if (strncmp(word, line, sizeof(line) - 1) == 0)
		event->line = (uint32_t)strtoul(word + sizeof(line) - 1, NULL, 10);
	else if (strncmp(word, more, sizeof(more) - 1) == 0)
		event->more = DENIED_MORE - 1;
	else
		return false;
	return true;
}

static bool denied_packet(const struct denied_message *message, bool inward, struct flow_key *key)
{
	struct packet_bytes frame = {0};
	struct packet_input in = {.bytes = &frame};
	struct packet packet;
	size_t size = BASE_MIN(message->packet_size, sizeof(frame.at) - ETH_HLEN);

	if (size == 0)
		return false;
	frame.at[12] = message->packet[0] >> 4 == 6 ? 0x86 : 0x08;
	frame.at[13] = message->packet[0] >> 4 == 6 ? 0xdd : 0x00;
	memcpy(frame.at + ETH_HLEN, message->packet, size);
	in.captured = (uint32_t)(ETH_HLEN + size);
	in.wire = (uint32_t)(ETH_HLEN + BASE_MIN(message->packet_size, (size_t)UINT16_MAX));
	packet_parse(&in, &packet);
	return (packet.family == PACKET_IPV4 || packet.family == PACKET_IPV6) &&
	       flow_key_of(&packet, inward ? FLOW_PEER : FLOW_GUEST, key);
}

static uint32_t denied_tap(const struct denied_message *message, bool inward)
{
	if (inward)
		return message->out_port ? message->out_port : message->out;
	return message->in_port ? message->in_port : message->in;
}

void denied_read(const uint8_t *bytes, size_t size, denied_fn *each, void *data)
{
	const size_t head = NLMSG_HDRLEN + sizeof(struct nfgenmsg);

	while (size >= NLMSG_HDRLEN) {
		struct denied_event event = {
		        .header = {.type = DENIED_EVENT, .size = sizeof(event)}};
		struct denied_message message = {0};
		struct nlmsghdr header;
		size_t step;

		memcpy(&header, bytes, sizeof(header));
		if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > size)
			return;
		if (header.nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) &&
		    header.nlmsg_len > head) {
			denied_attributes(&message, bytes + head, header.nlmsg_len - head);
			if (denied_prefix(message.prefix, &event) &&
			    denied_packet(&message, event.inward, &event.key)) {
				event.header.ifindex = denied_tap(&message, event.inward);
				each(&event, data);
			}
		}
		step = BASE_MIN((size_t)NLMSG_ALIGN(header.nlmsg_len), size);
		bytes += step;
		size -= step;
	}
}
