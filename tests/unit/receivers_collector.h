/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * receivers_collector: a receiver of the tests' own, at receivers.port on the loopback, over what it is told to: what it
 * gets is in "out", of HTTP the bodies. With TLS it wants the courier's certificate, and is siem.test.
 */
#ifndef CORDON_RECEIVERS_COLLECTOR_H
#define CORDON_RECEIVERS_COLLECTOR_H

#include "receivers_fixture.h"

extern struct collector {
	bool v6, datagrams, http, tls;
} collector;

/* For receivers_outage(): as `collector` says. */
void collector_start(void);

/* As receivers_sink(), for a receiver of that kind; `collector` is set to it. */
struct policy_sink collector_sink(enum policy_sink_type type, bool v6);

#endif
