/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data hidden in DNS (T1048.003, T1071.004), by zone: what somebody registered, or all names that end in no
 * top-level domain (tunnels that talk to their server directly need no registered name).
 *
 * Who carries data out in names has to use each name once, or a cache answers; and as DNS gives 253 bytes a
 * name, it uses long ones. Who carries data in needs answers of a type that holds more than an address. So
 * the signs are
 *
 *   names     labels that were not seen in the last minutes: how many names had one, how many characters
 *             they had a name, and how evenly these are spread over the alphabet (Shannon entropy).
 *             Counting new labels rather than names leaves out what is long but made of the same parts
 *             (host names in a cloud, which repeat all but a short one).
 *   carriers  questions of types that programs other than mail servers hardly ask for: TXT, NULL, MX, CNAME,
 *             KEY, ANY, private ones; but not for names that begin with '_' (DKIM, DMARC, ACME and others)
 *   answers   bytes of data in answers of those types, and how many different ones
 *
 *   names alone      20 in ten minutes with 32 characters a name, or 30 with 24; from 2.5 bits a character:
 *                    hexadecimal digits have 4, base32 5, base64 6
 *   with carriers    20 questions of carrier types for new names, most of the zone's; NULL and private types,
 *                    which nothing else uses, from 5
 *   answers alone    15 different answers and 2 KiB of them: commands by TXT, also under one name
 *   slow             4 KiB of new labels in a day, 24 characters a name: the bound below which Paxson et al.
 *                    ("Practical Comprehensive Bounds on Surreptitious Communication Over DNS", USENIX
 *                    Security 2013) found that benign zones seldom come
 *
 * Two signs, or 16 KiB in a day, are a finding of high severity. Not counted: names of addresses (PTR,
 * blocklists: dns.h) and zones that answer from 127.0.0.0/8, which are lists of hashes (RFC 5782): at most low. Low as
 * well are zones that are asked for TXT and the like, where nearly every name is one checksum, of 32 or 40 hexadecimal
 * digits, and the answers are short: virus scanners ask for the reputation of files so. A tunnel may choose to look
 * like that.
 *
 * Limits. Fewer than 20 names in ten minutes and less than 4 KiB a day are not found; nor is a tunnel whose
 * labels are words (no length) and whose answers are addresses, nor one spread over many zones, nor one in the
 * id or in the order of questions. What a cloud service puts into names as identifiers, many a minute, looks
 * like a tunnel. 128 zones are remembered, and those with the most new labels stay.
 */
#include <ctype.h>
#include <math.h>

#include "base/base.h"
#include "monitor/dns_detector.h"

enum {
	TUNNEL_NAMES = 20,
	TUNNEL_NAMES_SHORTER = 30,
	TUNNEL_LONG = 32,
	TUNNEL_SHORTER = 24,
	TUNNEL_NULLS = 5,
	TUNNEL_ANSWERS = 15,
	TUNNEL_ANSWER_BYTES = 2048,
	TUNNEL_DAY_BYTES = 4096,
	TUNNEL_DAY_MUCH = 16384,
	TUNNEL_PLACES = 8,
	TUNNEL_OTHERS = 10,  /* one name in so many may be no checksum */
	TUNNEL_VERDICT = 32, /* bytes of an answer that says what is known of a checksum */
};
#define TUNNEL_ENTROPY 2.5

enum { SIGN_NAMES = 1, SIGN_CARRIERS = 2, SIGN_ANSWERS = 4, SIGN_SLOW = 8 };

static unsigned int zone_class(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= 'A' && c <= 'Z')
		return 26u + c - 'A';
	if (c >= '0' && c <= '9')
		return 52u + c - '0';
	return c == '-' || c == '_' ? 62 : 63;
}

/* Bits a character. */
static double zone_entropy(const struct dns_zone *zone)
{
	double total = 0, bits = 0;

	for (size_t i = 0; i < DNS_CLASSES; i++)
		total += zone->classes[i];
	for (size_t i = 0; i < DNS_CLASSES; i++)
		if (zone->classes[i])
			bits -= zone->classes[i] / total * log2(zone->classes[i] / total);
	return bits;
}

static bool tunnel_carrier(const struct dns_message *message)
{
	switch (message->type) {
	case DNS_TYPE_TXT:
	case DNS_TYPE_MX:
	case DNS_TYPE_CNAME: return message->name.text[0] != '_';
	case DNS_TYPE_NULL:
	case DNS_TYPE_KEY:
	case DNS_TYPE_ANY: return true;
	default: return message->type >= DNS_TYPE_PRIVATE;
	}
}

/* --- zones --- */

static uint64_t zone_worth(const struct dns_zone *zone)
{
	if (!zone->hash)
		return 0;
	return (zone->finding.severity ? 1ull << 62 : 0) |
	       (uint64_t)BASE_MIN(zone->day_chars, 0xffffu) << 44 | zone->last_ns >> 20;
}

static void zone_alert(const struct dns_zone *zone, struct alert *alert);

static struct dns_zone *zone_find(struct dns_tunnel *tunnel, const struct dns_seen *seen,
                                  const struct detector_out *out)
{
	struct dns_zone *victim = NULL;
	const struct dns_name *name = &seen->message->name;
	size_t size, at;

	for (size_t i = 0; i < TUNNEL_PLACES; i++) {
		struct dns_zone *zone = &tunnel->zones[(seen->zone_hash + i) & (DNS_ZONES - 1)];

		if (zone->hash == seen->zone_hash)
			return zone;
		if (!victim || zone_worth(zone) < zone_worth(victim))
			victim = zone;
	}
	if (victim->finding.severity) {
		struct alert alert = {0};

		zone_alert(victim, &alert);
		finding_end(&victim->finding, &alert, out);
	}
	memset(victim, 0, sizeof(*victim));
	victim->hash = seen->zone_hash;
	victim->first_ns = seen->now_ns;
	victim->flow = *seen->flow;
	victim->epoch = (uint32_t)(seen->now_ns / DNS_EPOCH_NS);
	victim->day = (uint32_t)(seen->now_ns / DETECTOR_DAY_NS);
	if (seen->zone) {
		at = name->at[name->labels - seen->zone];
		size = BASE_MIN((size_t)name->size - at, sizeof(victim->name));
		memcpy(victim->name, name->text + name->size - size, size);
		victim->name_size = (uint8_t)size;
	}
	return victim;
}

/* What is older than one epoch counts half, and labels of the one before the last are new again. */
static void zone_age(struct dns_zone *zone, uint64_t now_ns)
{
	const uint32_t epoch = (uint32_t)(now_ns / DNS_EPOCH_NS);
	const uint32_t day = (uint32_t)(now_ns / DETECTOR_DAY_NS);
	uint32_t *const counts[] = {&zone->queries,      &zone->names, &zone->chars,
	                            &zone->carriers,     &zone->nulls, &zone->answers,
	                            &zone->answer_bytes, &zone->hashes};
	const unsigned int shift = BASE_MIN(epoch - zone->epoch, 31u);

	if (day > zone->day) {
		zone->day = day;
		zone->day_chars = zone->day_names = 0;
	}
	if (epoch <= zone->epoch)
		return;
	for (size_t i = 0; i < BASE_COUNT(counts); i++)
		*counts[i] >>= shift;
	for (size_t i = 0; i < DNS_CLASSES; i++)
		zone->classes[i] = (uint16_t)(zone->classes[i] >> BASE_MIN(shift, 15u));
	if (shift == 1)
		memcpy(zone->labels[1], zone->labels[0], sizeof(zone->labels[0]));
	else
		memset(zone->labels[1], 0, sizeof(zone->labels[1]));
	memset(zone->labels[0], 0, sizeof(zone->labels[0]));
	zone->answers_seen = 0;
	zone->epoch = epoch;
}

static void zone_count_label(struct dns_zone *zone, const uint8_t *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint16_t *class = &zone->classes[zone_class(text[i])];

		*class = (uint16_t)(*class + (*class < UINT16_MAX));
	}
	zone->chars += (uint32_t)size;
	zone->day_chars += (uint32_t)size;
}

/* As long as an MD5 or an SHA-1 sum in hexadecimal digits. */
static bool zone_is_hash(const uint8_t *text, size_t size)
{
	bool digits = size == 32 || size == 40;

	for (size_t i = 0; digits && i < size; i++)
		digits = isxdigit(text[i]);
	return digits;
}

static void zone_question(struct dns_zone *zone, const struct dns_seen *seen)
{
	const struct dns_name *name = &seen->message->name;
	const uint16_t type = seen->message->type;
	size_t new = 0, hashes = 0;

	zone->queries++;
	for (size_t i = 0; i + seen->zone < name->labels; i++) {
		const uint8_t *text = name->text + name->at[i];
		const size_t size = dns_label_size(name, i);
		uint64_t hash = 0xcbf29ce484222325ull;

		/* resolvers may send the same name in other cases each time, to be harder to spoof */
		for (size_t n = 0; n < size; n++)
			hash = (hash ^ (uint64_t)tolower(text[n])) * 0x100000001b3ull;
		if (!dns_bit_new(zone->labels[0], zone->labels[1], DNS_LABEL_BITS,
		                 detector_mix(hash)))
			continue;
		zone_count_label(zone, text, size);
		new ++;
		hashes += zone_is_hash(text, size);
	}
	zone->names += new != 0;
	zone->day_names += new != 0;
	zone->hashes += new == 1 && hashes == 1;
	zone->carriers += tunnel_carrier(seen->message);
	zone->nulls += type == DNS_TYPE_NULL || type >= DNS_TYPE_PRIVATE;
}

static void zone_answer(struct dns_zone *zone, const struct dns_message *message)
{
	uint64_t bit;

	zone->listed |= message->listed;
	if (!tunnel_carrier(message) || message->answers == 0)
		return;
	bit = 1ull << (detector_mix(message->hash) & 63);
	zone->answers += !(zone->answers_seen & bit);
	zone->answers_seen |= bit;
	zone->answer_bytes += message->carried;
}

/* --- judging --- */

static unsigned int zone_signs(const struct dns_zone *zone)
{
	const uint32_t names = zone->names, chars = zone->chars;
	unsigned int signs = 0;

	if ((names >= TUNNEL_NAMES && chars >= names * TUNNEL_LONG) ||
	    (names >= TUNNEL_NAMES_SHORTER && chars >= names * TUNNEL_SHORTER))
		signs |= SIGN_NAMES;
	if (zone->day_chars >= TUNNEL_DAY_BYTES &&
	    zone->day_chars >= zone->day_names * TUNNEL_SHORTER)
		signs |= SIGN_SLOW;
	if (signs && zone_entropy(zone) < TUNNEL_ENTROPY)
		signs = 0;
	if (zone->nulls >= TUNNEL_NULLS ||
	    (zone->carriers >= TUNNEL_NAMES && names >= TUNNEL_NAMES &&
	     zone->carriers >= zone->queries / 2))
		signs |= SIGN_CARRIERS;
	if (zone->answers >= TUNNEL_ANSWERS && zone->answer_bytes >= TUNNEL_ANSWER_BYTES)
		signs |= SIGN_ANSWERS;
	return signs;
}

static unsigned int zone_severity(const struct dns_zone *zone, unsigned int signs)
{
	if (!signs)
		return 0;
	if (zone->listed && !(signs & (SIGN_CARRIERS | SIGN_ANSWERS)))
		return ALERT_LOW;
	if (zone->hashes >= zone->names - zone->names / TUNNEL_OTHERS && !zone->nulls &&
	    signs & SIGN_CARRIERS && zone->answer_bytes <= zone->queries * TUNNEL_VERDICT)
		return ALERT_LOW;
	if (__builtin_popcount(signs & ~(unsigned int)SIGN_SLOW) >= 2 ||
	    zone->day_chars >= TUNNEL_DAY_MUCH)
		return ALERT_HIGH;
	return ALERT_MEDIUM;
}

static void zone_alert(const struct dns_zone *zone, struct alert *alert)
{
	const char *where = alert->name;
	char chars[28], span[28];

	alert->detector = DETECTOR_DNS_TUNNEL;
	alert->rule = "dns.tunnel";
	alert->technique = "T1048.003";
	alert->technique_name = "Exfiltration Over Unencrypted Non-C2 Protocol";
	alert->tactic = "TA0010";
	alert->tactic_name = "Exfiltration";
	alert->confidence = zone->finding.severity >= ALERT_HIGH ? 95 : zone->listed ? 40 : 80;
	alert_name(alert, zone->name, zone->name_size);
	if (!zone->name_size)
		where = "no registered domain";
	alert->family = zone->flow.family;
	alert->proto = zone->flow.proto;
	memcpy(alert->source, zone->flow.guest, 16);
	memcpy(alert->target, zone->flow.peer, 16);
	alert->port = zone->flow.peer_port;
	alert->first_ns = zone->first_ns;
	alert->last_ns = zone->last_ns;
	alert->flows[0] = zone->flow;
	alert->flow_count = 1;
	alert_fact(alert, "queries", zone->queries);
	alert_fact(alert, "new_names", zone->names);
	alert_fact(alert, "new_characters", zone->chars);
	alert_fact(alert, "carrier_queries", zone->carriers);
	alert_fact(alert, "answer_bytes", zone->answer_bytes);
	alert_fact(alert, "new_characters_in_day", zone->day_chars);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "hid data in DNS under %s: %s characters in new names in %s, %u questions of "
	         "types that carry data",
	         where, finding_number(chars, zone->day_chars),
	         finding_span(span, zone->last_ns - zone->first_ns), zone->carriers);
}

void dns_tunnel_observe(struct dns_tunnel *tunnel, const struct dns_seen *seen,
                        const struct detector_out *out)
{
	struct dns_zone *zone = zone_find(tunnel, seen, out);
	struct alert alert = {0};
	unsigned int severity;

	zone_age(zone, seen->now_ns);
	zone->last_ns = BASE_MAX(zone->last_ns, seen->now_ns);
	if (seen->message->response)
		zone_answer(zone, seen->message);
	else
		zone_question(zone, seen);
	/* the rest is worth its time now and then */
	if (++zone->messages % 4 != 0)
		return;
	severity = zone_severity(zone, zone_signs(zone));
	if (!finding_due(&zone->finding, severity, zone->day_chars))
		return;
	zone_alert(zone, &alert);
	finding_say(&zone->finding, &alert, severity, zone->day_chars, out);
	tunnel->found = true;
}

void dns_tunnel_tick(struct dns_tunnel *tunnel, uint64_t now_ns, const struct detector_out *out)
{
	for (size_t i = 0; i < DNS_ZONES && tunnel->found; i++) {
		struct dns_zone *zone = &tunnel->zones[i];
		struct alert alert = {0};

		if (!zone->finding.severity || now_ns < zone->last_ns + DNS_QUIET_NS)
			continue;
		zone_alert(zone, &alert);
		finding_end(&zone->finding, &alert, out);
	}
}
