/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor.suppress: alerts that are expected, by rule, correspondent and time of day.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "policies/internal.h"

enum { MINUTES_OF_DAY = 24 * 60 };

/* The families of rules (monitor/); after the dot stands '*' or a name. */
static bool rule_valid(const char *rule)
{
	static const char *const families[] = {"scan",     "brute", "dns",    "icmp",    "beacon",
	                                       "longconn", "exfil", "egress", "lateral", "intel"};
	const char *dot = strchr(rule, '.');
	size_t size = dot ? (size_t)(dot - rule) : 0;
	bool known = false;

	for (size_t i = 0; i < BASE_COUNT(families); i++)
		known = known ||
		        (size == strlen(families[i]) && memcmp(rule, families[i], size) == 0);
	if (!known || !dot[1])
		return false;
	return strcmp(dot, ".*") == 0 ||
	       strspn(dot + 1, "abcdefghijklmnopqrstuvwxyz_") == strlen(dot + 1);
}

static void read_rule(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	struct policy_suppress *suppress = base;

	if (!policy_walk_text(walk, key, value))
		return;
	if (strlen(value->text) >= sizeof(suppress->rule) || !rule_valid(value->text))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		base_copy_string(suppress->rule, sizeof(suppress->rule), value->text);
}

static const struct policy_kind kind_suppress_rule = {
        .noun = "a rule such as scan.vertical or brute.*",
        .read = read_rule,
};

static void read_peer(struct policy_walk *walk, struct policy_node *node,
                      struct policy_suppress *suppress)
{
	struct policy_cidr cidr;
	bool host_bits = false;

	if (node->type == POLICY_NODE_REFUSED)
		return;
	if (node->type != POLICY_NODE_TEXT || policy_value_cidr(node->text, &cidr, &host_bits) ||
	    host_bits) {
		policy_walk_refuse(walk, node, "a network such as 192.0.2.0/24, or an address");
		return;
	}
	if (suppress->peer_count == POLICY_SUPPRESS_PEERS_MAX) {
		policy_walk_refuse(walk, node, "at most %d networks", POLICY_SUPPRESS_PEERS_MAX);
		return;
	}
	cidr.line = node->line;
	suppress->peers[suppress->peer_count++] = cidr;
}

static void read_peers(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	if (value->type == POLICY_NODE_MAP || (value->type == POLICY_NODE_LIST && !value->first))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else if (value->type == POLICY_NODE_LIST)
		for (struct policy_node *item = value->first; item; item = item->next)
			read_peer(walk, item, base);
	else
		read_peer(walk, value, base);
}

static const struct policy_kind kind_suppress_peers = {
        .noun = "networks such as [192.0.2.0/24, 2001:db8::/32]",
        .read = read_peers,
};

/* "22:00" as minutes; false when it is no time of day. */
static bool hours_minute(const char *text, uint16_t *minute)
{
	unsigned int hour, minutes;

	if (!isdigit(text[0]) || !isdigit(text[1]) || text[2] != ':' || !isdigit(text[3]) ||
	    !isdigit(text[4]))
		return false;
	hour = (unsigned int)(text[0] - '0') * 10 + (unsigned int)(text[1] - '0');
	minutes = (unsigned int)(text[3] - '0') * 10 + (unsigned int)(text[4] - '0');
	*minute = (uint16_t)(hour * 60 + minutes);
	return hour < 24 && minutes < 60;
}

static void read_hours(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	struct policy_suppress *suppress = base;

	if (!policy_walk_text(walk, key, value))
		return;
	if (strlen(value->text) != 11 || value->text[5] != '-' ||
	    !hours_minute(value->text, &suppress->from) ||
	    !hours_minute(value->text + 6, &suppress->to) || suppress->from == suppress->to)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		suppress->timed = true;
}

static const struct policy_kind kind_suppress_hours = {
        .noun = "hours such as 22:00-04:30",
        .read = read_hours,
};

static const struct policy_key keys_suppress[] = {
        {"rule", &kind_suppress_rule, 0, 0, .required = true,
         .help = "the alerts' rule, or all of a family"},
        {"peers", &kind_suppress_peers, 0, 0, .fallback = "every correspondent",
         .help = "whose alerts: those that are about one correspondent, which is in one of these"},
        {"hours", &kind_suppress_hours, 0, 0, .fallback = "always",
         .help = "when, each day, in UTC"},
};
const struct policy_map policy_map_suppress = {
        .what = "a suppression",
        .keys = keys_suppress,
        .count = BASE_COUNT(keys_suppress),
        .line = offsetof(struct policy_suppress, line),
};

bool policy_suppress_valid(const struct policy_suppress *suppress)
{
	if (!memchr(suppress->rule, '\0', sizeof(suppress->rule)) || !rule_valid(suppress->rule) ||
	    suppress->peer_count > POLICY_SUPPRESS_PEERS_MAX ||
	    *(const unsigned char *)&suppress->timed > 1 || suppress->from >= MINUTES_OF_DAY ||
	    suppress->to >= MINUTES_OF_DAY)
		return false;
	for (size_t i = 0; i < suppress->peer_count; i++)
		if (!policy_cidr_valid(&suppress->peers[i]))
			return false;
	return true;
}

void policy_suppress_explain(FILE *out, const struct policy_suppress *suppress)
{
	char text[POLICY_FORMAT_MAX];

	fprintf(out, "  suppressed   %s", suppress->rule);
	for (size_t i = 0; i < suppress->peer_count; i++)
		fprintf(out, "%s%s", i ? ", " : " of ",
		        policy_format_cidr(&suppress->peers[i], text));
	if (suppress->timed)
		fprintf(out, ", %02u:%02u-%02u:%02u UTC", suppress->from / 60, suppress->from % 60,
		        suppress->to / 60, suppress->to % 60);
	fprintf(out, "  (line %u)\n", suppress->line);
}
