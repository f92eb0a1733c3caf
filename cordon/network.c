/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's wire is a tap with a point-to-point address: no L2 is shared, the host has one /32 and one
 * /128 route to each guest and a permanent neighbour entry, so there is nothing for ARP, ND or RA to
 * win. The guest sees a /30 that holds itself (.2) and its gateway (.1), which every DHCP client can do; of IPv6, its
 * one address (by DHCPv6) and a router, fe80::1 (see firewall/router.h).
 *
 * The tap is not persistent: it lives as long as somebody has its fds, which are cordon-net and the VM's
 * keeper (for another cordon-net, should the first one die), and takes its netdev chain, BPF programs,
 * addresses and routes with it.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "cordon/netlink.h"

/* dnsmasq has no capability to bind 53 and 67; the firewall rewrites the ports. */
enum { NETWORK_DHCP_PORT = 1067, NETWORK_DNS_PORT = 1053, NETWORK_FOREIGN_DHCP_PORT = 67 };

void network_plan(uint32_t link, const struct policy_nic *nic, struct firewall_nic *out)
{
	static const uint8_t no_mac[6];
	uint8_t high = (uint8_t)(link >> 8), low = (uint8_t)link;
	uint16_t host = (uint16_t)(link * 4);

	memset(out, 0, sizeof(*out));
	snprintf(out->tap, sizeof(out->tap), "cn%u", link);
	out->mode = nic->mode;
	if (memcmp(nic->mac, no_mac, sizeof(no_mac)) != 0)
		memcpy(out->mac, nic->mac, sizeof(out->mac));
	else
		memcpy(out->mac, (uint8_t[]){0x02, 0xcd, 0, 0, high, low}, 6);
	if (nic->mode == POLICY_NIC_BRIDGE) { /* addresses and their services are the network's */
		base_copy_string(out->bridge, sizeof(out->bridge), nic->bridge);
		memcpy(out->ip4, nic->ip4, sizeof(out->ip4));
		memcpy(out->ip6, nic->ip6, sizeof(out->ip6));
		return;
	}
	memcpy(out->gateway4, (uint8_t[]){10, 77, (uint8_t)(host >> 8), (uint8_t)(host + 1)}, 4);
	memcpy(out->ip4, (uint8_t[]){10, 77, (uint8_t)(host >> 8), (uint8_t)(host + 2)}, 4);
	/* fd77:cd:0:LINK::1 and ::2, from the unique local range (RFC 4193) */
	memcpy(out->gateway6, (uint8_t[16]){0xfd, 0x77, 0, 0xcd, 0, 0, high, low, [15] = 1}, 16);
	memcpy(out->ip6, (uint8_t[16]){0xfd, 0x77, 0, 0xcd, 0, 0, high, low, [15] = 2}, 16);
	out->dhcp_port = NETWORK_DHCP_PORT;
	out->dns_port = NETWORK_DNS_PORT;
}

void network_plan_guard(const char *tap, const char *bridge, const struct policy_nic *nic,
                        struct firewall_nic *out)
{
	memset(out, 0, sizeof(*out));
	base_copy_string(out->tap, sizeof(out->tap), tap);
	base_copy_string(out->bridge, sizeof(out->bridge), bridge);
	out->foreign = true;
	out->mode = bridge[0] ? POLICY_NIC_BRIDGE : POLICY_NIC_ROUTED;
	memcpy(out->mac, nic->mac, sizeof(out->mac));
	memcpy(out->ip4, nic->ip4, sizeof(out->ip4));
	memcpy(out->ip6, nic->ip6, sizeof(out->ip6));
	out->dhcp_port = NETWORK_FOREIGN_DHCP_PORT;
}

void network_plan_first(const struct policy *policy, struct firewall_nic nics[POLICY_NICS_MAX])
{
	if (policy->vm.guard)
		network_plan_guard("tap0", "", &policy->vm.nics[0], &nics[0]);
	for (size_t i = 0; i < policy->vm.nic_count && !policy->vm.guard; i++)
		network_plan((uint32_t)i + 1, &policy->vm.nics[i], &nics[i]);
}

static int network_write(const char *path, const char *text)
{
	BASE_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return base_write_all(fd, text, strlen(text));
}

static int network_sysctl(const char *family, const char *interface, const char *key,
                          const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, key);
	return network_write(path, value);
}

/* Sends one rtnetlink request and reads its acknowledgement (rtnetlink(7)). */
int netlink_request(struct nlmsghdr *message)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	ssize_t n;
	int err = 0;

	if (!socket)
		return -errno;
	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = 1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		err = -errno;
	n = err ? 0 : mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (!err && (n < 0 || mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket), NULL,
	                                 NULL) < 0))
		err = -errno;
	mnl_socket_close(socket);
	return err;
}

/* The host's address; `prefix` bits of `peer` are on the tap. */
static int network_address(unsigned int ifindex, int family, const uint8_t *local,
                           const uint8_t *peer, uint8_t prefix)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *address;
	size_t size = family == AF_INET ? 4 : 16;
	int err;

	message->nlmsg_type = RTM_NEWADDR;
	message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	address = mnl_nlmsg_put_extra_header(message, sizeof(*address));
	address->ifa_family = (uint8_t)family;
	address->ifa_prefixlen = prefix;
	address->ifa_index = ifindex;
	address->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	mnl_attr_put(message, IFA_LOCAL, size, local);
	mnl_attr_put(message, IFA_ADDRESS, size, peer);
	err = netlink_request(message);
	return err == -EEXIST ? 0 : err; /* of a tap that was down for a while */
}

static int network_neighbour(unsigned int ifindex, int family, const uint8_t *address,
                             const uint8_t mac[6])
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *neighbour;

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	neighbour = mnl_nlmsg_put_extra_header(message, sizeof(*neighbour));
	neighbour->ndm_family = (uint8_t)family;
	neighbour->ndm_ifindex = (int)ifindex;
	neighbour->ndm_state = NUD_PERMANENT;
	mnl_attr_put(message, NDA_DST, family == AF_INET ? 4 : 16, address);
	mnl_attr_put(message, NDA_LLADDR, 6, mac);
	return netlink_request(message);
}

struct nlmsghdr *netlink_link(char *buffer, unsigned int ifindex, uint16_t type, uint8_t family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;

	message->nlmsg_type = type;
	link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
	link->ifi_family = family;
	link->ifi_index = (int)ifindex;
	return message;
}

int network_link_up(unsigned int ifindex)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = netlink_link(buffer, ifindex, RTM_NEWLINK, AF_UNSPEC);
	struct ifinfomsg *link = mnl_nlmsg_get_payload(message);

	link->ifi_flags = link->ifi_change = IFF_UP;
	return netlink_request(message);
}

/* One more queue of the tap, or the first. */
static int network_tap_queue(const char *tap, int flags, int *fd)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};
	int header = sizeof(struct virtio_net_hdr_v1);

	*fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	base_copy_string(request.ifr_name, sizeof(request.ifr_name), tap);
	if (*fd < 0 || ioctl(*fd, TUNSETIFF, &request) < 0 ||
	    ioctl(*fd, TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	return 0;
}

int network_tap_create(const struct firewall_nic *nic, const struct policy_nic *policy,
                       const char *vm, int fds[POLICY_QUEUES_MAX], unsigned int *ifindex,
                       struct host_error *error)
{
	int many = policy->queues > 1 ? IFF_MULTI_QUEUE : 0;
	int err = network_tap_queue(nic->tap, many | IFF_TUN_EXCL, &fds[0]);
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message;

	for (unsigned int i = 1; i < policy->queues && !err; i++)
		err = network_tap_queue(nic->tap, many, &fds[i]);
	if (err)
		return host_fail(error, err, 126, "cannot make the tap %s: %s", nic->tap,
		                 strerror(-err));
	*ifindex = if_nametoindex(nic->tap);
	if (*ifindex == 0)
		return host_fail(error, -errno, 126, "the tap %s is not there", nic->tap);
	/* The alias shows in `ip link` whose tap this is. */
	message = netlink_link(buffer, *ifindex, RTM_NEWLINK, AF_UNSPEC);
	mnl_attr_put_strz(message, IFLA_IFALIAS, vm);
	netlink_request(message);
	if (policy->mtu == 0)
		return 0;
	message = netlink_link(buffer, *ifindex, RTM_NEWLINK, AF_UNSPEC);
	mnl_attr_put_u32(message, IFLA_MTU, policy->mtu);
	err = netlink_request(message);
	if (err)
		return host_fail(error, err, 126, "the tap %s cannot have an MTU of %u: %s",
		                 nic->tap, policy->mtu, strerror(-err));
	return 0;
}

/* What the host must not take from a guest, nor tell it unasked. */
static int network_tap_quiet(const char *tap)
{
	static const struct {
		const char *family, *key, *value;
		bool may_lack;
	} settings[] = {
	        {"ipv4", "proxy_arp", "0", false},
	        {"ipv4", "send_redirects", "0", false},
	        {"ipv4", "accept_redirects", "0", false},
	        {"ipv4", "rp_filter", "0", false}, /* anti-spoofing is exact, at netdev ingress */
	        {"ipv6", "accept_ra", "0", true},
	        {"ipv6", "autoconf", "0", true},
	        {"ipv6", "accept_redirects", "0", true},
	        {"ipv6", "addr_gen_mode", "1", true},
	};

	for (size_t i = 0; i < BASE_COUNT(settings); i++) {
		int err =
		        network_sysctl(settings[i].family, tap, settings[i].key, settings[i].value);

		/* no IPv6 in this kernel: nothing to quieten */
		if (err && !(settings[i].may_lack && err == -ENOENT))
			return err;
	}
	return 0;
}

/* A host may have no IPv6, or want none on new interfaces; then the guest has none either. */
bool network_has_ipv6(const char *tap)
{
	char path[128], off = '1';

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", tap);
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &off, 1) == 1 && off == '0';
}

/* A port of a bridge is no interface of the host's own. */
static int network_port_up(const struct firewall_nic *nic, unsigned int ifindex, bool isolated,
                           struct host_error *error)
{
	int err;

	network_sysctl("ipv6", nic->tap, "disable_ipv6", "1"); /* a kernel without IPv6 has none */
	err = network_bridge_join(nic, ifindex, isolated, error);
	if (err)
		return err;
	err = network_link_up(ifindex);
	return err ? host_fail(error, err, 126, "cannot set up the tap %s: %s", nic->tap,
	                       strerror(-err))
	           : 0;
}

int network_tap_up(const struct firewall_nic *nic, unsigned int ifindex, bool isolated,
                   struct host_error *error)
{
	/* advertisements come from a link-local address (RFC 4861 section 4.2), the same on every wire */
	static const uint8_t router[16] = {0xfe, 0x80, [15] = 1};
	bool ipv6 = network_has_ipv6(nic->tap);
	int err;

	if (nic->mode == POLICY_NIC_BRIDGE)
		return network_port_up(nic, ifindex, isolated, error);
	err = network_tap_quiet(nic->tap);
	if (!err)
		err = network_address(ifindex, AF_INET, nic->gateway4, nic->ip4, 32);
	if (!err)
		err = network_link_up(ifindex);
	/* neighbours need the link up; IPv6 addresses too, where addr_gen_mode left it without one */
	if (!err)
		err = network_neighbour(ifindex, AF_INET, nic->ip4, nic->mac);
	if (!err && ipv6)
		err = network_address(ifindex, AF_INET6, nic->gateway6, nic->ip6, 128);
	if (!err && ipv6)
		err = network_address(ifindex, AF_INET6, router, router, 64);
	if (!err && ipv6)
		err = network_neighbour(ifindex, AF_INET6, nic->ip6, nic->mac);
	if (err)
		return host_fail(error, err, 126, "cannot set up the tap %s: %s", nic->tap,
		                 strerror(-err));
	return 0;
}

int network_tap_down(const char *tap, unsigned int ifindex)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message;
	struct ifinfomsg *link;

	if (ifindex == 0 || if_nametoindex(tap) != ifindex)
		return 0;
	message = netlink_link(buffer, ifindex, RTM_NEWLINK, AF_UNSPEC);
	link = mnl_nlmsg_get_payload(message);
	link->ifi_change = IFF_UP;
	return netlink_request(message);
}

int network_tap_remove(const char *tap, unsigned int ifindex)
{
	char buffer[NETLINK_MESSAGE_MAX];
	int err;

	/* one that was never made may be somebody else's, which is why it could not be */
	if (ifindex == 0 || if_nametoindex(tap) != ifindex)
		return 0;
	err = netlink_request(netlink_link(buffer, ifindex, RTM_DELLINK, AF_UNSPEC));
	return err == -ENODEV ? 0 : err; /* it went with the last fd, just now */
}
