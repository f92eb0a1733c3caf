/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters of rules that all VMs share. A rule that drops for all of them says why by a number in the packet's
 * mark and goes to the chain `dropped`, which counts by tap and number in the set `drops` and drops: the mark is
 * of no more use to anybody. An element is there once there was something to count, and leaves with its tap.
 *
 * To drop is a rule of its own behind the one that counts, so that a kernel that has no memory left to count with
 * drops all the same.
 */
#include "base/base.h"
#include "firewall/rules.h"

static const char *const whats[] = {
        "spoofed mac",
        "ipv6 without an address",
        "vlan tag",
        "802.3 frame",
        "other ethertype",
        "malformed arp",
        "spoofed arp mac",
        "spoofed arp ip",
        "malformed ipv4",
        "ipv4 options",
        "tiny fragment",
        "spoofed ipv4 source",
        "dhcp server",
        "unicast in a broadcast frame",
        "ipv4 multicast or broadcast",
        "malformed ipv6",
        "hidden ipv6 header",
        "fragmented icmpv6",
        "ipv6 hop-by-hop options",
        "ipv6 destination options",
        "ipv6 routing header",
        "ipv6 fragment of nothing",
        "spoofed neighbour solicitation",
        "spoofed neighbour advertisement",
        "unspecified ipv6 source",
        "spoofed ipv6 source",
        "router advertisement",
        "icmpv6 redirect",
        "ipv6 multicast",
};

void firewall_tally_tables(FILE *out)
{
	fputs("add set netdev cordon drops { type ifname . mark ; size 1048576 ; flags dynamic ; "
	      "counter ; }\n"
	      "add chain netdev cordon dropped\n"
	      "flush chain netdev cordon dropped\n"
	      "add rule netdev cordon dropped update @drops { iifname . meta mark }\n"
	      "add rule netdev cordon dropped drop\n",
	      out);
}

void firewall_tally_drop(FILE *out, const char *what)
{
	size_t i = 0;

	while (i < BASE_COUNT(whats) - 1 && strcmp(whats[i], what) != 0)
		i++;
	fprintf(out, "meta mark set %zu goto dropped comment \"%s\"\n", i + 1, whats[i]);
}

static void write_elements(FILE *out, const char *verb, const char *tap)
{
	fprintf(out, "%s element netdev cordon drops { ", verb);
	for (size_t i = 1; i <= BASE_COUNT(whats); i++)
		fprintf(out, "%s\"%s\" . %zu", i > 1 ? ", " : "", tap, i);
	fputs(" }\n", out);
}

/* Added first, so that one that is not there is no error. */
void firewall_tally_forget(FILE *out, const char *tap)
{
	write_elements(out, "add", tap);
	write_elements(out, "delete", tap);
}

int firewall_tally_read(const char *tap, firewall_rule_fn *take, void *data)
{
	struct {
		char tap[16];
		uint32_t number; /* as a register holds a mark */
	} key = {.number = 0};
	int error = base_copy_string(key.tap, sizeof(key.tap), tap);

	for (size_t i = 0; i < BASE_COUNT(whats) && !error; i++) {
		struct firewall_rule rule = {.comment = whats[i], .counted = true};

		key.number = (uint32_t)i + 1;
		error = firewall_read_element("netdev", "drops", &key, sizeof(key), &rule);
		if (!error || error == -ENOENT)
			error = take(&rule, data);
	}
	return error;
}
