/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ask: the monitor's answers to queries, as JSON. It holds what guests chose, and is not trusted to be whole. */
#ifndef CORDON_ASK_H
#define CORDON_ASK_H

#include "cordon/host.h"

/* Asks for the flows or counters of one guest, or of all (""). A connection, the caller's, or a negative errno; nobody
 * who listens is said on standard error. */
int ask_monitor(enum monitor_verb verb, const char *vm);

/* The next object of the answer: MONITOR_TEXT and the caller owns *json, another type at its end, or a negative errno
 * (-ENOENT: no such guest). */
int ask_next(int monitor, json_t **json);

/* All of them as an array, the caller's; NULL with *err a negative errno. */
json_t *ask_all(enum monitor_verb verb, const char *vm, int *err);

/* Says what went wrong with the answer about `vm`; the exit status. */
int ask_failed(int err, const char *vm);

#endif
