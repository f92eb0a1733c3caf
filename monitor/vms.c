/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMs that the monitor watches. An event names its tap by ifindex; a binary search finds whose it
 * is. Each VM has detectors of its own, made when it is registered and never grown, so what one guest
 * does costs the others nothing. Its alerts come out of a budget of its own, and the next one that is sent
 * says how many were not.
 *
 * #syscall monitor: close - a VM's sinks, when it has been forgotten
 * #syscall monitor: pwrite64 - what was learnt of a VM
 * #syscall monitor: fstat - whether an fd can be a flow map
 * #syscall monitor: newfstatat(arg3 = AT_EMPTY_PATH) - the same, as the C library asks it
 */
#include "monitor/state.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "monitor/denied.h"

enum {
	VMS_EVENTS_AT_ONCE = 4096,
	VMS_BUDGET = 60, /* alerts that a VM may cause at once, and then one in so many seconds: */
	VMS_BUDGET_TICKS = 10,
	VMS_SWEEP_TICKS = 30,
	VMS_BASELINE_TICKS = 600,
	VMS_TLS_FLOWS = 128,
	VMS_DENIED_AT_ONCE = 64,
	VMS_DENIED_BUFFER = 65536,
};

static uint64_t vms_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * DETECTOR_SECOND_NS + (uint64_t)now.tv_nsec;
}

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

	return i < monitor->vm_count && monitor->vms[i]->ifindex == ifindex ? monitor->vms[i]
	                                                                    : NULL;
}

struct monitor_vm *vms_from(const struct monitor *monitor, uint32_t ifindex)
{
	size_t i = vms_index(monitor, ifindex);

	return i < monitor->vm_count ? monitor->vms[i] : NULL;
}

static bool vms_cidr_has(const struct policy_cidr *cidr, const uint8_t address[16], uint8_t family)
{
	const unsigned int whole = cidr->prefix / 8, rest = cidr->prefix % 8;

	if ((cidr->family == 6) != (family == FLOW_IPV6) || memcmp(cidr->addr, address, whole) != 0)
		return false;
	return rest == 0 || ((cidr->addr[whole] ^ address[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

/* The policy says that such alerts are expected. */
static bool vms_expects(const struct policy_suppress *expected, const struct alert *alert)
{
	static const uint8_t nobody[16];
	const size_t family = strcspn(expected->rule, ".") + 1;
	const uint16_t minute = (uint16_t)(alert->last_ns / (60 * DETECTOR_SECOND_NS) % (24 * 60));
	const bool incoming =
	        alert->flow_count > 0 && memcmp(alert->flows[0].guest, alert->target, 16) == 0;
	const uint8_t *peer = incoming ? alert->source : alert->target;
	bool among = expected->peer_count == 0;

	if (strcmp(expected->rule + family, "*") == 0
	            ? strncmp(expected->rule, alert->rule, family) != 0
	            : strcmp(expected->rule, alert->rule) != 0)
		return false;
	if (expected->timed &&
	    (expected->from < expected->to ? minute < expected->from || minute >= expected->to
	                                   : minute < expected->from && minute >= expected->to))
		return false;
	for (size_t i = 0; i < expected->peer_count && memcmp(peer, nobody, 16) != 0; i++)
		among = among || vms_cidr_has(&expected->peers[i], peer, alert->family);
	return among;
}

static void vms_suppress(struct monitor_vm *vm)
{
	vm->suppressed++;
	vm->suppressed_ever++;
}

static void vms_emit(const struct alert *alert, void *data)
{
	struct monitor_vm *vm = data;

	for (size_t i = 0; i < vm->expected_count; i++)
		if (vms_expects(&vm->expected[i], alert)) {
			vms_suppress(vm);
			return;
		}
	if (alert->stage == ALERT_NEW)
		stats_finding(vm, alert->rule);
	/* what the policy asks for is done also when the budget for words is used up */
	if (alert->act)
		server_act(vm->monitor, vm->name, alert, vm->policy[alert->detector].respond);
	/* what is low leaves half of it to what is not */
	if (vm->budget <= (alert->severity < ALERT_MEDIUM ? VMS_BUDGET / 2 : 0)) {
		vms_suppress(vm);
		return;
	}
	vm->budget--;
	sinks_send(vm->monitor, vm, alert);
	vm->suppressed = 0;
}

static void vms_free(struct monitor_vm *vm)
{
	detectors_destroy(vm->detectors);
	tls_flows_destroy(vm->tls);
	flow_map_close(vm->flows);
	for (size_t i = 0; i < vm->sink_count; i++)
		sinks_close(vm, &vm->sinks[i]);
	exported_free(vm->exported);
	for (size_t i = 0; i < vm->intel.count; i++)
		lists_release(vm->lists[i]);
	base_close(&vm->baseline);
	free(vm);
}

static void vms_remove(struct monitor *monitor, size_t i)
{
	vms_free(monitor->vms[i]);
	memmove(&monitor->vms[i], &monitor->vms[i + 1],
	        (monitor->vm_count - i - 1) * sizeof(monitor->vms[0]));
	monitor->vm_count--;
}

/* A file, unlike a map, may be shorter than its mapping, and to read behind its end is death. */
static int vms_map(int fd, struct flow_map **map)
{
	struct stat facts;

	if (fstat(fd, &facts) < 0)
		return -errno;
	return facts.st_mode & S_IFMT ? -EINVAL : flow_map_open(fd, map);
}

static int vms_make(struct monitor *monitor, const struct monitor_request *request, int flow_map,
                    struct monitor_vm **out)
{
	struct detector_config config;
	struct monitor_vm *vm = calloc(1, sizeof(*vm));
	int err;

	if (!vm)
		return -ENOMEM;
	vm->monitor = monitor;
	vm->ifindex = request->ifindex;
	vm->baseline = -1;
	vm->budget = VMS_BUDGET;
	base_copy_string(vm->name, sizeof(vm->name), request->vm);
	detector_config_of(&request->monitor, &config);
	config.world = monitor->world;
	config.guest = world_guest(vm->name, request->group);
	config.intel = &vm->intel;
	for (int id = 0; id < DETECTORS; id++)
		vm->policy[id] = *detector_policy(&request->monitor, id);
	memcpy(vm->expected, request->monitor.suppress, sizeof(vm->expected));
	vm->expected_count = request->monitor.suppress_count;
	err = vms_map(flow_map, &vm->flows);
	if (!err && !(vm->detectors = detectors_create(&config)))
		err = -ENOMEM;
	if (err)
		vms_free(vm);
	else
		*out = vm;
	return err;
}

/* A flow that is still there when its VM goes, and was not told of. */
static int vms_cut(const struct flow_record *record, void *data)
{
	struct monitor_vm *vm = data;

	if (flow_idle_at(record) > vm->swept_ns)
		sinks_flow(vm, record,
		           ipfix_end_of(record, 0, UINT64_MAX) == IPFIX_END_DETECTED
		                   ? IPFIX_END_DETECTED
		                   : IPFIX_END_FORCED);
	return 0;
}

/* Writes what was learnt of the VM, where there is a file for it. */
static void vms_keep(struct monitor_vm *vm, uint64_t now_ns)
{
	int err = vm->baseline < 0 ? 0
	                           : baseline_save(vm->baseline, vm->detectors, now_ns,
	                                           &vm->baseline_sequence);

	if (err)
		fprintf(stderr, "monitor: what was learnt of '%s' is not kept: %s\n", vm->name,
		        strerror(-err));
}

/* Ends the findings and lets go of the VM. */
static void vms_end(struct monitor *monitor, size_t i)
{
	struct monitor_vm *vm = monitor->vms[i];

	flow_map_each(vm->flows, vms_cut, vm);
	vms_keep(vm, vms_now());
	detectors_tick(vm->detectors, DETECTOR_END, &(struct detector_out){vms_emit, vm});
	vms_remove(monitor, i);
}

static int vms_make_room(struct monitor *monitor, uint32_t ifindex)
{
	/* the same VM again, or a tap number that was used before */
	if (vms_find(monitor, ifindex))
		vms_end(monitor, vms_index(monitor, ifindex));
	return monitor->vm_count == MONITOR_VMS_MAX ? -ENOSPC : 0;
}

/* Reads what was learnt before; the file is taken. */
static int vms_learnt(struct monitor_vm *vm, int *file)
{
	struct stat facts;
	int err;

	if (fstat(*file, &facts) < 0 || !S_ISREG(facts.st_mode))
		return -EINVAL;
	err = baseline_load(*file, vm->detectors, vms_now(), &vm->baseline_sequence);
	if (!err)
		vm->baseline = base_take_fd(file);
	return err == -EBADMSG ? -EUCLEAN : err;
}

static void vms_add(struct monitor *monitor, struct monitor_vm *vm)
{
	size_t at = vms_index(monitor, vm->ifindex);

	memmove(&monitor->vms[at + 1], &monitor->vms[at],
	        (monitor->vm_count - at) * sizeof(monitor->vms[0]));
	monitor->vms[at] = vm;
	monitor->vm_count++;
}

/* `fds`: two a list; what is used of them is taken. */
static int vms_lists(struct monitor *monitor, struct monitor_vm *vm,
                     const struct monitor_request *request, int *fds, struct monitor_answer *answer)
{
	for (size_t i = 0; i < request->monitor.list_count; i++) {
		struct intel_fault fault = {0};
		int err = lists_take(monitor, request->monitor.lists[i], fds[2 * i],
		                     &fds[2 * i + 1], &vm->lists[i], &fault);

		if (err) {
			answer->respond = (uint32_t)i;
			answer->size = fault.line;
			memcpy(answer->alert_id, fault.excerpt, sizeof(answer->alert_id));
			return err;
		}
		vm->intel.lists[vm->intel.count++] = vm->lists[i]->list;
	}
	return 0;
}

static void vms_sinks(struct monitor_vm *vm, const struct policy_monitor *policy, int *fds)
{
	for (size_t i = 0; i < policy->sink_count; i++) {
		struct monitor_sink *sink = &vm->sinks[vm->sink_count++];

		*sink = (struct monitor_sink){.fd = base_take_fd(&fds[i]),
		                              .type = policy->sinks[i].type,
		                              .format = policy->sinks[i].format};
		if (sinks_open(vm, sink) < 0)
			fprintf(stderr, "monitor: no memory for a sink of %s: it gets no flows\n",
			        vm->name);
	}
}

int vms_register(struct monitor *monitor, const struct monitor_request *request, int *fds,
                 size_t count, struct monitor_answer *answer)
{
	const struct policy_monitor *policy = &request->monitor;
	struct monitor_vm *vm = NULL;
	int err = -EINVAL;

	if (count == 1 + policy->sink_count + 2 * policy->list_count + request->baseline &&
	    request->vm[0])
		err = vms_make(monitor, request, fds[0], &vm);
	if (!err)
		err = vms_lists(monitor, vm, request, fds + 1 + policy->sink_count, answer);
	/* before it is read: the same VM's earlier registration writes its own at its end */
	if (!err)
		err = vms_make_room(monitor, vm->ifindex);
	if (!err && request->baseline)
		err = vms_learnt(vm, &fds[count - 1]);
	if (!err) {
		vms_add(monitor, vm);
		vms_sinks(vm, policy, fds + 1);
	} else if (vm) {
		vms_free(vm);
	}
	/* the mapping holds the flow map; lists are read */
	for (size_t i = 0; i < count; i++)
		base_close(&fds[i]);
	return err;
}

int vms_forget(struct monitor *monitor, const char *name)
{
	vms_events(monitor);
	for (size_t i = monitor->vm_count; i-- > 0;)
		if (strcmp(monitor->vms[i]->name, name) == 0)
			vms_end(monitor, i);
	return 0;
}

/* The end of a flow that a sweep has told of: it went idle, and later its place was needed. */
static bool vms_told(const struct monitor_vm *vm, const struct flow_event *event)
{
	uint64_t swept = event->header.time_ns >= vm->swept_ns ? vm->swept_ns : vm->swept_before_ns;

	return event->header.type == FLOW_EVENT_END && flow_idle_at(&event->record) <= swept;
}

/* From the tap's clock to Unix time, as it is now: a flow's first_ns moves when the clock is set. */
static void vms_times(struct flow_record *record, uint64_t clock_ns)
{
	record->first_ns += clock_ns;
	record->last_ns += clock_ns;
	if (record->outcome_ns)
		record->outcome_ns += clock_ns;
}

static void vms_flow(struct monitor_vm *vm, const struct flow_record *record, uint64_t now)
{
	sinks_flow(vm, record, ipfix_end_of(record, now, flow_idle_at(record)));
}

/* A payload that is as long as it says. */
static void vms_tls(struct monitor_vm *vm, const struct flow_payload_event *event)
{
	if (event->header.size < flow_payload_event_size(0) || event->kind != FLOW_PAYLOAD_TLS ||
	    event->captured > sizeof(event->bytes) ||
	    event->header.size < flow_payload_event_size(event->captured))
		return;
	if (!vm->tls)
		vm->tls = tls_flows_create(VMS_TLS_FLOWS);
	if (vm->tls)
		tls_flows_seen(vm->tls, event);
}

static void vms_event(const struct flow_event_header *header, void *data)
{
	struct monitor *monitor = data;
	union {
		struct flow_event_header header;
		struct flow_event flow;
		struct flow_payload_event payload;
	} event;
	struct monitor_vm *vm;

	/* other kinds may be added to the ring before this program knows them */
	if (header->size < sizeof(event.header) || header->size > sizeof(event) ||
	    (vm = vms_find(monitor, header->ifindex)) == NULL)
		return;
	memcpy(&event, header, header->size);
	if (header->type == FLOW_EVENT_PAYLOAD)
		event.payload.first_ns += monitor->clock_ns;
	else if (vms_told(vm, &event.flow))
		return;
	else {
		if (header->type == FLOW_EVENT_END)
			vms_flow(vm, &event.flow.record, header->time_ns);
		if (header->type == FLOW_EVENT_UPDATE && vm->exported &&
		    exported_due(vm->exported, &event.flow.record, header->time_ns))
			sinks_flow(vm, &event.flow.record, IPFIX_END_ACTIVE);
		vms_times(&event.flow.record, monitor->clock_ns);
	}
	event.header.time_ns += monitor->clock_ns;
	if (header->type == FLOW_EVENT_PAYLOAD)
		vms_tls(vm, &event.payload);
	detectors_observe(vm->detectors, &event.header, &(struct detector_out){vms_emit, vm});
	monitor->due_ns = BASE_MIN(monitor->due_ns, detectors_due(vm->detectors));
}

static int vms_idle(const struct flow_record *record, void *data)
{
	struct monitor_vm *vm = data;
	struct flow_event event = {.header = {.type = FLOW_EVENT_END,
	                                      .size = sizeof(event),
	                                      .ifindex = vm->ifindex,
	                                      .time_ns = vm->swept_ns + vm->monitor->clock_ns},
	                           .record = *record};

	vms_flow(vm, record, vm->swept_ns);
	vms_times(&event.record, vm->monitor->clock_ns);
	detectors_observe(vm->detectors, &event.header, &(struct detector_out){vms_emit, vm});
	return 0;
}

/* Ends the flows of one VM that have gone idle since its last sweep. */
static void vms_sweep(struct monitor_vm *vm, uint64_t now)
{
	vm->swept_before_ns = vm->swept_ns;
	vm->swept_ns = now;
	flow_map_idle(vm->flows, vm->swept_before_ns, now, vms_idle, vm);
}

void vms_events(struct monitor *monitor)
{
	event_ring_read(monitor->events, VMS_EVENTS_AT_ONCE, vms_event, monitor);
}

struct vms_denied {
	struct monitor *monitor;
	uint64_t now_ns;
};

static void vms_denied_one(struct denied_event *event, void *data)
{
	const struct vms_denied *denied = data;
	struct monitor_vm *vm = vms_find(denied->monitor, event->header.ifindex);

	event->header.time_ns = denied->now_ns;
	if (vm)
		detectors_observe(vm->detectors, &event->header,
		                  &(struct detector_out){vms_emit, vm});
}

void vms_denied(struct monitor *monitor, uint64_t now_ns)
{
	static uint8_t buffer[VMS_DENIED_BUFFER];
	struct iovec part = {.iov_base = buffer, .iov_len = sizeof(buffer)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	/* what was lost for want of room (ENOBUFS) is in the rules' counters */
	for (int i = 0; i < VMS_DENIED_AT_ONCE; i++) {
		ssize_t n = recvmsg(monitor->denied_fd, &message, MSG_DONTWAIT);

		if (n < 0 && errno != ENOBUFS)
			return;
		if (n > 0)
			denied_read(buffer, (size_t)n, vms_denied_one,
			            &(struct vms_denied){monitor, now_ns});
	}
}

void vms_tick(struct monitor *monitor, uint64_t now_ns)
{
	monitor->ticks++;
	for (size_t i = 0; i < monitor->vm_count; i++) {
		struct monitor_vm *vm = monitor->vms[i];

		if (monitor->ticks % VMS_BUDGET_TICKS == 0 && vm->budget < VMS_BUDGET)
			vm->budget++;
		/* one after the other, not all at once */
		if (vm->flows && (monitor->ticks + i) % VMS_SWEEP_TICKS == 0)
			vms_sweep(vm, now_ns - monitor->clock_ns);
		sinks_flush(vm);
		if (vm->detectors)
			detectors_tick(vm->detectors, now_ns, &(struct detector_out){vms_emit, vm});
		if (vm->baseline > 0 && (monitor->ticks + 7 * i) % VMS_BASELINE_TICKS == 0)
			vms_keep(vm, now_ns);
	}
}

void vms_due(struct monitor *monitor, uint64_t now_ns)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < monitor->vm_count; i++) {
		struct monitor_vm *vm = monitor->vms[i];

		if (!vm->detectors || detectors_due(vm->detectors) == UINT64_MAX)
			continue;
		detectors_tick(vm->detectors, now_ns, &(struct detector_out){vms_emit, vm});
		due = BASE_MIN(due, detectors_due(vm->detectors));
	}
	monitor->due_ns = due;
}
