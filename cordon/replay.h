/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay: the flows of captures, and what the rules of a policy would have said of them. */
#ifndef CORDON_REPLAY_H
#define CORDON_REPLAY_H

#include <jansson.h>

#include "firewall/firewall.h"

/*
 * Has cordon-analyze read captures, in its sandbox: `arguments` are its options and files, NULL-terminated. Each flow is
 * given to `each` as an ECS object. The exit status of the command.
 */
int replay_flows(const char *const *arguments, void (*each)(const json_t *flow, void *data),
                 void *data);

/*
 * What the policy says of the connection that the flow is: 0, -ENOENT where the rules have no say (ARP), or an error of
 * firewall_judge(). The address of the flow's guest is taken for the policy's own. Names in rules stand for nothing here.
 */
int replay_judge(const struct policy *policy, const json_t *flow, struct firewall_verdict *verdict);

#endif
