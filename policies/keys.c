/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every key of the language, once: what reads it, where it goes, its range, its default and one
 * phrase about it. The parser, its suggestions and `cordon check --keys` all use these tables.
 */
#include <ctype.h>

#include "policies/internal.h"

#define KiB (1ull << 10)
#define MiB (1ull << 20)
#define GiB (1ull << 30)

/* ---- kinds of one key only ---- */

static void read_name(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	if (policy_walk_text(walk, key, value) &&
	    policy_value_name(value->text, (char *)base + key->offset))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_name = {
        .noun = "at most 31 of a-z, 0-9 and '-', the first not a '-'",
        .read = read_name,
};

/* A path if it holds a '/', else the name of an image. */
static void read_kernel(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	if (!policy_walk_text(walk, key, value))
		return;
	if (!strchr(value->text, '/') &&
	    (!isalnum((unsigned char)value->text[0]) || strlen(value->text) > 63 ||
	     value->text[strspn(value->text, "abcdefghijklmnopqrstuvwxyz0123456789.-_")]))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_kind_path.read(walk, key, value, base);
}

static const struct policy_kind kind_kernel = {
        .noun = "an image's name such as debian-12, or a path with a '/' in it",
        .read = read_kernel,
};

static void read_cpus(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	int error;

	if (!policy_walk_text(walk, key, value))
		return;
	error = policy_value_cpus(value->text, (uint8_t *)base + key->offset);
	if (error == -EEXIST)
		policy_walk_refuse(walk, value, "each CPU once");
	else if (error == -ERANGE)
		policy_walk_refuse(walk, value, "CPUs 0 to %d, ranges upwards",
		                   POLICY_CPUS_MAX - 1);
	else if (error)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_cpus = {
        .noun = "CPU numbers such as \"2-3,5\"",
        .read = read_cpus,
};

static void read_interface(struct policy_walk *walk, const struct policy_key *key,
                           struct policy_node *value, void *base)
{
	bool good = true;

	if (!policy_walk_text(walk, key, value))
		return;
	for (const char *at = value->text; *at; at++)
		good &= isalnum((unsigned char)*at) || strchr("._-", *at);
	if (!good || strlen(value->text) >= key->size || value->text[0] == '.' ||
	    value->text[0] == '-')
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		base_copy_string((char *)base + key->offset, key->size, value->text);
}

static const struct policy_kind kind_interface = {
        .noun = "an interface's name: at most 15 letters, digits, '.', '_' and '-'",
        .read = read_interface,
};

static void read_mac(struct policy_walk *walk, const struct policy_key *key,
                     struct policy_node *value, void *base)
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	if (!policy_walk_text(walk, key, value))
		return;
	if (policy_value_mac(value->text, mac))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else if (mac[0] & 1 || memcmp(mac, zero, 6) == 0)
		policy_walk_refuse(walk, value, "the address of one card: not multicast, not zero");
	else
		memcpy((uint8_t *)base + key->offset, mac, 6);
}

static const struct policy_kind kind_mac = {
        .noun = "a MAC address such as 52:54:00:12:34:56",
        .read = read_mac,
};

/* ---- words ---- */

static const struct policy_word words_format[] = {{"raw", POLICY_DISK_RAW}, {NULL, 0}};
static const struct policy_word words_console[] = {
        {"serial", POLICY_CONSOLE_SERIAL},
        {"virtio", POLICY_CONSOLE_VIRTIO},
        {NULL, 0},
};
static const struct policy_word words_mode[] = {
        {"nat", POLICY_NIC_NAT},
        {"host-only", POLICY_NIC_HOST_ONLY},
        {"routed", POLICY_NIC_ROUTED},
        {"bridge", POLICY_NIC_BRIDGE},
        {NULL, 0},
};
static const struct policy_word words_huge_pages[] = {
        {"none", 0},
        {"2M", 2 * MiB},
        {NULL, 0},
};
static const struct policy_word words_on_panic[] = {
        {"stop", POLICY_THEN_STOP},
        {"pause", POLICY_THEN_PAUSE},
        {"log", POLICY_THEN_LOG},
        {NULL, 0},
};
static const struct policy_word words_on_reset[] = {
        {"stop", POLICY_THEN_STOP},
        {"restart", POLICY_THEN_RESTART},
        {NULL, 0},
};
static const struct policy_word words_watchdog[] = {
        {"reset", POLICY_THEN_RESTART},
        {"stop", POLICY_THEN_STOP},
        {"pause", POLICY_THEN_PAUSE},
        {NULL, 0},
};
static const struct policy_word words_respond[] = {
        {"alert", POLICY_RESPOND_ALERT},       {"capture", POLICY_RESPOND_CAPTURE},
        {"throttle", POLICY_RESPOND_THROTTLE}, {"quarantine", POLICY_RESPOND_QUARANTINE},
        {"pause", POLICY_RESPOND_PAUSE},       {NULL, 0},
};

/* ---- defaults that are not zero ---- */

static void default_vm(void *base)
{
	struct policy_vm *vm = base;

	vm->vcpus = 1;
	vm->memory = 256 * MiB;
	vm->balloon = vm->memory_reclaim = true;
	vm->on_panic = vm->on_reset = POLICY_THEN_STOP;
}

/* A watchdog that is asked for. */
static void default_watchdog(void *base)
{
	((struct policy_vm *)base)->watchdog = POLICY_THEN_RESTART;
}

static void default_capture(void *base)
{
	struct policy_capture *capture = base;

	*capture = (struct policy_capture){.ring = 16 * MiB, .snaplen = 256, .before_alert = 30};
}

static void check_isolation(struct policy_walk *walk, struct policy_node *map, void *base)
{
	struct policy_isolation *isolation = base;

	isolation->any = map->count > 0;
	if (!map->bad && isolation->numa == POLICY_NUMA_AUTO && !policy_node_find(map, "cpus"))
		policy_error_found(policy_walk_refuse(walk, policy_node_find(map, "numa"),
		                                      "cpus beside it, or a node's number"),
		                   "numa: auto without cpus");
}

/* ---- the tables ---- */

/* clang-format off */
#define LIMIT_KEYS(bandwidth_phrase, iops_phrase) \
	{"bandwidth", &policy_kind_bandwidth, FIELD(policy_limit, bandwidth), 1000, 1ull << 40, \
	 .fallback = "no limit", .help = bandwidth_phrase}, \
	{"iops", &policy_kind_uint, FIELD(policy_limit, iops), 1, 100000000, \
	 .fallback = "no limit", .help = iops_phrase}, \
	{"burst", &policy_kind_size, FIELD(policy_limit, burst), 1 * KiB, 1024 * GiB, \
	 .fallback = "a tenth of a second's worth", \
	 .help = "what may go at once after a pause, beyond the bandwidth"}
/* clang-format on */

static const struct policy_key keys_disk_limit[] = {
        LIMIT_KEYS("bytes read and written a second", "requests a second")};
MAP(map_disk_limit, keys_disk_limit, .what = "a disk's limit", .line = POLICY_NO_OFFSET,
    .check = policy_check_limit);

static const struct policy_key keys_disk[] = {
        {"path", &policy_kind_path, FIELD(policy_disk, path), .required = true,
         .help = "the disk's file; a relative path starts at the policy's folder"},
        {"format", &policy_kind_word, FIELD(policy_disk, format), .words = words_format,
         .fallback = "raw", .help = "how the file is laid out; never guessed from its content"},
        {"read_only", &policy_kind_bool, FIELD(policy_disk, read_only), .fallback = "false",
         .help = "the guest cannot write to it, and the file is opened for reading only"},
        {"serial", &policy_kind_text, FIELD(policy_disk, serial),
         .help = "the serial number that the guest sees, at most 20 characters"},
        {"limit", &policy_kind_map, FIELD(policy_disk, limit), .map = &map_disk_limit,
         .help = "the most that the guest may ask of it"},
};
MAP(map_disk, keys_disk, .what = "a disk", .line = offsetof(struct policy_disk, line));

static const struct policy_key keys_nic_limit[] = {
        LIMIT_KEYS("each way, a second", "frames a second, each way")};
MAP(map_nic_limit, keys_nic_limit, .what = "a NIC's limit", .line = POLICY_NO_OFFSET,
    .check = policy_check_limit);

static const struct policy_key keys_nic[] = {
        {"mode", &policy_kind_word, FIELD(policy_nic, mode), .words = words_mode, .fallback = "nat",
         .help = "how the guest reaches the network"},
        {"bridge", &kind_interface, FIELD(policy_nic, bridge),
         .help = "the host's bridge that mode bridge joins"},
        {"mac", &kind_mac, FIELD(policy_nic, mac), .fallback = "chosen by cordon",
         .help = "the guest's MAC address"},
        {"mtu", &policy_kind_uint, FIELD(policy_nic, mtu), 1280, 9216, .fallback = "1500",
         .help = "the largest packet in bytes; at least what IPv6 needs"},
        {"queues", &policy_kind_uint, FIELD(policy_nic, queues), 1, POLICY_QUEUES_MAX,
         .fallback = "1", .help = "pairs of queues, for guests that spread flows over vCPUs"},
        {"addresses", &policy_kind_addresses, 0, 0,
         .help = "mode bridge: the guest's own addresses, at most one of each family"},
        {"forward", &policy_kind_list,
         ITEMS(policy_nic, forwards, forward_count, POLICY_FORWARDS_MAX),
         .map = &policy_map_forward, .help = "mode nat: ports of the host that are the guest's"},
        {"limit", &policy_kind_map, FIELD(policy_nic, limit), .map = &map_nic_limit,
         .help = "the most that the guest may send and receive"},
};
MAP(map_nic, keys_nic, .what = "a NIC", .line = offsetof(struct policy_nic, line),
    .check = policy_check_nic);

static const struct policy_key keys_watchdog[] = {
        {"action", &policy_kind_word, FIELD(policy_vm, watchdog), .words = words_watchdog,
         .fallback = "reset", .help = "what comes of a guest that does not reload it in time"},
};
MAP(map_watchdog, keys_watchdog, .what = "a watchdog", .line = POLICY_NO_OFFSET,
    .defaults = default_watchdog);

static const struct policy_key keys_vm[] = {
        {"name", &kind_name, FIELD(policy_vm, name), .required = true,
         .help = "the VM's name on this host"},
        {"groups", &policy_kind_groups, 0, 0,
         .help = "groups of VMs that it is in, which rules name as group:NAME"},
        {"vcpus", &policy_kind_uint, FIELD(policy_vm, vcpus), 1, 64, .instead = "cpus",
         .fallback = "1", .help = "virtual CPUs"},
        {"cpu", &policy_kind_map, FIELD(policy_vm, cpu), .map = &policy_map_cpu,
         .help = "what the guest is told of its processors"},
        {"memory", &policy_kind_size, FIELD(policy_vm, memory), 64 * MiB, 1024 * GiB, 2 * MiB,
         .fallback = "256M", .help = "the guest's RAM"},
        {"balloon", &policy_kind_bool, FIELD(policy_vm, balloon), .fallback = "true",
         .help = "a balloon device, by which the guest gives memory back; not with huge pages"},
        {"memory_reclaim", &policy_kind_bool, FIELD(policy_vm, memory_reclaim), .fallback = "true",
         .help = "pages that the guest frees go back to the host by themselves, by the balloon"},
        {"kernel", &kind_kernel, FIELD(policy_vm, kernel), .required = true,
         .unless_firmware = true, .help = "an imported image, or the path of a kernel"},
        {"initrd", &policy_kind_path, FIELD(policy_vm, initrd), .fallback = "the image's",
         .help = "an initial RAM disk in place of the image's"},
        {"cmdline", &policy_kind_text, FIELD(policy_vm, cmdline),
         .help = "kernel parameters, added to cordon's own"},
        {"disks", &policy_kind_list, ITEMS(policy_vm, disks, disk_count, POLICY_DISKS_MAX),
         .map = &map_disk, .help = "disks, in the order that the guest sees"},
        {"nics", &policy_kind_list, ITEMS(policy_vm, nics, nic_count, POLICY_NICS_MAX),
         .map = &map_nic, .help = "network cards; without one the guest has no network"},
        {"vhost_user", &policy_kind_list, ITEMS(policy_vm, vhosts, vhost_count, POLICY_VHOST_MAX),
         .map = &policy_map_vhost, .help = "devices whose back ends are other programs"},
        {"on_panic", &policy_kind_word, FIELD(policy_vm, on_panic), .words = words_on_panic,
         .fallback = "stop", .help = "what comes of a guest whose kernel panics"},
        {"on_reset", &policy_kind_word, FIELD(policy_vm, on_reset), .words = words_on_reset,
         .fallback = "stop", .help = "what comes of a guest that resets itself"},
        {"watchdog", &policy_kind_map, 0, 0, .map = &map_watchdog, .fallback = "none",
         .help = "a hardware watchdog, which a guest that hangs does not reload"},
        {"console", &policy_kind_word, FIELD(policy_vm, console), .words = words_console,
         .fallback = "serial", .help = "what cordon console attaches to"},
        {"vsock", &policy_kind_map, FIELD(policy_vm, vsock), .map = &policy_map_vsock,
         .fallback = "none", .help = "sockets between the guest and programs on the host"},
};
MAP(map_vm, keys_vm, .what = "vm", .line = offsetof(struct policy_vm, line), .defaults = default_vm,
    .check = policy_check_vm);

/* A guest that another VMM runs. */
static const struct policy_key keys_guard[] = {
        {"name", &kind_name, FIELD(policy_vm, name), .required = true,
         .help = "the guest's name on this host, beside those of cordon's own"},
        {"groups", &policy_kind_groups, 0, 0,
         .help = "groups of VMs that it is in, which rules name as group:NAME"},
        {"mac", &kind_mac, FIELD(policy_vm, nics[0].mac), .required = true,
         .help = "the guest's MAC address, as its VMM was told"},
        {"addresses", &policy_kind_guard_addresses, 0, 0, .required = true,
         .help = "the guest's own addresses, at most one of each family"},
};
MAP(map_guard, keys_guard, .what = "guard", .line = offsetof(struct policy_vm, line),
    .defaults = policy_default_guard);

static const struct policy_key keys_isolation[] = {
        {"cpus", &kind_cpus, FIELD(policy_isolation, cpus), .fallback = "any",
         .help = "the host's CPUs that the VM's processes run on"},
        {"core_scheduling", &policy_kind_bool, FIELD(policy_isolation, core_scheduling),
         .fallback = "false", .help = "no other VM on the sibling threads of its cores"},
        {"huge_pages", &policy_kind_word, FIELD(policy_isolation, huge_pages),
         .words = words_huge_pages, .fallback = "none",
         .help = "guest RAM from the host's reserved huge pages"},
        {"numa", &policy_kind_numa, FIELD(policy_isolation, numa), .fallback = "as it comes",
         .help = "the NUMA node that guest RAM is on; auto: that of cpus"},
        {"memory_overhead", &policy_kind_size, FIELD(policy_isolation, memory_overhead), 16 * MiB,
         64 * GiB, .fallback = "no limit",
         .help = "memory for the VM's processes beyond guest RAM"},
};
MAP(map_isolation, keys_isolation, .what = "isolation",
    .line = offsetof(struct policy_isolation, line), .check = check_isolation);

/* clang-format off */
#define DETECTOR_KEYS(type, field) \
	{"enabled", &policy_kind_bool, FIELD(type, field.enabled), .fallback = "true", \
	 .help = "whether it watches"}, \
	{"respond", &policy_kind_words, FIELD(type, field.respond), POLICY_RESPOND_ALERT, \
	 .words = words_respond, .fallback = "[alert]", \
	 .help = "what happens when it finds something; an alert is always raised"}
/* clang-format on */

static const struct policy_key keys_scan[] = {
        DETECTOR_KEYS(policy_monitor, scan),
        {"ports", &policy_kind_uint, FIELD(policy_monitor, scan_ports), 2, 65535, .fallback = "15",
         .help = "failed ports on one host that make a scan"},
        {"hosts", &policy_kind_uint, FIELD(policy_monitor, scan_hosts), 2, 65535, .fallback = "15",
         .help = "hosts that failed on one port that make a scan"},
};
MAP(map_scan, keys_scan, .what = "scan", .line = offsetof(struct policy_monitor, scan.line));

static const struct policy_key keys_intel[] = {
        DETECTOR_KEYS(policy_monitor, intel),
        {"lists", &policy_kind_lists, 0, 0, .fallback = "none",
         .help = "files of known bad addresses, networks and names, one a line"},
};
MAP(map_intel, keys_intel, .what = "intel", .line = offsetof(struct policy_monitor, intel.line));

#define DETECTOR_IS(key, other) \
	(offsetof(struct policy_monitor, key) == offsetof(struct policy_monitor, other))

/* The other detectors have no keys but these; those of the two above are made too, and not used. */
/* clang-format off */
#define DETECTOR_MAP(key, text) \
	static const struct policy_key keys_plain_##key[] = {DETECTOR_KEYS(policy_monitor, key)}; \
	MAP(map_plain_##key, keys_plain_##key, .what = #key, \
	    .line = offsetof(struct policy_monitor, key.line));
POLICY_DETECTORS(DETECTOR_MAP)
/* clang-format on */

/* clang-format off */
#define DETECTOR_KEY(key, text) \
	{#key, &policy_kind_map, 0, 0, .help = text, \
	 .map = DETECTOR_IS(key, scan) ? &map_scan : DETECTOR_IS(key, intel) ? &map_intel \
	                                                                     : &map_plain_##key},
static const struct policy_key keys_expect[] = {
        {"egress", &policy_kind_size, FIELD(policy_monitor, expect.egress), 1 * MiB, 1024 * 1024 * GiB,
         .fallback = "what is usual is learnt", .help = "the most that the guest sends in a day"},
        {"destinations", &policy_kind_uint, FIELD(policy_monitor, expect.destinations), 1, 10000,
         .fallback = "any number", .help = "the most addresses that it speaks to in a day"},
};
MAP(map_expect, keys_expect, .what = "expect",
    .line = offsetof(struct policy_monitor, expect.line));

static const struct policy_key keys_monitor[] = {
	POLICY_DETECTORS(DETECTOR_KEY)
        /* clang-format on */
        {"expect", &policy_kind_map, 0, 0, .map = &map_expect,
         .help = "what the guest does in a day, in place of what is learnt of it"},
        {"sinks", &policy_kind_list, ITEMS(policy_monitor, sinks, sink_count, POLICY_SINKS_MAX),
         .map = &policy_map_sink, .help = "where alerts go beside the host's own alert log"},
        {"suppress", &policy_kind_list,
         ITEMS(policy_monitor, suppress, suppress_count, POLICY_SUPPRESS_MAX),
         .map = &policy_map_suppress, .help = "alerts that are expected, and not sent"},
};
MAP(map_monitor, keys_monitor, .what = "monitor", .line = POLICY_NO_OFFSET,
    .check = policy_check_monitor);

static const struct policy_key keys_capture[] = {
        {"ring", &policy_kind_size, FIELD(policy_capture, ring), 1 * MiB, 4 * GiB,
         .fallback = "16M", .help = "memory of the flight recorder"},
        {"snaplen", &policy_kind_uint, FIELD(policy_capture, snaplen), 64, 65535, .fallback = "256",
         .help = "bytes kept of each packet"},
        {"before_alert", &policy_kind_duration, FIELD(policy_capture, before_alert), 0, 3600,
         .fallback = "30s", .help = "how far before an alert its capture begins"},
};
MAP(map_capture, keys_capture, .what = "capture", .line = offsetof(struct policy_capture, line),
    .defaults = default_capture);

static const struct policy_key keys_policy[] = {
        {"version", &policy_kind_uint, FIELD(policy, version), 1, 1, .required = true,
         .help = "of the policy language"},
        {"vm", &policy_kind_map, FIELD(policy, vm), .map = &map_vm, .required = true,
         .unless = "guard", .help = "the machine"},
        {"guard", &policy_kind_map, FIELD(policy, vm), .map = &map_guard,
         .help = "in place of vm: a guest that another VMM runs, for cordon guard"},
        {"isolation", &policy_kind_map, FIELD(policy, isolation), .map = &map_isolation,
         .help = "what the VM shares with others, and what it does not"},
        {"confidential", &policy_kind_map, FIELD(policy, confidential),
         .map = &policy_map_confidential, .help = "memory encryption by the processor"},
        {"firewall", &policy_kind_map, FIELD(policy, firewall), .map = &policy_map_firewall,
         .help = "who may talk to whom; nobody, if it is left out"},
        {"monitor", &policy_kind_map, FIELD(policy, monitor), .map = &map_monitor,
         .help = "what is watched for, and what happens then"},
        {"capture", &policy_kind_map, FIELD(policy, capture), .map = &map_capture,
         .fallback = "no recorder", .help = "the flight recorder"},
};

static void default_policy(void *base)
{
	struct policy *policy = base;
	struct policy_detector on = {.enabled = true, .respond = POLICY_RESPOND_ALERT};
	struct policy_monitor *monitor = &policy->monitor;

#define DETECTOR_ON(key, text) monitor->key = on;
	POLICY_DETECTORS(DETECTOR_ON)
	monitor->scan_ports = monitor->scan_hosts = 15;
	policy->firewall.dns = true;
}

const struct policy_map policy_map_policy = {
        .what = "the policy",
        .keys = keys_policy,
        .count = BASE_COUNT(keys_policy),
        .line = POLICY_NO_OFFSET,
        .defaults = default_policy,
        .check = policy_check_policy,
};

int policy_limit_value(const char *name, const char *text, uint64_t *value, const char **expected)
{
	*expected = "a limit";
	for (size_t i = 0; i < BASE_COUNT(keys_disk_limit); i++) {
		const struct policy_key *key = &keys_disk_limit[i];

		if (strcmp(key->name, name) != 0)
			continue;
		*expected = key->kind->noun;
		if (key->kind->parse(text, value) < 0)
			return -EINVAL;
		*expected = key->min == 1 ? "from 1 to 100000000" : "from 1000 bytes to 1T";
		return *value < key->min || *value > key->max ? -EINVAL : 0;
	}
	return -EINVAL;
}

static const char *find_home(const struct policy_map *map, const char *name)
{
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i].name, name) == 0)
			return map->what;
	for (size_t i = 0; i < map->count; i++) {
		const char *home = map->keys[i].map ? find_home(map->keys[i].map, name) : NULL;

		if (home)
			return home;
	}
	return NULL;
}

const char *policy_keys_home(const char *name)
{
	return find_home(&policy_map_policy, name);
}
