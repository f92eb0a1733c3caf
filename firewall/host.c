/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can this kernel do what the rules need? Asked by doing it: each probe builds a scratch table with one
 * feature and deletes it in the same transaction, so nothing is ever in force and nothing is left.
 */
#include "base/base.h"
#include "firewall/rules.h"

struct probe {
	const char *name; /* what is missing when it fails */
	const char *text;
};

#define PROBE_CHAIN "add table inet cordon_probe\nadd chain inet cordon_probe c\n"
#define PROBE_END   "delete table inet cordon_probe\n"

static const struct probe probes[] = {
        {"nf_tables with the inet family", PROBE_CHAIN PROBE_END},
        {"nf_tables' netdev family (CONFIG_NF_TABLES_NETDEV)",
         "add table netdev cordon_probe\n"
         "add chain netdev cordon_probe c\n"
         "add rule netdev cordon_probe c arp operation request drop\n"
         "delete table netdev cordon_probe\n"},
        {"catch-all elements in maps (Linux 5.13)",
         PROBE_CHAIN "add map inet cordon_probe m { type ifname : verdict ; }\n"
                     "add element inet cordon_probe m { * : jump c }\n" PROBE_END},
        {"interval sets (nft_set_rbtree)",
         PROBE_CHAIN "add set inet cordon_probe s { type ipv4_addr ; flags interval ; elements = "
                     "{ 192.0.2.0/24 } ; }\n" PROBE_END},
        {"connection tracking (nft_ct)",
         PROBE_CHAIN "add rule inet cordon_probe c ct state new drop\n" PROBE_END},
        {"rate limits (nft_limit)", PROBE_CHAIN
         "add rule inet cordon_probe c limit rate over 1000 bytes/second drop\n" PROBE_END},
        {"connection counts (nft_connlimit)",
         PROBE_CHAIN "add rule inet cordon_probe c ct count over 10 drop\n" PROBE_END},
        {"reject (nft_reject_inet)",
         PROBE_CHAIN "add rule inet cordon_probe c reject with icmpx admin-prohibited\n" PROBE_END},
        {"masquerading (nft_masq)", PROBE_CHAIN
         "add chain inet cordon_probe n { type nat hook postrouting priority srcnat ; }\n"
         "add rule inet cordon_probe n iifname \"cn-probe\" masquerade\n" PROBE_END},
        {"connection marks (CONFIG_NF_CONNTRACK_MARK)",
         PROBE_CHAIN "add rule inet cordon_probe c ct direction reply ct mark & 0xfff00000 == "
                     "0x00100000 ct mark set ct mark & 0x0000ffff | 0x00100000\n" PROBE_END},
        {"quotas (nft_quota)",
         PROBE_CHAIN "add quota inet cordon_probe q { over 1000 bytes }\n"
                     "add rule inet cordon_probe c quota name \"q\" drop\n" PROBE_END},
        {"port forwards (nft_nat, nft_fib_inet)", PROBE_CHAIN
         "add map inet cordon_probe m { type inet_proto . inet_service : verdict ; }\n"
         "add chain inet cordon_probe f\n"
         "add chain inet cordon_probe n { type nat hook prerouting priority dstnat ; }\n"
         "add rule inet cordon_probe f tcp dport 80 dnat ip to 192.0.2.1:80\n"
         "add rule inet cordon_probe n iifname \"cn-probe\" fib daddr type local meta l4proto . "
         "th dport vmap @m\n" PROBE_END},
        {"extension headers (nft_exthdr)",
         PROBE_CHAIN "add rule inet cordon_probe c exthdr rt exists rt type != 2 drop\n" PROBE_END},
        {"sets that packets change, and numbered packets (nft_dynset, nft_numgen)", PROBE_CHAIN
         "add set inet cordon_probe s { type ifname ; flags dynamic,timeout ; timeout 1m ; "
         "}\nadd rule inet cordon_probe c update @s { iifname limit rate 10/second } drop\n"
         "add rule inet cordon_probe c numgen inc mod 1024 0 drop\n" PROBE_END},
        {"logging (nft_log)",
         PROBE_CHAIN "add rule inet cordon_probe c log group 4404\n" PROBE_END},
};

/* What only a NIC of mode bridge needs. */
static const struct probe bridge_probes[] = {
        {"connection tracking on bridges (nf_conntrack_bridge)",
         "add table bridge cordon_probe\n"
         "add chain bridge cordon_probe c { type filter hook forward priority filter ; }\n"
         "add rule bridge cordon_probe c iifname \"cn-probe\" ct direction reply ct mark 1 drop\n"
         "delete table bridge cordon_probe\n"},
};

static bool check_probes(struct firewall *fw, const struct probe *list, size_t count,
                         const char **missing)
{
	for (size_t i = 0; i < count; i++)
		if (firewall_run(fw, list[i].text) != 0) {
			*missing = list[i].name;
			return false;
		}
	return true;
}

bool firewall_host_check(struct firewall *fw, const char **missing)
{
	return check_probes(fw, probes, BASE_COUNT(probes), missing);
}

bool firewall_host_check_bridge(struct firewall *fw, const char **missing)
{
	return check_probes(fw, bridge_probes, BASE_COUNT(bridge_probes), missing);
}
