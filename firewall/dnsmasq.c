/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How dnsmasq is started for one NIC: DHCP for its one address, and DNS if the policy lets the guest ask.
 *
 * It reads what the guest wrote, so it is given nothing: a uid of its own, no capability (see
 * dnsmasq_preload.c), no file to write, no configuration to read, a root with its libraries only, and a
 * seccomp list that it locks before it serves. Its ports are above 1024 and the firewall
 * rewrites them (nic.c). All it keeps is the host's network namespace, for its upstream servers.
 *
 * The lease is bound to the MAC alone: the client identifiers of a guest's initramfs and of its system
 * differ, and the second would find the only address taken by the first.
 */
#include <arpa/inet.h>
#include <stdarg.h>

#include "base/base.h"
#include "firewall/names.h"
#include "firewall/rules.h"

enum { ARGUMENTS_MAX = 40, ARGUMENT_MAX = 320, SERVERS_MAX = 3 /* as resolv.conf(5) has it */ };

static const char loader[] = "/lib64/ld-linux-x86-64.so.2", program[] = "/usr/sbin/dnsmasq";

/* One block: what the caller sees is its first member. */
struct arguments {
	struct firewall_dnsmasq seen;
	char *list[ARGUMENTS_MAX + 1];
	size_t count;
	char text[ARGUMENTS_MAX][ARGUMENT_MAX];
	bool cut; /* something did not fit */
	const char *binds[8];
};

static void BASE_PRINTF(2, 3) add(struct arguments *a, const char *format, ...)
{
	va_list arguments;

	if (a->count == ARGUMENTS_MAX) {
		a->cut = true;
		return;
	}
	va_start(arguments, format);
	a->cut |= vsnprintf(a->text[a->count], ARGUMENT_MAX, format, arguments) >= ARGUMENT_MAX;
	va_end(arguments);
	a->list[a->count] = a->text[a->count];
	a->count++;
}

/* "nameserver ADDRESS" lines only, and the address only if it is one. */
static void add_servers(struct arguments *a, const char *resolv_conf)
{
	FILE *file BASE_AUTO_FILE = fopen(resolv_conf, "re");
	char line[256], word[64];
	uint8_t address[16];
	int servers = 0;

	/* without one, dnsmasq knows no upstream server and refuses to answer: as the host itself would */
	while (file && servers < SERVERS_MAX && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "nameserver %63s", word) != 1 ||
		    (inet_pton(AF_INET, word, address) != 1 &&
		     inet_pton(AF_INET6, word, address) != 1))
			continue;
		add(a, "--server=%s", word);
		servers++;
	}
}

uint16_t firewall_dnsmasq_port(const struct policy *policy, const struct firewall_nic *nic)
{
	return (uint16_t)(nic->dns_port + (firewall_named_any(policy) ? 1 : 0));
}

static void add_dns(struct arguments *a, const struct policy *policy,
                    const struct firewall_nic *nic, const char *gateway, const char *resolv_conf)
{
	add(a, "--port=%u", firewall_dnsmasq_port(policy, nic));
	/* the guest is told no more than the sets will hold */
	if (firewall_named_any(policy))
		add(a, "--max-ttl=%d", NAMES_TTL_MAX);
	add(a, "--no-resolv");
	add(a, "--no-hosts");
	add(a, "--dhcp-option=option:dns-server,%s", gateway);
	add_servers(a, resolv_conf);
}

static void add_dhcp(struct arguments *a, const struct firewall_nic *nic, const char *gateway,
                     const char *guest)
{
	const uint8_t *m = nic->mac;

	add(a, "--dhcp-alternate-port=%u,68", nic->dhcp_port);
	add(a, "--dhcp-range=%s,static,255.255.255.252", guest);
	add(a, "--dhcp-host=%02x:%02x:%02x:%02x:%02x:%02x,id:*,%s,1h", m[0], m[1], m[2], m[3], m[4],
	    m[5], guest);
	add(a, "--dhcp-option=option:router,%s", gateway);
	add(a, "--dhcp-broadcast");
	add(a, "--dhcp-authoritative");
	add(a, "--leasefile-ro");
	add(a, "--no-ping");
}

static void add_binds(struct arguments *a)
{
	/* the loader finds libraries in its built-in folders, as there is no /etc/ld.so.cache */
	const char *const binds[] = {"/lib64",    "/lib/x86_64-linux-gnu", program,
	                             "/dev/null", "/dev/urandom",          a->text[2]};

	memcpy(a->binds, binds, sizeof(binds));
}

int firewall_dnsmasq_make(const struct policy *policy, const struct firewall_nic *nic,
                          const char *preload, const char *resolv_conf,
                          struct firewall_dnsmasq **made)
{
	struct arguments *a BASE_AUTO_FREE = calloc(1, sizeof(*a));
	char gateway[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN];

	if (!a)
		return -ENOMEM;
	inet_ntop(AF_INET, nic->gateway4, gateway, sizeof(gateway));
	inet_ntop(AF_INET, nic->ip4, guest, sizeof(guest));
	add(a, "%s", loader);
	add(a, "--preload");
	add(a, "%s", preload);
	add(a, "%s", program);
	add(a, "--keep-in-foreground");
	add(a, "--conf-file=/dev/null");
	add(a, "--pid-file=");
	add(a, "--user=");
	add(a, "--group=");
	add(a, "--log-facility=-");
	add(a, "--interface=%.15s", nic->tap);
	add(a, "--except-interface=lo");
	add(a, "--bind-dynamic");
	if (nic->dhcp_port)
		add_dhcp(a, nic, gateway, guest);
	if (nic->dns_port && policy->firewall.dns)
		add_dns(a, policy, nic, gateway, resolv_conf);
	else
		add(a, "--port=0");
	if (a->cut)
		return -ENAMETOOLONG;
	add_binds(a);
	a->seen = (struct firewall_dnsmasq){.binary = loader, .argv = a->list, .binds = a->binds};
	*made = &a->seen;
	a = NULL;
	return 0;
}
