/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shared part of the rules: two tables, a handful of maps, six base chains.
 *
 * Each base chain is one or two look-ups by interface name in a verdict map, so a packet costs the same
 * with one VM or thousands, and a packet of an interface that is not ours falls through untouched: the
 * policy of every base chain is accept, and no verdict of ours is final but drop.
 *
 * A tap of ours (their names begin with "cn") that is in no map meets the maps' catch-all element and
 * is dropped: rules that were lost, or not yet loaded, close the tap instead of opening it.
 *
 * The way of a forwarded packet: quarantine of the sender; the sender's chain, whose `return` means
 * "it may leave"; quarantine of the receiver; the receiver's chain. From VM to VM both have to agree,
 * because no chain on the way accepts for the other.
 *
 * They are written when they are not there yet, as the chain `layout_N` tells, which nothing refers to: to write
 * them anew would have the kernel look at all VMs once for each of them. Who edits them has watch.c against him.
 */
#include "base/base.h"
#include "firewall/rules.h"

const char *const firewall_families[2] = {"inet", "bridge"};
const struct firewall_map firewall_maps[] = {
        {"forward_from", "from"}, {"forward_to", "to"},     {"input_from", "input"},
        {"output_to", "output"},  {"ports_in", "ports_in"}, {"ports_out", "ports_out"},
        {"nat_from", "nat"},
};

/* The bridge family has neither ports to rewrite nor addresses to translate: the last three. */
size_t firewall_maps_of(const char *family)
{
	return strcmp(family, "bridge") == 0 ? 4 : BASE_COUNT(firewall_maps);
}

static const char begin[] = "add table inet cordon\nadd table netdev cordon\n";
static const char text[] =
        "add map inet cordon forward_from { type ifname : verdict ; }\n"
        "add map inet cordon forward_to { type ifname : verdict ; }\n"
        "add map inet cordon input_from { type ifname : verdict ; }\n"
        "add map inet cordon output_to { type ifname : verdict ; }\n"
        "add map inet cordon ports_in { type ifname : verdict ; }\n"
        "add map inet cordon ports_out { type ifname : verdict ; }\n"
        "add map inet cordon nat_from { type ifname : verdict ; }\n"
        "add map inet cordon quarantine_from { type ifname : verdict ; }\n"
        "add map inet cordon quarantine_to { type ifname : verdict ; }\n"
        "add map inet cordon forwards { type inet_proto . inet_service : verdict ; }\n"
        "add chain inet cordon unmapped_from\n"
        "add chain inet cordon unmapped_to\n"
        "add chain inet cordon onward\n"
        "add chain inet cordon prerouting { type filter hook prerouting priority raw ; policy "
        "accept ; }\n"
        "add chain inet cordon forward { type filter hook forward priority filter ; policy accept "
        "; }\n"
        "add chain inet cordon input { type filter hook input priority filter ; policy accept ; }\n"
        "add chain inet cordon output { type filter hook output priority filter ; policy accept ; "
        "}\n"
        /* after conntrack and the filter, which know the service by the port that it listens on */
        "add chain inet cordon output_ports { type filter hook output priority 10 ; policy accept "
        "; }\n"
        "add chain inet cordon postrouting { type nat hook postrouting priority srcnat ; policy "
        "accept ; }\n"
        "add chain inet cordon forward_ports { type nat hook prerouting priority dstnat ; policy "
        "accept ; }\n"
        "flush chain inet cordon unmapped_from\n"
        "flush chain inet cordon unmapped_to\n"
        "flush chain inet cordon onward\n"
        "flush chain inet cordon prerouting\n"
        "flush chain inet cordon forward\n"
        "flush chain inet cordon input\n"
        "flush chain inet cordon output\n"
        "flush chain inet cordon output_ports\n"
        "flush chain inet cordon postrouting\n"
        "flush chain inet cordon forward_ports\n"
        "add element inet cordon forward_from { * : jump unmapped_from }\n"
        "add element inet cordon input_from { * : jump unmapped_from }\n"
        "add element inet cordon forward_to { * : jump unmapped_to }\n"
        "add element inet cordon output_to { * : jump unmapped_to }\n"
        "add rule inet cordon unmapped_from iifname \"cn*\" counter drop comment \"tap without "
        "rules\"\n"
        "add rule inet cordon unmapped_to oifname \"cn*\" counter drop comment \"tap without "
        "rules\"\n"
        "add rule inet cordon onward oifname vmap @quarantine_to\n"
        "add rule inet cordon onward oifname vmap @forward_to\n"
        "add rule inet cordon prerouting iifname vmap @ports_in\n"
        "add rule inet cordon forward iifname vmap @quarantine_from\n"
        "add rule inet cordon forward iifname vmap @forward_from\n"
        "add rule inet cordon forward oifname vmap @quarantine_to\n"
        "add rule inet cordon forward oifname vmap @forward_to\n"
        "add rule inet cordon input iifname vmap @quarantine_from\n"
        "add rule inet cordon input iifname vmap @input_from\n"
        "add rule inet cordon output oifname vmap @quarantine_to\n"
        "add rule inet cordon output oifname vmap @output_to\n"
        "add rule inet cordon output_ports oifname vmap @ports_out\n"
        "add rule inet cordon postrouting iifname vmap @nat_from\n"
        "add rule inet cordon forward_ports iifname != @vms fib daddr type local meta l4proto . th "
        "dport vmap @forwards\n";

static const char bridge_begin[] = "add table bridge cordon\n";
static const char bridge_text[] =
        "add map bridge cordon forward_from { type ifname : verdict ; }\n"
        "add map bridge cordon forward_to { type ifname : verdict ; }\n"
        "add map bridge cordon input_from { type ifname : verdict ; }\n"
        "add map bridge cordon output_to { type ifname : verdict ; }\n"
        "add map bridge cordon quarantine_from { type ifname : verdict ; }\n"
        "add map bridge cordon quarantine_to { type ifname : verdict ; }\n"
        "add chain bridge cordon unmapped_from\n"
        "add chain bridge cordon unmapped_to\n"
        "add chain bridge cordon onward\n"
        "add chain bridge cordon forward { type filter hook forward priority filter ; policy "
        "accept "
        "; }\n"
        "add chain bridge cordon input { type filter hook input priority filter ; policy accept ; "
        "}\n"
        "add chain bridge cordon output { type filter hook output priority filter ; policy accept "
        "; "
        "}\n"
        "flush chain bridge cordon unmapped_from\n"
        "flush chain bridge cordon unmapped_to\n"
        "flush chain bridge cordon onward\n"
        "flush chain bridge cordon forward\n"
        "flush chain bridge cordon input\n"
        "flush chain bridge cordon output\n"
        "add element bridge cordon forward_from { * : jump unmapped_from }\n"
        "add element bridge cordon input_from { * : jump unmapped_from }\n"
        "add element bridge cordon forward_to { * : jump unmapped_to }\n"
        "add element bridge cordon output_to { * : jump unmapped_to }\n"
        "add rule bridge cordon unmapped_from iifname \"cn*\" counter drop comment \"tap without "
        "rules\"\n"
        "add rule bridge cordon unmapped_to oifname \"cn*\" counter drop comment \"tap without "
        "rules\"\n"
        "add rule bridge cordon onward oifname vmap @quarantine_to\n"
        "add rule bridge cordon onward oifname vmap @forward_to\n"
        "add rule bridge cordon forward iifname vmap @quarantine_from\n"
        "add rule bridge cordon forward iifname vmap @forward_from\n"
        "add rule bridge cordon forward oifname vmap @quarantine_to\n"
        "add rule bridge cordon forward oifname vmap @forward_to\n"
        "add rule bridge cordon input iifname vmap @quarantine_from\n"
        "add rule bridge cordon input iifname vmap @input_from\n"
        "add rule bridge cordon output oifname vmap @quarantine_to\n"
        "add rule bridge cordon output oifname vmap @output_to\n";

/* To be raised with each change of what is shared. */
static const char layout[] = "layout_1";

void firewall_text_tables(FILE *out, const char *family)
{
	bool bridge = strcmp(family, "bridge") == 0;

	fputs(bridge ? bridge_begin : begin, out);
	firewall_set_tables(out, family);
	fputs(bridge ? bridge_text : text, out);
	fprintf(out, "add chain %s cordon %s\n", family, layout);
	if (bridge)
		return;
	firewall_text_spoof_tables(out);
	fprintf(out, "add chain netdev cordon %s\n", layout);
}

bool firewall_tables_there(const char *family)
{
	return firewall_read_chain(family, layout, NULL, NULL) == 0 &&
	       firewall_read_chain("netdev", layout, NULL, NULL) == 0;
}
