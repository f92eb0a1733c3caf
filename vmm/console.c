// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * console: bytes from the guest are gathered in a small buffer, so that a line costs one write and
 * not one per byte; the event loop writes it out, or the vCPU when the buffer is full. A log that is
 * full becomes the old one, and another is begun: the end of what a guest said is what matters; a client that does not read is dropped; only --stdio may block, as a person's flow control.
 * Bytes for the guest are read only while the serial port has room for them.
 */
#include "vmm/console.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"
#include "vmm/vm.h"

static const char console_log_begun[] = "[cordon: the serial log was full, and is begun anew; the "
                                        "last of it is in its .1 file]\r\n";
static const char console_log_lost[] =
        "[cordon: the serial log was full, and is begun anew; what it had is gone]\r\n";

static void console_watch_inputs(struct console *console);

static void console_drop(struct console_client *client)
{
	machine_unwatch(client->console->machine, client->fd);
	base_close(&client->fd);
}

/* #syscall vmm: pread64 - what the full serial log has */
/* #syscall vmm: ftruncate - a full serial log is begun anew */
/* Makes the log the old one. 0 or a negative errno. */
static int console_rotate(struct console *console)
{
	const char *note = console->fds.old >= 0 ? console_log_begun : console_log_lost;
	uint8_t data[CONSOLE_OUTPUT_MAX];
	uint64_t at = 0;
	int error = 0;

	if (console->fds.old >= 0 && ftruncate(console->fds.old, 0) < 0)
		return -errno;
	while (!error && console->fds.old >= 0 && at < console->logged) {
		size_t size = BASE_MIN(sizeof(data), console->logged - at);

		error = base_read_at(console->fds.log, data, size, at);
		if (!error)
			error = base_write_all(console->fds.old, data, size);
		at += size;
	}
	if (error)
		return error;
	if (ftruncate(console->fds.log, 0) < 0)
		return -errno;
	console->logged = strlen(note);
	machine_log(console->machine, "the serial log was full, and is begun anew");
	return base_write_all(console->fds.log, note, console->logged);
}

static void console_write_log(struct console *console, size_t size)
{
	int error = 0;

	if (console->fds.log < 0)
		return;
	if (console->logged + size > VMM_SERIAL_LOG_MAX)
		error = console_rotate(console);
	if (!error)
		error = base_write_all(console->fds.log, console->output, size);
	console->logged += size;
	if (error) {
		machine_log(console->machine, "the serial log cannot be written: %s",
		            strerror(-error));
		console->fds.log = -1;
	}
}

/* #syscall vmm: sendto - the serial port's output to console clients, and control messages */
void console_flush(struct console *console)
{
	size_t size = console->pending;

	if (size == 0)
		return;
	console->pending = 0;
	console_write_log(console, size);
	if (console->fds.stdio && base_write_all(STDOUT_FILENO, console->output, size) < 0)
		console->fds.stdio = false;
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *client = &console->clients[i];

		if (client->fd >= 0 && send(client->fd, console->output, size,
		                            MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size)
			console_drop(client);
	}
}

static void console_transmit(void *self, uint8_t byte)
{
	struct console *console = self;
	uint64_t one = 1;

	console->output[console->pending++] = byte;
	if (console->pending == CONSOLE_OUTPUT_MAX)
		console_flush(console);
	else if (console->pending == 1)
		base_write_all(console->flush, &one, sizeof(one));
}

static void console_flush_ready(void *self, uint32_t events)
{
	struct console *console = self;
	uint64_t count;

	(void)events;
	if (read(console->flush, &count, sizeof(count)) > 0)
		console_flush(console);
}

static void console_interrupt(void *self, bool high)
{
	struct console *console = self;

	ioapic_set(&console->machine->ioapic, SERIAL_PIN, high);
}

static void console_drained(void *self)
{
	struct console *console = self;

	if (!console->paused)
		return;
	console->paused = false;
	console_watch_inputs(console);
}

static void console_pause(struct console *console)
{
	console->paused = true;
	machine_unwatch(console->machine, STDIN_FILENO);
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		machine_unwatch(console->machine, console->clients[i].fd);
}

/* Reads what there is room for. False at the end of the input. */
static bool console_read(struct console *console, int fd)
{
	uint8_t data[SERIAL_INPUT_MAX];
	ssize_t size = read(fd, data, serial_room(&console->serial));

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (size <= 0)
		return false;
	serial_receive(&console->serial, data, (size_t)size);
	if (serial_room(&console->serial) == 0)
		console_pause(console);
	return true;
}

static void console_client_ready(void *self, uint32_t events)
{
	struct console_client *client = self;

	(void)events;
	if (!client->console->paused && !console_read(client->console, client->fd))
		console_drop(client);
}

static void console_stdin_ready(void *self, uint32_t events)
{
	struct console *console = self;

	(void)events;
	if (console->paused || console_read(console, STDIN_FILENO))
		return;
	console->stdin_open = false;
	machine_unwatch(console->machine, STDIN_FILENO);
}

static void console_watch_inputs(struct console *console)
{
	/* A regular file or /dev/null cannot be watched (EPERM): there is nobody to type. */
	if (console->stdin_open && machine_watch(console->machine, STDIN_FILENO, EPOLLIN,
	                                         console_stdin_ready, console) < 0)
		console->stdin_open = false;
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *client = &console->clients[i];

		if (client->fd >= 0 && machine_watch(console->machine, client->fd, EPOLLIN,
		                                     console_client_ready, client) < 0)
			base_close(&client->fd);
	}
}

/* #syscall vmm: accept4 - a console or control client comes */
static void console_accept(void *self, uint32_t events)
{
	struct console *console = self;
	int fd = accept4(console->fds.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *client = &console->clients[i];

		if (client->fd >= 0)
			continue;
		client->fd = fd;
		if (!console->paused &&
		    machine_watch(console->machine, fd, EPOLLIN, console_client_ready, client) < 0)
			base_close(&client->fd);
		return;
	}
	close(fd);
}

int console_create(struct console *console, struct machine *m, const struct console_fds *fds)
{
	struct serial_host host = {console_transmit, console_interrupt, console_drained, console};
	struct stat status;
	int error = 0;

	memset(console, 0, sizeof(*console));
	console->machine = m;
	console->fds = *fds;
	console->stdin_open = fds->stdio;
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		console->clients[i] = (struct console_client){console, -1};
	if (fds->log >= 0 && fstat(fds->log, &status) == 0)
		console->logged = (uint64_t)status.st_size;
	serial_init(&console->serial, &host);
	console->flush = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (console->flush < 0)
		return -errno;
	error = machine_watch(m, console->flush, EPOLLIN, console_flush_ready, console);
	if (!error && fds->listener >= 0)
		error = machine_watch(m, fds->listener, EPOLLIN, console_accept, console);
	if (error)
		return error;
	console_watch_inputs(console);
	return machine_io_add(m, MACHINE_PIO, SERIAL_PORT, SERIAL_PORTS, &serial_io,
	                      &console->serial);
}

void console_destroy(struct console *console)
{
	console_flush(console);
	for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (console->clients[i].fd >= 0)
			console_drop(&console->clients[i]);
	machine_unwatch(console->machine, console->flush);
	base_close(&console->flush);
}
