/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests of couriers share: a folder with spools, one receiver that is started, killed and started again, and
 * what has arrived at it, in the file "out".
 */
#ifndef CORDON_RECEIVERS_FIXTURE_H
#define CORDON_RECEIVERS_FIXTURE_H

#include <check.h>
#include <stdbool.h>
#include <sys/types.h>

#include "policies/policies.h"

enum { RECEIVERS_ALERTS = 1000, RECEIVERS_WAIT_MS = 60000, RECEIVERS_SKIP = 77 };

extern struct receivers {
	char folder[64];
	uint16_t port;
	pid_t pid; /* of the receiver; 0: none runs */
} receivers;

pid_t receivers_run(const char *const *argv);
int receivers_run_wait(const char *const *argv);
void receivers_shell(const char *command);
uint16_t receivers_port(int type);
const char *receivers_content(const char *path);
bool receivers_wait(const char *path, const char *what);
void receivers_setup(void);
void receivers_kill(int signal_number);
/* A courier that runs; 0: none does. */
pid_t receivers_courier(void);
void receivers_courier_kill(void);
void receivers_teardown(void);
void receivers_certificates(void);
struct policy_sink receivers_sink(enum policy_sink_type type);
void receivers_tls(struct policy_sink *sink, const char *client, const char *peer);
int receivers_open(const struct policy_sink *sink);
void receivers_append(int inbox, unsigned int from, unsigned int to);
void receivers_arrived(void);
void receivers_outage(const struct policy_sink *sink, void (*start)(void), int signal_number);
/* The receiver stays away for as many seconds as CORDON_AWAY says, if it does (`./dev soak receivers`); and what came of it
 * is printed then. */
void receivers_away(void);
void receivers_tell(const struct policy_sink *sink, unsigned int count, const char *of);
/* Until the couriers' one spool says that so many are delivered. */
void receivers_delivered(uint64_t count);
/* Runs the suite, unless it cannot be here; what main() returns. */
int receivers_main(const char *name, Suite *suite);

#endif
