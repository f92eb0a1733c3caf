/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser of DNS messages. Every offset is checked against the end before it is read. A compressed name's
 * pointers (RFC 1035, 4.1.4) have to point before where the part of the name that they end began, so the
 * walk ends. One that ends at another pointer adds no label, which the name's own limit does not count: no more jumps
 * are made than a name may have labels.
 */
#include "monitor/dns.h"

#include <ctype.h>
#include <errno.h>

#include "base/base.h"

enum {
	DNS_CLASS_INTERNET = 1,
	DNS_HEADER = 12,
	DNS_POINTER = 0xc0,
	DNS_QUESTION = 4,
	DNS_RECORD = 10
};

/* One label into the name; false when it does not fit. */
static bool dns_label_add(struct dns_name *name, const uint8_t *bytes, size_t size)
{
	size_t dot = name->labels ? 1 : 0;

	if (name->labels == DNS_LABELS_MAX || name->size + dot + size > DNS_NAME_MAX)
		return false;
	if (dot)
		name->text[name->size++] = '.';
	name->at[name->labels++] = name->size;
	memcpy(name->text + name->size, bytes, size);
	name->size = (uint8_t)(name->size + size);
	return true;
}

/* The name at `at`, into *name if it is not NULL. Returns where what follows begins, or 0. */
static size_t dns_name_at(const uint8_t *bytes, size_t size, size_t at, struct dns_name *name)
{
	size_t limit = at, next = 0, jumps = 0;

	while (at < size) {
		const uint8_t length = bytes[at];

		if (length == 0)
			return next ? next : at + 1;
		if ((length & DNS_POINTER) == DNS_POINTER) {
			if (size - at < 2)
				return 0;
			next = next ? next : at + 2;
			at = base_be16(bytes + at) & 0x3fff;
			if (!name)
				return next;
			if (at >= limit || ++jumps > DNS_LABELS_MAX)
				return 0;
			limit = at;
			continue;
		}
		if (length & DNS_POINTER || size - at <= length)
			return 0;
		if (name && !dns_label_add(name, bytes + at + 1, length))
			return 0;
		at += (size_t)length + 1;
	}
	return 0;
}

static void dns_answers(const uint8_t *bytes, size_t size, size_t at, uint16_t count,
                        struct dns_message *message)
{
	for (uint16_t i = 0; i < count; i++) {
		uint16_t type, length;

		at = dns_name_at(bytes, size, at, NULL);
		if (at == 0 || size - at < DNS_RECORD)
			return;
		type = base_be16(bytes + at);
		length = base_be16(bytes + at + 8);
		at += DNS_RECORD;
		message->answers++;
		if (type == message->type || message->type == DNS_TYPE_ANY) {
			size_t there = BASE_MIN((size_t)length, size - at);

			message->carried += length;
			for (size_t n = 0; n < there; n++)
				message->hash = (message->hash ^ bytes[at + n]) * 0x100000001b3ull;
		}
		if (length > size - at)
			return;
		if (type == DNS_TYPE_A && length == 4)
			message->listed |= bytes[at] == 127;
		at += length;
	}
}

int dns_parse(const uint8_t *bytes, size_t size, struct dns_message *message)
{
	uint16_t flags;
	size_t at;

	memset(message, 0, sizeof(*message));
	if (size < DNS_HEADER || base_be16(bytes + 4) == 0)
		return -EBADMSG;
	message->id = base_be16(bytes);
	flags = base_be16(bytes + 2);
	message->response = flags >> 15;
	message->rcode = flags & 15;
	at = dns_name_at(bytes, size, DNS_HEADER, &message->name);
	if (at == 0 || size - at < DNS_QUESTION)
		return -EBADMSG;
	message->type = base_be16(bytes + at);
	/* more than one question is asked by nobody (RFC 9619) */
	if (message->response && base_be16(bytes + 4) == 1)
		dns_answers(bytes, size, at + DNS_QUESTION, base_be16(bytes + 6), message);
	return 0;
}

/* Reads the record at `at`; returns where the next one begins, or 0. */
static size_t dns_record_at(const uint8_t *bytes, size_t size, size_t at, struct dns_record *record)
{
	memset(&record->owner, 0, sizeof(record->owner));
	at = dns_name_at(bytes, size, at, &record->owner);
	if (at == 0 || size - at < DNS_RECORD)
		return 0;
	record->type = base_be16(bytes + at);
	record->internet = base_be16(bytes + at + 2) == DNS_CLASS_INTERNET;
	record->ttl = base_be32(bytes + at + 4);
	record->size = base_be16(bytes + at + 8);
	at += DNS_RECORD;
	if (record->size > size - at)
		return 0;
	record->data = bytes + at;
	memset(&record->target, 0, sizeof(record->target));
	/* the name has to end where its record does */
	if (record->type == DNS_TYPE_CNAME &&
	    dns_name_at(bytes, size, at, &record->target) != at + record->size)
		return 0;
	return at + record->size;
}

int dns_walk(const uint8_t *bytes, size_t size, size_t max,
             bool (*take)(const struct dns_record *record, void *data), void *data)
{
	struct dns_message message;
	struct dns_record record;
	size_t at;
	int taken = 0;

	if (dns_parse(bytes, size, &message) < 0 || !message.response || base_be16(bytes + 4) != 1)
		return -EBADMSG;
	at = dns_name_at(bytes, size, DNS_HEADER, NULL) + DNS_QUESTION;
	for (size_t i = 0; i < base_be16(bytes + 6) && i < max; i++) {
		at = dns_record_at(bytes, size, at, &record);
		if (at == 0)
			break;
		taken++;
		if (!take(&record, data))
			break;
	}
	return taken;
}

size_t dns_label_size(const struct dns_name *name, size_t i)
{
	size_t end = i + 1 < name->labels ? (size_t)name->at[i + 1] - 1 : name->size;

	return end - name->at[i];
}

static bool dns_label_is(const struct dns_name *name, size_t i, const char *text)
{
	return dns_label_size(name, i) == strlen(text) &&
	       strncasecmp((const char *)name->text + name->at[i], text, strlen(text)) == 0;
}

size_t dns_zone_labels(const struct dns_name *name)
{
	/* below a country's two letters */
	static const char *const seconds[] = {"co",  "com", "net", "org", "gov", "edu",
	                                      "ac",  "mil", "or",  "ne",  "go",  "gob",
	                                      "nom", "sch", "ltd", "plc", "id",  "info"};
	const size_t last = (size_t)name->labels - 1;
	const uint8_t *top;
	size_t size;

	if (name->labels == 0)
		return 0;
	top = name->text + name->at[last];
	size = dns_label_size(name, last);
	if (size < 2 || size > 24)
		return 0;
	if (strncasecmp((const char *)top, "xn--", BASE_MIN(size, (size_t)4)) != 0 || size < 5)
		for (size_t i = 0; i < size; i++)
			if (!isalpha(top[i]))
				return 0;
	if (name->labels >= 3 && size == 2)
		for (size_t i = 0; i < BASE_COUNT(seconds); i++)
			if (dns_label_is(name, last - 1, seconds[i]))
				return 3;
	return BASE_MIN((size_t)name->labels, (size_t)2);
}

static bool dns_label_is_number(const struct dns_name *name, size_t i)
{
	size_t size = dns_label_size(name, i);

	for (size_t n = 0; n < size; n++)
		if (!isdigit(name->text[name->at[i] + n]))
			return false;
	return size >= 1 && size <= 3;
}

bool dns_is_reverse(const struct dns_name *name)
{
	size_t run = 0;

	if (name->labels >= 2 && dns_label_is(name, (size_t)name->labels - 1, "arpa"))
		return true;
	while (run < 4 && run < name->labels && dns_label_is_number(name, run))
		run++;
	if (run == 4)
		return true;
	/* IPv6: 32 nibbles (RFC 5782, 2.4) */
	for (run = 0; run < 32 && run < name->labels; run++)
		if (dns_label_size(name, run) != 1 || !isxdigit(name->text[name->at[run]]))
			return false;
	return run == 32;
}
