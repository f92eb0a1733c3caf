/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two policies do not share. Rules are compared as a person reads them (policy_firewall_explain(), a
 * line a rule), by their longest common subsequence, since their order is part of what they say. All else
 * is compared by field, with the places in the text left out, and named by its key.
 */
#include "cordon/rules.h"

#include "base/base.h"

enum { CHANGES_LINES_MAX = 1024, CHANGES_TEXT_MAX = 512 };

struct changes_line {
	const char *section; /* "egress", "ingress", "sets", "limits", "firewall" */
	uint32_t line;       /* of the policy, or 0 */
	char text[CHANGES_TEXT_MAX];
};

struct changes_side {
	struct changes_line *lines; /* CHANGES_LINES_MAX of them; owned */
	size_t count;
};

static void changes_clear(struct changes_side *side)
{
	free(side->lines);
}

/* Rules are indented under a title; what is not a rule begins with a word that says what it is. */
static const char *changes_section(const char *line, const char *last)
{
	static const struct {
		const char *begins, *section;
	} sections[] = {{"  to the guest", "ingress"},
	                {"  from the guest", "egress"},
	                {"    ", NULL},
	                {"  set ", "sets"},
	                {"  limit ", "limits"},
	                {"  group ", "groups"},
	                {"  forward ", "forwards"}};

	for (size_t i = 0; i < BASE_COUNT(sections); i++)
		if (strncmp(line, sections[i].begins, strlen(sections[i].begins)) == 0)
			return sections[i].section ? sections[i].section : last;
	return "firewall";
}

/* Without the columns. One so long that it is cut differs by its head, or not at all: long lists are sets. */
static void changes_squeeze(char to[CHANGES_TEXT_MAX], const char *from)
{
	size_t size = 0;

	for (; *from && size < CHANGES_TEXT_MAX - 1; from++)
		if (*from != ' ' || from[1] != ' ')
			to[size++] = *from;
	to[size] = '\0';
}

static void changes_take(struct changes_side *side, const char **section, char *line)
{
	char *place = strstr(line, "  (line ");
	struct changes_line *to = &side->lines[side->count];

	*section = changes_section(line, *section);
	if (side->count == CHANGES_LINES_MAX || !*line)
		return;
	to->section = *section;
	to->line = place ? (uint32_t)strtoul(place + strlen("  (line "), NULL, 10) : 0;
	if (place)
		*place = '\0';
	changes_squeeze(to->text, line + strspn(line, " "));
	side->count++;
}

static void changes_write(FILE *out, const struct policy *policy)
{
	policy_firewall_explain(out, policy);
	for (size_t i = 0; i < policy->vm.group_count; i++)
		fprintf(out, "  group %s\n", policy->vm.groups[i]);
	for (size_t i = 0; i < policy->vm.nic_count; i++)
		for (size_t f = 0; f < policy->vm.nics[i].forward_count; f++) {
			const struct policy_forward *forward = &policy->vm.nics[i].forwards[f];

			fprintf(out, "  forward %s %u to port %u of nic %zu  (line %u)\n",
			        forward->proto == POLICY_PROTO_TCP ? "tcp" : "udp", forward->host,
			        forward->guest, i, forward->line);
		}
}

static int changes_read(const struct policy *policy, struct changes_side *side)
{
	BASE_AUTO_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	const char *section = "firewall";
	char *at;

	side->lines = calloc(CHANGES_LINES_MAX, sizeof(*side->lines));
	if (!out || !side->lines) {
		base_fclose(&out);
		return -ENOMEM;
	}
	changes_write(out, policy);
	if (fclose(out) != 0)
		return -ENOMEM;
	for (char *rest = text; (at = strsep(&rest, "\n"));)
		changes_take(side, &section, at);
	return 0;
}

static bool changes_same(const struct changes_line *a, const struct changes_line *b)
{
	return strcmp(a->section, b->section) == 0 && strcmp(a->text, b->text) == 0;
}

static void changes_add(json_t *list, const char *change, const struct changes_line *line)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:s}", "change", change, "section",
	                                      line->section, "line", (int)line->line, "text",
	                                      line->text));
}

/* common[i][j]: how many lines the old ones from i and the new ones from j have in common. */
static void changes_compare(const struct changes_side *old, const struct changes_side *new,
                            uint16_t *common, json_t *list)
{
	size_t width = new->count + 1, i, j;

	for (i = old->count; i-- > 0;)
		for (j = new->count; j-- > 0;)
			common[i * width + j] =
			        changes_same(&old->lines[i], &new->lines[j])
			                ? (uint16_t)(common[(i + 1) * width + j + 1] + 1)
			                : BASE_MAX(common[(i + 1) * width + j],
			                           common[i * width + j + 1]);
	for (i = j = 0; i < old->count || j < new->count;) {
		if (i < old->count &&
		    j < new->count &&changes_same(&old->lines[i], &new->lines[j])) {
			i++, j++;
		} else if (i < old->count &&
		           (j == new->count ||
		            common[(i + 1) * width + j] >= common[i * width + j + 1])) {
			changes_add(list, "removed", &old->lines[i++]);
		} else {
			changes_add(list, "added", &new->lines[j++]);
		}
	}
}

json_t *changes_list(const struct policy *old, const struct policy *new)
{
	BASE_CLEANUP(changes_clear) struct changes_side before = {0}, after = {0};
	BASE_AUTO_FREE uint16_t *common = NULL;
	json_t *list;

	if (changes_read(old, &before) < 0 || changes_read(new, &after) < 0)
		return NULL;
	common = calloc((before.count + 1) * (after.count + 1), sizeof(*common));
	list = common ? json_array() : NULL;
	if (list)
		changes_compare(&before, &after, common, list);
	return list;
}

/* Without the places in the text, and without what may change. */
static void changes_strip(struct policy *policy)
{
	struct policy_vm *vm = &policy->vm;

	vm->cpu.line = vm->vsock.line = policy->isolation.line = policy->capture.line = 0;
	policy->confidential.line = 0;
	for (size_t i = 0; i < POLICY_DISKS_MAX; i++)
		vm->disks[i].line = 0;
	for (size_t i = 0; i < POLICY_VHOST_MAX; i++)
		vm->vhosts[i].line = 0;
	for (size_t i = 0; i < POLICY_VSOCK_MAX; i++)
		vm->vsock.guest_to_host[i].line = 0;
	for (size_t i = 0; i < POLICY_NICS_MAX; i++) {
		vm->nics[i].line = 0;
		vm->nics[i].forward_count = 0;
		memset(vm->nics[i].forwards, 0, sizeof(vm->nics[i].forwards));
	}
	for (size_t i = 0; i < POLICY_SINKS_MAX; i++)
		policy->monitor.sinks[i].line = 0;
#define CHANGES_STRIP(key, text) policy->monitor.key.line = 0;
	POLICY_DETECTORS(CHANGES_STRIP)
}

#define CHANGES_FIELD(name, member)                                                          \
	{                                                                                    \
		name, offsetof(struct policy, member), sizeof(((struct policy *)0)->member), \
	}
static const struct {
	const char *name;
	size_t offset, size;
} changes_fields[] = {
        CHANGES_FIELD("guard", vm.guard),
        CHANGES_FIELD("vm.name", vm.name),
        CHANGES_FIELD("vm.vcpus", vm.vcpus),
        CHANGES_FIELD("vm.cpu", vm.cpu),
        CHANGES_FIELD("vm.memory", vm.memory),
        CHANGES_FIELD("vm.balloon", vm.balloon),
        CHANGES_FIELD("vm.memory_reclaim", vm.memory_reclaim),
        CHANGES_FIELD("vm.kernel", vm.kernel),
        CHANGES_FIELD("vm.initrd", vm.initrd),
        CHANGES_FIELD("vm.cmdline", vm.cmdline),
        CHANGES_FIELD("vm.disks", vm.disks),
        CHANGES_FIELD("vm.nics", vm.nics),
        CHANGES_FIELD("vm.vhost_user", vm.vhosts),
        CHANGES_FIELD("vm.on_panic", vm.on_panic),
        CHANGES_FIELD("vm.on_reset", vm.on_reset),
        CHANGES_FIELD("vm.watchdog", vm.watchdog),
        CHANGES_FIELD("vm.console", vm.console),
        CHANGES_FIELD("vm.vsock", vm.vsock),
        CHANGES_FIELD("isolation", isolation),
        CHANGES_FIELD("confidential", confidential),
        /* the resolver was started with it, or without it */
        CHANGES_FIELD("firewall.dns", firewall.dns),
        CHANGES_FIELD("monitor", monitor),
        CHANGES_FIELD("capture", capture),
};

json_t *changes_refused(const struct policy *old, const struct policy *new)
{
	BASE_AUTO_FREE struct policy *before = malloc(sizeof(*before)),
	                             *after = malloc(sizeof(*after));
	json_t *list = before && after ? json_array() : NULL;

	if (!list)
		return NULL;
	*before = *old;
	*after = *new;
	changes_strip(before);
	changes_strip(after);
	for (size_t i = 0; i < BASE_COUNT(changes_fields); i++)
		if (memcmp((const char *)before + changes_fields[i].offset,
		           (const char *)after + changes_fields[i].offset,
		           changes_fields[i].size) != 0)
			json_array_append_new(list, json_string(changes_fields[i].name));
	/* some names may become others, or none; but who asks for them was started with the guest, or was not */
	if (!old->name_count && new->name_count)
		json_array_append_new(list, json_string("firewall.egress: the first names"));
	return list;
}
