/* SPDX-License-Identifier: GPL-2.0-or-later */
/* repair: the rules again as they should be, after somebody else has changed them. */
#ifndef CORDON_REPAIR_H
#define CORDON_REPAIR_H

#include "cordon/host.h"

struct repair_watch {
	struct firewall *fw;
	struct firewall_watch *rules; /* NULL: it could not be had, which was said */
};

/* An fd that is readable when there may be something to check, or -1. */
int repair_start(struct repair_watch *watch);
/* Reads what the kernel told of, and repairs all where it was somebody else's doing. */
void repair_check(struct repair_watch *watch);
/* What was flushed while nobody listened: repairs all where a VM that runs has no rules. */
void repair_missing(struct repair_watch *watch);
/* Closes the taps, loads all rules anew, opens the taps, and raises an alert for each VM. */
int repair_all(struct firewall *fw, const struct firewall_change *change);

/* Of a guarded guest, whose lock the caller has: its tap down, where it has no rules that fit; up, if down was our doing.
 * Its state, which the caller saves, says which. */
void repair_switch(struct host_vm *vm, bool open);
/* True for one whose tap is down by repair_switch(). */
bool repair_is_closed(const struct host_vm *vm);

#endif
