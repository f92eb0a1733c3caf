/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capsort: the packets of a small capture by their times. What merged, cut or exported a capture may have left its
 * packets in another order, and detectors believe in time. Large captures are read as they are: what records them
 * writes them in order, and `reordercap` puts them so.
 */
#ifndef CORDON_MONITOR_CAPSORT_H
#define CORDON_MONITOR_CAPSORT_H

#include <stdbool.h>

#include "monitor/capfile.h"

enum { CAPSORT_FILE_MAX = 8 << 20 };

struct capsort;

/* For a file of `size` bytes, at most CAPSORT_FILE_MAX: about three and a half times that of memory, as far as it
 * is used. NULL without memory. */
struct capsort *capsort_open(size_t size);
void capsort_close(struct capsort *sort);

/* Copies the packet. False when it has no room: the file is larger than it was. */
bool capsort_add(struct capsort *sort, const struct capfile_packet *packet);

/* All packets that were added, by their times; those of one time as they came. Valid until the next call. */
const struct capfile_packet *capsort_all(struct capsort *sort, size_t *count);

#endif
