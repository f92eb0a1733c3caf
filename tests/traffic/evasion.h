/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The spoofing and evasion suite: what a guest may write that it must not, each beside its honest twin.
 * One table for the namespaces of the machine and for a real guest in the rig.
 */
#ifndef CORDON_TESTS_EVASION_H
#define CORDON_TESTS_EVASION_H

#include <stdbool.h>

#include "tests/traffic/frames.h"

/* In the payload of what must not arrive anywhere, and of what must arrive in the world. */
#define EVASION_BAD  "cordon-suite-bad"
#define EVASION_GOOD "cordon-suite-good"

/* Writes at most FRAMES_MAX frames, and returns how many. */
typedef size_t (*evasion_fn)(const struct frame_net *n, struct frame *frames);

struct evasion {
	const char *name;
	const char *counter; /* that sees the last of the bad frames; NULL: dropped without one */
	evasion_fn bad;
	evasion_fn good; /* NULL: an honest UDP packet of the same family */
	bool six;
	bool host; /* the good one is for the host, and does not arrive in the world */
};
const struct evasion *evasion_at(size_t i);
size_t evasion_count(void);

/* The honest twin of a row. */
size_t evasion_good(const struct evasion *e, const struct frame_net *n, struct frame *frames);

#endif
