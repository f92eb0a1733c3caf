/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMs that the monitor watches. An event names its tap by ifindex; a binary search finds whose it
 * is. Each VM has detectors of its own, made when it is registered and never grown, so what one guest
 * does costs the others nothing.
 *
 * #syscall monitor: close - a VM's sinks, when it has been forgotten
 * #syscall monitor: fstat - the size of a flow map that is being mapped
 */
#include "monitor/state.h"

#include "base/base.h"

enum { VMS_EVENTS_AT_ONCE = 4096 };

static size_t vms_index(const struct monitor *monitor, uint32_t ifindex)
{
	size_t low = 0, high = monitor->vm_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (monitor->vms[middle]->ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct monitor_vm *vms_find(const struct monitor *monitor, uint32_t ifindex)
{
	size_t i = vms_index(monitor, ifindex);

	return i < monitor->vm_count && monitor->vms[i]->ifindex == ifindex ? monitor->vms[i] : NULL;
}

static void vms_emit(const struct alert *alert, void *data)
{
	struct monitor_vm *vm = data;

	sinks_send(vm->monitor, vm, alert);
	if (alert->stage == ALERT_NEW)
		server_act(vm->monitor, vm->name, alert, vm->scan_policy.respond);
}

static void vms_free(struct monitor_vm *vm)
{
	scan_destroy(vm->scan);
	flow_map_close(vm->flows);
	for (size_t i = 0; i < vm->sink_count; i++)
		close(vm->sinks[i].fd);
	free(vm);
}

static void vms_remove(struct monitor *monitor, size_t i)
{
	vms_free(monitor->vms[i]);
	memmove(&monitor->vms[i], &monitor->vms[i + 1],
		(monitor->vm_count - i - 1) * sizeof(monitor->vms[0]));
	monitor->vm_count--;
}

static struct monitor_vm *vms_make(struct monitor *monitor, const struct monitor_request *request, int flow_map)
{
	struct scan_config config = { .ports = request->monitor.scan_ports,
				      .hosts = request->monitor.scan_hosts };
	struct monitor_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->monitor = monitor;
	vm->ifindex = request->ifindex;
	base_copy_string(vm->name, sizeof(vm->name), request->vm);
	vm->scan_policy = request->monitor.scan;
	config.vm = vm->name;
	if (request->monitor.scan.enabled) {
		vm->scan = scan_create(&config);
		if (!vm->scan) {
			vms_free(vm);
			return NULL;
		}
	}
	if (flow_map_open(flow_map, &vm->flows) < 0) {
		vm->flows = NULL;
		vms_free(vm);
		return NULL;
	}
	return vm;
}

int vms_register(struct monitor *monitor, const struct monitor_request *request, int *fds, size_t count)
{
	struct monitor_vm *vm = NULL, *before;
	int err = 0;
	size_t at;

	if (count != 1 + request->monitor.sink_count || count > MONITOR_FDS_MAX)
		err = -EINVAL;
	else if (monitor->vm_count == MONITOR_VMS_MAX)
		err = -ENOSPC;
	else if (!(vm = vms_make(monitor, request, fds[0])))
		err = -ENOMEM;
	if (count > 0)
		close(fds[0]); /* the mapping holds the map */
	for (size_t i = 1; i < count; i++) {
		if (err) {
			close(fds[i]);
			continue;
		}
		vm->sinks[vm->sink_count++] =
			(struct monitor_sink){ .fd = fds[i], .type = request->monitor.sinks[i - 1].type };
	}
	if (err)
		return err;
	before = vms_find(monitor, vm->ifindex);
	at = vms_index(monitor, vm->ifindex);
	if (before)
		vms_remove(monitor, at); /* the same VM again, or a tap number that was used before */
	memmove(&monitor->vms[at + 1], &monitor->vms[at],
		(monitor->vm_count - at) * sizeof(monitor->vms[0]));
	monitor->vms[at] = vm;
	monitor->vm_count++;
	return 0;
}

int vms_forget(struct monitor *monitor, const char *name)
{
	vms_events(monitor);
	for (size_t i = monitor->vm_count; i-- > 0;) {
		struct monitor_vm *vm = monitor->vms[i];

		if (strcmp(vm->name, name) != 0)
			continue;
		if (vm->scan)
			scan_tick(vm->scan, UINT64_MAX / 2, vms_emit, vm);
		vms_remove(monitor, i);
	}
	return 0;
}

static void vms_event(const struct flow_event_header *header, void *data)
{
	struct monitor *monitor = data;
	struct flow_event event;
	struct monitor_vm *vm;

	/* other kinds may be added to the ring before this program knows them */
	if (header->size != sizeof(event) || (vm = vms_find(monitor, header->ifindex)) == NULL)
		return;
	memcpy(&event, header, sizeof(event));
	event.header.time_ns += monitor->clock_ns;
	if (vm->scan)
		scan_observe(vm->scan, &event, vms_emit, vm);
}

void vms_events(struct monitor *monitor)
{
	event_ring_read(monitor->events, VMS_EVENTS_AT_ONCE, vms_event, monitor);
}

void vms_tick(struct monitor *monitor, uint64_t now_ns)
{
	for (size_t i = 0; i < monitor->vm_count; i++)
		if (monitor->vms[i]->scan)
			scan_tick(monitor->vms[i]->scan, now_ns, vms_emit, monitor->vms[i]);
}
