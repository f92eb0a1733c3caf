/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limits: the page that says how much a VM's disks and NICs may do, and what a device makes of it.
 *
 * The page is the file `limits` of the VM's folder under /run/cordon. Root writes it (cordon, when the VM
 * is started and for `cordon limit`); each device has it mapped read-only and looks at its own entry when
 * it takes a request or when its timer fires: one load, unless something was changed. An entry's sequence
 * is odd while it is being written; a device that finds it so goes on with what it has and looks again
 * at the next request, so nothing that happens to a writer can hold a device up.
 */
#ifndef CORDON_VMM_DEVICES_LIMITS_H
#define CORDON_VMM_DEVICES_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/rate.h"

enum { /* entries of the page */
       LIMITS_DISK = 0,
       LIMITS_DISKS = 8,
       LIMITS_NIC = LIMITS_DISK + LIMITS_DISKS,
       LIMITS_NICS = 4,
       LIMITS_ENTRIES = LIMITS_NIC + LIMITS_NICS,
};

#define LIMITS_MAGIC 0x31736d696c64726fULL /* "ordlims1" */

struct limit {              /* 0: none; at most RATE_MAX each */
	uint64_t bandwidth; /* bytes a second; of a NIC, each way */
	uint64_t iops;      /* requests a second; of a NIC, frames each way */
	uint64_t
	        burst; /* bytes at once after a pause, requests in proportion; 0: a tenth of a second's */
};

struct limits_entry {
	uint32_t sequence; /* odd: being written */
	uint32_t reserved;
	struct limit limit;
};

struct limits_page {
	uint64_t magic;
	struct limits_entry entry[LIMITS_ENTRIES];
};

/* For the one writer at a time. */
void limits_write(struct limits_entry *entry, const struct limit *limit);
/* The entry as it stands, and its sequence; false when it is being written. */
bool limits_read(const struct limits_entry *entry, struct limit *limit, uint32_t *sequence);

/* A device's side: the buckets of one disk, or of one direction of a NIC. */
struct limiter {
	const struct limits_entry *entry; /* NULL: there is no limit and never will be */
	uint32_t sequence;                /* of what the buckets have */
	struct rate bandwidth, operations;
};

/*
 * Maps the page: `text` is "FD:ENTRY", as in the option --limits; the fd is open for reading. -EINVAL when it is
 * no such page or no such entry. The mapping stays for as long as the process.
 */
int limiter_open(struct limiter *limiter, const char *text);

/* How long the next request has to wait, ns; `now` is asked only where there is a limit. */
uint32_t limiter_wait(struct limiter *limiter, uint64_t (*now)(void));

/* Counts a request of `bytes` after limiter_wait() has said 0. */
void limiter_take(struct limiter *limiter, uint64_t bytes);

#endif
