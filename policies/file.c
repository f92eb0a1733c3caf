/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a policy's file: at most one byte more than a policy may have, whatever stat() says.
 */
#include <fcntl.h>

#include "policies/internal.h"

ssize_t policy_read_file(const char *path, char **text)
{
	int fd BASE_AUTO_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *buffer BASE_AUTO_FREE = malloc(POLICY_SIZE_MAX + 2);
	size_t used = 0;

	*text = NULL;
	if (fd < 0)
		return -errno;
	if (!buffer)
		return -ENOMEM;
	while (used < POLICY_SIZE_MAX + 1) {
		ssize_t n = read(fd, buffer + used, POLICY_SIZE_MAX + 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	if (used > POLICY_SIZE_MAX)
		return -EFBIG;
	buffer[used] = '\0';
	*text = buffer;
	buffer = NULL;
	return (ssize_t)used;
}
