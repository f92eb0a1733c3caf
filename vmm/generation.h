/* SPDX-License-Identifier: GPL-2.0-or-later */
/* generation: the VM generation id, by which a guest knows that it is not the only one with its past. */
#ifndef CORDON_VMM_GENERATION_H
#define CORDON_VMM_GENERATION_H

#include "vmm/machine.h"
#include "vmm/power.h"

enum { GENERATION_SIZE = 16 };

/* Writes a fresh random id where the guest looks for it. Before the guest runs; 0 or a negative errno. */
int generation_create(struct machine *m);
/*
 * The same for a guest that has run: it was restored from a snapshot, or is one of several clones. Also
 * tells it by the event device. Lock held.
 */
int generation_change(struct machine *m, struct power *power);

#endif
