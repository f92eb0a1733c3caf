/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capfile: reads capture files, pcap (both byte orders, microseconds and nanoseconds) and pcapng, many packets
 * at a time, in place in its buffer. Whoever wrote the file may be hostile. What a file says of itself
 * wrongly ends the reading with a reason; what was read before counts.
 */
#ifndef CORDON_MONITOR_CAPFILE_H
#define CORDON_MONITOR_CAPFILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CAPFILE_PACKET_MAX = 262144, CAPFILE_WHY_MAX = 128 };

struct capfile_packet {
	const uint8_t *bytes; /* `captured` of `wire` */
	uint32_t captured, wire;
	uint64_t unix_ns;
	int linktype; /* LINKTYPE_*, tcpdump.org/linktypes.html */
};

/* As read(2): the file's next bytes, 0 at its end, or -1 with errno. */
typedef ssize_t capfile_read_fn(void *data, void *to, size_t size);

struct capfile;

/* Reads the file's first bytes. 0, or a negative errno with a reason of no more than one sentence's
 * middle in `why`: -EPROTO when it's no capture, -ENOMEM. About 1 MiB. */
int capfile_open(struct capfile **out, capfile_read_fn *read, void *data,
                 char why[CAPFILE_WHY_MAX]);
void capfile_close(struct capfile *file);

/* Up to `max` packets, valid until the next call. 0 at the end; -ENODATA when the file is cut short, -EPROTO
 * when it's broken, or the read's error, each with a reason in `why`, and again at every later call. */
int capfile_next(struct capfile *file, struct capfile_packet *packets, size_t max,
                 char why[CAPFILE_WHY_MAX]);

/* Bytes of the file that were read. */
uint64_t capfile_position(const struct capfile *file);

#endif
