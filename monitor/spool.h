/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spool: alerts on their way to one sink, on disk. Whoever raises alerts (the monitor, the host) appends to the
 * inbox, a file that it was handed; the sink's courier reads it, delivers, and notes how far it is.
 * Nobody waits for anybody, and who dies loses nothing that was appended.
 */
#ifndef CORDON_MONITOR_SPOOL_H
#define CORDON_MONITOR_SPOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "monitor/alert_text.h"

enum {
	SPOOL_TEXT_MAX = 64 * 1024,     /* bytes of one alert */
	SPOOL_INBOX_MAX = 64 * 1048576, /* on disk, when no courier takes anything */
};

/* Appends one alert with one write(2); several processes may, to one file with O_APPEND. -ENOSPC when the inbox is
 * full, -EMSGSIZE, or write's errors. */
int spool_append(int inbox, enum alert_severity severity, const char *text, size_t size);

/* --- the courier's side --- */

struct spool;

/*
 * `inbox` and the two state files (open for reading and writing, maybe empty) stay the caller's. At most
 * `limit` bytes wait; -ENOMEM, or an error of reading.
 */
int spool_open(int inbox, const int state[2], uint64_t limit, struct spool **spool);
void spool_close(struct spool *spool);

/*
 * Looks for what was appended. When more waits than may, the oldest of the lowest severity are dropped, but
 * none of the first `in_flight`. Returns 0 or a negative errno; what has been found stays.
 */
int spool_refresh(struct spool *spool, size_t in_flight);

/* How many wait. */
size_t spool_count(const struct spool *spool);

/* Reads the i-th of those that wait, at most SPOOL_TEXT_MAX bytes; its length, or a negative errno. */
ssize_t spool_read(const struct spool *spool, size_t i, char *text);

/* The first `count` were delivered: not to be seen again, whatever dies now. */
int spool_done(struct spool *spool, size_t count);

/* Empties the files, when nothing waits and nobody else has the inbox open. */
int spool_reset(struct spool *spool);

/* Since the spool was made. */
uint64_t spool_delivered(const struct spool *spool);
uint64_t spool_dropped(const struct spool *spool);

#endif
