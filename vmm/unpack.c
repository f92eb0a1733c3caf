// SPDX-License-Identifier: GPL-2.0-or-later
/* unpack: finds out by the first bytes which compression it is, and runs its library over the stream. */
#include "vmm/unpack.h"

#include <errno.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/base.h"
#include "base/why.h"

enum {
	UNPACK_CHUNK = 64 * 1024,
	UNPACK_GZIP_WINDOW = 15 + 16, /* zlib: the largest window, in a gzip wrapper */
	UNPACK_XZ_MEMORY = 256 << 20,
};

int unpack_emit(struct unpack_sink *sink, const void *data, size_t size)
{
	if (size > UNPACK_MAX - sink->written)
		return -EFBIG;
	sink->written += size;
	return sink->write(sink->self, data, size);
}

static int unpack_gzip(const uint8_t *data, size_t size, struct unpack_sink *sink)
{
	uint8_t *chunk BASE_AUTO_FREE = malloc(UNPACK_CHUNK);
	z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)BASE_MIN(size, UINT32_MAX)};
	int status = Z_OK, error = 0;

	if (!chunk || inflateInit2(&stream, UNPACK_GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	while (!error && status == Z_OK) {
		stream.next_out = chunk;
		stream.avail_out = UNPACK_CHUNK;
		status = inflate(&stream, Z_NO_FLUSH);
		if (status == Z_OK || status == Z_STREAM_END)
			error = unpack_emit(sink, chunk, UNPACK_CHUNK - stream.avail_out);
	}
	inflateEnd(&stream);
	return error || status == Z_STREAM_END ? error : -EILSEQ;
}

static int unpack_xz(const uint8_t *data, size_t size, struct unpack_sink *sink)
{
	uint8_t *chunk BASE_AUTO_FREE = malloc(UNPACK_CHUNK);
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret status = LZMA_OK;
	int error = 0;

	if (!chunk || lzma_stream_decoder(&stream, UNPACK_XZ_MEMORY, 0) != LZMA_OK)
		return -ENOMEM;
	stream.next_in = data;
	stream.avail_in = size;
	while (!error && status == LZMA_OK) {
		stream.next_out = chunk;
		stream.avail_out = UNPACK_CHUNK;
		status = lzma_code(&stream, LZMA_FINISH);
		if (status == LZMA_OK || status == LZMA_STREAM_END)
			error = unpack_emit(sink, chunk, UNPACK_CHUNK - stream.avail_out);
	}
	lzma_end(&stream);
	return error || status == LZMA_STREAM_END ? error : -EILSEQ;
}

static int unpack_zstd(const uint8_t *data, size_t size, struct unpack_sink *sink)
{
	uint8_t *chunk BASE_AUTO_FREE = malloc(UNPACK_CHUNK);
	ZSTD_DCtx *context = ZSTD_createDCtx();
	ZSTD_inBuffer in = {data, size, 0};
	size_t left = 1, before = 0;
	int error = chunk && context ? 0 : -ENOMEM;

	while (!error && left != 0) {
		ZSTD_outBuffer out = {chunk, UNPACK_CHUNK, 0};

		before = in.pos;
		left = ZSTD_decompressStream(context, &out, &in);
		if (ZSTD_isError(left) || (left != 0 && out.pos == 0 && in.pos == before))
			error = -EILSEQ; /* broken, or it ends too early */
		else
			error = unpack_emit(sink, chunk, out.pos);
	}
	ZSTD_freeDCtx(context);
	return error;
}

static const struct {
	const char *name;
	uint8_t magic[6];
	size_t magic_size, skip;
	int (*run)(const uint8_t *data, size_t size, struct unpack_sink *sink);
} unpack_formats[] = {
        {"gzip", {0x1f, 0x8b, 0x08}, 3, 0, unpack_gzip},
        {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, 0, unpack_xz},
        {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, 0, unpack_zstd},
        {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, 4, unpack_lz4},
};

int unpack(const uint8_t *data, size_t size, struct unpack_sink *sink, char *why)
{
	for (size_t i = 0; i < BASE_COUNT(unpack_formats); i++) {
		size_t skip = unpack_formats[i].skip;
		int error;

		if (size < unpack_formats[i].magic_size ||
		    memcmp(data, unpack_formats[i].magic, unpack_formats[i].magic_size) != 0)
			continue;
		error = unpack_formats[i].run(data + skip, size - skip, sink);
		if (error == -EFBIG)
			return why_set(why, error, "the kernel unpacks to more than %d MiB",
			               UNPACK_MAX >> 20);
		if (error)
			return why_set(why, error, "the kernel's %s payload cannot be unpacked: %s",
			               unpack_formats[i].name, strerror(-error));
		return 0;
	}
	return why_set(why, -ENOEXEC, "the kernel's payload is not gzip, xz, zstd or lz4");
}
