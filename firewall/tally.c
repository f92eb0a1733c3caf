/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters of rules that all VMs share. A rule that drops for all of them says why by a number in the packet's
 * mark and goes to a chain that counts by tap and number in the set `drops`, and drops: the mark is of no more use to
 * anybody. What passes is counted by tap in a set of its own kind. An element is there once there was something to
 * count, and leaves with its tap.
 *
 * To drop is a rule of its own behind the one that counts, so that a kernel that has no memory left to count with
 * drops all the same.
 */
#include "base/base.h"
#include "firewall/rules.h"

enum {
	AT_TAP = 1,
	IN_TABLE = 2,
	DENIED = 4 /* the guest may not send it, */,
	DENIED_TO = 8 /* or others not to it */,
	DROPS_MAX = 1048576,
	TAPS_MAX = 65536
};

/* Why something is dropped: at the tap, or in the inet and bridge tables. The number is the place, from 1. */
static const struct {
	int where;
	const char *what;
} drops[] = {
        {AT_TAP, "spoofed mac"},
        {AT_TAP, "ipv6 without an address"},
        {AT_TAP, "vlan tag"},
        {AT_TAP, "802.3 frame"},
        {AT_TAP | IN_TABLE, "other ethertype"},
        {AT_TAP, "malformed arp"},
        {AT_TAP, "spoofed arp mac"},
        {AT_TAP, "spoofed arp ip"},
        {AT_TAP, "malformed ipv4"},
        {AT_TAP, "ipv4 options"},
        {AT_TAP, "tiny fragment"},
        {AT_TAP, "spoofed ipv4 source"},
        {AT_TAP, "dhcp server"},
        {AT_TAP, "unicast in a broadcast frame"},
        {AT_TAP, "ipv4 multicast or broadcast"},
        {AT_TAP, "malformed ipv6"},
        {AT_TAP, "hidden ipv6 header"},
        {AT_TAP, "fragmented icmpv6"},
        {AT_TAP, "ipv6 hop-by-hop options"},
        {AT_TAP, "ipv6 destination options"},
        {AT_TAP, "ipv6 routing header"},
        {AT_TAP, "ipv6 fragment of nothing"},
        {AT_TAP, "spoofed neighbour solicitation"},
        {AT_TAP, "spoofed neighbour advertisement"},
        {AT_TAP, "unspecified ipv6 source"},
        {AT_TAP, "spoofed ipv6 source"},
        {AT_TAP, "router advertisement"},
        {AT_TAP, "icmpv6 redirect"},
        {AT_TAP, "ipv6 multicast"},
        {IN_TABLE | DENIED, "egress of a host-only nic"},
        {IN_TABLE | DENIED_TO, "ingress of a host-only nic"},
        {IN_TABLE, "egress invalid"},
        {IN_TABLE, "ingress invalid"},
        {IN_TABLE, "host invalid"},
        {IN_TABLE | DENIED, "cloud metadata"},
        {IN_TABLE | DENIED, "egress default deny"},
        {IN_TABLE | DENIED_TO, "ingress default deny"},
        {IN_TABLE | DENIED, "host default deny"},
        {IN_TABLE, "egress connection no longer allowed"},
        {IN_TABLE, "ingress connection no longer allowed"},
        {AT_TAP, "spoofed router solicitation"},
};

static const struct {
	const char *set, *what;
} passes[] = {
        {"sent", "sent"},
        {"received", "received"},
        {"passed_arp", "arp"},
        {"passed_dhcp", "dhcp"},
        {"passed_dhcp_answer", "dhcp answer"},
        {"passed_dns", "dns"},
        {"passed_dns_answer", "dns answer"},
        {"passed_errors", "error message"},
        {"passed_neighbours", "neighbour discovery"},
        {"passed_ping", "ping of the gateway"},
};

static int place_of(const char *family)
{
	return strcmp(family, "netdev") == 0 ? AT_TAP : IN_TABLE;
}

/* What is denied is logged before it is dropped: denied.c. What the host itself sends came in by no interface. */
static void write_denied(FILE *out, const char *family, bool to)
{
	const char *separator = "";

	fprintf(out, "add rule %s cordon dropped_%s%s meta mark { ", family, to ? "to" : "from",
	        to ? " meta iif != 0" : "");
	for (size_t i = 0; i < BASE_COUNT(drops); i++)
		if (drops[i].where & (to ? DENIED_TO : DENIED)) {
			fprintf(out, "%s%zu", separator, i + 1);
			separator = ", ";
		}
	fprintf(out, " } goto denied%s\n", to ? "_to" : "");
}

void firewall_tally_tables(FILE *out, const char *family)
{
	const bool tap = place_of(family) == AT_TAP;

	fprintf(out,
	        "add set %s cordon drops { type ifname . mark ; size %d ; flags dynamic ; counter "
	        "; }\n",
	        family, DROPS_MAX);
	for (int to = 0; to < (tap ? 1 : 2); to++) {
		const char *way = to ? "to" : "from";

		fprintf(out,
		        "add chain %s cordon dropped_%s\nflush chain %s cordon dropped_%s\n"
		        "add rule %s cordon dropped_%s update @drops { %s . meta mark }\n",
		        family, way, family, way, family, way, to ? "oifname" : "iifname");
		if (!tap)
			write_denied(out, family, to);
		fprintf(out, "add rule %s cordon dropped_%s drop\n", family, way);
	}
	for (size_t i = 0; i < BASE_COUNT(passes) && !tap; i++)
		fprintf(out,
		        "add set %s cordon %s { type ifname ; size %d ; flags dynamic ; counter ; "
		        "}\n",
		        family, passes[i].set, TAPS_MAX);
}

void firewall_tally_drop(FILE *out, const char *way, const char *what)
{
	size_t i = 0;

	while (i < BASE_COUNT(drops) - 1 && strcmp(drops[i].what, what) != 0)
		i++;
	fprintf(out, "meta mark set %zu goto dropped_%s comment \"%s\"\n", i + 1, way,
	        drops[i].what);
}

static void write_elements(FILE *out, const char *verb, const char *family, const char *tap)
{
	const int place = place_of(family);
	const char *separator = "";

	fprintf(out, "%s element %s cordon drops { ", verb, family);
	for (size_t i = 0; i < BASE_COUNT(drops); i++)
		if (drops[i].where & place) {
			fprintf(out, "%s\"%s\" . %zu", separator, tap, i + 1);
			separator = ", ";
		}
	fputs(" }\n", out);
	for (size_t i = 0; i < BASE_COUNT(passes) && place == IN_TABLE; i++)
		fprintf(out, "%s element %s cordon %s { \"%s\" }\n", verb, family, passes[i].set,
		        tap);
}

/* Added first, so that one that is not there is no error. */
void firewall_tally_forget(FILE *out, const char *family, const char *tap)
{
	write_elements(out, "add", family, tap);
	write_elements(out, "delete", family, tap);
}

int firewall_tally_read(struct firewall *fw, const char *family, const char *tap,
                        firewall_rule_fn *take, void *data)
{
	const int place = place_of(family);
	struct {
		char tap[16];
		uint32_t number; /* as a register holds a mark */
	} key = {.number = 0};
	int error = base_copy_string(key.tap, sizeof(key.tap), tap);

	for (size_t i = 0; i < BASE_COUNT(drops) && !error; i++) {
		struct firewall_rule rule = {.comment = drops[i].what, .counted = true};

		if (!(drops[i].where & place))
			continue;
		key.number = (uint32_t)i + 1;
		error = firewall_read_element(fw, family, "drops", &key, sizeof(key), &rule);
		if (!error || error == -ENOENT)
			error = take(&rule, data);
	}
	for (size_t i = 0; i < BASE_COUNT(passes) && !error && place == IN_TABLE; i++) {
		struct firewall_rule rule = {.comment = passes[i].what, .counted = true};

		error = firewall_read_element(fw, family, passes[i].set, key.tap, sizeof(key.tap),
		                              &rule);
		if (!error || error == -ENOENT)
			error = take(&rule, data);
	}
	return error;
}
