/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other people's chains that drop guests' packets. Each base chain of a hook has its own say, and a drop in any
 * of them is final: no accept of ours helps. Docker, firewalld and ufw all deny what is forwarded unless a rule
 * of theirs allows it, by the chain's policy or by its last rule. That is theirs to change, so it is only said.
 */
#include <ctype.h>
#include <jansson.h>

#include "base/base.h"
#include "firewall/rules.h"

static void decref(json_t **json)
{
	json_decref(*json);
}
#define AUTO_JSON BASE_CLEANUP(decref)

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A name that means itself in a command. */
static bool plain(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_-./", *c))
			return false;
	return *name != '\0';
}

/* A rule that ends every packet: no match stands before its drop or reject. */
static bool ends_all(const json_t *rule)
{
	const json_t *expression, *list = json_object_get(rule, "expr");
	bool ends = false;
	size_t i;

	json_array_foreach(list, i, expression)
	{
		if (json_object_get(expression, "drop") || json_object_get(expression, "reject"))
			ends = true;
		else if (!json_object_get(expression, "counter") &&
		         !json_object_get(expression, "log"))
			return false;
	}
	return ends;
}

/* Whether the chain's last rule ends all that comes to it; the answer's array holds the chain itself too. */
static int last_rule_ends(struct firewall *fw, const json_t *chain, bool *ends)
{
	json_t *array AUTO_JSON = NULL;
	const json_t *entry, *rule;
	char command[512];
	size_t i;
	int error;

	*ends = false;
	if (!plain(text_of(chain, "table")) || !plain(text_of(chain, "name")))
		return 0;
	snprintf(command, sizeof(command), "list chain %s %s %s", text_of(chain, "family"),
	         text_of(chain, "table"), text_of(chain, "name"));
	error = firewall_list(fw, command, &array);
	if (error)
		return error == -ENOENT ? 0 : error;
	json_array_foreach(array, i, entry)
	{
		rule = json_object_get(entry, "rule");
		if (rule)
			*ends = ends_all(rule);
	}
	return 0;
}

int firewall_foreign(struct firewall *fw, struct firewall_foreign *list, size_t max)
{
	json_t *array AUTO_JSON = NULL;
	const json_t *entry;
	size_t i, count = 0;
	int error = firewall_list(fw, "list chains", &array);

	if (error)
		return error;
	json_array_foreach(array, i, entry)
	{
		const json_t *chain = json_object_get(entry, "chain");
		const char *family = text_of(chain, "family");
		bool drops = strcmp(text_of(chain, "policy"), "drop") == 0, ends = false;

		if (strcmp(text_of(chain, "hook"), "forward") != 0 ||
		    strcmp(text_of(chain, "table"), "cordon") == 0 ||
		    (strcmp(family, "ip") != 0 && strcmp(family, "ip6") != 0 &&
		     strcmp(family, "inet") != 0))
			continue;
		error = drops ? 0 : last_rule_ends(fw, chain, &ends);
		if (error)
			return error;
		if ((drops || ends) && count < max) {
			snprintf(list[count].chain, sizeof(list[count].chain), "%s %s %s", family,
			         text_of(chain, "table"), text_of(chain, "name"));
			list[count].policy = drops;
		}
		count += drops || ends;
	}
	return (int)count;
}
