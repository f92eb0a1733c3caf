/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy in words, with all that it leaves to defaults. What is off is said to be off: a reader
 * should not have to know what a missing line means.
 */
#include "policies/internal.h"

static void explain_limit(FILE *out, const struct policy_limit *limit, const char *operations)
{
	char text[POLICY_FORMAT_MAX];

	if (limit->bandwidth)
		fprintf(out, ", at most %s/s", policy_format_bandwidth(limit->bandwidth, text));
	if (limit->iops)
		fprintf(out, ", at most %llu %s/s", (unsigned long long)limit->iops, operations);
	if (limit->burst)
		fprintf(out, ", bursts of %s", policy_format_size(limit->burst, text));
}

static void explain_nic(FILE *out, size_t index, const struct policy_nic *nic)
{
	static const char *const modes[] = {
	        "nat: routed tap, the host's address on the outside",
	        "host-only: routed tap, the host and its other guests only",
	        "routed: routed tap, the guest's own address on the outside",
	        "bridge",
	};
	static const uint8_t zero[6];

	fprintf(out, "  nic %zu        %s", index, modes[nic->mode]);
	if (nic->mode == POLICY_NIC_BRIDGE)
		fprintf(out, " %s of the host, a port of its own", nic->bridge);
	if (memcmp(nic->mac, zero, 6) == 0)
		fputs(", MAC chosen by cordon", out);
	else
		fprintf(out, ", MAC %02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
		        nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	fprintf(out, ", MTU %u", nic->mtu ? nic->mtu : 1500);
	if (nic->queues > 1)
		fprintf(out, ", %u pairs of queues", nic->queues);
	explain_limit(out, &nic->limit, "frames");
	for (size_t i = 0; i < nic->forward_count; i++)
		fprintf(out, ", %s port %u of the host is its port %u",
		        nic->forwards[i].proto == POLICY_PROTO_TCP ? "tcp" : "udp",
		        nic->forwards[i].host, nic->forwards[i].guest);
	fputc('\n', out);
}

static void explain_life(FILE *out, const struct policy_vm *vm)
{
	static const char *const then[] = {
	        [POLICY_THEN_NONE] = "none",
	        [POLICY_THEN_STOP] = "the VM ends",
	        [POLICY_THEN_PAUSE] = "the VM is paused",
	        [POLICY_THEN_LOG] = "said in the log",
	        [POLICY_THEN_RESTART] = "the VM is started again, in new processes",
	};

	fprintf(out, "  panic        %s\n  reset        %s\n  watchdog     %s%s\n",
	        then[vm->on_panic], then[vm->on_reset], vm->watchdog ? "expires: " : "",
	        then[vm->watchdog]);
}

static void explain_cpu(FILE *out, const struct policy_cpu *cpu)
{
	char text[POLICY_CPU_TEXT_MAX];
	struct policy_cpu changes = *cpu;

	changes.nested = false;
	policy_cpu_text(&changes, text);
	fprintf(out, "  model        %s%s\n", text,
	        cpu->model == POLICY_CPU_HOST
	                ? ": what the host has of the features that guests may see"
	                : ": the same on each host, or no start");
	fprintf(out, "  nested       %s\n",
	        cpu->nested ? "the guest may run guests of its own" : "no guests in the guest");
}

static void explain_vsock(FILE *out, const struct policy_vsock *vsock)
{
	if (vsock->line == 0) {
		fputs("  vsock        none\n", out);
		return;
	}
	if (vsock->cid)
		fprintf(out, "  vsock        CID %u\n", vsock->cid);
	else
		fputs("  vsock        CID chosen by cordon\n", out);
	for (size_t i = 0; i < vsock->guest_to_host_count; i++)
		fprintf(out, "               the guest's connections to port %u go to %s\n",
		        vsock->guest_to_host[i].port, vsock->guest_to_host[i].socket);
	for (size_t i = 0; i < vsock->host_to_guest_count; i++)
		fprintf(out, "               the host may connect to the guest's port %u\n",
		        vsock->host_to_guest[i]);
	fputs("               every other port is refused, both ways\n", out);
}

static void explain_vm(FILE *out, const struct policy_vm *vm)
{
	char memory[POLICY_FORMAT_MAX];

	fprintf(out, "VM %s\n", vm->name);
	fprintf(out, "  processors   %u, one thread a core, in one package\n", vm->vcpus);
	explain_cpu(out, &vm->cpu);
	fprintf(out, "  memory       %s\n", policy_format_size(vm->memory, memory));
	fprintf(out, "  balloon      %s\n",
	        vm->memory_reclaim ? "what the guest frees goes back to the host by itself"
	        : vm->balloon      ? "when the host asks"
	                           : "none: what the guest has had it keeps");
	fprintf(out, "  kernel       %s %s\n",
	        !vm->kernel[0]            ? "what the firmware has in it"
	        : strchr(vm->kernel, '/') ? "file"
	                                  : "image",
	        vm->kernel);
	if (vm->initrd[0])
		fprintf(out, "  initrd       %s\n", vm->initrd);
	if (vm->cmdline[0])
		fprintf(out, "  parameters   %s\n", vm->cmdline);
	for (size_t i = 0; i < vm->disk_count; i++) {
		const struct policy_disk *disk = &vm->disks[i];

		fprintf(out, "  disk %zu       %s, raw, %s", i, disk->path,
		        disk->read_only ? "read only" : "writable");
		if (disk->serial[0])
			fprintf(out, ", serial %s", disk->serial);
		explain_limit(out, &disk->limit, "requests");
		fputc('\n', out);
	}
	for (size_t i = 0; i < vm->nic_count; i++)
		explain_nic(out, i, &vm->nics[i]);
	if (vm->nic_count == 0)
		fputs("  network      none\n", out);
	policy_vhost_explain(out, vm);
	explain_life(out, vm);
	fprintf(out, "  console      %s\n",
	        vm->console == POLICY_CONSOLE_VIRTIO
	                ? "virtio (hvc0); the kernel's early messages go to the serial port"
	                : "the serial port");
	explain_vsock(out, &vm->vsock);
}

static void explain_cpus(FILE *out, const uint8_t *bitmap)
{
	const char *comma = "";

	for (size_t cpu = 0; cpu < POLICY_CPUS_MAX; cpu++) {
		size_t first = cpu;

		while (cpu < POLICY_CPUS_MAX && bitmap[cpu / 8] & 1u << cpu % 8)
			cpu++;
		if (cpu == first)
			continue;
		fprintf(out, cpu == first + 1 ? "%s%zu" : "%s%zu-%zu", comma, first, cpu - 1);
		comma = ",";
	}
	fputs(*comma ? "\n" : "any of the host's\n", out);
}

static void explain_isolation(FILE *out, const struct policy *policy)
{
	const struct policy_isolation *isolation = &policy->isolation;
	char size[POLICY_FORMAT_MAX];

	fputs("\nIsolation\n  processes    a user each, no capability, empty root and network, "
	      "one seccomp list a role\n  CPUs         ",
	      out);
	explain_cpus(out, isolation->cpus);
	fprintf(out, "  cores        %s\n",
	        isolation->core_scheduling ? "not shared with any other VM at the same time"
	                                   : "shared as the host's scheduler likes");
	fprintf(out, "  huge pages   %s\n",
	        isolation->huge_pages ? "2M, reserved" : "transparent ones only");
	if (isolation->numa == POLICY_NUMA_AUTO)
		fputs("  memory from  the NUMA node of these CPUs, and no other\n", out);
	else if (isolation->numa)
		fprintf(out, "  memory from  NUMA node %u, and no other\n", isolation->numa - 1);
	else
		fputs("  memory from  any NUMA node\n", out);
	fprintf(out, "  overhead     %s\n",
	        isolation->memory_overhead ? policy_format_size(isolation->memory_overhead, size)
	                                   : "no limit beyond guest memory");
	policy_confidential_explain(out, &policy->confidential);
}

static void explain_detector(FILE *out, const char *name, const struct policy_detector *detector)
{
	static const char *const words[] = {"alert", "capture", "throttle", "quarantine", "pause"};
	const char *comma = "";

	fprintf(out, "  %-15s ", name);
	if (!detector->enabled) {
		fputs("off\n", out);
		return;
	}
	for (size_t i = 0; i < BASE_COUNT(words); i++) {
		if (!(detector->respond & 1u << i))
			continue;
		fprintf(out, "%s%s", comma, words[i]);
		comma = ", ";
	}
	fputs(detector->line ? "\n" : "  (default)\n", out);
}

static void explain_monitor(FILE *out, const struct policy *policy)
{
	const struct policy_monitor *monitor = &policy->monitor;
	const struct policy_capture *capture = &policy->capture;
	char ring[POLICY_FORMAT_MAX];

	fputs("\nMonitor\n", out);
	explain_detector(out, "scan", &monitor->scan);
	if (monitor->scan.enabled)
		fprintf(out,
		        "               from %u failed ports of one host, or %u hosts on one "
		        "port\n",
		        monitor->scan_ports, monitor->scan_hosts);
#define EXPLAIN_DETECTOR(key, text)    \
	if (strcmp(#key, "scan") != 0) \
		explain_detector(out, #key, &monitor->key);
	POLICY_DETECTORS(EXPLAIN_DETECTOR)
	for (size_t i = 0; i < monitor->list_count; i++)
		fprintf(out, "  known bad    what stands in %s\n", monitor->lists[i]);
	if (monitor->expect.egress)
		fprintf(out, "  expected     no more than %s out in a day\n",
		        policy_format_size(monitor->expect.egress, ring));
	if (monitor->expect.destinations)
		fprintf(out, "  expected     no more than %u destinations in a day\n",
		        monitor->expect.destinations);
	fputs("  alerts to    the host's alert log\n", out);
	for (size_t i = 0; i < monitor->sink_count; i++)
		policy_sink_explain(out, &monitor->sinks[i]);
	for (size_t i = 0; i < monitor->suppress_count; i++)
		policy_suppress_explain(out, &monitor->suppress[i]);
	fputs("\nCapture\n", out);
	if (!capture->ring) {
		fputs("  recorder     none\n", out);
		return;
	}
	fprintf(out, "  recorder     %s, %u bytes of each packet, from %u s before an alert\n",
	        policy_format_size(capture->ring, ring), capture->snaplen, capture->before_alert);
}

void policy_explain(FILE *out, const struct policy *policy)
{
	if (policy->vm.guard) {
		policy_guard_explain(out, &policy->vm);
	} else {
		explain_vm(out, &policy->vm);
		explain_isolation(out, policy);
	}
	policy_firewall_explain(out, policy);
	explain_monitor(out, policy);
}
