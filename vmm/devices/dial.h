/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dial: what cordon-vsock, which reads what a guest wrote, asks of cordon-dial, which can connect: a port
 * number, and nothing else. Over a SOCK_SEQPACKET socket pair; a connected socket comes with each answer
 * whose error is 0.
 */
#ifndef CORDON_VMM_DEVICES_DIAL_H
#define CORDON_VMM_DEVICES_DIAL_H

#include <stdint.h>

struct dial_request {
	uint32_t id; /* the asker's own; it comes back */
	uint32_t port;
};

struct dial_answer {
	uint32_t id;
	int32_t error; /* negative errno; -EACCES: the port is not in the list */
};

#endif
