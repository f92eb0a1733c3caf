/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * finding: the life of one finding, which all detectors share: said once when it is made, again when its
 * evidence has doubled or its severity has risen, and a last time when it ends. One id all along.
 */
#ifndef CORDON_MONITOR_FINDING_H
#define CORDON_MONITOR_FINDING_H

#include "monitor/detector.h"

struct finding {          /* all zero: nothing was found */
	uint64_t id;      /* hash of what it is about and when it began */
	uint64_t said;    /* the evidence when it was last emitted */
	uint8_t severity; /* it was last emitted with; 0: it was not */
};

/* True when there is something to say: only then the caller needs to fill in an alert. `severity` 0 says
 * nothing; a finding's severity does not sink. */
bool finding_due(const struct finding *finding, unsigned int severity, uint64_t evidence);

/* Emits the alert, as new or as an update. The caller has filled in all but stage, severity, id and act. */
void finding_say(struct finding *finding, struct alert *alert, unsigned int severity,
                 uint64_t evidence, const struct detector_out *out);

/* Emits the alert as ended, and forgets the finding. Nothing when there is none. */
void finding_end(struct finding *finding, struct alert *alert, const struct detector_out *out);

/* 1994 -> "1,994"; `out` holds 28 bytes */
const char *finding_number(char out[28], uint64_t n);
/* 5242880 -> "5.0 MiB"; `out` holds 28 bytes */
const char *finding_bytes(char out[28], uint64_t n);
/* 125 s -> "2 min"; `out` holds 28 bytes */
const char *finding_span(char out[28], uint64_t ns);

#endif
