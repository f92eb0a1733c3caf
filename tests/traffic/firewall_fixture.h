/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the firewall's traffic tests share: the namespaces, a firewall in the host's, two VMs. */
#ifndef CORDON_TESTS_FIREWALL_FIXTURE_H
#define CORDON_TESTS_FIREWALL_FIXTURE_H

#include "firewall/firewall.h"
#include "tests/traffic/net.h"

enum { WAIT = 5000, SHORT = 300, ALLOWED_PORT = 8080, DENIED_PORT = 8081 };

struct fixture {
	struct net net;
	struct firewall *fw;
	struct policy *policies[NET_GUESTS]; /* vm0 and vm1: allow nothing yet */
	struct firewall_nic nics[NET_GUESTS];
	int listeners[2]; /* in the world, IPv4, on ALLOWED_PORT and DENIED_PORT */
};
extern struct fixture fixture;

void fixture_open(void);
void fixture_close(void);
/* Adds a rule to VM i's policy: to or from `cidr` (NULL: any), one port (0: all). Returns the rule. */
struct policy_rule *fixture_rule(int i, bool ingress, enum policy_action action,
                                 enum policy_proto proto, const char *cidr, uint16_t port);
/* Loads VM i's rules; the test fails with the kernel's words otherwise. */
void fixture_apply(int i);
/* The same, then sets the tap up. */
void fixture_start(int i);
/* Packets that the counter has seen; 0 when there is none of the name. */
uint64_t fixture_packets(int i, const char *what);
/* Waits until the counter has seen at least `packets`. */
bool fixture_counts(int i, const char *what, uint64_t packets);

#endif
