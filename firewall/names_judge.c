/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an answer of DNS's opens. It is read as a resolver's client reads it: from the question's name along its
 * CNAMEs, in whatever order they stand, to the addresses of the last. The addresses are for the names of the
 * policy's that the last name on that way has which has any: so a name may point to a machine that the policy
 * does not know, as those of large sites do, but one that points to a name with rules of its own gets no
 * more than those. What stands in the answer beside that way is of no account.
 *
 * An address holds as long as all that led to it; a TTL above 2^31 is none (RFC 2181, 8).
 */
#include <ctype.h>

#include "base/base.h"
#include "firewall/names_judge.h"
#include "monitor/dns.h"

enum { CHAIN_MAX = 16, RECORDS_MAX = 1024, WORDS = POLICY_NAMES_MAX / 64 };

struct judging {
	const struct names_patterns *patterns;
	struct names_request *request;
	struct dns_name at, next; /* where the way is, and leads on to */
	bool on;
	uint32_t ttl;
	uint64_t names[WORDS]; /* that the addresses are for */
};

void names_patterns_split(struct names_patterns *patterns, size_t size)
{
	char *at = patterns->text, *line;

	patterns->text[BASE_MIN(size, sizeof(patterns->text) - 1)] = '\0';
	patterns->count = 0;
	while ((line = strsep(&at, "\n")) && patterns->count < POLICY_NAMES_MAX)
		if (*line && strlen(line) < POLICY_DNS_NAME_MAX)
			patterns->list[patterns->count++] = line;
}

static bool same_name(const struct dns_name *a, const struct dns_name *b)
{
	if (a->size != b->size || a->labels != b->labels || memcmp(a->at, b->at, a->labels) != 0)
		return false;
	for (size_t i = 0; i < a->size; i++)
		if (tolower(a->text[i]) != tolower(b->text[i]))
			return false;
	return true;
}

/* False for a name that no host has: a dot within a label would make another name of it. */
static bool host_name(const struct dns_name *name, char text[POLICY_DNS_NAME_MAX])
{
	for (size_t label = 0; label < name->labels; label++)
		for (size_t i = 0; i < dns_label_size(name, label); i++) {
			const uint8_t c = name->text[name->at[label] + i];

			if (!isalnum(c) && c != '-' && c != '_')
				return false;
		}
	for (size_t i = 0; i < name->size; i++)
		text[i] = (char)tolower(name->text[i]);
	text[name->size] = '\0';
	return name->size > 0;
}

/* Where the way has come to a name with rules, those that were met before are left behind. */
static void meet(struct judging *j)
{
	uint64_t names[WORDS] = {0}, any = 0;
	char text[POLICY_DNS_NAME_MAX];

	if (!host_name(&j->at, text))
		return;
	for (size_t i = 0; i < j->patterns->count; i++)
		if (policy_name_covers(j->patterns->list[i], text))
			names[i / 64] |= 1ull << i % 64;
	for (size_t i = 0; i < WORDS; i++)
		any |= names[i];
	if (any)
		memcpy(j->names, names, sizeof(names));
}

static uint32_t lesser_ttl(uint32_t a, uint32_t b)
{
	return b > INT32_MAX ? 0 : BASE_MIN(a, b);
}

static bool follow(const struct dns_record *record, void *data)
{
	struct judging *j = data;

	if (record->type != DNS_TYPE_CNAME || !record->internet ||
	    !same_name(&record->owner, &j->at))
		return true;
	j->next = record->target;
	j->ttl = lesser_ttl(j->ttl, record->ttl);
	j->on = true;
	return false;
}

static bool collect(const struct dns_record *record, void *data)
{
	struct judging *j = data;
	struct names_request *request = j->request;
	bool v4 = record->type == DNS_TYPE_A && record->size == 4;

	if ((!v4 && !(record->type == DNS_TYPE_AAAA && record->size == 16)) || !record->internet ||
	    !same_name(&record->owner, &j->at))
		return true;
	for (size_t i = 0; i < j->patterns->count && request->count < NAMES_ITEMS_MAX; i++) {
		struct names_item *item = &request->items[request->count];

		if (!(j->names[i / 64] & 1ull << i % 64))
			continue;
		*item = (struct names_item){.name = names_hash(j->patterns->list[i]),
		                            .ttl = lesser_ttl(j->ttl, record->ttl),
		                            .family = v4 ? 4 : 6};
		memcpy(item->address, record->data, record->size);
		request->count++;
	}
	return request->count < NAMES_ITEMS_MAX;
}

void names_judge(const struct names_patterns *patterns, const uint8_t *bytes, size_t size,
                 struct names_request *request)
{
	struct judging j = {.patterns = patterns, .request = request, .ttl = INT32_MAX};
	struct dns_message message;

	memset(request, 0, sizeof(*request));
	if (dns_parse(bytes, size, &message) < 0 || message.rcode != DNS_RCODE_OK)
		return;
	j.at = message.name;
	for (int hops = 0; hops < CHAIN_MAX; hops++) {
		j.on = false;
		meet(&j);
		if (dns_walk(bytes, size, RECORDS_MAX, follow, &j) < 0)
			return;
		if (!j.on) {
			dns_walk(bytes, size, RECORDS_MAX, collect, &j);
			return;
		}
		j.at = j.next;
	}
}
