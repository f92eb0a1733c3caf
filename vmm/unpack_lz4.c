// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * unpack_lz4: the "legacy frame" that the kernel's build makes with `lz4 -l` (lz4's
 * doc/lz4_Frame_format.md, "Legacy frame"): blocks of at most 8 MiB, each after its compressed size,
 * and in kernels the size of the whole after the last of them. A block (doc/lz4_Block_format.md) is a
 * run of sequences: a token, literals, and a match in what came before.
 *
 * Written here and not taken from liblz4: it is one page, and each of its bounds can be seen.
 */
#include <errno.h>

#include "base/base.h"
#include "vmm/unpack.h"

enum {
	LZ4_BLOCK_MAX = 8 << 20,
	LZ4_MATCH_MIN = 4,
	LZ4_LENGTH_MORE = 15,
};

struct lz4_input {
	const uint8_t *at, *end;
};

/* A length whose nibble was 15 goes on in bytes, up to the first that is not 255. */
static bool lz4_length(struct lz4_input *in, size_t *length)
{
	uint8_t byte;

	if (*length != LZ4_LENGTH_MORE)
		return true;
	do {
		if (in->at == in->end || *length > LZ4_BLOCK_MAX)
			return false;
		byte = *in->at++;
		*length += byte;
	} while (byte == 255);
	return true;
}

int64_t unpack_lz4_block(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
	struct lz4_input in = {data, data + size};
	size_t used = 0;

	while (in.at < in.end) {
		uint8_t token = *in.at++;
		size_t literals = token >> 4, match = token & 15, distance;

		if (!lz4_length(&in, &literals) || literals > (size_t)(in.end - in.at) ||
		    literals > room - used)
			return -EILSEQ;
		memcpy(out + used, in.at, literals);
		used += literals;
		in.at += literals;
		if (in.at == in.end)
			return (int64_t)used; /* the last sequence has no match */
		if (in.end - in.at < 2)
			return -EILSEQ;
		distance = base_le16(in.at);
		in.at += 2;
		if (!lz4_length(&in, &match))
			return -EILSEQ;
		match += LZ4_MATCH_MIN;
		if (distance == 0 || distance > used || match > room - used)
			return -EILSEQ;
		for (; match > 0; match--, used++) /* may overlap itself: byte by byte */
			out[used] = out[used - distance];
	}
	return -EILSEQ;
}

int unpack_lz4(const uint8_t *data, size_t size, struct unpack_sink *sink)
{
	uint8_t *out BASE_AUTO_FREE = malloc(LZ4_BLOCK_MAX);

	if (!out)
		return -ENOMEM;
	while (size > 4) { /* four bytes are left: the size of the whole */
		uint32_t block = base_le32(data);
		int64_t length;
		int error;

		if (block > size - 4)
			return -EILSEQ;
		length = unpack_lz4_block(data + 4, block, out, LZ4_BLOCK_MAX);
		error = length < 0 ? (int)length : unpack_emit(sink, out, (size_t)length);
		if (error)
			return error;
		data += 4 + (size_t)block;
		size -= 4 + (size_t)block;
	}
	return 0;
}
