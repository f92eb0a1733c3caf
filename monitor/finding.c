/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Findings, and the numbers in their sentences.
 */
#include "monitor/finding.h"

#include "base/base.h"

bool finding_due(const struct finding *finding, unsigned int severity, uint64_t evidence)
{
	if (!severity)
		return false;
	return severity > finding->severity || evidence >= 2 * finding->said;
}

static uint64_t finding_id(const struct alert *alert)
{
	uint64_t hash = detector_mix(alert->first_ns / DETECTOR_SECOND_NS);

	for (const char *c = alert->rule; *c; c++)
		hash = detector_mix(hash + (uint8_t)*c);
	for (const char *c = alert->name; *c; c++)
		hash = detector_mix(hash + (uint8_t)*c);
	hash = detector_mix(hash + detector_hash_address(alert->source));
	return detector_mix(hash + detector_hash_address(alert->target));
}

static void finding_emit(struct finding *finding, struct alert *alert,
                         const struct detector_out *out)
{
	snprintf(alert->id, sizeof(alert->id), "%016llx-%08x", (unsigned long long)finding->id,
	         (unsigned int)alert->detector << 24 | (unsigned int)alert->proto << 16 |
	                 alert->port);
	alert->severity = finding->severity;
	out->emit(alert, out->data);
}

void finding_say(struct finding *finding, struct alert *alert, unsigned int severity,
                 uint64_t evidence, const struct detector_out *out)
{
	const uint8_t before = finding->severity;

	if (!before)
		finding->id = finding_id(alert);
	finding->severity = (uint8_t)BASE_MAX(severity, (unsigned int)before);
	finding->said = BASE_MAX(evidence, 1ull);
	alert->stage = before ? ALERT_UPDATE : ALERT_NEW;
	alert->act = finding->severity >= ALERT_MEDIUM && before < ALERT_MEDIUM;
	finding_emit(finding, alert, out);
}

void finding_end(struct finding *finding, struct alert *alert, const struct detector_out *out)
{
	if (!finding->severity)
		return;
	alert->stage = ALERT_END;
	alert->act = false;
	finding_emit(finding, alert, out);
	*finding = (struct finding){0};
}

const char *finding_number(char out[28], uint64_t n)
{
	char plain[24];
	size_t length = (size_t)snprintf(plain, sizeof(plain), "%llu", (unsigned long long)n);
	size_t at = 0;

	for (size_t i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = plain[i];
	}
	out[at] = '\0';
	return out;
}

const char *finding_bytes(char out[28], uint64_t n)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double value = (double)n / 1024;
	size_t unit = 0;

	if (n < 1024) {
		snprintf(out, 28, "%u bytes", (unsigned int)n);
		return out;
	}
	for (; value >= 1024 && unit + 1 < BASE_COUNT(units); unit++)
		value /= 1024;
	snprintf(out, 28, "%.1f %s", value, units[unit]);
	return out;
}

const char *finding_span(char out[28], uint64_t ns)
{
	uint64_t seconds = BASE_MAX((ns + DETECTOR_SECOND_NS - 1) / DETECTOR_SECOND_NS, 1ull);

	if (seconds < 120)
		snprintf(out, 28, "%llu s", (unsigned long long)seconds);
	else if (seconds < 7200)
		snprintf(out, 28, "%llu min", (unsigned long long)(seconds / 60));
	else
		snprintf(out, 28, "%llu h", (unsigned long long)(seconds / 3600));
	return out;
}
