/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest may not send, and what others may not send to it, is logged before it is dropped, for the monitor
 * (firewall.h has the prefixes). Each tap has a share of its own for either, in one dynamic set by interface, so that
 * one guest's flood does not hide another's packets, and no VM needs objects of its own for it. What is beyond the share
 * costs the rule's counter and no more, but for each DENIED_MORE-th packet, which stands for all of them. They are
 * numbered for all taps together, as nftables has no numbers by element: where several taps are beyond their shares at
 * once, each is told of as often as fits what it sends, but by chance.
 *
 * To a guest, what the host itself sends is left out (it tells each of its links what it tells the others), and so
 * are multicast and broadcast, which on a bridge reach every member.
 */
#include "base/base.h"
#include "firewall/rules.h"

enum { DENIED_MORE = 1024, DENIED_SNAPLEN = 128 };

/* A chain, the set and the key of its shares, what the prefix says, and what is dropped without a word. */
static const struct {
	const char *chain, *set, *interface, *word, *but;
} ways[] = {
        {"denied", "denied_rate", "iifname", "", NULL},
        {"denied_to", "denied_rate_to", "oifname", "to ", "meta pkttype { broadcast, multicast }"},
};

#define DENIED_SHARE \
	"update @%s { %s limit rate 10/second burst 40 packets } log prefix \"cordon denied %s"

void firewall_denied_tables(FILE *out, const char *family)
{
	for (size_t i = 0; i < BASE_COUNT(ways); i++) {
		const char *chain = ways[i].chain;

		fprintf(out,
		        "add set %s cordon %s { type ifname ; flags dynamic,timeout ; timeout 1m ; "
		        "size 65536 ; }\n"
		        "add chain %s cordon %s\nflush chain %s cordon %s\n",
		        family, ways[i].set, family, chain, family, chain);
		if (ways[i].but)
			fprintf(out, "add rule %s cordon %s %s drop\n", family, chain, ways[i].but);
		fprintf(out,
		        "add rule %s cordon %s " DENIED_SHARE "line 0 \" group %d snaplen %d drop\n"
		        "add rule %s cordon %s numgen inc mod %d 0 log prefix \"cordon denied "
		        "%smore "
		        "\" group %d snaplen %d\n"
		        "add rule %s cordon %s drop\n",
		        family, chain, ways[i].set, ways[i].interface, ways[i].word,
		        FIREWALL_DENIED_GROUP, DENIED_SNAPLEN, family, chain, DENIED_MORE,
		        ways[i].word, FIREWALL_DENIED_GROUP, DENIED_SNAPLEN, family, chain);
	}
}

void firewall_denied_log(const struct firewall_plan *plan, const char *chain, const char *match,
                         bool outward, uint32_t line)
{
	const size_t way = outward ? 0 : 1;

	firewall_text_rule(plan, chain, "%s" DENIED_SHARE "line %u \" group %d snaplen %d", match,
	                   ways[way].set, ways[way].interface, ways[way].word, line,
	                   FIREWALL_DENIED_GROUP, DENIED_SNAPLEN);
}

/* Added first, so that one that is not there, or whose minute is over meanwhile, is no error. */
void firewall_denied_forget(FILE *out, const char *family, const char *tap)
{
	for (size_t i = 0; i < BASE_COUNT(ways); i++)
		fprintf(out,
		        "add element %s cordon %s { \"%s\" }\ndelete element %s cordon %s { \"%s\" "
		        "}\n",
		        family, ways[i].set, tap, family, ways[i].set, tap);
}
