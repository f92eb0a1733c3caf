/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tap as a port of a bridge that the host has. The bridge learns nothing from it: the guest's one MAC is
 * entered for it, and no other can come from it (netdev ingress). It gets no frame for a MAC that nobody
 * knows, no BPDU of its is taken, and it is isolated: ports that are isolated do not see each other at
 * all, so guests on one bridge are as apart as on taps of their own, until the policy speaks of VMs.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/base.h"
#include "cordon/host.h"
#include "cordon/netlink.h"

static bool bridge_speaks_of_vms(const struct policy *policy, const struct policy_rule *rules,
                                 size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < rules[i].peers.count; k++) {
			enum policy_peer_kind kind = policy->peers[rules[i].peers.first + k].kind;

			if (rules[i].action == POLICY_ALLOW &&
			    (kind == POLICY_PEER_VMS || kind == POLICY_PEER_VM ||
			     kind == POLICY_PEER_GROUP))
				return true;
		}
	return false;
}

bool network_bridge_isolated(const struct policy *policy)
{
	const struct policy_firewall *firewall = &policy->firewall;

	return !bridge_speaks_of_vms(policy, firewall->egress, firewall->egress_count) &&
	       !bridge_speaks_of_vms(policy, firewall->ingress, firewall->ingress_count);
}

/* By its driver's name, as ethtool(8) has it: that needs no file system of the right namespace. */
unsigned int network_bridge_find(const char *name)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&driver};
	BASE_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	base_copy_string(request.ifr_name, sizeof(request.ifr_name), name);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0 || strcmp(driver.driver, "bridge") != 0)
		return 0;
	return if_nametoindex(name);
}

void network_bridge_read(struct policy_nic *nic, const char *bridge, const char *ip4,
                         const char *ip6)
{
	if (bridge)
		base_copy_string(nic->bridge, sizeof(nic->bridge), bridge);
	if (ip4)
		inet_pton(AF_INET, ip4, nic->ip4);
	if (ip6)
		inet_pton(AF_INET6, ip6, nic->ip6);
}

static int bridge_enslave(unsigned int ifindex, unsigned int bridge)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = netlink_link(buffer, ifindex, RTM_NEWLINK, AF_UNSPEC);

	mnl_attr_put_u32(message, IFLA_MASTER, bridge);
	return netlink_request(message);
}

int network_bridge_port(unsigned int ifindex, bool isolated)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = netlink_link(buffer, ifindex, RTM_SETLINK, AF_BRIDGE);
	struct nlattr *port = mnl_attr_nest_start(message, IFLA_PROTINFO | NLA_F_NESTED);

	mnl_attr_put_u8(message, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_put_u8(message, IFLA_BRPORT_UNICAST_FLOOD, 0);
	mnl_attr_put_u8(message, IFLA_BRPORT_GUARD, 1);
	mnl_attr_put_u8(message, IFLA_BRPORT_ISOLATED, isolated);
	mnl_attr_nest_end(message, port);
	return netlink_request(message);
}

static int bridge_address(unsigned int ifindex, const uint8_t mac[6])
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *entry;

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	entry = mnl_nlmsg_put_extra_header(message, sizeof(*entry));
	entry->ndm_family = AF_BRIDGE;
	entry->ndm_ifindex = (int)ifindex;
	entry->ndm_state = NUD_NOARP;
	entry->ndm_flags = NTF_MASTER;
	mnl_attr_put(message, NDA_LLADDR, 6, mac);
	return netlink_request(message);
}

int network_bridge_join(const struct firewall_nic *nic, unsigned int ifindex, bool isolated,
                        struct host_error *error)
{
	unsigned int bridge = network_bridge_find(nic->bridge);
	int err = bridge ? bridge_enslave(ifindex, bridge) : -ENODEV;

	if (!err)
		err = network_bridge_port(ifindex, isolated);
	if (!err)
		err = bridge_address(ifindex, nic->mac);
	if (err)
		return host_fail(error, err, 126, "cannot make %s a port of the bridge %s: %s",
		                 nic->tap, nic->bridge, strerror(-err));
	return 0;
}
