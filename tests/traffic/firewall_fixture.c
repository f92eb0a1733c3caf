/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <check.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"

struct fixture fixture;

void fixture_open(void)
{
	net_open(&fixture.net);
	fixture.fw = firewall_open();
	ck_assert_ptr_nonnull(fixture.fw);
	for (int i = 0; i < NET_GUESTS; i++) {
		struct policy *policy = calloc(1, sizeof(*policy));
		struct firewall_nic *nic = &fixture.nics[i];

		ck_assert_ptr_nonnull(policy);
		fixture.policies[i] = policy;
		snprintf(policy->vm.name, sizeof(policy->vm.name), "vm%d", i);
		policy->firewall.dns = true;
		*nic = (struct firewall_nic){
		        .mode = POLICY_NIC_NAT,
		        .mac = {2, 0, 0, 0, 0, (uint8_t)(16 + i)},
		        .ip4 = {10, 77, 0, (uint8_t)(4 * i + 2)},
		        .gateway4 = {10, 77, 0, (uint8_t)(4 * i + 1)},
		        .ip6 = {0xfd, 0x77, [13] = (uint8_t)i, [15] = 2},
		        .gateway6 = {0xfd, 0x77, [13] = (uint8_t)i, [15] = 1},
		        .dhcp_port = 10067,
		        .dns_port = 10053,
		};
		snprintf(nic->tap, sizeof(nic->tap), "cn%d", i);
	}
	fixture.listeners[0] =
	        net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "192.0.2.10", ALLOWED_PORT);
	fixture.listeners[1] =
	        net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "192.0.2.10", DENIED_PORT);
}

void fixture_close(void)
{
	for (size_t i = 0; i < BASE_COUNT(fixture.listeners); i++)
		base_close(&fixture.listeners[i]);
	for (int i = 0; i < NET_GUESTS; i++)
		free(fixture.policies[i]);
	firewall_close(fixture.fw);
	net_close(&fixture.net);
}

struct policy_rule *fixture_rule(int i, bool ingress, enum policy_action action,
                                 enum policy_proto proto, const char *cidr, uint16_t port)
{
	struct policy *policy = fixture.policies[i];
	struct policy_firewall *firewall = &policy->firewall;
	struct policy_rule *rule = ingress ? &firewall->ingress[firewall->ingress_count++]
	                                   : &firewall->egress[firewall->egress_count++];
	char text[64];
	char *slash;

	*rule = (struct policy_rule){.action = action, .proto = proto, .any = !cidr, .line = 7};
	if (cidr) {
		struct policy_cidr *to = &policy->cidrs[policy->cidr_count];

		ck_assert_int_eq(base_copy_string(text, sizeof(text), cidr), 0);
		slash = strchr(text, '/');
		ck_assert_ptr_nonnull(slash);
		*slash = '\0';
		to->family = strchr(text, ':') ? 6 : 4;
		to->prefix = (uint8_t)strtoul(slash + 1, NULL, 10);
		ck_assert_int_eq(inet_pton(to->family == 4 ? AF_INET : AF_INET6, text, to->addr),
		                 1);
		rule->cidrs = (struct policy_span){(uint16_t)policy->cidr_count++, 1};
	}
	if (port) {
		policy->ports[policy->port_count] = (struct policy_ports){port, port};
		rule->ports = (struct policy_span){(uint16_t)policy->port_count++, 1};
	}
	return rule;
}

void fixture_apply(int i)
{
	int error = firewall_vm_apply(fixture.fw, fixture.policies[i], &fixture.nics[i], 1);

	ck_assert_msg(error == 0, "apply vm%d: %s (%s)", i, strerror(-error),
	              firewall_error(fixture.fw));
}

void fixture_start(int i)
{
	fixture_apply(i);
	net_tap_up(&fixture.net, i);
}

uint64_t fixture_packets(int i, const char *what)
{
	static struct firewall_counter list[512];
	int count = firewall_vm_counters(fixture.fw, fixture.policies[i]->vm.name, list,
	                                 BASE_COUNT(list));
	uint64_t packets = 0;

	ck_assert_msg(count >= 0, "counters: %s", firewall_error(fixture.fw));
	for (int k = 0; k < count; k++)
		if (strcmp(list[k].what, what) == 0)
			packets += list[k].packets;
	return packets;
}

bool fixture_counts(int i, const char *what, uint64_t packets)
{
	for (int waited = 0; waited < WAIT; waited += 20) {
		if (fixture_packets(i, what) >= packets)
			return true;
		usleep(20000);
	}
	return false;
}
