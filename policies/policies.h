/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policies: the policy language, schema version 1.
 *
 * A policy is YAML text. policy_parse() turns it into one flat `struct policy`: no pointers, every
 * array capped, every string terminated, so that it can be filled in by an unprivileged child in
 * shared memory and copied out with one memcpy. Lists whose length varies (CIDRs, ports, names) sit
 * in pools at the end and are named by a `struct policy_span`.
 *
 * Each thing that an operator may have to find again carries the line of the policy it came from.
 */
#ifndef CORDON_POLICIES_H
#define CORDON_POLICIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
	POLICY_SIZE_MAX = 256 * 1024, /* bytes of YAML */
	POLICY_DEPTH_MAX = 16,
	POLICY_NAME_MAX = 32, /* VM name, with its NUL: [a-z0-9][a-z0-9-]{0,30} */
	POLICY_PATH_MAX = 512,
	POLICY_DISKS_MAX = 8,
	POLICY_NICS_MAX = 4,
	POLICY_QUEUES_MAX = 8,   /* pairs of a NIC */
	POLICY_VSOCK_MAX = 16,   /* ports, each way */
	POLICY_SOCKET_MAX = 108, /* a socket address, with its NUL */
	POLICY_RULES_MAX = 256,  /* each way */
	POLICY_CIDRS_MAX = 2048,
	POLICY_PORTS_MAX = 2048,
	POLICY_NAMES_MAX = 256,
	POLICY_SETS_MAX = 64,   /* sets of hosts */
	POLICY_PEERS_MAX = 512, /* peers that are no addresses, of all rules */
	POLICY_GROUPS_MAX = 8,  /* that a VM is in */
	POLICY_FORWARDS_MAX = 16,
	POLICY_LIMITED_MAX = 15, /* rules with limits of their own, each way */
	POLICY_DNS_NAME_MAX = 254,
	POLICY_SINKS_MAX = 8,
	POLICY_LISTS_MAX = 4, /* of addresses and names that are known to be bad */
	POLICY_CMDLINE_MAX = 2048,
	POLICY_CPUS_MAX = 1024,
	POLICY_NODES = 1024, /* NUMA nodes that can be named */
	POLICY_CPU_FEATURES_MAX = 192,
	POLICY_CPU_TEXT_MAX = 3072,
};

struct policy_span { /* entries [first, first + count) of the pool that the field names */
	uint16_t first, count;
};

struct policy_cidr {
	uint8_t family;   /* 4 or 6 */
	uint8_t prefix;   /* bits */
	uint8_t addr[16]; /* network order; IPv4 in the first four bytes; host bits are zero */
	uint32_t line;
};

struct policy_ports {
	uint16_t first, last; /* inclusive, host order */
};

enum policy_proto {
	POLICY_PROTO_ANY,
	POLICY_PROTO_TCP,
	POLICY_PROTO_UDP,
	POLICY_PROTO_ICMP, /* of both families */
	POLICY_PROTO_ICMPV4,
	POLICY_PROTO_ICMPV6,
	POLICY_PROTO_SCTP,
	POLICY_PROTO_NUMBER, /* policy_rule.protocol */
};
enum policy_action { POLICY_ALLOW, POLICY_DROP, POLICY_REJECT };

/* A peer that is known by what it is, not by an address. */
enum policy_peer_kind {
	POLICY_PEER_HOST,     /* the machine that the VM runs on */
	POLICY_PEER_WORLD,    /* neither the host, nor a VM, nor a private or metadata address */
	POLICY_PEER_VMS,      /* every VM of this host */
	POLICY_PEER_METADATA, /* where clouds hand out credentials */
	POLICY_PEER_VM,       /* the VM `name` */
	POLICY_PEER_GROUP,    /* the VMs of the group `name` */
	POLICY_PEER_SET,      /* the policy's own set `name` */
};

struct policy_peer {
	enum policy_peer_kind kind;
	char name[POLICY_NAME_MAX];
	uint32_t line;
};

struct policy_set { /* addresses by a name, for rules to share */
	char name[POLICY_NAME_MAX];
	struct policy_span cidrs;
	uint32_t line;
};

/* Services by name: what `service: [ssh, dns]` stands for. A rule holds them as bits. */
struct policy_service {
	const char *name;
	struct policy_service_part {
		uint8_t protocol;     /* IP protocol number; 0: no more parts */
		uint16_t first, last; /* ports, or the type of ICMP; 0: all of the protocol */
	} parts[4];
};
/* What the peer `metadata` stands for (metadata.c); single addresses, of either family (4 or 6). */
extern const struct policy_cidr policy_metadata[];
extern const size_t policy_metadata_count;
bool policy_is_metadata(uint8_t family, const uint8_t *address);

extern const struct policy_service policy_services[];
extern const size_t policy_service_count;

struct policy_limits {            /* 0: no limit */
	uint32_t new_connections; /* per second */
	uint32_t connections;     /* at once */
	uint64_t bandwidth;       /* bytes/s; of a VM each way, of a rule both ways together */
	uint32_t packets;         /* packets/s; the same */
	uint64_t quota;           /* bytes in all, both ways together */
};

struct policy_rule {
	enum policy_action action;
	enum policy_proto proto;
	uint8_t protocol;         /* of POLICY_PROTO_NUMBER */
	bool any;                 /* `to: any` / `from: any`: every address */
	struct policy_span cidrs; /* of policy.cidrs; the peer */
	struct policy_span peers; /* of policy.peers */
	struct policy_span
	        names; /* of policy.names; egress only, by what the guest's resolver says */
	struct policy_span ports; /* of policy.ports; none means every port */
	uint64_t services;        /* bits of policy_services; then no proto, ports and types */
	uint8_t types4[32], types6[32]; /* ICMP types, a bit each; all zero: every type */
	struct policy_limits limits;
	bool limited; /* it has limits of its own */
	bool log;
	uint32_t line;
};

struct policy_limit {       /* token buckets; 0 means no limit */
	uint64_t bandwidth; /* bytes/s; of a NIC, each way */
	uint64_t iops;      /* requests/s; of a NIC, frames each way */
	uint64_t burst;     /* bytes at once after a pause; 0: a tenth of a second's worth */
};

enum policy_disk_format { POLICY_DISK_RAW };

struct policy_disk {
	char path
	        [POLICY_PATH_MAX]; /* as written; relative ones are relative to the policy's folder */
	enum policy_disk_format format;
	bool read_only;
	char serial[21];
	struct policy_limit limit;
	uint32_t line;
};

enum policy_nic_mode { POLICY_NIC_NAT, POLICY_NIC_HOST_ONLY, POLICY_NIC_ROUTED, POLICY_NIC_BRIDGE };

struct policy_forward {          /* mode nat: a port of the host's that is the guest's */
	enum policy_proto proto; /* TCP or UDP */
	uint16_t host, guest;
	uint32_t line;
};

struct policy_nic {
	enum policy_nic_mode mode;
	char bridge[16]; /* mode bridge: the host's bridge */
	uint8_t mac[6];  /* all zero: chosen by cordon */
	uint16_t mtu;    /* 0: 1500 */
	uint16_t queues; /* pairs; 0: one */
	struct policy_limit limit;
	struct policy_forward forwards[POLICY_FORWARDS_MAX];
	size_t forward_count;
	uint8_t ip4[4],
	        ip6[16]; /* mode bridge, or a guard: the guest's own addresses; all zero: none */
	uint32_t line;
};

/* What comes of a guest that panics, resets itself or hangs. */
enum policy_then {
	POLICY_THEN_NONE, /* of a watchdog: there is none */
	POLICY_THEN_STOP,
	POLICY_THEN_PAUSE,
	POLICY_THEN_LOG,     /* said in the log; the guest goes on */
	POLICY_THEN_RESTART, /* started again, in new processes */
};

enum policy_cpu_model {
	POLICY_CPU_HOST,
	POLICY_CPU_X86_64_V2,
	POLICY_CPU_X86_64_V3,
	POLICY_CPU_X86_64_V4
};

struct policy_cpu {
	enum policy_cpu_model model;
	bool nested;
	uint8_t add[POLICY_CPU_FEATURES_MAX / 8]; /* bits as base/cpu_features.h has features */
	uint8_t remove[POLICY_CPU_FEATURES_MAX / 8];
	uint32_t line;
};

enum policy_console { POLICY_CONSOLE_SERIAL, POLICY_CONSOLE_VIRTIO };

struct policy_vsock_target { /* the guest connects to `port` of the host, and is joined to the socket */
	uint32_t port;
	char socket[POLICY_SOCKET_MAX]; /* absolute; in a folder, not in / */
	uint32_t line;
};

struct policy_vsock {
	uint32_t cid; /* from 3; 0: chosen by cordon */
	struct policy_vsock_target guest_to_host[POLICY_VSOCK_MAX];
	size_t guest_to_host_count;
	uint32_t host_to_guest
	        [POLICY_VSOCK_MAX]; /* the guest's ports that the host may connect to */
	size_t host_to_guest_count;
	uint32_t line; /* 0: the guest has no vsock */
};

enum policy_vhost_type { POLICY_VHOST_FS, POLICY_VHOST_NET, POLICY_VHOST_BLK };
enum { POLICY_VHOST_MAX = 8, POLICY_VHOST_QUEUES_MAX = 31 };

struct policy_vhost {     /* a device whose back end is somebody else's program */
	char socket[108]; /* absolute */
	enum policy_vhost_type type;
	char tag[37];    /* of a file system */
	uint16_t queues; /* of a file system; 0: one */
	bool unfiltered; /* always true of a net: neither firewall nor monitor sees it */
	uint32_t line;
};

struct policy_vm {
	/* Another VMM runs it (`guard`): of all this, only the name, the groups and one NIC's MAC and addresses are
	 * said, and the line. */
	bool guard;
	char name[POLICY_NAME_MAX];
	char groups[POLICY_GROUPS_MAX][POLICY_NAME_MAX];
	size_t group_count;
	uint32_t vcpus; /* 1..64 */
	struct policy_cpu cpu;
	uint64_t memory;     /* bytes, 64 MiB..1 TiB, a multiple of 2 MiB */
	bool balloon;        /* the device by which the guest gives memory back */
	bool memory_reclaim; /* it gives back by itself what it frees; only with `balloon` */
	char kernel[POLICY_PATH_MAX]; /* a path if it holds a '/', else an imported image's name */
	char initrd[POLICY_PATH_MAX];
	char cmdline[POLICY_CMDLINE_MAX]; /* added to cordon's own */
	struct policy_disk disks[POLICY_DISKS_MAX];
	size_t disk_count;
	struct policy_nic nics[POLICY_NICS_MAX];
	size_t nic_count;
	struct policy_vhost vhosts[POLICY_VHOST_MAX];
	size_t vhost_count;
	enum policy_then on_panic; /* stop, pause or log */
	enum policy_then on_reset; /* stop or restart */
	enum policy_then watchdog; /* none, stop, pause or restart */
	enum policy_console console;
	struct policy_vsock vsock;
	uint32_t line;
};

#define POLICY_NUMA_AUTO UINT32_MAX /* the node of the CPUs */

struct policy_isolation {
	uint8_t cpus[POLICY_CPUS_MAX / 8]; /* bitmap; all zero: any */
	bool core_scheduling;
	uint64_t huge_pages; /* 0 (none, THP left alone) or 2 MiB */
	uint64_t
	        memory_overhead; /* bytes the VM's processes may use beyond guest RAM; 0: no limit */
	uint32_t numa;           /* NUMA node plus 1, POLICY_NUMA_AUTO, or 0: as it comes */
	bool any;                /* something here was written: the host has to give it or refuse */
	uint32_t line;
};

enum policy_confidential_type {
	POLICY_CC_NONE,
	POLICY_CC_SEV,
	POLICY_CC_SEV_ES,
	POLICY_CC_SEV_SNP,
	POLICY_CC_TDX,
	POLICY_CC_SW_PROTECTED, /* private memory for tests; it protects from nothing */
};

struct policy_confidential {
	enum policy_confidential_type type;
	bool debug, smt;              /* of the guest's policy */
	uint8_t abi_major, abi_minor; /* the oldest firmware of the processor; 0.0: any */
	char firmware[POLICY_PATH_MAX];
	char id_block[POLICY_PATH_MAX], id_auth[POLICY_PATH_MAX]; /* both or none */
	uint8_t host_data[32];
	uint32_t line;
};

struct policy_firewall {
	struct policy_rule ingress[POLICY_RULES_MAX];
	size_t ingress_count;
	struct policy_rule egress[POLICY_RULES_MAX];
	size_t egress_count;
	struct policy_set sets[POLICY_SETS_MAX];
	size_t set_count;
	struct policy_limits limits;
	uint8_t routing_headers
	        [32]; /* types of IPv6 routing headers that the guest may send, a bit each */
	bool dns;     /* the guest may ask cordon's resolver (default: true) */
	uint32_t line;
};

enum policy_response { /* bits */
	               POLICY_RESPOND_ALERT = 1,
	               POLICY_RESPOND_CAPTURE = 2,
	               POLICY_RESPOND_THROTTLE = 4,
	               POLICY_RESPOND_QUARANTINE = 8,
	               POLICY_RESPOND_PAUSE = 16,
};

struct policy_detector {
	bool enabled; /* default true */
	uint32_t respond;
	uint32_t line; /* 0: not written, defaults stand */
};

enum policy_sink_type {
	POLICY_SINK_FILE,
	POLICY_SINK_SYSLOG_UDP,
	POLICY_SINK_SYSLOG_TCP,
	POLICY_SINK_SYSLOG_TLS,
	POLICY_SINK_HTTP,
	POLICY_SINK_HTTPS,
	POLICY_SINK_UNIX,
	POLICY_SINK_STDOUT,
	POLICY_SINK_IPFIX_UDP, /* of flows, not of alerts, as the next two */
	POLICY_SINK_IPFIX_TCP,
	POLICY_SINK_IPFIX_TLS,
};

static inline bool policy_sink_is_syslog(enum policy_sink_type type)
{
	return type >= POLICY_SINK_SYSLOG_UDP && type <= POLICY_SINK_SYSLOG_TLS;
}
static inline bool policy_sink_is_http(enum policy_sink_type type)
{
	return type == POLICY_SINK_HTTP || type == POLICY_SINK_HTTPS;
}
static inline bool policy_sink_is_flows(enum policy_sink_type type)
{
	return type >= POLICY_SINK_IPFIX_UDP && type <= POLICY_SINK_IPFIX_TLS;
}
static inline bool policy_sink_is_tls(enum policy_sink_type type)
{
	return type == POLICY_SINK_SYSLOG_TLS || type == POLICY_SINK_HTTPS ||
	       type == POLICY_SINK_IPFIX_TLS;
}
/* "syslog-tcp"; "" for what is none. */
const char *policy_sink_word(enum policy_sink_type type);

/* By a path, or by none: it has no address. */
static inline bool policy_sink_is_local(enum policy_sink_type type)
{
	return type == POLICY_SINK_FILE || type == POLICY_SINK_UNIX || type == POLICY_SINK_STDOUT;
}

enum policy_sink_format {
	POLICY_FORMAT_SYSLOG,
	POLICY_FORMAT_ECS,
	POLICY_FORMAT_CEF,
	POLICY_FORMAT_OCSF
};

struct policy_sink {
	enum policy_sink_type type;
	enum policy_sink_format format;
	/* the path of a file or a socket, "stdout", HOST:PORT, or HOST:PORT/PATH (numeric address) */
	char target[POLICY_PATH_MAX];
	/* of TLS: who signs the receiver's certificate; our own and its key, or none; all are absolute */
	char ca[POLICY_PATH_MAX], certificate[POLICY_PATH_MAX], key[POLICY_PATH_MAX];
	char peer[POLICY_DNS_NAME_MAX]; /* the name in its certificate; "": the address is */
	char token
	        [POLICY_PATH_MAX]; /* of HTTP: a file that holds the value of Authorization; "": none */
	uint64_t spool;            /* bytes that may wait on disk while it takes nothing */
	uint64_t rotate;           /* of a file: bytes after which another is begun; 0: never */
	uint32_t keep;             /* of a file: how many older ones stay, if it is rotated */
	bool sync;       /* of a file: what was written is on the disk before it is done */
	uint32_t domain; /* of IPFIX: the observation domain */
	uint32_t line;
};

/* The detectors: their keys in `monitor`, and what each watches for. */
#define POLICY_DETECTORS(X)                                          \
	X(scan, "port scans, by connections that fail")              \
	X(brute_force, "logins tried one after another")             \
	X(dns_tunnel, "data hidden in DNS questions")                \
	X(dns_names, "many names that do not exist, generated ones") \
	X(icmp_tunnel, "data hidden in pings")                       \
	X(beacon, "connections at regular intervals")                \
	X(long_connection, "connections that last for hours")        \
	X(exfiltration, "much more going out than usual")            \
	X(egress, "unusual ways out: protocols, ports, resolvers")   \
	X(lateral, "sessions with many neighbours")                  \
	X(denied, "what the firewall did not let out")               \
	X(intel, "addresses and names that are known to be bad")

enum { POLICY_SUPPRESS_MAX = 16, POLICY_SUPPRESS_PEERS_MAX = 8 };

struct policy_suppress { /* alerts that are expected: not sent, and nothing is done for them */
	char rule[32];   /* "scan.vertical", or a family: "scan.*" */
	struct policy_cidr peers[POLICY_SUPPRESS_PEERS_MAX]; /* none: whoever it is about */
	size_t peer_count;
	bool timed;
	uint16_t from, to; /* if `timed`: minutes of the day, UTC; may go past midnight */
	uint32_t line;
};

struct policy_expect {         /* of one day, UTC; 0: nothing is said of it */
	uint64_t egress;       /* bytes out */
	uint32_t destinations; /* different addresses */
	uint32_t line;
};

struct policy_monitor {
#define POLICY_DETECTOR_FIELD(key, text) struct policy_detector key;
	POLICY_DETECTORS(POLICY_DETECTOR_FIELD)
#undef POLICY_DETECTOR_FIELD
	uint32_t scan_ports; /* failed ports on one host before it is a vertical scan */
	uint32_t scan_hosts; /* failed hosts on one port before it is a horizontal scan */
	struct policy_sink sinks[POLICY_SINKS_MAX]; /* beside the host's own alert log */
	size_t sink_count;
	struct policy_suppress suppress[POLICY_SUPPRESS_MAX];
	size_t suppress_count;
	char lists[POLICY_LISTS_MAX][POLICY_PATH_MAX]; /* intel's: absolute paths, each once */
	size_t list_count;
	struct policy_expect expect;
};

struct policy_capture {
	uint64_t ring;         /* bytes of the flight recorder; 0: none */
	uint32_t snaplen;      /* bytes a packet */
	uint32_t before_alert; /* seconds */
	uint32_t line;
};

struct policy {
	uint32_t version;
	struct policy_vm vm;
	struct policy_isolation isolation;
	struct policy_confidential confidential;
	struct policy_firewall firewall;
	struct policy_monitor monitor;
	struct policy_capture capture;
	/* pools */
	struct policy_cidr cidrs[POLICY_CIDRS_MAX];
	size_t cidr_count;
	struct policy_peer peers[POLICY_PEERS_MAX];
	size_t peer_count;
	struct policy_ports ports[POLICY_PORTS_MAX];
	size_t port_count;
	char names[POLICY_NAMES_MAX][POLICY_DNS_NAME_MAX];
	size_t name_count;
};

enum { POLICY_ERRORS_MAX = 64, POLICY_TEXT_MAX = 160 };

struct policy_error {
	uint32_t line, column;          /* from 1 */
	uint32_t width;                 /* columns that the caret underlines, at least 1 */
	char found[POLICY_TEXT_MAX];    /* what stands there, escaped */
	char expected[POLICY_TEXT_MAX]; /* what would have been right */
	char hint[POLICY_TEXT_MAX];     /* did-you-mean, or empty */
	char source
	        [POLICY_TEXT_MAX]; /* the source line, or a window of a long one; one column a character */
	uint32_t caret;            /* columns of `source` before the caret */
};

struct policy_errors {
	struct policy_error list[POLICY_ERRORS_MAX];
	size_t count; /* at most POLICY_ERRORS_MAX; more were found if `more` */
	bool more;
};

/*
 * Parses `size` bytes of YAML at `text` in a child process that has no privileges (its own seccomp
 * list, no file, a CPU-time and memory limit; the result is in a shared mapping), and copies the checked
 * result to *policy. All errors of the text are reported in one run, in `errors`, by line.
 * Returns 0; -EINVAL when the text is refused (errors->count >= 1); another negative errno when the
 * child could not be run or died (errors->count == 0).
 */
int policy_parse(const char *text, size_t size, struct policy *policy,
                 struct policy_errors *errors);

/* Prints each error as FILE:LINE:COLUMN: found, expected, the line and a caret under it. */
void policy_errors_print(FILE *out, const char *file, const struct policy_errors *errors);

/* The same errors as one JSON array; the caller frees the string. NULL when memory is short. */
char *policy_errors_json(const char *file, const struct policy_errors *errors);

/* A processor as one line: "x86-64-v3,nested,+FEATURE,-FEATURE". */
void policy_cpu_text(const struct policy_cpu *cpu, char text[POLICY_CPU_TEXT_MAX]);

/* The policy as it stands with its defaults, as a person reads it (part of `check --explain`). */
void policy_explain(FILE *out, const struct policy *policy);

/* The part of it that is the firewall: sets, rules, each on a line with its place, limits. */
void policy_firewall_explain(FILE *out, const struct policy *policy);

/* Every key of the language with its type, range, default and meaning, as a page of text. */
void policy_reference_print(FILE *out);

/*
 * One value of a limit as a policy would have it: `key` is bandwidth, iops or burst. -EINVAL when it is no
 * such value or out of range, and then *expected says what would be one (static).
 */
int policy_limit_value(const char *key, const char *text, uint64_t *value, const char **expected);

/* The set of that name, or NULL. */
const struct policy_set *policy_set_find(const struct policy *policy, const char *name);

/* "10.0.0.0/8". Host bits are cleared in *cidr; *host_bits says that there were some. 0 or -EINVAL. */
int policy_value_cidr(const char *text, struct policy_cidr *cidr, bool *host_bits);

/* True when the pattern, "www.example.org" or "*.example.org" (any name below it), is that of the name, or covers
 * that pattern. Both in small letters. */
static inline bool policy_name_covers(const char *pattern, const char *name)
{
	size_t length = strlen(name), tail = strlen(pattern) - 1;

	if (pattern[0] != '*')
		return strcmp(pattern, name) == 0;
	return length > tail && strcmp(name + length - tail, pattern + 1) == 0;
}

/* A full host name, in small letters. 0 or -EINVAL. */
int policy_value_dns_name(const char *text, char name[POLICY_DNS_NAME_MAX]);

/* "512M" as bytes. -EINVAL when it is no size, -ERANGE when it does not fit. */
int policy_value_size(const char *text, uint64_t *value);

/* Reads the file (at most POLICY_SIZE_MAX bytes) into a fresh buffer that the caller frees;
 * a zero byte follows them. Returns its length or a negative errno (-EFBIG: too large). */
ssize_t policy_read_file(const char *path, char **text);

#endif
