/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Router advertisements and DHCPv6 for a guest that has one address and one router.
 *
 * The advertisement has the flags M and O and no prefix: nobody makes an address of his own, which the firewall
 * would drop, and nothing is on the link but the router. So the address is the lease's, a /128.
 *
 * The server keeps no state: whoever asks on that wire is the guest, and there is one answer. Its identifier is
 * made of the gateway's address (a DUID-UUID, RFC 6355), so that it is the same after a restart and another for
 * every guest. Section numbers are those of RFC 8415.
 */
#include <string.h>

#include "base/base.h"
#include "firewall/router.h"

/* RFC 4861 sections 4.2, 4.6; RFC 8106 section 5.1 */
enum {
	ADVERT_TYPE = 134,
	ADVERT_HOPS = 64,
	ADVERT_MANAGED = 0x80,
	ADVERT_OTHER = 0x40,
	ADVERT_MTU = 5,
	ADVERT_RESOLVER = 25,
};
/* sections 7.3 and 21 */
enum {
	DHCP_SOLICIT = 1,
	DHCP_ADVERTISE,
	DHCP_REQUEST,
	DHCP_CONFIRM,
	DHCP_RENEW,
	DHCP_REBIND,
	DHCP_REPLY,
	DHCP_RELEASE,
	DHCP_DECLINE,
	DHCP_INFORMATION = 11,
};
enum {
	OPTION_CLIENT = 1,
	OPTION_SERVER = 2,
	OPTION_IA_NA = 3,
	OPTION_IA_TA = 4,
	OPTION_ADDRESS = 5,
	OPTION_PREFERENCE = 7,
	OPTION_STATUS = 13,
	OPTION_RAPID = 14,
	OPTION_RESOLVERS = 23,
	OPTION_IA_PD = 25,
};
enum { STATUS_SUCCESS = 0, STATUS_NO_ADDRESS = 2, STATUS_NOT_ON_LINK = 4, STATUS_NO_PREFIX = 6 };
enum {
	DUID_MIN = 3, /* a type, and something: section 11.1 */
	DUID_MAX = 130,
	DUID_UUID = 4,
	DUID_SIZE = 18, /* ours */
	DHCP_HEAD = 4,
	IA_HEAD = 12, /* of IA_NA and IA_PD; an IA_TA has no times */
	IA_TA_HEAD = 4,
	ADDRESS_HEAD = 24,
	IAS_MAX = 4, /* that are answered */
	OLD_MAX = 4, /* addresses that a client is told are no more its own */
};

struct out {
	uint8_t *bytes;
	size_t size;
};

static void put(struct out *out, const void *bytes, size_t size)
{
	if (size > ROUTER_REPLY_MAX - out->size)
		return; /* the caps above keep every answer below it */
	memcpy(out->bytes + out->size, bytes, size);
	out->size += size;
}

static void put16(struct out *out, unsigned int value)
{
	put(out, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put32(struct out *out, uint32_t value)
{
	put16(out, value >> 16);
	put16(out, value & 0xffff);
}

size_t router_advertise(const struct router_nic *nic, uint8_t bytes[ROUTER_REPLY_MAX])
{
	struct out out = {.bytes = bytes};

	put(&out, (uint8_t[]){ADVERT_TYPE, 0, 0, 0, ADVERT_HOPS, ADVERT_MANAGED | ADVERT_OTHER}, 6);
	put16(&out, ROUTER_LIFETIME_S);
	put32(&out,
	      0); /* how long neighbours are taken to be there, and how often they are asked: not said */
	put32(&out, 0);
	put(&out, (uint8_t[]){ADVERT_MTU, 1, 0, 0}, 4);
	put32(&out, nic->mtu);
	if (!nic->dns)
		return out.size;
	put(&out, (uint8_t[]){ADVERT_RESOLVER, 3, 0, 0}, 4);
	put32(&out, ROUTER_LIFETIME_S);
	put(&out, nic->gateway, sizeof(nic->gateway));
	return out.size;
}

/* ---- DHCPv6: what a message says ---- */

struct part {
	const uint8_t *at;
	size_t size;
};

/* One option; false at the end. *bad: it does not fit. */
static bool next_option(struct part *rest, uint16_t *code, struct part *option, bool *bad)
{
	if (rest->size == 0)
		return false;
	*bad = rest->size < 4 || rest->size - 4 < base_be16(rest->at + 2);
	if (*bad)
		return false;
	*code = base_be16(rest->at);
	*option = (struct part){rest->at + 4, base_be16(rest->at + 2)};
	rest->at += 4 + option->size;
	rest->size -= 4 + option->size;
	return true;
}

struct ia {
	uint16_t code;
	uint8_t id[4];
	struct part options;
};

struct question {
	uint8_t type;
	struct part client, server; /* at NULL: not there */
	bool rapid;
	struct ia ias[IAS_MAX];
	size_t ia_count;
};

static bool take_ia(struct question *question, uint16_t code, struct part option)
{
	const size_t head = code == OPTION_IA_TA ? IA_TA_HEAD : IA_HEAD;
	struct ia *ia = &question->ias[question->ia_count];

	if (option.size < head)
		return false;
	if (question->ia_count == IAS_MAX)
		return true;
	question->ia_count++;
	ia->code = code;
	memcpy(ia->id, option.at, sizeof(ia->id));
	ia->options = (struct part){option.at + head, option.size - head};
	return true;
}

/* False when it is no whole message. */
static bool read_question(struct question *question, const uint8_t *message, size_t size)
{
	struct part rest = {message + DHCP_HEAD, size - DHCP_HEAD}, option;
	uint16_t code;
	bool bad = false;

	question->type = message[0];
	while (next_option(&rest, &code, &option, &bad)) {
		switch (code) {
		case OPTION_CLIENT:
			if (option.size < DUID_MIN || option.size > DUID_MAX || question->client.at)
				return false;
			question->client = option;
			break;
		case OPTION_SERVER:
			if (question->server.at)
				return false;
			question->server = option;
			break;
		case OPTION_IA_NA:
		case OPTION_IA_TA:
		case OPTION_IA_PD:
			if (!take_ia(question, code, option))
				return false;
			break;
		case OPTION_RAPID: question->rapid = true; break;
		default: break;
		}
	}
	return !bad;
}

static void make_duid(const struct router_nic *nic, uint8_t duid[DUID_SIZE])
{
	duid[0] = 0;
	duid[1] = DUID_UUID;
	memcpy(duid + 2, nic->gateway, sizeof(nic->gateway));
}

/* Who has to be named in which message, and who must not be: section 16. */
static bool concerns_us(const struct router_nic *nic, const struct question *question)
{
	uint8_t own[DUID_SIZE];
	bool ours;

	make_duid(nic, own);
	ours = question->server.size == sizeof(own) &&
	       memcmp(question->server.at, own, sizeof(own)) == 0;
	switch (question->type) {
	case DHCP_SOLICIT:
	case DHCP_CONFIRM:
	case DHCP_REBIND: return question->client.at && !question->server.at;
	case DHCP_REQUEST:
	case DHCP_RENEW:
	case DHCP_RELEASE:
	case DHCP_DECLINE: return question->client.at && ours;
	case DHCP_INFORMATION: return question->ia_count == 0 && (ours || !question->server.at);
	default: return false;
	}
}

/* ---- DHCPv6: what is answered ---- */

static void put_status(struct out *out, unsigned int status)
{
	put16(out, OPTION_STATUS);
	put16(out, 2);
	put16(out, status);
}

static void put_address(struct out *out, const uint8_t address[16], uint32_t lifetime)
{
	put16(out, OPTION_ADDRESS);
	put16(out, ADDRESS_HEAD);
	put(out, address, 16);
	put32(out, lifetime);
	put32(out, lifetime);
}

/* Each address of an IA that is, or is not, the guest's; at most `max`, and with `out` the others with no time left. */
static size_t other_addresses(const struct router_nic *nic, const struct ia *ia, size_t max,
                              struct out *out, bool *own)
{
	struct part rest = ia->options, option;
	size_t count = 0;
	uint16_t code;
	bool bad = false;

	while (count < max && next_option(&rest, &code, &option, &bad)) {
		if (code != OPTION_ADDRESS || option.size < ADDRESS_HEAD)
			continue;
		if (memcmp(option.at, nic->guest, sizeof(nic->guest)) == 0) {
			*own = true;
			continue;
		}
		count++;
		if (out)
			put_address(out, option.at, 0);
	}
	return count;
}

/* The first IA_NA has the guest's address; there is no other, and no prefix to give away. */
static void put_ia(struct out *out, const struct router_nic *nic, const struct question *question,
                   const struct ia *ia, bool given)
{
	size_t length;
	bool own = false;

	put16(out, ia->code);
	length = out->size;
	put16(out, 0);
	put(out, ia->id, sizeof(ia->id));
	if (ia->code != OPTION_IA_TA) {
		put32(out, given ? ROUTER_LEASE_S / 2 : 0);
		put32(out, given ? ROUTER_LEASE_S / 5 * 4 : 0);
	}
	if (given)
		put_address(out, nic->guest, ROUTER_LEASE_S);
	else
		put_status(out, ia->code == OPTION_IA_PD ? STATUS_NO_PREFIX : STATUS_NO_ADDRESS);
	if (given && (question->type == DHCP_RENEW || question->type == DHCP_REBIND))
		other_addresses(nic, ia, OLD_MAX, out, &own);
	out->bytes[length] = (uint8_t)((out->size - length - 2) >> 8);
	out->bytes[length + 1] = (uint8_t)(out->size - length - 2);
}

static void put_ias(struct out *out, const struct router_nic *nic, const struct question *question)
{
	bool given = false;

	for (size_t i = 0; i < question->ia_count; i++) {
		const bool first = !given && question->ias[i].code == OPTION_IA_NA;

		given |= first;
		put_ia(out, nic, question, &question->ias[i], first);
	}
}

/* Section 18.3.3: whether all addresses are right; false: it names none, and is not answered. */
static bool confirm(const struct router_nic *nic, const struct question *question,
                    unsigned int *status)
{
	size_t others = 0;
	bool own = false;

	for (size_t i = 0; i < question->ia_count; i++)
		others += other_addresses(nic, &question->ias[i], OLD_MAX, NULL, &own);
	*status = others ? STATUS_NOT_ON_LINK : STATUS_SUCCESS;
	return others || own;
}

static void put_head(struct out *out, const struct router_nic *nic, const struct question *question,
                     const uint8_t *message, uint8_t type)
{
	uint8_t duid[DUID_SIZE];

	put(out, (uint8_t[]){type, message[1], message[2], message[3]}, DHCP_HEAD);
	if (question->client.at) {
		put16(out, OPTION_CLIENT);
		put16(out, (unsigned int)question->client.size);
		put(out, question->client.at, question->client.size);
	}
	make_duid(nic, duid);
	put16(out, OPTION_SERVER);
	put16(out, sizeof(duid));
	put(out, duid, sizeof(duid));
}

size_t router_dhcp(const struct router_nic *nic, const uint8_t *message, size_t size,
                   uint8_t bytes[ROUTER_REPLY_MAX])
{
	struct question question = {0};
	struct out out = {.bytes = bytes};
	unsigned int status = STATUS_SUCCESS;
	bool offer;

	if (size < DHCP_HEAD || !read_question(&question, message, size) ||
	    !concerns_us(nic, &question))
		return 0;
	if (question.type == DHCP_CONFIRM && !confirm(nic, &question, &status))
		return 0;
	offer = question.type == DHCP_SOLICIT && !question.rapid;
	put_head(&out, nic, &question, message, offer ? DHCP_ADVERTISE : DHCP_REPLY);
	switch (question.type) {
	case DHCP_SOLICIT:
		put16(&out, offer ? OPTION_PREFERENCE : OPTION_RAPID);
		put16(&out, offer ? 1 : 0);
		if (offer)
			put(&out, (uint8_t[]){255}, 1); /* there is no other to wait for */
		put_ias(&out, nic, &question);
		break;
	case DHCP_REQUEST:
	case DHCP_RENEW:
	case DHCP_REBIND: put_ias(&out, nic, &question); break;
	case DHCP_CONFIRM:
	case DHCP_RELEASE:
	case DHCP_DECLINE: put_status(&out, status); break;
	default: break;
	}
	if (nic->dns) {
		put16(&out, OPTION_RESOLVERS);
		put16(&out, sizeof(nic->gateway));
		put(&out, nic->gateway, sizeof(nic->gateway));
	}
	return out.size;
}
