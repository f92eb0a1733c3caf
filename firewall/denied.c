/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest may not send is logged before it is dropped, for the monitor (firewall.h has the prefixes). Each tap has a
 * share of its own, in one dynamic set by interface, so that one guest's flood does not hide another's packets, and
 * no VM needs objects of its own for it. What is beyond the share costs the rule's counter and no more, but for
 * each DENIED_MORE-th packet, which stands for all of them. They are numbered for all taps together, as nftables has no
 * numbers by element: where several taps are beyond their shares at once, each is told of as often as fits what it sends,
 * but by chance.
 */
#include "base/base.h"
#include "firewall/rules.h"

enum { DENIED_MORE = 1024, DENIED_SNAPLEN = 128 };

#define DENIED_SHARE \
	"update @denied_rate { iifname limit rate 10/second burst 40 packets } log prefix "

void firewall_denied_tables(FILE *out, const char *family)
{
	fprintf(out,
	        "add set %s cordon denied_rate { type ifname ; flags dynamic,timeout ; timeout 1m "
	        "; "
	        "size 65536 ; }\n"
	        "add chain %s cordon denied\n"
	        "flush chain %s cordon denied\n"
	        "add rule %s cordon denied " DENIED_SHARE
	        "\"cordon denied line 0 \" group %d snaplen %d drop\n"
	        "add rule %s cordon denied numgen inc mod %d 0 log prefix \"cordon denied more \" "
	        "group %d snaplen %d\n"
	        "add rule %s cordon denied drop\n",
	        family, family, family, family, FIREWALL_DENIED_GROUP, DENIED_SNAPLEN, family,
	        DENIED_MORE, FIREWALL_DENIED_GROUP, DENIED_SNAPLEN, family);
}

void firewall_denied_log(const struct firewall_plan *plan, const char *chain, const char *match,
                         uint32_t line)
{
	firewall_text_rule(plan, chain,
	                   "%s" DENIED_SHARE "\"cordon denied line %u \" group %d snaplen %d",
	                   match, line, FIREWALL_DENIED_GROUP, DENIED_SNAPLEN);
}
