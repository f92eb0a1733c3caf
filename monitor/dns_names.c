/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names that do not exist. Malware that looks for its server under names that it makes up (T1568.002) asks
 * for many registered domains of which nearly none exists (Antonakakis et al., "From Throw-Away Traffic to
 * Bots", USENIX Security 2012, start from just these answers), and the names look like no language's.
 *
 *   dns.generated  25 different zones that do not exist, in ten minutes, and at least twice as many as do. If
 *                  their names look made up it is medium, otherwise low: a list of dead domains is one too.
 *                  Made up: less than 3 of 5 pairs of neighbouring characters are common ones. The common
 *                  ones are the 245 of 676 pairs of letters that make up nine tenths of those in English
 *                  technical prose; even random letters have 37 % of them, letters and digits 19 %, names
 *                  that people chose about 85 %.
 *   dns.nxdomain   100 different names that do not exist in ten minutes, and nine of ten answers that say so:
 *                  low; from 500 it is medium (somebody tries names: T1590.002)
 *
 * Names without a zone (a search list that is tried, host names of a LAN, the three words that Chromium
 * tries at its start) are not counted as generated.
 *
 * Limits. Generated names that consist of words are low; those that are asked for slower than 25 in ten
 * minutes are not found, nor those of which one in three exists.
 */
#include <ctype.h>

#include "base/base.h"
#include "monitor/dns_detector.h"

enum {
	NAMES_ZONES = 25,
	NAMES_LABEL_MIN = 6, /* shorter ones say little */
	NAMES_PAIRS = 100,
	NAMES_STORM = 100,
	NAMES_STORM_MUCH = 500,
};

/* By the first letter, a bit for each second one. */
static const uint32_t names_common[26] = {
        0x13ebd4e, 0x0164911, 0x01e4d95, 0x0164919, 0x1efb87f, 0x01a4931, 0x0166991,
        0x00a4111, 0x2aef87f, 0x0000000, 0x0040111, 0x11c4919, 0x014d113, 0x03c6d7d,
        0x07efd6f, 0x11ec991, 0x0100000, 0x11ef95d, 0x11ec995, 0x11ed9bd, 0x00eb917,
        0x0000111, 0x0000111, 0x0088000, 0x0048000, 0x0000010};

static void names_pairs(struct dns_names *names, const uint8_t *text, size_t size)
{
	if (size < NAMES_LABEL_MIN)
		return;
	for (size_t i = 1; i < size; i++) {
		int a = tolower(text[i - 1]) - 'a', b = tolower(text[i]) - 'a';

		names->pairs++;
		names->common_pairs +=
		        a >= 0 && a < 26 && b >= 0 && b < 26 && names_common[a] & 1u << b;
	}
}

static void names_age(struct dns_names *names, uint64_t now_ns)
{
	const uint32_t epoch = (uint32_t)(now_ns / DNS_EPOCH_NS);
	const unsigned int shift = BASE_MIN(epoch - names->epoch, 31u);
	uint32_t *const counts[] = {&names->answers,       &names->missing_names,
	                            &names->missing_zones, &names->found_zones,
	                            &names->pairs,         &names->common_pairs};

	if (epoch <= names->epoch)
		return;
	for (size_t i = 0; i < BASE_COUNT(counts); i++)
		*counts[i] >>= shift;
	memcpy(names->missing[1], names->missing[0], sizeof(names->missing[0]));
	memcpy(names->zones[1], names->zones[0], sizeof(names->zones[0]));
	memcpy(names->found[1], names->found[0], sizeof(names->found[0]));
	memset(names->missing[0], 0, sizeof(names->missing[0]));
	memset(names->zones[0], 0, sizeof(names->zones[0]));
	memset(names->found[0], 0, sizeof(names->found[0]));
	names->epoch = epoch;
	if (!names->missing_names)
		names->first_ns = now_ns;
}

static uint64_t names_hash(const struct dns_name *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < name->size; i++)
		hash = (hash ^ (uint64_t)tolower(name->text[i])) * 0x100000001b3ull;
	return detector_mix(hash);
}

static void names_count(struct dns_names *names, const struct dns_seen *seen)
{
	const struct dns_name *name = &seen->message->name;
	const size_t at = name->labels - seen->zone;

	names->answers++;
	if (seen->message->rcode == DNS_RCODE_OK) {
		names->found_zones += dns_bit_new(names->found[0], names->found[1], DNS_ZONE_BITS,
		                                  seen->zone_hash);
		return;
	}
	if (seen->message->rcode != DNS_RCODE_NXDOMAIN)
		return;
	names->last_ns = BASE_MAX(names->last_ns, seen->now_ns);
	names->flow = *seen->flow;
	names->missing_names += dns_bit_new(names->missing[0], names->missing[1], DNS_MISSING_BITS,
	                                    names_hash(name));
	if (seen->zone < 2 ||
	    !dns_bit_new(names->zones[0], names->zones[1], DNS_ZONE_BITS, seen->zone_hash))
		return;
	names->missing_zones++;
	names->last = *name;
	names->last_zone = (uint8_t)seen->zone;
	names_pairs(names, name->text + name->at[at], dns_label_size(name, at));
}

/* --- findings --- */

static bool names_made_up(const struct dns_names *names)
{
	return names->pairs >= NAMES_PAIRS && names->common_pairs * 5ull < names->pairs * 3ull;
}

static void names_alert(const struct dns_names *names, struct alert *alert, bool generated)
{
	char missing[28], span[28];
	const struct dns_name *last = &names->last;
	size_t at = generated && last->labels ? last->at[last->labels - names->last_zone] : 0;

	alert->detector = DETECTOR_DNS_NAMES;
	alert->rule = generated ? "dns.generated" : "dns.nxdomain";
	alert->technique = generated ? "T1568.002" : "T1590.002";
	alert->technique_name = generated ? "Domain Generation Algorithms" : "DNS";
	alert->tactic = generated ? "TA0011" : "TA0043";
	alert->tactic_name = generated ? "Command and Control" : "Reconnaissance";
	alert->confidence = generated && names_made_up(names) ? 80 : 40;
	alert->family = names->flow.family;
	alert->proto = names->flow.proto;
	memcpy(alert->source, names->flow.guest, 16);
	memcpy(alert->target, names->flow.peer, 16);
	alert->port = names->flow.peer_port;
	alert->first_ns = BASE_MIN(names->first_ns, names->last_ns);
	alert->last_ns = names->last_ns;
	alert->flows[0] = names->flow;
	alert->flow_count = 1;
	alert_fact(alert, "answers", names->answers);
	alert_fact(alert, "missing_names", names->missing_names);
	alert_fact(alert, "missing_domains", names->missing_zones);
	alert_fact(alert, "found_domains", names->found_zones);
	finding_span(span, alert->last_ns - alert->first_ns);
	if (generated) {
		char sample[ALERT_NAME_MAX];

		alert_name(alert, last->text + at, (size_t)last->size - at);
		base_copy_string(sample, sizeof(sample), alert->name);
		alert->name[0] = '\0'; /* one of many: not what the finding is about */
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "asked for %s domains that do not exist in %s (%u did), the last was %s",
		         finding_number(missing, names->missing_zones), span, names->found_zones,
		         sample);
	} else {
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "asked for %s names that do not exist in %s, of %u answers",
		         finding_number(missing, names->missing_names), span, names->answers);
	}
}

static void names_judge(struct dns_names *names, const struct detector_out *out)
{
	unsigned int severity = 0;
	struct alert alert = {0};

	if (names->missing_zones >= NAMES_ZONES && names->missing_zones >= 2 * names->found_zones)
		severity = names_made_up(names) ? ALERT_MEDIUM : ALERT_LOW;
	if (finding_due(&names->generated, severity, names->missing_zones)) {
		names_alert(names, &alert, true);
		finding_say(&names->generated, &alert, severity, names->missing_zones, out);
	}
	severity = 0;
	if (names->missing_names >= NAMES_STORM &&
	    names->missing_names * 10ull >= names->answers * 9ull)
		severity = names->missing_names >= NAMES_STORM_MUCH ? ALERT_MEDIUM : ALERT_LOW;
	/* the same names are one finding */
	if (!names->generated.severity &&
	    finding_due(&names->storm, severity, names->missing_names)) {
		alert = (struct alert){0};
		names_alert(names, &alert, false);
		finding_say(&names->storm, &alert, severity, names->missing_names, out);
	}
}

void dns_names_observe(struct dns_names *names, const struct dns_seen *seen,
                       const struct detector_out *out)
{
	if (!seen->message->response)
		return;
	names_age(names, seen->now_ns);
	names_count(names, seen);
	if (seen->message->rcode == DNS_RCODE_NXDOMAIN)
		names_judge(names, out);
}

void dns_names_tick(struct dns_names *names, uint64_t now_ns, const struct detector_out *out)
{
	struct alert alert = {0};

	if (now_ns < names->last_ns + DNS_QUIET_NS)
		return;
	if (names->generated.severity) {
		names_alert(names, &alert, true);
		finding_end(&names->generated, &alert, out);
	}
	if (names->storm.severity) {
		alert = (struct alert){0};
		names_alert(names, &alert, false);
		finding_end(&names->storm, &alert, out);
	}
}
