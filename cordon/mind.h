/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mind: cordon-mind, which is cordon-keeper's program by another name: the keeper of a guest that another VMM runs.
 *
 *   cordon-mind NAME IFINDEX TAP MASTER CORDON
 *
 * It has no children to wait for but a tap: when that is gone it becomes `CORDON reap NAME --status 0`, and
 * on SIGTERM (cordon unguard) the same with --asked. When the tap gets another name than TAP, or another master
 * than the interface with the index MASTER (0: none), the rules do not fit any more: it has `CORDON reguard
 * NAME` load others.
 */
#ifndef CORDON_MIND_H
#define CORDON_MIND_H

/* Returns the exit status, if it cannot become what it should. */
int mind_main(int argc, char **argv);

#endif
