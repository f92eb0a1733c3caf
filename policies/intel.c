/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor.intel.lists: the files that list what is known to be bad.
 */
#include "policies/internal.h"

static void read_list(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *node, struct policy_monitor *monitor)
{
	if (node->type == POLICY_NODE_REFUSED)
		return;
	if (node->type != POLICY_NODE_TEXT || node->text[0] != '/' ||
	    strlen(node->text) >= POLICY_PATH_MAX || strpbrk(node->text, "\n\r\t") ||
	    node->text[strlen(node->text) - 1] == '/') {
		policy_walk_refuse(walk, node, "%s", key->kind->noun);
		return;
	}
	for (size_t i = 0; i < monitor->list_count; i++)
		if (strcmp(monitor->lists[i], node->text) == 0) {
			policy_walk_refuse(walk, node, "each list once");
			return;
		}
	if (monitor->list_count == POLICY_LISTS_MAX) {
		policy_walk_refuse(walk, node, "at most %d lists", POLICY_LISTS_MAX);
		return;
	}
	base_copy_string(monitor->lists[monitor->list_count++], POLICY_PATH_MAX, node->text);
}

static void read_lists(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	if (value->type == POLICY_NODE_MAP || (value->type == POLICY_NODE_LIST && !value->first))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else if (value->type == POLICY_NODE_LIST)
		for (struct policy_node *item = value->first; item; item = item->next)
			read_list(walk, key, item, base);
	else
		read_list(walk, key, value, base);
}

const struct policy_kind policy_kind_lists = {
        .noun = "absolute paths such as [/etc/cordon/bad.txt]",
        .read = read_lists,
};

bool policy_lists_valid(const struct policy_monitor *monitor)
{
	if (monitor->list_count > POLICY_LISTS_MAX)
		return false;
	for (size_t i = 0; i < monitor->list_count; i++)
		if (!policy_text_valid(monitor->lists[i], POLICY_PATH_MAX) ||
		    monitor->lists[i][0] != '/')
			return false;
	return true;
}
