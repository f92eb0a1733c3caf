/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * app: which application a flow seems to be, by the first bytes of both its sides: a hint, as either end may
 * say what it likes. By the port nothing is guessed, so that a protocol on an uncommon port is seen as what it is.
 */
#ifndef CORDON_BPF_APP_H
#define CORDON_BPF_APP_H

#include "bpf/events.h"

/* A name as in ECS's network.protocol ("tls", "ssh"), a static string; NULL when the bytes say nothing. */
const char *flow_app(const struct flow_record *record);

#endif
