/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sinks without an address: a file, a unix socket, standard output. An alert is a line.
 *
 * A file is appended to, in one write a batch; what a full disk cut short is cut off again, so that no
 * line is ever half there. A courier that was killed between the write and the spool's note of it
 * finds the file's last line among what waits, and goes on behind it: no line is there twice. Before each
 * batch it looks whether its file is still the one at the path, and opens it anew when somebody has
 * renamed it; when it has grown beyond its limit it is rotated, by renames, so that a reader that follows
 * the path (`tail -F`, a shipper) misses nothing.
 *
 * A unix socket tells when its reader has taken all (SIOCOUTQ is 0), so one alert is in flight at a time, and
 * only it may come twice, to a reader that died with it. Standard output tells nothing.
 *
 * #syscall courier: recvmsg - what the opener hands over
 */
#include "monitor/courier.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/base.h"

enum { LOCAL_BATCH = 128, LOCAL_BYTES = 4 * (SPOOL_TEXT_MAX + 1), LOCAL_TAKE_MS = 20 };

struct local {
	int file;
	uint64_t size; /* of the file */
	bool fresh;    /* it may hold lines that the spool does not know to be there */
	char lines[LOCAL_BYTES];
};

/* The next lines, as many as fit; how many. */
static size_t local_gather(struct courier *courier, size_t *size)
{
	struct local *local = courier->state;
	size_t count = 0;

	*size = 0;
	while (count < LOCAL_BATCH && count < spool_count(courier->spool)) {
		ssize_t n = spool_read(courier->spool, count, courier->text);

		if (n < 0 || *size + (size_t)n + 1 > LOCAL_BYTES)
			break;
		memcpy(local->lines + *size, courier->text, (size_t)n);
		*size += (size_t)n;
		local->lines[(*size)++] = '\n';
		count++;
	}
	return count;
}

/* Who opens things is gone: so is this one, and another courier has one of its own. */
static int local_ask(struct courier *courier, enum courier_request request)
{
	int fd = courier_opener_ask(request);

	courier->over = fd == -EPIPE;
	return fd;
}

/* --- a file --- */

static int file_prepare(struct courier *courier, char why[COURIER_WHY_MAX])
{
	struct local *local = calloc(1, sizeof(*local));
	int err;

	if (!local)
		return -ENOMEM;
	courier->state = local;
	err = courier_opener_start(courier);
	local->file = err ? err : courier_opener_ask(COURIER_OPEN);
	/* its number may be one that the role closes */
	if (local->file >= 0)
		close(local->file);
	if (local->file < 0)
		snprintf(why, COURIER_WHY_MAX, "cannot append to %.400s: %s", courier->sink.target,
		         strerror(-local->file));
	err = BASE_MIN(local->file, 0);
	local->file = -1;
	return err;
}

static int file_take(struct local *local, int fd)
{
	struct stat facts;

	if (fd < 0)
		return fd;
	base_close(&local->file);
	local->file = fd;
	if (fstat(fd, &facts) < 0)
		return -errno;
	local->size = (uint64_t)facts.st_size;
	local->fresh = true;
	return 0;
}

/* The one at the path, and not beyond its limit. */
static int file_ready(struct courier *courier)
{
	struct local *local = courier->state;
	int fd = local_ask(courier, local->file < 0 ? COURIER_OPEN : COURIER_REOPEN);
	int err = fd == -EALREADY ? 0 : file_take(local, fd);
	struct stat facts;

	if (err || fstat(local->file, &facts) < 0)
		return err ? err : -errno;
	local->size = (uint64_t)facts.st_size; /* others may append, or cut it */
	if (courier->sink.rotate && local->size >= courier->sink.rotate)
		return file_take(local, local_ask(courier, COURIER_ROTATE));
	return 0;
}

/* How many of what waits are in the file: its last line is one of them. */
static size_t file_there(struct courier *courier)
{
	struct local *local = courier->state;
	size_t size = (size_t)BASE_MIN(local->size, (uint64_t)SPOOL_TEXT_MAX + 1);
	char *line = local->lines;

	if (size < 2 || base_read_at(local->file, line, size, local->size - size) < 0 ||
	    line[size - 1] != '\n')
		return 0;
	for (char *end = memchr(line, '\n', size - 1); end; end = memchr(line, '\n', size - 1)) {
		size -= (size_t)(end + 1 - line);
		line = end + 1;
	}
	for (size_t i = 0; i < LOCAL_BATCH && i < spool_count(courier->spool); i++) {
		ssize_t n = spool_read(courier->spool, i, courier->text);

		if (n == (ssize_t)size - 1 && memcmp(courier->text, line, (size_t)n) == 0)
			return i + 1;
	}
	return 0;
}

static int file_append(struct local *local, size_t size)
{
	ssize_t n = write(local->file, local->lines, size);
	int err = n < 0 ? -errno : (size_t)n < size ? -ENOSPC : 0;

	if (n > 0 && err && ftruncate(local->file, (off_t)local->size) < 0)
		return -errno;
	return err;
}

static int file_deliver(struct courier *courier)
{
	struct local *local = courier->state;
	size_t size, count;
	int err;

	if (spool_count(courier->spool) == 0)
		return 0;
	err = file_ready(courier);
	if (err)
		return err;
	if (local->fresh) {
		local->fresh = false;
		count = file_there(courier);
		if (count > 0)
			return spool_done(courier->spool, count);
	}
	count = local_gather(courier, &size);
	err = file_append(local, size);
	if (!err && courier->sink.sync && fdatasync(local->file) < 0)
		err = -errno;
	return err ? err : spool_done(courier->spool, count);
}

static void file_close(struct courier *courier)
{
	struct local *local = courier->state;

	base_close(&local->file);
}

const struct carrier courier_files = {
        .prepare = file_prepare,
        .deliver = file_deliver,
        .close = file_close,
};

/* --- a socket --- */

static int unix_prepare(struct courier *courier, char why[COURIER_WHY_MAX])
{
	(void)why;
	courier->state = calloc(1, sizeof(struct local));
	return courier->state ? courier_opener_start(courier) : -ENOMEM;
}

static void unix_close(struct courier *courier)
{
	courier->in_flight = 0;
	base_close(&courier->socket);
}

/* Waits a little for the reader to take what is on its way. */
static int unix_confirm(struct courier *courier)
{
	struct pollfd gone = {.fd = courier->socket, .events = POLLRDHUP};
	const int64_t until = courier_now_ms() + LOCAL_TAKE_MS;
	int waiting = 0;

	do {
		if (ioctl(courier->socket, SIOCOUTQ, &waiting) < 0)
			return -errno;
		if (waiting == 0) {
			courier->in_flight = 0;
			return spool_done(courier->spool, 1);
		}
		if (poll(&gone, 1, 1) > 0)
			return -ECONNRESET;
	} while (courier_now_ms() < until);
	return 0;
}

static int unix_send(struct courier *courier)
{
	struct local *local = courier->state;
	ssize_t size = spool_read(courier->spool, 0, local->lines);
	size_t sent = 0;

	if (size < 0)
		return (int)size;
	local->lines[size++] = '\n';
	while (sent < (size_t)size) {
		ssize_t n = send(courier->socket, local->lines + sent, (size_t)size - sent,
		                 MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		sent += (size_t)n;
	}
	courier->in_flight = 1;
	return 0;
}

static int unix_deliver(struct courier *courier)
{
	struct pollfd gone = {.events = POLLRDHUP};
	char ignored[4096];
	int err = 0;

	if (spool_count(courier->spool) == 0 && courier->socket < 0)
		return 0;
	if (courier->socket < 0)
		courier->socket = local_ask(courier, COURIER_CONNECT);
	if (courier->socket < 0)
		return courier->socket;
	gone.fd = courier->socket;
	if (poll(&gone, 1, 0) > 0)
		return -ECONNRESET;
	/* a reader has nothing to say */
	while (recv(courier->socket, ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
		continue;
	if (courier->in_flight)
		err = unix_confirm(courier);
	while (!err && !courier->in_flight && spool_count(courier->spool) > 0) {
		err = unix_send(courier);
		if (!err)
			err = unix_confirm(courier);
	}
	return err;
}

const struct carrier courier_socket = {
        .prepare = unix_prepare,
        .deliver = unix_deliver,
        .close = unix_close,
};

/* --- standard output --- */

static int stdout_prepare(struct courier *courier, char why[COURIER_WHY_MAX])
{
	(void)why;
	courier->state = calloc(1, sizeof(struct local));
	return courier->state ? 0 : -ENOMEM;
}

/* Whoever had it is gone: the next one who starts a courier has another. */
static int stdout_deliver(struct courier *courier)
{
	struct local *local = courier->state;
	size_t size, count;
	int err = 0;

	while (!err && (count = local_gather(courier, &size)) > 0) {
		err = base_write_all(STDOUT_FILENO, local->lines, size);
		if (!err)
			err = spool_done(courier->spool, count);
	}
	courier->over = err == -EPIPE || err == -EIO;
	return err;
}

static void stdout_close(struct courier *courier)
{
	(void)courier;
}

const struct carrier courier_stdout = {
        .prepare = stdout_prepare,
        .deliver = stdout_deliver,
        .close = stdout_close,
};
