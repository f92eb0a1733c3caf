/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-keeper: the parent of one VM's processes, so that their ends are seen whoever else dies.
 *
 *   cordon-keeper --name NAME --vmm PID --reap CORDON [--status-fd FD] [--record-fd FD]
 *                 [--revive] [ROLE=PID[:FD/TO,...]]... [-- ARGUMENT...]
 *
 * It is executed by the process that started them, which has made itself a subreaper, and has blocked
 * SIGTERM, so that one sent before the keeper waits for it is not lost. For every child
 * that ends it writes one struct keeper_end to each of the two fds: a pipe whose reader may be gone or
 * slow (nothing waits for it), and a file that a later daemon reads. A device's end is no more than that,
 * unless --revive was given: then it executes, as a child and one at a time,
 *
 *   CORDON revive NAME ROLE --pid PID --status W --report FD [--fds FD/TO,...]
 *
 * which may start it again and writes what it started, a struct keeper_revived each, to FD: that role, and others that go
 * with it. The new process is the keeper's child once the helper has ended. The FDs behind a role are held for that, so that a disk stays locked and a tap stays there
 * between two devices; they end with the VM's processes, before anything else of the VM is undone.
 * The vmm's end, or SIGTERM, is the VM's: what is left gets KEEPER_GRACE_MS to end by itself and is
 * then killed, and the keeper becomes `CORDON reap NAME --status W ARGUMENT...`, W being the vmm's
 * wait status, or -1 when it was none of its children.
 */
#ifndef CORDON_KEEPER_H
#define CORDON_KEEPER_H

#include <stdint.h>

enum {
	KEEPER_ROLE_SIZE = 16,
	KEEPER_CHILDREN_MAX = 32,
	KEEPER_GRACE_MS = 200,
};

struct keeper_end {
	int32_t pid;
	int32_t status; /* as wait(2) gives it */
	char role
	        [KEEPER_ROLE_SIZE]; /* "vmm"; the ROLE it was named with; "orphan": a child's child */
};
_Static_assert(sizeof(struct keeper_end) == 24, "written to files and pipes");

/* A new process of a role that the keeper was started with. */
struct keeper_revived {
	int32_t pid;
	char role[KEEPER_ROLE_SIZE];
};

#endif
