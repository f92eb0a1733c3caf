/* SPDX-License-Identifier: GPL-2.0-or-later */
/* console: the other side of the serial port: log file, console clients, standard input and output. */
#ifndef CORDON_VMM_CONSOLE_H
#define CORDON_VMM_CONSOLE_H

#include "vmm/machine.h"
#include "vmm/serial.h"

enum { CONSOLE_CLIENTS_MAX = 4, CONSOLE_OUTPUT_MAX = 4096 };

struct console_fds {
	int listener; /* listening stream socket, or -1 */
	int log;      /* file to read and append to, or -1 */
	int old;      /* file that gets what the log has when it is full, or -1 */
	bool stdio;
};

struct console_client {
	struct console *console;
	int fd; /* -1: free */
};

struct console {
	struct machine *machine;
	struct console_fds fds;
	struct serial serial;
	uint64_t logged; /* bytes that the log holds */
	bool paused;     /* the guest does not read: nor do we */
	bool stdin_open;
	struct console_client clients[CONSOLE_CLIENTS_MAX];
	int flush; /* eventfd: there is output */
	size_t pending;
	uint8_t output[CONSOLE_OUTPUT_MAX];
};

/* Puts the serial port on the port bus and watches the fds. 0 or a negative errno. */
int console_create(struct console *console, struct machine *m, const struct console_fds *fds);
/* Writes out what is still held. Lock held, or no vCPU running. */
void console_flush(struct console *console);
void console_destroy(struct console *console);

#endif
