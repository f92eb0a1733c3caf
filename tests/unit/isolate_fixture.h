/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of isolate share: a probe in a role, and what /proc says of a process. */
#ifndef CORDON_ISOLATE_FIXTURE_H
#define CORDON_ISOLATE_FIXTURE_H

#include "base/base.h"
#include "isolate/isolate.h"

#include <check.h>

enum { FIXTURE_UID = 2000000007, FIXTURE_GID = 2000000008, FIXTURE_SKIP = 77 };

struct fixture_probe {
	pid_t pid;
	int in;          /* the write end of its fd 0: closed, it ends */
	int out;         /* the read end of its fd 1 */
	char said[4096]; /* by its fd 1, up to `locked` */
};

/* An fd of tests/unit/isolate_probe.c. */
int fixture_open_probe(void);

/* A process that would start well: the probe, with no fds. */
struct isolate_process fixture_process(void);

/* Starts the probe as `process` says, with pipes on 0 and 1 too, and reads what it says. */
void fixture_start(struct fixture_probe *probe, const struct isolate_process *process,
                   const char *mode);
void fixture_read(struct fixture_probe *probe);
/* Lets it end; its wait status. */
int fixture_finish(struct fixture_probe *probe);
/* The number that it said after `name=`. */
long fixture_said(const struct fixture_probe *probe, const char *name);

/* Fails unless what /proc/PID/FILE has after `label` is `expected`. */
void fixture_expect(pid_t pid, const char *file, const char *label, const char *expected);
/* Fails unless it has FIXTURE_UID, no privileges, and a list. */
void fixture_expect_role(pid_t pid);
/* Entries of /proc/PID/NAME but "." and "..". */
long fixture_count(pid_t pid, const char *name);

/* Runs the tests; main()'s status. needs_root: skips when it is not. */
int fixture_run(Suite *suite, bool needs_root);

#endif
