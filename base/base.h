/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * base: the few helpers that every room uses. Header only, no state, no policy: scope cleanup,
 * whole reads and writes, and unaligned little- and big-endian access.
 */
#ifndef CORDON_BASE_H
#define CORDON_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BASE_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define BASE_MAX(a, b)    ((a) > (b) ? (a) : (b))

#define BASE_CLEANUP(fn)       __attribute__((cleanup(fn)))
#define BASE_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))

static inline void base_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
static inline void base_free(void *pointer)
{
	free(*(void **)pointer);
}
static inline void base_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}
/* int fd BASE_AUTO_FD = -1; closed when the scope ends, errno untouched by a negative one. */
#define BASE_AUTO_FD   BASE_CLEANUP(base_close)
#define BASE_AUTO_FREE BASE_CLEANUP(base_free)
#define BASE_AUTO_FILE BASE_CLEANUP(base_fclose)

/* Gives the fd away: returns it and leaves -1, so that BASE_AUTO_FD does not close it. */
static inline int base_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Writes all of it. 0 or a negative errno. */
static inline int base_write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Reads `size` bytes at `offset`. 0, -ENODATA when the file ends before, or a negative errno. */
static inline int base_read_at(int fd, void *data, size_t size, uint64_t offset)
{
	char *to = data;

	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -ENODATA;
	while (size > 0) {
		ssize_t n = pread(fd, to, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		to += n;
		offset += (size_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* Copies a string into a field of `size` bytes, always terminated. -ENAMETOOLONG when it was cut. */
static inline int base_copy_string(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
	return from[length] ? -ENAMETOOLONG : 0;
}

static inline uint16_t base_be16(const void *at)
{
	const uint8_t *b = at;

	return (uint16_t)(b[0] << 8 | b[1]);
}
static inline uint32_t base_be32(const void *at)
{
	const uint8_t *b = at;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline uint16_t base_le16(const void *at)
{
	const uint8_t *b = at;

	return (uint16_t)(b[1] << 8 | b[0]);
}
static inline uint32_t base_le32(const void *at)
{
	const uint8_t *b = at;

	return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}
static inline uint64_t base_le64(const void *at)
{
	return (uint64_t)base_le32((const uint8_t *)at + 4) << 32 | base_le32(at);
}

#endif
