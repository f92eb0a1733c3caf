/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * courier: the spools of sinks, as root sees them.
 */
#ifndef CORDON_COURIER_H
#define CORDON_COURIER_H

#include "cordon/host.h"

/* Each sink's folder. */
#ifndef HOST_SPOOL_DIR
#define HOST_SPOOL_DIR "/var/spool/cordon"
#endif

/*
 * Opens the inbox of a sink, for spool_append(), and sees to it that a courier delivers what is
 * in it. A receiver that does not answer is no error; files that cannot be used are, and *error says which.
 */
int courier_open(const struct policy_sink *sink, struct host_error *error);

/* Starts the couriers that died, or that a restart of the host has left work for. */
void courier_recover(void);

/* What each spool's courier has delivered, dropped and left to wait: an array, the caller's; empty for who may not read
 * them. */
json_t *courier_stats(void);

#endif
