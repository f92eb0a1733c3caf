/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory: where a guest's RAM comes from: the memfd, its huge pages, its NUMA node. */
#ifndef CORDON_MEMORY_H
#define CORDON_MEMORY_H

#include "cordon/host.h"

#define MEMORY_NODES "/sys/devices/system/node"
enum { MEMORY_CPULIST_MAX = 1024 };

/*
 * The NUMA node that the policy means: -1 when it means none. `folder` is the kernel's (MEMORY_NODES; a test
 * has its own). Negative errno below -1 with the sentence in *error, when there is no such node, or when
 * the CPUs are not of one.
 */
int memory_node(const struct policy_isolation *isolation, const char *folder,
                struct host_error *error);

/* The node's CPUs as a list ("0-3,8"), or "". */
void memory_node_cpus(const char *folder, int node, char list[MEMORY_CPULIST_MAX]);

/*
 * Guest RAM: a memfd that nobody can resize any more, so that no mapping of it can ever fault. Huge pages are
 * reserved for it here. An fd, or a negative errno with the sentence in *error.
 */
int memory_open(const struct policy *policy, struct host_error *error);

#endif
