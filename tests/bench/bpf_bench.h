/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bpf_bench: what bpf.c and bpf_veth.c share. */
#ifndef CORDON_TESTS_BENCH_BPF_H
#define CORDON_TESTS_BENCH_BPF_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/tap.h"

struct figures {
	char json[4096]; /* objects of the list, with commas between them */
	size_t size;
};

/* Prints and adds what a packet costs beyond the empty program, in ns, and its ratio to what LRU_HASH costs. */
void figures_cost(struct figures *figures, const char *name, int empty, int least, int cordon,
                  double ratio);
/* Adds one figure without a peer. */
void figures_add(struct figures *figures, const char *name, double value, const char *unit);

/* Sends packets of so many flows through a veth pair, whose far end has one of the programs at a time. 0 or a
 * negative errno. */
int veth_measure(struct tap_watch *watch, int empty, int least, uint32_t flows,
                 struct figures *figures);

#endif
