/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A walk over DER (X.690): each element is a tag, a length and so many bytes, and is looked at as a cursor of its own,
 * which ends where the element does. What is not needed is stepped over. Elements are visited once, so no input is
 * slow; the longest loops are over the extensions and the names in one.
 */
#include "monitor/x509.h"

#include <ctype.h>
#include <strings.h>

#include "base/base.h"

enum {
	DER_BOOLEAN = 0x01,
	DER_OCTETS = 0x04,
	DER_OID = 0x06,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_VERSION = 0xa0,    /* [0] of a TBSCertificate */
	DER_EXTENSIONS = 0xa3, /* [3] */
	DER_DNS_NAME = 0x82,   /* [2] of a GeneralName */
};

struct der {
	const uint8_t *at, *end;
};

/* The next element; false when there is none that is whole. */
static bool der_next(struct der *in, uint8_t *tag, struct der *out)
{
	size_t left = (size_t)(in->end - in->at), length, bytes;

	if (left < 2)
		return false;
	*tag = in->at[0];
	length = in->at[1];
	in->at += 2;
	left -= 2;
	if (length & 0x80) {
		bytes = length & 0x7f;
		if (bytes == 0 || bytes > 3 || bytes > left)
			return false;
		length = 0;
		for (size_t i = 0; i < bytes; i++)
			length = length << 8 | in->at[i];
		in->at += bytes;
		left -= bytes;
	}
	if (length > left)
		return false;
	*out = (struct der){in->at, in->at + length};
	in->at += length;
	return true;
}

/* The next element, which has to have this tag. */
static bool der_take(struct der *in, uint8_t tag, struct der *out)
{
	uint8_t is;

	return der_next(in, &is, out) && is == tag;
}

static bool der_is(const struct der *der, const void *bytes, size_t size)
{
	return (size_t)(der->end - der->at) == size && memcmp(der->at, bytes, size) == 0;
}

/* --- names --- */

/* "*.example.org" is for one label more, and for nothing else (RFC 6125, 6.4.3). */
static bool x509_matches(const struct der *name, const char *wanted)
{
	const char *pattern = (const char *)name->at;
	size_t size = (size_t)(name->end - name->at);

	if (size > 2 && pattern[0] == '*' && pattern[1] == '.') {
		wanted = strchr(wanted, '.');
		if (!wanted)
			return false;
		pattern++;
		size--;
	}
	return size && strlen(wanted) == size && strncasecmp(pattern, wanted, size) == 0;
}

static void x509_name(struct x509_names *names, const struct der *name, const char *wanted)
{
	const size_t size = BASE_MIN((size_t)(name->end - name->at), sizeof(names->first) - 1);

	names->matches = names->matches || x509_matches(name, wanted);
	if (names->first[0])
		return;
	for (size_t i = 0; i < size; i++)
		names->first[i] = isprint(name->at[i]) ? (char)name->at[i] : '?';
	names->first[size] = '\0';
}

/* The common name among the subject's attributes. */
static void x509_subject(struct x509_names *names, struct der subject, const char *wanted)
{
	struct der set, attribute, type, value;
	uint8_t tag;

	while (der_take(&subject, DER_SET, &set))
		while (der_take(&set, DER_SEQUENCE, &attribute))
			if (der_take(&attribute, DER_OID, &type) &&
			    der_is(&type, "\x55\x04\x03", 3) && der_next(&attribute, &tag, &value))
				x509_name(names, &value, wanted);
}

/* True when there is a subjectAltName with a name for a host. */
static bool x509_extensions(struct x509_names *names, struct der extensions, const char *wanted)
{
	struct der list, extension, type, value, all, name;
	bool found = false;
	uint8_t tag;

	if (!der_take(&extensions, DER_SEQUENCE, &list))
		return false;
	while (der_take(&list, DER_SEQUENCE, &extension)) {
		if (!der_take(&extension, DER_OID, &type) || !der_is(&type, "\x55\x1d\x11", 3) ||
		    !der_next(&extension, &tag, &value) ||
		    (tag == DER_BOOLEAN && !der_next(&extension, &tag, &value)) ||
		    tag != DER_OCTETS || !der_take(&value, DER_SEQUENCE, &all))
			continue;
		while (der_next(&all, &tag, &name))
			if (tag == DER_DNS_NAME) {
				x509_name(names, &name, wanted);
				found = true;
			}
	}
	return found;
}

int x509_names(const uint8_t *der, size_t size, const char *wanted, struct x509_names *names)
{
	struct der in = {der, der + size}, certificate, body, part, subject;
	bool found = false;
	uint8_t tag;

	*names = (struct x509_names){.first = ""};
	if (!der_take(&in, DER_SEQUENCE, &certificate) ||
	    !der_take(&certificate, DER_SEQUENCE, &body) || !der_next(&body, &tag, &part))
		return -EBADMSG;
	/* the version may be left out; then: serial number, algorithm, issuer, validity, subject */
	for (int i = tag == DER_VERSION ? 0 : 1; i < 5; i++)
		if (!der_next(&body, &tag, &subject))
			return -EBADMSG;
	if (tag != DER_SEQUENCE)
		return -EBADMSG;
	while (der_next(&body, &tag, &part))
		if (tag == DER_EXTENSIONS)
			found = x509_extensions(names, part, wanted);
	if (!found)
		x509_subject(names, subject, wanted);
	return 0;
}
