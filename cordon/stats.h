/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats: the counters of all that runs on the host. */
#ifndef CORDON_STATS_H
#define CORDON_STATS_H

#include "cordon/host.h"

/*
 * {"guests": [one a NIC], "sinks": [one a receiver], "rules": [one a firewall rule]}; the caller's. `vm`: "" for all, and
 * then the sinks too, where this may read them (root). `rules`: whether the firewall is asked. NULL with *err: -ENOENT
 * when there is no such guest, -ENOTCONN when no monitor runs.
 */
json_t *stats_gather(const char *vm, bool rules, int *err);

#endif
