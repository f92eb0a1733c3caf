// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tap: loads the programs once, pins them, and attaches them to taps.
 *
 *   /sys/fs/bpf/cordon/{taps,slots,events,from_guest,to_guest}
 *
 * Where the kernel has tcx (6.6) the programs are attached to the device itself, else through a clsact
 * qdisc. Neither needs a link or a pin of its own: both last as long as the device, whoever attached
 * them, and go with it. What does not go with it is the tap's entry in `taps`, which holds its flow
 * map; tap_watch_detach() removes that, also when the device is gone already.
 *
 * A directory lock makes open and unpin of two processes take turns.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/base.h"
#include "bpf/flow.skel.h"
#include "bpf/maps.h"
#include "bpf/set.h"
#include "bpf/tap.h"

#define TAP_BPFFS    "/sys/fs/bpf"
#define TAP_PINS     TAP_BPFFS "/cordon"
#define TAP_NO_BPFFS TAP_BPFFS " is no bpf file system (mount -t bpf bpf " TAP_BPFFS ")"

enum { TAP_MAP_TAPS, TAP_MAP_SLOTS, TAP_MAP_EVENTS, TAP_PROG_FROM, TAP_PROG_TO, TAP_OBJECTS };

static const char *const tap_pins[TAP_OBJECTS] = {
        [TAP_MAP_TAPS] = TAP_PINS "/taps",     [TAP_MAP_SLOTS] = TAP_PINS "/slots",
        [TAP_MAP_EVENTS] = TAP_PINS "/events", [TAP_PROG_FROM] = TAP_PINS "/from_guest",
        [TAP_PROG_TO] = TAP_PINS "/to_guest",
};

/* linux/bpf.h of 6.6; Debian 12's is older. */
enum { TAP_TCX_INGRESS = 46, TAP_TCX_EGRESS = 47 };

/* Any value will do, as long as it's the same at attach and detach. */
enum { TAP_TC_HANDLE = 0xc0d, TAP_TC_PRIORITY = 1 };

struct tap_watch {
	int fds[TAP_OBJECTS];
	uint32_t sets; /* of each tap's table */
};

static int tap_check_lookups(struct tap_watch *watch);

/* An empty flow map of this size. */
static int tap_map_create(uint32_t sets)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = FLOW_MAP_FLAGS);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "cordon_flows", sizeof(uint32_t),
	                      sizeof(struct flow_set), flow_elements(sets), &opts);
}

static void tap_free_skeleton(struct flow_bpf **skeleton)
{
	flow_bpf__destroy(*skeleton);
}

static bool tap_bpffs(void)
{
	struct statfs fs;

	return statfs(TAP_BPFFS, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

/* The pins' directory, locked. An fd or a negative errno. */
static int tap_lock(void)
{
	BASE_AUTO_FD int fd = open(TAP_PINS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int tap_reopen(struct tap_watch *watch)
{
	for (int i = 0; i < TAP_OBJECTS; i++) {
		watch->fds[i] = bpf_obj_get(tap_pins[i]);
		if (watch->fds[i] < 0)
			return -errno;
	}
	return 0;
}

static void tap_close_all(struct tap_watch *watch)
{
	for (int i = 0; i < TAP_OBJECTS; i++)
		base_close(&watch->fds[i]);
}

static void tap_unlink_all(void)
{
	for (int i = 0; i < TAP_OBJECTS; i++)
		unlink(tap_pins[i]);
}

static int tap_quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

static void tap_print_again(libbpf_print_fn_t *print)
{
	libbpf_set_print(*print);
}

/* Opens the programs, made for tables of this size: what the verifier puts in for lookups goes by it. */
static int tap_load_sized(struct flow_bpf **out, uint32_t sets)
{
	BASE_CLEANUP(tap_free_skeleton) struct flow_bpf *skeleton = flow_bpf__open();
	BASE_AUTO_FD int model = -1;
	int error;

	if (!skeleton)
		return -errno;
	if (sets != FLOW_SETS_DEFAULT) {
		model = tap_map_create(sets);
		if (model < 0)
			return model;
		error = bpf_map__set_inner_map_fd(skeleton->maps.taps, model);
		if (!error)
			error = bpf_map__set_inner_map_fd(skeleton->maps.slots, model);
		if (error)
			return error;
	}
	error = flow_bpf__load(skeleton);
	if (error)
		return error;
	*out = skeleton;
	skeleton = NULL;
	return 0;
}

static int tap_load(struct tap_watch *watch, const char **why)
{
	BASE_CLEANUP(tap_print_again) libbpf_print_fn_t print = libbpf_set_print(tap_quiet);
	BASE_CLEANUP(tap_free_skeleton) struct flow_bpf *skeleton = NULL;
	int error;

	*why = "loading the BPF programs";
	error = tap_load_sized(&skeleton, watch->sets);
	if (error)
		return error;
	watch->fds[TAP_MAP_TAPS] = bpf_map__fd(skeleton->maps.taps);
	watch->fds[TAP_MAP_SLOTS] = bpf_map__fd(skeleton->maps.slots);
	watch->fds[TAP_MAP_EVENTS] = bpf_map__fd(skeleton->maps.events);
	watch->fds[TAP_PROG_FROM] = bpf_program__fd(skeleton->progs.tap_from_guest);
	watch->fds[TAP_PROG_TO] = bpf_program__fd(skeleton->progs.tap_to_guest);
	*why = "this kernel finds the wrong elements in maps of maps (6.0 to 6.3 before their fix)";
	error = tap_check_lookups(watch);
	if (error) {
		*watch = (struct tap_watch){{-1, -1, -1, -1, -1}, watch->sets};
		return error;
	}
	*why = "pinning under " TAP_PINS;
	tap_unlink_all();
	for (int i = 0; i < TAP_OBJECTS; i++) {
		if (!error && bpf_obj_pin(watch->fds[i], tap_pins[i]) < 0)
			error = -errno;
		/* The skeleton closes its own. */
		watch->fds[i] = fcntl(watch->fds[i], F_DUPFD_CLOEXEC, 3);
		if (!error && watch->fds[i] < 0)
			error = -errno;
	}
	if (error)
		tap_unlink_all();
	return error;
}

static void tap_watch_free(struct tap_watch **watch)
{
	tap_watch_close(*watch);
}

int tap_watch_open(struct tap_watch **out, const char **why)
{
	return tap_watch_open_sized(out, FLOW_SETS_DEFAULT * FLOW_WAYS, why);
}

int tap_watch_open_sized(struct tap_watch **out, uint32_t flows, const char **why)
{
	BASE_CLEANUP(tap_watch_free) struct tap_watch *watch = NULL;
	BASE_AUTO_FD int lock = -1;
	const char *unused;
	uint32_t sets = 1;
	int error;

	if (!why)
		why = &unused;
	*why = "room for so many flows";
	if (flows > FLOW_SETS_MAX * FLOW_WAYS)
		return -EINVAL;
	while (sets * FLOW_WAYS < flows)
		sets *= 2;
	*why = TAP_NO_BPFFS;
	if (!tap_bpffs())
		return -ENODEV;
	*why = "creating " TAP_PINS;
	if (mkdir(TAP_PINS, 0700) < 0 && errno != EEXIST)
		return -errno;
	lock = tap_lock();
	if (lock < 0)
		return lock;
	watch = malloc(sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	*watch = (struct tap_watch){{-1, -1, -1, -1, -1}, sets};
	error = tap_reopen(watch);
	if (error == -ENOENT) {
		tap_close_all(watch);
		error = tap_load(watch, why);
	} else if (error) {
		*why = "opening what is pinned under " TAP_PINS;
	}
	if (error)
		return error;
	*why = NULL;
	*out = watch;
	watch = NULL;
	return 0;
}

void tap_watch_close(struct tap_watch *watch)
{
	if (!watch)
		return;
	tap_close_all(watch);
	free(watch);
}

static int tap_bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

static int tap_tcx(const struct tap_watch *watch, int command, unsigned int ifindex, bool ingress)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = ifindex; /* target_ifindex, in newer headers */
	attr.attach_bpf_fd = (uint32_t)watch->fds[ingress ? TAP_PROG_FROM : TAP_PROG_TO];
	attr.attach_type = ingress ? TAP_TCX_INGRESS : TAP_TCX_EGRESS;
	return tap_bpf(command, &attr);
}

/* Both directions on tcx. -EINVAL where the kernel has none. */
static int tap_tcx_attach(const struct tap_watch *watch, unsigned int ifindex)
{
	int error = tap_tcx(watch, BPF_PROG_ATTACH, ifindex, true);

	if (error && error != -EEXIST)
		return error;
	error = tap_tcx(watch, BPF_PROG_ATTACH, ifindex, false);
	if (error == -EEXIST)
		return 0;
	if (error)
		tap_tcx(watch, BPF_PROG_DETACH, ifindex, true);
	return error;
}

static int tap_clsact_one(const struct tap_watch *watch, unsigned int ifindex, bool ingress)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
	            .attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TAP_TC_HANDLE, .priority = TAP_TC_PRIORITY,
	            .flags = BPF_TC_F_REPLACE,
	            .prog_fd = watch->fds[ingress ? TAP_PROG_FROM : TAP_PROG_TO]);

	return bpf_tc_attach(&hook, &opts);
}

/* Quietly: it's no news that the device, or what was on it, is gone already. */
static int tap_clsact_remove(unsigned int ifindex, bool qdisc)
{
	BASE_CLEANUP(tap_print_again) libbpf_print_fn_t print = libbpf_set_print(tap_quiet);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
	            .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TAP_TC_HANDLE, .priority = TAP_TC_PRIORITY);
	int error;

	if (qdisc)
		return bpf_tc_hook_destroy(&hook);
	hook.attach_point = BPF_TC_INGRESS;
	error = bpf_tc_detach(&hook, &opts);
	hook.attach_point = BPF_TC_EGRESS;
	return bpf_tc_detach(&hook, &opts) ?: error;
}

/* Both directions through clsact. *made: the qdisc was not there before. */
static int tap_clsact_attach(const struct tap_watch *watch, unsigned int ifindex, bool *made)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
	            .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int error = bpf_tc_hook_create(&hook);

	*made = error == 0;
	if (error && error != -EEXIST)
		return error;
	error = tap_clsact_one(watch, ifindex, true);
	if (!error)
		error = tap_clsact_one(watch, ifindex, false);
	if (error)
		tap_clsact_remove(ifindex, *made);
	return error;
}

/* Reads or writes element 0 of a flow map. */
static int tap_header(int map, struct flow_tap *tap, bool write)
{
	struct flow_set element = {0};
	uint32_t zero = 0;
	int error;

	if (write)
		memcpy(&element, tap, sizeof(*tap));
	error = write ? bpf_map_update_elem(map, &zero, &element, 0)
	              : bpf_map_lookup_elem(map, &zero, &element);
	if (!write)
		memcpy(tap, &element, sizeof(*tap));
	return error;
}

/*
 * A new flow map, its header written. It is frozen then, so that nobody can write it through its fd
 * any more: the fd goes to a process that reads guests' data. (An fd opened read-only would not do:
 * the kernel doesn't let that be mapped.)
 */
static int tap_flow_map(unsigned int ifindex, const uint8_t guest_mac[6], uint16_t flags,
                        uint32_t sets)
{
	BASE_AUTO_FD int map = tap_map_create(sets);
	struct flow_tap tap = {
	        .magic = FLOW_TAP_MAGIC, .ifindex = ifindex, .sets = sets, .flags = flags};
	struct timespec tick;
	int error;

	if (map < 0)
		return map;
	memcpy(tap.guest_mac, guest_mac, sizeof(tap.guest_mac));
	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) < 0)
		return -errno;
	tap.tick_ns = (uint32_t)tick.tv_nsec;
	if (getrandom(&tap.seed, sizeof(tap.seed), 0) != sizeof(tap.seed))
		return -EIO;
	error = tap_header(map, &tap, true);
	if (!error)
		error = bpf_map_freeze(map);
	return error ? error : base_take_fd(&map);
}

/* Takes the programs off the device. Fails when it is gone, and everything on it with it. */
static void tap_remove(const struct tap_watch *watch, unsigned int ifindex, bool made_clsact)
{
	if (tap_tcx(watch, BPF_PROG_DETACH, ifindex, true) == -EINVAL)
		tap_clsact_remove(ifindex, made_clsact);
	else
		tap_tcx(watch, BPF_PROG_DETACH, ifindex, false);
}

/* The ifindex of the tap that has this one's slot, or 0. */
static uint32_t tap_slot_owner(const struct tap_watch *watch, unsigned int ifindex)
{
	uint32_t slot = ifindex & (TAP_SLOTS - 1), id;
	struct flow_tap tap = {0};
	BASE_AUTO_FD int map = -1;

	if (bpf_map_lookup_elem(watch->fds[TAP_MAP_SLOTS], &slot, &id) == 0)
		map = bpf_map_get_fd_by_id(id);
	return map >= 0 && tap_header(map, &tap, false) == 0 ? tap.ifindex : 0;
}

/* A tap without a slot is watched all the same, only slower. */
static void tap_slot_take(const struct tap_watch *watch, unsigned int ifindex, int map)
{
	uint32_t slot = ifindex & (TAP_SLOTS - 1), owner = tap_slot_owner(watch, ifindex);

	if (owner == 0 || owner == ifindex)
		bpf_map_update_elem(watch->fds[TAP_MAP_SLOTS], &slot, &map, BPF_ANY);
}

static void tap_slot_leave(const struct tap_watch *watch, unsigned int ifindex)
{
	uint32_t slot = ifindex & (TAP_SLOTS - 1);

	if (tap_slot_owner(watch, ifindex) == ifindex)
		bpf_map_delete_elem(watch->fds[TAP_MAP_SLOTS], &slot);
}

static int tap_event_ignored(void *data, void *event, size_t size)
{
	(void)data, (void)event, (void)size;
	return 0;
}

/* Empties the ring: what the check below has said is nobody's. */
static int tap_events_drop(const struct tap_watch *watch)
{
	struct ring_buffer *ring =
	        ring_buffer__new(watch->fds[TAP_MAP_EVENTS], tap_event_ignored, NULL, NULL);
	int count = ring ? ring_buffer__consume(ring) : -errno;

	ring_buffer__free(ring);
	return BASE_MIN(count, 0);
}

/*
 * The instructions that 6.0 to 6.3 put in for lookups find the first element always, until they were fixed ("bpf: Fix
 * elem_size not being set for inner maps"): then a flow is written over the tap. One frame through the program,
 * before anybody else can see it, shows it. A test-run's device is lo, which is no tap.
 */
static int tap_check_lookups(struct tap_watch *watch)
{
	uint8_t frame[64] = {[12] = 8, [14] = 0x45, [17] = 46, [22] = 1, [23] = 17, [39] = 26};
	const uint32_t loopback = 1;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	BASE_AUTO_FD int map = tap_flow_map(loopback, (uint8_t[6]){0}, 0, watch->sets);
	struct flow_tap tap = {0};
	int error = map;

	if (map >= 0)
		error = bpf_map_update_elem(watch->fds[TAP_MAP_TAPS], &loopback, &map, BPF_ANY);
	if (!error)
		error = bpf_prog_test_run_opts(watch->fds[TAP_PROG_FROM], &opts);
	bpf_map_delete_elem(watch->fds[TAP_MAP_TAPS], &loopback);
	if (!error)
		error = tap_events_drop(watch);
	if (!error)
		error = tap_header(map, &tap, false);
	if (!error && (tap.magic != FLOW_TAP_MAGIC || tap.stats.flows != 1))
		error = -EOPNOTSUPP;
	return error;
}

int tap_watch_attach(struct tap_watch *watch, unsigned int ifindex, const uint8_t guest_mac[6])
{
	BASE_AUTO_FD int map = -1;
	bool made = false;
	int error = tap_tcx_attach(watch, ifindex);

	if (error == -EINVAL || error == -EOPNOTSUPP)
		error = tap_clsact_attach(watch, ifindex, &made);
	if (error)
		return error;
	map = tap_flow_map(ifindex, guest_mac, made ? FLOW_TAP_MADE_CLSACT : 0, watch->sets);
	error = map;
	if (map >= 0)
		error = bpf_map_update_elem(watch->fds[TAP_MAP_TAPS], &ifindex, &map, BPF_ANY);
	if (!error)
		tap_slot_take(watch, ifindex, map);
	if (error) {
		tap_remove(watch, ifindex, made);
		return error;
	}
	return base_take_fd(&map);
}

int tap_watch_detach(struct tap_watch *watch, unsigned int ifindex)
{
	BASE_AUTO_FD int map = tap_watch_flows(watch, ifindex);
	struct flow_tap tap = {0};
	int error;

	if (map >= 0)
		tap_header(map, &tap, false);
	tap_remove(watch, ifindex, tap.flags & FLOW_TAP_MADE_CLSACT);
	tap_slot_leave(watch, ifindex);
	error = bpf_map_delete_elem(watch->fds[TAP_MAP_TAPS], &ifindex);
	return error == -ENOENT ? 0 : error;
}

int tap_watch_events(const struct tap_watch *watch)
{
	return watch->fds[TAP_MAP_EVENTS];
}

int tap_watch_flows(struct tap_watch *watch, unsigned int ifindex)
{
	uint32_t id;
	int error = bpf_map_lookup_elem(watch->fds[TAP_MAP_TAPS], &ifindex, &id);

	return error ? error : bpf_map_get_fd_by_id(id);
}

int tap_watch_unpin(void)
{
	BASE_AUTO_FD int lock = tap_lock();

	if (lock == -ENOENT)
		return 0;
	if (lock < 0)
		return lock;
	tap_unlink_all();
	return rmdir(TAP_PINS) < 0 && errno != ENOENT ? -errno : 0;
}

bool tap_watch_host_check(const char **missing)
{
	BASE_AUTO_FD int ring = -1;

	*missing = TAP_NO_BPFFS;
	if (!tap_bpffs())
		return false;
	*missing = "the kernel or this user's privileges have no BPF ring buffer (5.8, CAP_BPF)";
	ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, NULL, 0, 0, 4096, NULL);
	if (ring < 0)
		return false;
	*missing = "the kernel has no tc programs (CONFIG_NET_CLS_BPF)";
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) != 1)
		return false;
	/* the verifier looks at functions with the packet for an argument one by one only where it knows its type */
	*missing = "the kernel does not have its own types (CONFIG_DEBUG_INFO_BTF)";
	if (access("/sys/kernel/btf/vmlinux", F_OK) < 0)
		return false;
	*missing = NULL;
	return true;
}
