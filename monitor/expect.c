/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VM sends in a day of UTC against what its policy expects (monitor.expect):
 *
 *   exfil.expect        medium when it has sent more bytes than `egress`, high from twice as many on (T1048)
 *   exfil.destinations  medium when it has spoken to more different addresses than `destinations`, high from twice
 *                       as many on: fan-out (T1048)
 *
 * A statement in a policy is worth more than what was learnt, so with `egress` the learnt limits of exfil.volume are
 * not looked at: a backup each night that the policy expects is no alert, and a kilobyte too much is one. Whoever
 * writes it leaves room.
 *
 * Limits. What goes to one unusual place within the expectation is not seen. Bytes of flows that are under way may
 * be counted up to a half late (exfil.c). Destinations are counted by 16,384 bits, by hash, so that 1,000 count as
 * about 970. Several NICs are counted each for itself.
 */
#include "monitor/expect.h"

#include "base/base.h"

void expect_begin(struct expect *expect, const struct detector_config *config)
{
	expect->egress = config->expect_egress;
	expect->destinations = config->expect_destinations;
}

static void expect_alert(const struct expect *expect, bool volume, struct alert *alert)
{
	char sent[28], usual[28], host[46];

	alert->detector = DETECTOR_EXFILTRATION;
	alert->rule = volume ? "exfil.expect" : "exfil.destinations";
	alert->technique = "T1048";
	alert->technique_name = "Exfiltration Over Alternative Protocol";
	alert->tactic = "TA0010";
	alert->tactic_name = "Exfiltration";
	alert->confidence = 80;
	alert->family = expect->key.family;
	memcpy(alert->source, expect->key.guest, 16);
	alert->first_ns = expect->first_ns;
	alert->last_ns = expect->last_ns;
	if (volume) {
		alert->flows[0] = expect->key;
		alert->flow_count = 1;
		alert_fact(alert, "bytes_out", expect->out);
		alert_fact(alert, "bytes_expected", expect->egress);
		alert_address(host, expect->key.peer, expect->key.family);
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "sent %s today, and its policy expects no more than %s; %s got most at "
		         "once",
		         finding_bytes(sent, expect->out), finding_bytes(usual, expect->egress),
		         host);
		return;
	}
	alert->flow_count = BASE_MIN(expect->met, (uint32_t)ALERT_FLOWS_MAX);
	memcpy(alert->flows, expect->last, sizeof(alert->flows));
	alert_fact(alert, "destinations", expect->met);
	alert_fact(alert, "destinations_expected", expect->destinations);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "spoke to %s addresses today, and its policy expects no more than %s",
	         finding_number(sent, expect->met), finding_number(usual, expect->destinations));
}

static void expect_judge(struct expect *expect, bool volume, const struct detector_out *out)
{
	const uint64_t is = volume ? expect->out : expect->met;
	const uint64_t most = volume ? expect->egress : expect->destinations;
	struct finding *finding = volume ? &expect->volume : &expect->fan_out;
	const unsigned int severity = !most || is <= most ? 0
	                              : is / 2 >= most    ? ALERT_HIGH
	                                                  : ALERT_MEDIUM;
	struct alert alert = {0};

	if (!finding_due(finding, severity, is))
		return;
	expect_alert(expect, volume, &alert);
	finding_say(finding, &alert, severity, is, out);
}

static void expect_end(struct expect *expect, const struct detector_out *out)
{
	struct alert volume = {0}, fan_out = {0};

	if (expect->volume.severity) {
		expect_alert(expect, true, &volume);
		finding_end(&expect->volume, &volume, out);
	}
	if (expect->fan_out.severity) {
		expect_alert(expect, false, &fan_out);
		finding_end(&expect->fan_out, &fan_out, out);
	}
	*expect = (struct expect){
	        .egress = expect->egress, .destinations = expect->destinations, .day = expect->day};
}

/* True when it has met the address today. */
static bool expect_met(struct expect *expect, const struct flow_key *key)
{
	const uint64_t hash = detector_hash_address(key->peer);
	uint64_t *word = &expect->seen[hash >> 6 & (EXPECT_BITS / 64 - 1)];
	const bool met = *word & 1ull << (hash & 63);

	*word |= 1ull << (hash & 63);
	return met;
}

void expect_observe(struct expect *expect, const struct flow_record *record, uint64_t sent,
                    uint64_t now_ns, const struct detector_out *out)
{
	if (!expect->egress && !expect->destinations)
		return;
	if (now_ns / DETECTOR_DAY_NS > expect->day) {
		expect_end(expect, out);
		expect->day = now_ns / DETECTOR_DAY_NS;
	}
	expect->first_ns = expect->first_ns ? expect->first_ns : now_ns;
	expect->last_ns = BASE_MAX(expect->last_ns, now_ns);
	expect->out += sent;
	if (sent >= expect->most) {
		expect->most = sent;
		expect->key = record->key;
	}
	/* who asks the guest is no destination of its own */
	if (!(record->flags & FLOW_FLAG_PEER_OPENED) && !expect_met(expect, &record->key))
		expect->last[expect->met++ % ALERT_FLOWS_MAX] = record->key;
	expect_judge(expect, true, out);
	expect_judge(expect, false, out);
}

void expect_tick(struct expect *expect, uint64_t now_ns, const struct detector_out *out)
{
	if (now_ns / DETECTOR_DAY_NS > expect->day && expect->first_ns)
		expect_end(expect, out);
}

void expect_save(const struct expect *expect, struct baseline_out *out)
{
	baseline_put(out, expect->day, 8);
	baseline_put(out, expect->out, 8);
	baseline_put(out, expect->met, 4);
	for (size_t i = 0; expect->met && i < EXPECT_BITS / 64; i++)
		baseline_put(out, expect->seen[i], 8);
}

bool expect_load(struct expect *expect, struct baseline_in *in, uint64_t now_ns)
{
	const uint64_t day = baseline_get(in, 8), sent = baseline_get(in, 8);
	const uint32_t met = (uint32_t)baseline_get(in, 4);
	const bool today = day == now_ns / DETECTOR_DAY_NS;

	if (sent > UINT64_MAX / 4 || met > EXPECT_BITS)
		return false;
	if (today) {
		expect->day = day;
		expect->out = sent;
		expect->met = met;
	}
	for (size_t i = 0; met && i < EXPECT_BITS / 64; i++) {
		const uint64_t word = baseline_get(in, 8);

		expect->seen[i] = today ? word : 0;
	}
	return true;
}
