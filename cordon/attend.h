/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attend: cordon-serve, which is cordon-keeper's file by another name. Where no daemon runs, each VM has one:
 *
 *   cordon-serve NAME KEEPER-PIDFD MONITOR-FD CORDON
 *
 * It sleeps until the VM's keeper ends, or an alert asks for something, or the monitor dies; MONITOR-FD is a
 * connection that has subscribed to actions; -1 where one is still to be had; `-` where there is nothing to watch.
 */
#ifndef CORDON_ATTEND_H
#define CORDON_ATTEND_H

/* What `cordon attend WHAT` is asked for; fd 0 is the socket or the pipe that goes with it. */
#define ATTEND_JOIN \
	"join" /* see that a monitor runs; a subscribed connection to it goes over the socket */
#define ATTEND_ACT   "act"   /* do what the struct monitor_answer in the pipe asks for */
#define ATTEND_STALE "stale" /* remove what keepers that were killed have left */

/* Returns the exit status, when the keeper has ended. */
int attend_main(int argc, char **argv);

#endif
