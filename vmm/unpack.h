/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unpack: the compressions that Linux kernels come in. */
#ifndef CORDON_VMM_UNPACK_H
#define CORDON_VMM_UNPACK_H

#include <stddef.h>
#include <stdint.h>

enum { UNPACK_MAX = 512 * 1024 * 1024 }; /* bytes that come out, at most */

/* Where it goes. `write` returns 0 or a negative errno, which ends the unpacking. */
struct unpack_sink {
	int (*write)(void *self, const void *data, size_t size);
	void *self;
	uint64_t written;
};

/*
 * Unpacks one stream of gzip, xz, zstd or lz4 (legacy frame) at the start of data[size]; what follows
 * the stream is ignored. 0; -ENOEXEC when it is none of these; another negative errno. One sentence in
 * why[160].
 */
int unpack(const uint8_t *data, size_t size, struct unpack_sink *sink, char *why);

/* unpack_lz4.c: the legacy frame alone, after its magic number. */
int unpack_lz4(const uint8_t *data, size_t size, struct unpack_sink *sink);
/* One block: the number of bytes that came out, or -EILSEQ. Reads and writes inside its buffers only. */
int64_t unpack_lz4_block(const uint8_t *data, size_t size, uint8_t *out, size_t room);
int unpack_emit(struct unpack_sink *sink, const void *data, size_t size);

#endif
