/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser of TLS ClientHellos. A cursor walks over the bytes, and every list is a cursor of its own that ends
 * where its length says or the bytes end, whichever comes first; so a hello that is cut short is read as far as it
 * goes, and then has no JA4.
 *
 * JA4 (FoxIO, JA4 technical details; its client part is free for all) is a name for the program: the number and
 * the sorted values of what it offers. Values of GREASE (RFC 8701), which are there by chance, are left out.
 *
 * SHA256_*() and neither EVP nor SHA256(), for the reason in bpf/community_id.c.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "monitor/tls.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/sha.h>

#include "base/base.h"

enum {
	TLS_HANDSHAKE = 22,
	TLS_CLIENT_HELLO = 1,
	TLS_EXT_NAME = 0,
	TLS_EXT_SIGNATURES = 13,
	TLS_EXT_ALPN = 16,
	TLS_EXT_VERSIONS = 43,
};

static const char tls_hex[] = "0123456789abcdef";

struct tls_cursor {
	const uint8_t *at, *end;
	bool cut; /* a length went past the end */
};

struct tls_list {
	uint16_t values[TLS_LIST_MAX];
	size_t count, all; /* all: also what found no room */
};

static bool tls_take(struct tls_cursor *cursor, size_t size, const uint8_t **bytes)
{
	if ((size_t)(cursor->end - cursor->at) < size) {
		cursor->cut = true;
		cursor->at = cursor->end;
		return false;
	}
	*bytes = cursor->at;
	cursor->at += size;
	return true;
}

static uint32_t tls_number(struct tls_cursor *cursor, size_t size)
{
	const uint8_t *bytes;
	uint32_t value = 0;

	if (!tls_take(cursor, size, &bytes))
		return 0;
	for (size_t i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* A vector with a length of `size` bytes before it; what is there of it, if it is cut short. */
static struct tls_cursor tls_vector(struct tls_cursor *cursor, size_t size)
{
	size_t length = tls_number(cursor, size);
	size_t there = BASE_MIN(length, (size_t)(cursor->end - cursor->at));
	struct tls_cursor inner = {cursor->at, cursor->at + there, there < length};

	cursor->cut |= inner.cut;
	cursor->at += there;
	return inner;
}

static bool tls_is_grease(uint16_t value)
{
	return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

static void tls_list_add(struct tls_list *list, uint16_t value)
{
	if (tls_is_grease(value))
		return;
	list->all++;
	if (list->count < TLS_LIST_MAX)
		list->values[list->count++] = value;
}

static void tls_list_read(struct tls_list *list, struct tls_cursor from)
{
	while (from.end - from.at >= 2)
		tls_list_add(list, (uint16_t)tls_number(&from, 2));
}

/* --- extensions --- */

static void tls_name_read(struct tls_hello *hello, struct tls_cursor from)
{
	struct tls_cursor names = tls_vector(&from, 2);
	struct tls_cursor name;
	size_t n = 0;

	if (tls_number(&names, 1) != 0)
		return;
	name = tls_vector(&names, 2);
	if (name.cut || names.cut)
		return;
	for (; name.at < name.end && n + 1 < sizeof(hello->name); name.at++) {
		if (!isalnum(*name.at) && !strchr("-._", *name.at)) {
			n = 0;
			break;
		}
		hello->name[n++] = (char)tolower(*name.at);
	}
	hello->name[n] = '\0';
}

static void tls_alpn_read(struct tls_hello *hello, struct tls_cursor from, char ja4[2])
{
	struct tls_cursor list = tls_vector(&from, 2);
	struct tls_cursor first = tls_vector(&list, 1);
	size_t size = (size_t)(first.end - first.at);

	if (size == 0 || first.cut)
		return;
	ja4[0] = (char)first.at[0];
	ja4[1] = (char)first.at[size - 1];
	if (!isalnum(first.at[0]) || !isalnum(first.at[size - 1])) {
		ja4[0] = tls_hex[first.at[0] >> 4];
		ja4[1] = tls_hex[first.at[size - 1] & 15];
	}
	for (size_t i = 0; i < size && i + 1 < sizeof(hello->alpn); i++)
		hello->alpn[i] = isprint(first.at[i]) ? (char)first.at[i] : '?';
}

/* --- JA4 --- */

/* By insertion: lists are short, and bounded. */
static void tls_list_sort(struct tls_list *list)
{
	for (size_t i = 1; i < list->count; i++) {
		const uint16_t value = list->values[i];
		size_t at = i;

		for (; at && list->values[at - 1] > value; at--)
			list->values[at] = list->values[at - 1];
		list->values[at] = value;
	}
}

/* "1301,1302" of the list, behind what is in `text` already; without a NUL. */
static size_t tls_list_print(const struct tls_list *list, char *text, size_t at, size_t size)
{
	for (size_t i = 0; i < list->count && at + 6 < size; i++) {
		if (i)
			text[at++] = ',';
		for (int shift = 12; shift >= 0; shift -= 4)
			text[at++] = tls_hex[list->values[i] >> shift & 15];
	}
	return at;
}

static void tls_hash(const char *text, size_t size, char out[13])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX sha;

	if (size == 0) {
		memcpy(out, "000000000000", 13);
		return;
	}
	SHA256_Init(&sha);
	SHA256_Update(&sha, text, size);
	SHA256_Final(digest, &sha);
	for (size_t i = 0; i < 12; i++)
		out[i] = tls_hex[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
	out[12] = '\0';
}

static const char *tls_version_text(uint16_t version)
{
	switch (version) {
	case 0x0304: return "13";
	case 0x0303: return "12";
	case 0x0302: return "11";
	case 0x0301: return "10";
	case 0x0300: return "s3";
	default: return "00";
	}
}

static void tls_ja4(struct tls_hello *hello, struct tls_list *ciphers, struct tls_list *extensions,
                    const struct tls_list *signatures, bool named, const char alpn[2])
{
	char text[TLS_LIST_MAX * 5 * 2 + 2], first[13], second[13];
	struct tls_list others = {.count = 0};
	size_t size;

	tls_list_sort(ciphers);
	tls_hash(text, tls_list_print(ciphers, text, 0, sizeof(text)), first);
	for (size_t i = 0; i < extensions->count; i++)
		if (extensions->values[i] != TLS_EXT_NAME && extensions->values[i] != TLS_EXT_ALPN)
			others.values[others.count++] = extensions->values[i];
	tls_list_sort(&others);
	size = tls_list_print(&others, text, 0, sizeof(text));
	if (size && signatures->count) {
		text[size++] = '_';
		size = tls_list_print(signatures, text, size, sizeof(text));
	}
	tls_hash(text, size, second);
	snprintf(hello->ja4, sizeof(hello->ja4), "t%s%c%02u%02u%c%c_%s_%s",
	         tls_version_text(hello->version), named ? 'd' : 'i',
	         (unsigned int)BASE_MIN(ciphers->all, (size_t)99),
	         (unsigned int)BASE_MIN(extensions->all, (size_t)99), alpn[0], alpn[1], first,
	         second);
}

/* --- the hello --- */

static void tls_extensions(struct tls_hello *hello, struct tls_cursor from, bool ja4,
                           struct tls_list *ciphers)
{
	struct tls_list extensions = {.count = 0}, signatures = {.count = 0},
	                versions = {.count = 0};
	char alpn[2] = {'0', '0'};
	bool named = false;

	while (from.end - from.at >= 4) {
		uint16_t type = (uint16_t)tls_number(&from, 2);
		struct tls_cursor body = tls_vector(&from, 2);

		tls_list_add(&extensions, type);
		if (type == TLS_EXT_NAME) {
			named = true;
			tls_name_read(hello, body);
		} else if (type == TLS_EXT_ALPN) {
			tls_alpn_read(hello, body, alpn);
		} else if (type == TLS_EXT_SIGNATURES) {
			tls_list_read(&signatures, tls_vector(&body, 2));
		} else if (type == TLS_EXT_VERSIONS) {
			tls_list_read(&versions, tls_vector(&body, 1));
		}
	}
	for (size_t i = 0; i < versions.count; i++)
		hello->version =
		        i == 0 ? versions.values[0] : BASE_MAX(hello->version, versions.values[i]);
	hello->whole = hello->whole && !from.cut && from.at == from.end;
	if (hello->whole && ja4)
		tls_ja4(hello, ciphers, &extensions, &signatures, named, alpn);
}

int tls_hello_parse(const uint8_t *bytes, size_t size, bool ja4, struct tls_hello *hello)
{
	struct tls_cursor all = {bytes, bytes + size, false}, record, message;
	struct tls_list ciphers = {.count = 0};
	const uint8_t *skipped;

	memset(hello, 0, sizeof(*hello));
	if (tls_number(&all, 1) != TLS_HANDSHAKE || tls_number(&all, 1) != 3)
		return -EBADMSG;
	tls_number(&all, 1);
	record = tls_vector(&all, 2);
	if (tls_number(&record, 1) != TLS_CLIENT_HELLO)
		return -EBADMSG;
	message = tls_vector(&record, 3);
	hello->whole = !message.cut;
	hello->version = (uint16_t)tls_number(&message, 2);
	if (!tls_take(&message, 32, &skipped))
		return -EBADMSG;
	tls_vector(&message, 1); /* session */
	tls_list_read(&ciphers, tls_vector(&message, 2));
	tls_vector(&message, 1); /* compression */
	tls_extensions(hello, tls_vector(&message, 2), ja4, &ciphers);
	return 0;
}
