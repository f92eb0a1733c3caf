/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exported: flows that last. A collector counts what each record says, so one that goes on for long has a record every
 * half hour (the active timeout of RFC 5470, 5.1.1), and each says what came since the one before.
 */
#ifndef CORDON_MONITOR_EXPORTED_H
#define CORDON_MONITOR_EXPORTED_H

#include <stdbool.h>

#include "bpf/events.h"

#define EXPORTED_ACTIVE_NS (1800 * 1000000000ull)

struct exported; /* those of one NIC that had a record */

struct exported *exported_new(void); /* NULL when memory is short */
void exported_free(struct exported *exported);

/* Whether the flow, which goes on, is due for a record at `now` (its own clock). Of more flows than can be remembered
 * some are not: they have one at their end. */
bool exported_due(struct exported *exported, const struct flow_record *record, uint64_t now);

/* Makes of *record what is new since its last record, which this one then is; `last`: it has ended, and is forgotten. */
void exported_rest(struct exported *exported, struct flow_record *record, bool last);

#endif
