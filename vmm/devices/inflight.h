/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight: the record of what a ring's device has taken and not given back, in memory that outlives the
 * process (vhost-user specification, "Inflight I/O tracking", the split ring's layout). A device that is
 * killed and started again with the same record takes those requests again, in the order in which they were
 * taken at first, and none that was given back.
 */
#ifndef CORDON_VMM_DEVICES_INFLIGHT_H
#define CORDON_VMM_DEVICES_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct inflight_record;

struct inflight {                       /* of one ring */
	struct inflight_record *record; /* NULL: there is none */
	uint16_t entries;
	uint16_t pending; /* requests to take again before any other */
	uint64_t again;   /* where to go on among them */
	uint64_t counter; /* what the next one that is taken gets */
};

/* The record of a ring with so many entries, bytes. */
uint64_t inflight_bytes(uint16_t entries);

/*
 * Uses the inflight_bytes(entries) at `bytes`, which another may have written before; all zero is a new
 * record. -EINVAL when it is not one of these, or misaligned.
 */
int inflight_attach(struct inflight *inflight, void *bytes, uint16_t entries);

/*
 * The ring begins, with so many entries, and with so many used ones shown to the guest so far. Finishes what
 * was interrupted, and counts what is pending. -EINVAL when the record is too small for the ring.
 */
int inflight_begin(struct inflight *inflight, uint32_t ring_size, uint16_t used_index);

/* The next pending one's head; false when there is none any more. */
bool inflight_again(struct inflight *inflight, uint32_t ring_size, uint16_t *head);

/* A request was taken; its used entry was written; the last `count` of those were shown. */
void inflight_take(struct inflight *inflight, uint16_t head);
void inflight_fill(struct inflight *inflight, uint16_t head);
void inflight_publish(struct inflight *inflight, uint16_t count, uint16_t used_index);

/* Nothing is in flight: the ring was stopped, or the device reset. */
void inflight_forget(struct inflight *inflight);

#endif
