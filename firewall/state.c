/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel holds of a VM, read from the kernel itself, so that a restarted daemon (or another
 * one) can change and remove rules that it did not make.
 *
 * Nothing is searched for: a VM's chain `is`, which no packet passes, has the record of it in its rules' comments,
 * and sets and quotas are those that its rules refer to. So reading one VM's state costs the same however
 * many VMs there are.
 */
#include <arpa/inet.h>
#include <stdarg.h>

#include "base/base.h"
#include "firewall/rules.h"

bool firewall_names_hold(const struct firewall_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i], name) == 0)
			return true;
	return false;
}

int firewall_names_add(struct firewall_names *names, const char *name)
{
	int error;

	if (firewall_names_hold(names, name))
		return 0;
	if (names->count == FIREWALL_NAMES_MAX)
		return -E2BIG;
	if (!names->list)
		names->list = calloc(FIREWALL_NAMES_MAX, sizeof(*names->list));
	if (!names->list)
		return -ENOMEM;
	error = base_copy_string(names->list[names->count], FIREWALL_NAME_MAX, name);
	names->count += !error;
	return error;
}

void firewall_state_clear(struct firewall_state *state)
{
	free(state->sets.list);
	free(state->quotas.list);
	free(state->groups.list);
	free(state->peers.list);
	*state = (struct firewall_state){0};
}

/* What is read of one VM, and whose it is. */
struct reading {
	struct firewall *fw;
	const char *family, *vm;
	char own[POLICY_NAME_MAX + 8]; /* "vm_NAME_" */
	struct firewall_state *state;
};

static int each_rule(const struct reading *r, const char *family, const char *suffix,
                     firewall_rule_fn *take, void *data)
{
	char chain[FIREWALL_NAME_MAX];

	snprintf(chain, sizeof(chain), "vm_%s_%s", r->vm, suffix);
	return firewall_read_chain(r->fw, family, chain, take, data);
}

static int scan_set(struct reading *r, const char *name)
{
	struct firewall_state *state = r->state;

	if (strncmp(name, r->own, strlen(r->own)) == 0)
		return firewall_names_add(&state->sets, name);
	if (strncmp(name, "peer_", 5) == 0 || strncmp(name, "group_", 6) == 0)
		return firewall_names_add(&state->peers, name);
	return 0;
}

/* What the rule refers to. */
static int scan(const struct firewall_rule *rule, void *data)
{
	struct reading *r = data;
	int error = 0;

	if (rule->object && strncmp(rule->object, r->own, strlen(r->own)) == 0)
		error = firewall_names_add(&r->state->quotas, rule->object);
	for (size_t i = 0; i < rule->set_count && !error; i++)
		if (rule->sets[i])
			error = scan_set(r, rule->sets[i]);
	return error;
}

/* Scans a chain; an absent one is none (*found says). */
static int scan_chain(struct reading *r, const char *suffix, bool *found)
{
	int error = each_rule(r, r->family, suffix, scan, r);

	*found = error == 0;
	return error == -ENOENT ? 0 : error;
}

/* What a rule's comment says of one NIC. */
struct nic_reading {
	struct firewall_state *state;
	size_t nic;
};

/* "forward tcp 8080, line N" */
static int take_forward(const struct firewall_rule *rule, void *data)
{
	const struct nic_reading *r = data;
	const size_t nic = r->nic;
	struct policy_forward forward = {0};
	size_t *count = &r->state->nics[nic].forward_count;
	char proto[4];

	if (!rule->comment || sscanf(rule->comment, "forward %3s %hu", proto, &forward.host) != 2)
		return 0;
	forward.proto = strcmp(proto, "tcp") == 0 ? POLICY_PROTO_TCP : POLICY_PROTO_UDP;
	for (size_t i = 0; i < *count; i++) /* one for each family */
		if (r->state->nics[nic].forwards[i].host == forward.host &&
		    r->state->nics[nic].forwards[i].proto == forward.proto)
			return 0;
	if (*count < POLICY_FORWARDS_MAX)
		r->state->nics[nic].forwards[(*count)++] = forward;
	return 0;
}

static int read_nic(struct reading *r, size_t i)
{
	struct nic_reading nic = {r->state, i};
	char suffix[32];
	int error;

	if (!r->state->nics[i].tap[0])
		return 0;
	snprintf(suffix, sizeof(suffix), "%zu_forwards", i);
	error = each_rule(r, r->family, suffix, take_forward, &nic);
	if (error && error != -ENOENT)
		return error;
	r->state->nics[i].forwarding = error == 0;
	snprintf(suffix, sizeof(suffix), "%zu", i);
	error = each_rule(r, "netdev", suffix, NULL, NULL);
	if (error && error != -ENOENT)
		return error;
	r->state->nics[i].hooked = error == 0;
	for (size_t m = 0; m < FIREWALL_SPOOF_MAPS; m++) {
		snprintf(suffix, sizeof(suffix), "%zu_%s", i, firewall_spoof_maps[m]);
		error = each_rule(r, "netdev", suffix, NULL, NULL);
		if (error && error != -ENOENT)
			return error;
		r->state->nics[i].maps[m] = error == 0;
	}
	return 0;
}

static int count_rule(const struct firewall_rule *rule, void *data)
{
	(void)rule;
	++*(size_t *)data;
	return 0;
}

/* The chains of rules with limits are as many as SIDE_known tells apart. */
static int read_slots(struct reading *r, bool outward)
{
	const char *side = outward ? "egress" : "ingress";
	char suffix[32];
	bool found;
	size_t slots = 0;
	int error;

	snprintf(suffix, sizeof(suffix), "%s_known", side);
	error = each_rule(r, r->family, suffix, count_rule, &slots);
	if (error)
		return error == -ENOENT ? 0 : error;
	r->state->slots[outward] = slots;
	for (size_t slot = 1; slot <= slots && !error; slot++) {
		snprintf(suffix, sizeof(suffix), "%s_r%zu", side, slot);
		error = scan_chain(r, suffix, &found);
	}
	return error;
}

/* What the chain of groups refers to are the groups that the VM is in. */
static int read_groups(struct reading *r)
{
	struct firewall_names others = r->state->peers;
	bool found;
	int error;

	r->state->peers = (struct firewall_names){0};
	error = scan_chain(r, "groups", &found);
	r->state->groups = r->state->peers;
	r->state->peers = others;
	return error;
}

static const char about_chains[] = "generation %u, chains 0x%x",
                  about_guest[] = "nic %u tap %s %02x:%02x:%02x:%02x:%02x:%02x %s %s",
                  about_gateway[] = "nic %u gateways %s %s ports %u %u";

static void write_record(const struct firewall_plan *plan, const char *format, ...)
        BASE_PRINTF(2, 3);
static void write_record(const struct firewall_plan *plan, const char *format, ...)
{
	char record[FIREWALL_NAME_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(record, sizeof(record), format, arguments);
	va_end(arguments);
	firewall_text_rule(plan, "is", "counter comment \"%s\"", record);
}

void firewall_state_write(const struct firewall_plan *plan)
{
	char ip4[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];

	firewall_text_chain(plan, "is");
	write_record(plan, about_chains, plan->generation, plan->chains);
	for (unsigned int i = 0; i < plan->nic_count; i++) {
		const struct firewall_nic *nic = &plan->nics[i];
		const uint8_t *m = nic->mac;

		if (!firewall_nic_in(nic, plan->family))
			continue;
		write_record(plan, about_guest, i, nic->tap, m[0], m[1], m[2], m[3], m[4], m[5],
		             inet_ntop(AF_INET, nic->ip4, ip4, sizeof(ip4)),
		             inet_ntop(AF_INET6, nic->ip6, ip6, sizeof(ip6)));
		write_record(plan, about_gateway, i,
		             inet_ntop(AF_INET, nic->gateway4, ip4, sizeof(ip4)),
		             inet_ntop(AF_INET6, nic->gateway6, ip6, sizeof(ip6)), nic->dhcp_port,
		             nic->dns_port);
	}
}

/* The NIC that a record speaks of, or NULL. */
static struct firewall_nic *recorded(struct firewall_state *state, unsigned int i)
{
	if (i >= POLICY_NICS_MAX)
		return NULL;
	if (state->nic_count <= i)
		state->nic_count = i + 1;
	return &state->nics[i].was;
}

/* What cannot be read is left out: only root could have written it. */
static int take_record(const struct firewall_rule *rule, void *data)
{
	struct firewall_state *state = ((struct reading *)data)->state;
	char tap[16], ip4[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];
	unsigned int i, chains, dhcp, dns, m[6];
	struct firewall_nic *nic;

	if (!rule->comment)
		return 0;
	if (sscanf(rule->comment, "generation %u, chains 0x%x", &i, &chains) == 2 && i &&
	    i <= FIREWALL_GENERATIONS) {
		state->generation = (uint16_t)i;
		state->chains = chains & ((1u << firewall_vm_chain_count) - 1);
	} else if (sscanf(rule->comment, "nic %u tap %15s %x:%x:%x:%x:%x:%x %15s %45s", &i, tap,
	                  &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], ip4, ip6) == 10 &&
	           (nic = recorded(state, i))) {
		memcpy(nic->tap, tap, sizeof(nic->tap));
		memcpy(state->nics[i].tap, tap, sizeof(state->nics[i].tap));
		for (size_t k = 0; k < BASE_COUNT(m); k++)
			nic->mac[k] = (uint8_t)m[k];
		inet_pton(AF_INET, ip4, nic->ip4);
		inet_pton(AF_INET6, ip6, nic->ip6);
	} else if (sscanf(rule->comment, "nic %u gateways %15s %45s ports %u %u", &i, ip4, ip6,
	                  &dhcp, &dns) == 5 &&
	           (nic = recorded(state, i))) {
		inet_pton(AF_INET, ip4, nic->gateway4);
		inet_pton(AF_INET6, ip6, nic->gateway6);
		nic->dhcp_port = (uint16_t)dhcp;
		nic->dns_port = (uint16_t)dns;
	}
	return 0;
}

int firewall_state_read(struct firewall *fw, const char *family, const char *vm,
                        struct firewall_state *state)
{
	struct reading r = {.fw = fw, .family = family, .vm = vm, .state = state};
	bool found;
	int error;

	*state = (struct firewall_state){0};
	snprintf(r.own, sizeof(r.own), "vm_%s_", vm);
	error = each_rule(&r, family, "is", take_record, &r);
	if (error == -ENOENT || error == -EOPNOTSUPP) /* the kernel does not have the family */
		return 0;
	if (error)
		return error;
	state->present = true;
	for (size_t i = 0; i < firewall_vm_chain_count && !error; i++)
		if (state->chains & 1u << i)
			error = scan_chain(&r, firewall_vm_chains[i].suffix, &found);
	if (!error)
		error = read_groups(&r);
	for (size_t outward = 0; outward < 2 && !error; outward++)
		error = read_slots(&r, outward);
	for (size_t i = 0; i < state->nic_count && !error; i++)
		error = read_nic(&r, i);
	if (error)
		return error;
	error = each_rule(&r, family, "quarantine_from", NULL, NULL);
	state->quarantined = error == 0;
	return error == -ENOENT ? 0 : error;
}
