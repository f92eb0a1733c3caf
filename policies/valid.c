/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser's result, as its parent sees it: bytes from a process that read hostile text and may
 * have been lost to it. Nothing is used before it has passed here, so that the worst a lost parser
 * can do is to say another policy; it cannot make an index, a string or a number that the rest of
 * cordon would not expect from any policy.
 */
#include <ctype.h>

#include "policies/internal.h"

static bool in_range(uint64_t value, uint64_t low, uint64_t high)
{
	return value >= low && value <= high;
}

/* A bool is a byte here: one that is neither 0 nor 1 is undefined to read as a bool. */
static bool is_bool(const bool *value)
{
	return *(const volatile uint8_t *)value <= 1;
}

bool policy_text_valid(const char *text, size_t size)
{
	const char *end = memchr(text, '\0', size);

	if (!end)
		return false;
	while (text < end)
		if (!policy_utf8_plain(policy_utf8_next(&text, end)))
			return false;
	return true;
}

static bool is_word(const char *text, size_t size, const char *also)
{
	if (!memchr(text, '\0', size))
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(also, *text))
			return false;
	return true;
}

static bool is_span(const struct policy_span *span, size_t count)
{
	return (size_t)span->first + span->count <= count;
}

static bool valid_disk(const struct policy_disk *disk)
{
	return policy_text_valid(disk->path, sizeof(disk->path)) && disk->path[0] &&
	       disk->format == POLICY_DISK_RAW && is_bool(&disk->read_only) &&
	       policy_text_valid(disk->serial, sizeof(disk->serial));
}

static bool valid_forwards(const struct policy_nic *nic)
{
	if (nic->forward_count > POLICY_FORWARDS_MAX ||
	    (nic->forward_count && nic->mode != POLICY_NIC_NAT))
		return false;
	for (size_t i = 0; i < nic->forward_count; i++)
		if (!in_range(nic->forwards[i].proto, POLICY_PROTO_TCP, POLICY_PROTO_UDP) ||
		    !nic->forwards[i].host || !nic->forwards[i].guest)
			return false;
	return true;
}

static bool valid_nic(const struct policy_nic *nic)
{
	return in_range(nic->mode, POLICY_NIC_NAT, POLICY_NIC_BRIDGE) &&
	       is_word(nic->bridge, sizeof(nic->bridge), "._-") && !(nic->mac[0] & 1) &&
	       (nic->mode == POLICY_NIC_BRIDGE) == (nic->bridge[0] != '\0') &&
	       valid_forwards(nic) && (nic->mtu == 0 || in_range(nic->mtu, 1280, 9216)) &&
	       nic->queues <= POLICY_QUEUES_MAX;
}

/* VMADDR_PORT_ANY and VMADDR_CID_ANY, all ones, are nobody's. */
static bool is_port(uint32_t port)
{
	return in_range(port, 1, UINT32_MAX - 1);
}

static bool valid_vsock(const struct policy_vsock *vsock)
{
	if ((vsock->cid && !in_range(vsock->cid, 3, UINT32_MAX - 1)) ||
	    vsock->guest_to_host_count > POLICY_VSOCK_MAX ||
	    vsock->host_to_guest_count > POLICY_VSOCK_MAX)
		return false;
	for (size_t i = 0; i < vsock->guest_to_host_count; i++) {
		const struct policy_vsock_target *target = &vsock->guest_to_host[i];

		if (!is_port(target->port) ||
		    !policy_text_valid(target->socket, sizeof(target->socket)) ||
		    target->socket[0] != '/' || strrchr(target->socket, '/') == target->socket)
			return false;
	}
	for (size_t i = 0; i < vsock->host_to_guest_count; i++)
		if (!is_port(vsock->host_to_guest[i]))
			return false;
	return true;
}

static bool valid_vm(const struct policy_vm *vm)
{
	if (!is_word(vm->name, sizeof(vm->name), "-") || !vm->name[0] || vm->name[0] == '-' ||
	    !in_range(vm->vcpus, 1, 64) || !in_range(vm->memory, 64ull << 20, 1ull << 40) ||
	    vm->memory % (2ull << 20) || !is_bool(&vm->balloon) || !is_bool(&vm->memory_reclaim) ||
	    !policy_text_valid(vm->kernel, sizeof(vm->kernel)) || !is_bool(&vm->guard) ||
	    (vm->guard && !policy_guard_valid(vm)) ||
	    !policy_text_valid(vm->initrd, sizeof(vm->initrd)) ||
	    !policy_text_valid(vm->cmdline, sizeof(vm->cmdline)) ||
	    vm->disk_count > POLICY_DISKS_MAX || vm->nic_count > POLICY_NICS_MAX ||
	    !in_range(vm->on_panic, POLICY_THEN_STOP, POLICY_THEN_LOG) ||
	    (vm->on_reset != POLICY_THEN_STOP && vm->on_reset != POLICY_THEN_RESTART) ||
	    !in_range(vm->watchdog, POLICY_THEN_NONE, POLICY_THEN_RESTART) ||
	    vm->watchdog == POLICY_THEN_LOG ||
	    !in_range(vm->console, POLICY_CONSOLE_SERIAL, POLICY_CONSOLE_VIRTIO) ||
	    !valid_vsock(&vm->vsock))
		return false;
	if (!policy_vhost_valid(vm))
		return false;
	for (size_t i = 0; i < vm->disk_count; i++)
		if (!valid_disk(&vm->disks[i]))
			return false;
	if (vm->group_count > POLICY_GROUPS_MAX)
		return false;
	for (size_t i = 0; i < vm->group_count; i++)
		if (!is_word(vm->groups[i], POLICY_NAME_MAX, "-") || !vm->groups[i][0])
			return false;
	for (size_t i = 0; i < vm->nic_count; i++)
		if (!valid_nic(&vm->nics[i]))
			return false;
	return true;
}

static bool valid_limits(const struct policy_limits *limits)
{
	return limits->new_connections <= 1000000 && limits->connections <= 10000000 &&
	       limits->bandwidth <= 10000000000 && limits->packets <= 100000000 &&
	       limits->quota <= 1ull << 50;
}

/* Protocol, ports, types and services: of these, only what belongs together. */
static bool valid_what(const struct policy_rule *rule)
{
	bool transport = rule->proto == POLICY_PROTO_TCP || rule->proto == POLICY_PROTO_UDP ||
	                 rule->proto == POLICY_PROTO_SCTP;
	bool types = false;

	for (size_t i = 0; i < sizeof(rule->types4); i++)
		types |= rule->types4[i] || rule->types6[i];
	return (!rule->ports.count || transport) &&
	       (!types || in_range(rule->proto, POLICY_PROTO_ICMP, POLICY_PROTO_ICMPV6)) &&
	       (rule->proto == POLICY_PROTO_NUMBER) == (rule->protocol != 0) &&
	       rule->services >> (policy_service_count - 1) <= 1 &&
	       (!rule->services || (rule->proto == POLICY_PROTO_ANY && !rule->ports.count));
}

static bool valid_rules(const struct policy *p, const struct policy_rule *rules, size_t count,
                        bool egress)
{
	size_t limited = 0;

	if (count > POLICY_RULES_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *rule = &rules[i];

		limited += is_bool(&rule->limited) && rule->limited;
		if (!in_range(rule->action, POLICY_ALLOW, POLICY_REJECT) ||
		    !in_range(rule->proto, POLICY_PROTO_ANY, POLICY_PROTO_NUMBER) ||
		    !is_bool(&rule->any) || !is_bool(&rule->log) || !is_bool(&rule->limited) ||
		    !is_span(&rule->cidrs, p->cidr_count) ||
		    !is_span(&rule->peers, p->peer_count) ||
		    !is_span(&rule->names, p->name_count) ||
		    !is_span(&rule->ports, p->port_count) || !valid_what(rule) ||
		    (rule->names.count && !egress) || !valid_limits(&rule->limits) ||
		    rule->any == (rule->cidrs.count || rule->names.count || rule->peers.count))
			return false;
	}
	return limited <= POLICY_LIMITED_MAX;
}

static bool valid_peers(const struct policy *p)
{
	const struct policy_firewall *firewall = &p->firewall;

	if (p->peer_count > POLICY_PEERS_MAX || firewall->set_count > POLICY_SETS_MAX)
		return false;
	for (size_t i = 0; i < firewall->set_count; i++)
		if (!is_word(firewall->sets[i].name, POLICY_NAME_MAX, "-") ||
		    !is_span(&firewall->sets[i].cidrs, p->cidr_count))
			return false;
	for (size_t i = 0; i < p->peer_count; i++) {
		const struct policy_peer *peer = &p->peers[i];

		if (!in_range(peer->kind, POLICY_PEER_HOST, POLICY_PEER_SET) ||
		    !is_word(peer->name, POLICY_NAME_MAX, "-") ||
		    (peer->kind >= POLICY_PEER_VM) != (peer->name[0] != '\0') ||
		    (peer->kind == POLICY_PEER_SET && !policy_set_find(p, peer->name)))
			return false;
	}
	return true;
}

static bool valid_pools(const struct policy *p)
{
	if (p->cidr_count > POLICY_CIDRS_MAX || p->port_count > POLICY_PORTS_MAX ||
	    p->name_count > POLICY_NAMES_MAX)
		return false;
	for (size_t i = 0; i < p->cidr_count; i++)
		if (!policy_cidr_valid(&p->cidrs[i]))
			return false;
	for (size_t i = 0; i < p->port_count; i++)
		if (p->ports[i].first == 0 || p->ports[i].first > p->ports[i].last)
			return false;
	for (size_t i = 0; i < p->name_count; i++) {
		char name[POLICY_DNS_NAME_MAX];

		if (!memchr(p->names[i], '\0', sizeof(p->names[i])) ||
		    policy_value_dns_pattern(p->names[i], name) || strcmp(p->names[i], name) != 0)
			return false;
	}
	return true;
}

static bool valid_detector(const struct policy_detector *detector)
{
	return is_bool(&detector->enabled) && (detector->respond & POLICY_RESPOND_ALERT) &&
	       detector->respond < POLICY_RESPOND_PAUSE * 2;
}

static bool valid_monitor(const struct policy_monitor *m)
{
#define DETECTOR_VALID(key, text) valid = valid && valid_detector(&m->key);
	bool valid = true;

	POLICY_DETECTORS(DETECTOR_VALID)
	if (!valid || !in_range(m->scan_ports, 2, 65535) || !in_range(m->scan_hosts, 2, 65535) ||
	    m->sink_count > POLICY_SINKS_MAX || m->suppress_count > POLICY_SUPPRESS_MAX ||
	    !policy_lists_valid(m) || m->expect.egress > 1ull << 50 ||
	    m->expect.destinations > 10000)
		return false;
	for (size_t i = 0; i < m->suppress_count; i++)
		if (!policy_suppress_valid(&m->suppress[i]))
			return false;
	for (size_t i = 0; i < m->sink_count; i++)
		if (!policy_sink_valid(&m->sinks[i]))
			return false;
	return true;
}

bool policy_valid(const struct policy *p)
{
	const struct policy_isolation *isolation = &p->isolation;
	const struct policy_capture *capture = &p->capture;

	return p->version == 1 && valid_vm(&p->vm) && valid_pools(p) && valid_peers(p) &&
	       is_bool(&isolation->core_scheduling) && policy_cpu_valid(&p->vm.cpu) &&
	       (isolation->numa <= POLICY_NODES || isolation->numa == POLICY_NUMA_AUTO) &&
	       is_bool(&isolation->any) &&
	       (isolation->huge_pages == 0 || isolation->huge_pages == 2ull << 20) &&
	       policy_confidential_valid(p) &&
	       valid_rules(p, p->firewall.ingress, p->firewall.ingress_count, false) &&
	       valid_rules(p, p->firewall.egress, p->firewall.egress_count, true) &&
	       valid_limits(&p->firewall.limits) && !(p->firewall.routing_headers[0] & 1) &&
	       is_bool(&p->firewall.dns) && valid_monitor(&p->monitor) &&
	       capture->ring <= 4ull << 30 && capture->snaplen <= 65535 &&
	       capture->before_alert <= 3600;
}

bool policy_errors_valid(const struct policy_errors *errors)
{
	if (!in_range(errors->count, 1, POLICY_ERRORS_MAX) || !is_bool(&errors->more))
		return false;
	for (size_t i = 0; i < errors->count; i++) {
		const struct policy_error *e = &errors->list[i];

		if (!policy_text_valid(e->found, sizeof(e->found)) ||
		    !policy_text_valid(e->expected, sizeof(e->expected)) ||
		    !policy_text_valid(e->hint, sizeof(e->hint)) ||
		    !policy_text_valid(e->source, sizeof(e->source)) || e->line == 0 ||
		    e->column == 0 || e->width == 0 || e->caret > POLICY_TEXT_MAX)
			return false;
	}
	return true;
}
