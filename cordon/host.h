/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: what the command and the daemon share. All that is known of a VM stands in its folder under
 * /run/cordon and in the kernel's own objects, so any root process can do any of this, and the daemon
 * is there for those who are not root, and to stay.
 *
 *   error.c      errors with the sentence that goes with them
 *   registry.c   /run/cordon: VM folders, slots (uids), links (taps and addresses), locks
 *   network.c    taps, addresses, routes
 *   launch.c     starts a VM: loads the filters, spawns the processes, in an order that leaves no gap
 *   open.c       opens all that its processes will hold
 *   plan.c       says which process gets what of it
 *   spawn.c      starts them, under a keeper
 *   revive.c     starts a device again that has died; respawn.c knows how it was started
 *   resolver.c   starts those again who answer its guest's DNS
 *   report.c     the host's own alerts: deaths, panics, ends; sink.c has the policy's sinks
 *   repair.c     loads all rules anew after somebody else has changed them
 *   courier.c    the spools of sinks, and who delivers what is in them
 *   process.c    whose a process is
 *   reap.c       undoes all of it, from what the registry says; the only way a VM is cleaned up
 *   watch.c      the link to the monitor: starts it, hands it VMs, does what its alerts ask for
 *   guard.c      the tap of a guest that another VMM runs
 *   names.c      what a policy's names stand for, and the file by which cordon-names knows them
 *   denied.c     the firewall's log, for the monitor
 *   limit.c      what its disks and NICs may do, while it runs
 *   rules.c      its rules: what they counted, and quarantine
 *   explain.c    what they would do with a packet, which packet.c reads
 *   apply.c      another policy while it runs; changes.c says what is different in it
 *   balloon.c    what it has of its memory, and gives back
 *   restart.c    starts a VM again that has reset itself
 *   methods.c    the operations by name, with JSON parameters: what the socket and the verbs call
 *   serve.c      listens for what alerts ask, and starts the monitor again
 *   request.c    a line of JSON-RPC 2.0, and its answer
 *   rpc.c        the socket, /run/cordon/cordond.sock, and the daemon behind it
 */
#ifndef CORDON_HOST_H
#define CORDON_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "firewall/firewall.h"
#include "monitor/monitor.h"
#include "policies/policies.h"
#include "vmm/vmm.h"

/* A test has folders of its own, relative to where it stands. */
#ifndef HOST_RUN_DIR
#define HOST_RUN_DIR "/run/cordon"
#endif
#ifndef HOST_LOG_DIR
#define HOST_LOG_DIR "/var/log/cordon"
#endif
#define HOST_IMAGE_DIR "/var/lib/cordon/images"
#ifndef HOST_BASELINE_DIR
#define HOST_BASELINE_DIR "/var/lib/cordon/baselines"
#endif
#define HOST_ALERT_LOG HOST_LOG_DIR "/alerts.json"
#define HOST_GROUP     "cordon"

enum {
	HOST_SLOTS_MAX = 16384,
	HOST_LINKS_MAX = 16384,  /* a /30 of 10.77.0.0/16 each */
	HOST_PROCESSES_MAX = 32, /* as many uids as a slot has */
	HOST_TASKS_MAX = 256,    /* of one VM, in its cgroup */
	HOST_ERROR_MAX = 512,
};

/* An error with the sentence that goes with it; made where it happens, printed once. */
struct host_error {
	int code; /* negative errno */
	int exit; /* enum verb_exit that the command should end with */
	char text[HOST_ERROR_MAX];
	json_t *data; /* owned; policy errors, or NULL */
};
/*
 * Fills *error and returns `code`, so that `return host_fail(...)` reads well. The first sentence stays, as
 * it is the nearest to the cause; control characters in what it quotes become question marks.
 */
int host_fail(struct host_error *error, int code, int exit, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
void host_error_clear(struct host_error *error);

/* One process of a VM. */
struct host_process {
	char role
	        [16]; /* "vmm", "net0", "blk0", "rng0", "console0", "vsock0", "dial0", "dnsmasq0", "router0" */
	pid_t pid;
	uid_t uid;
	char state[12];    /* "running", or "lost": it has died and will not be started again */
	uint32_t restarts; /* since the VM's start */
	uint32_t recent;   /* of them, since `since` */
	int64_t since;     /* Unix time, milliseconds */
};

/* What the registry holds of a VM: state.json. */
struct host_vm {
	char name[POLICY_NAME_MAX];
	uint32_t slot;
	uint32_t links[POLICY_NICS_MAX];
	unsigned int ifindex[POLICY_NICS_MAX];
	struct firewall_nic nics[POLICY_NICS_MAX];
	size_t nic_count;
	struct host_process processes[HOST_PROCESSES_MAX];
	size_t process_count;
	pid_t keeper;
	uint64_t
	        keeper_start; /* clock ticks since boot: tells the keeper from a later process of its pid */
	uint32_t vcpus;
	uint64_t memory;
	char state[16]; /* "starting", "running", "restarting"; "guarded", or "closed" by us */
	bool guard; /* another VMM runs it: no slot, no link, one NIC; the keeper minds its tap */
	bool quarantined;
	char quarantine_allow[64]; /* a network that the quarantine leaves open, or empty */
	int64_t started;           /* Unix time, milliseconds */
	uint32_t restarts;
	char policy_path[POLICY_PATH_MAX];
	char first_path[POLICY_PATH_MAX]; /* before another was applied */
	char dir[POLICY_PATH_MAX];        /* what the policy's relative paths are relative to */
};

/* --- registry.c --- */

/* Makes /run/cordon with its folders and modes. */
int registry_prepare(struct host_error *error);
/* Locks the host's allocations; the fd, closed, unlocks. */
int registry_lock_host(void);
/* Opens and locks a VM's folder, whoever's it is by then; -ENOENT when there is none. Closing unlocks. */
int registry_lock_vm(const char *name);
/* The same, but -EWOULDBLOCK when somebody has it: a VM being started, or ended, is left alone. */
int registry_try_vm(const char *name);
/*
 * Takes a folder, its lock, a slot and `nics` links for a new VM; -EEXIST when the name is taken. The
 * folder is there locked or not at all. How the last VM of that name ended is forgotten.
 */
int registry_claim(struct host_vm *vm, size_t nics, int *lock, struct host_error *error);
/* Gives back folder, slot and links; 0 also when some are gone already. */
int registry_drop(const struct host_vm *vm);
/* Empties the folder but for the policy and the state. */
int registry_clear(const struct host_vm *vm);
int registry_save(const struct host_vm *vm);
int registry_load(const char *name, struct host_vm *vm);
/* Gives back what nobody has any more, where there is no VM; the caller holds the host's lock. */
void registry_sweep(void);
/* The group that may look, or root's where the host has no group `cordon`. */
gid_t registry_group(void);
/* Fills at most `max` names; returns how many VMs there are. */
int registry_list(char (*names)[POLICY_NAME_MAX], size_t max);
/* Path of a file in the VM's folder. */
void registry_path(char out[POLICY_PATH_MAX], const char *name, const char *file);
/* The policy text that the VM was started with. */
int registry_policy(const char *name, struct policy *policy);
/* Its devices whose back ends are other people's programs: [{type, socket}]; the caller's. NULL on failure. */
json_t *registry_backends(const char *name);
bool registry_name_valid(const char *name);
/* Opens a file of the log folder for writing, for the group to read; `flags` are added, O_RDWR too. An fd or
 * -errno. */
int registry_log_open(const char *file, int flags);
/* Writes the whole file by way of a temporary one. */
int registry_write_file(const char *path, const char *text, size_t size, mode_t mode);
json_t *registry_json(const struct host_vm *vm);
/* When the process began, in clock ticks since boot; 0 when there is none, or only its exit status. */
uint64_t registry_start_time(pid_t pid);
/* True while the VM's keeper lives. */
bool registry_alive(const struct host_vm *vm);

/* --- network.c --- */

/* Fills in addresses, MAC and tap name that go with a link. */
void network_plan(uint32_t link, const struct policy_nic *nic, struct firewall_nic *out);
/* The same for a tap that another VMM has, which is a port of `bridge`, or of none: "". */
void network_plan_guard(const char *tap, const char *bridge, const struct policy_nic *nic,
                        struct firewall_nic *out);
/* For a policy that does not run, by its kind: what the first VM of a host would have, or the tap tap0. */
void network_plan_first(const struct policy *policy, struct firewall_nic nics[POLICY_NICS_MAX]);
/*
 * Makes the tap, down, with the MTU and the queues that the policy wants; their fds (for cordon-net) and its
 * ifindex are given back. After an error the fds that are not -1 are still the caller's.
 */
int network_tap_create(const struct firewall_nic *nic, const struct policy_nic *policy,
                       const char *vm, int fds[POLICY_QUEUES_MAX], unsigned int *ifindex,
                       struct host_error *error);
/* Addresses and the guest's neighbour entries, or the bridge (isolated from its other guests, or not);
 * then up. Only after the rules are loaded. */
int network_tap_up(const struct firewall_nic *nic, unsigned int ifindex, bool isolated,
                   struct host_error *error);
/* True where the tap has, or may have, IPv6. */
bool network_has_ipv6(const char *tap);
/* Takes it down, if it is the one; network_tap_up() may follow. */
int network_tap_down(const char *tap, unsigned int ifindex);
/* Up, and nothing else: a tap that is not ours. */
int network_link_up(unsigned int ifindex);
/* Removes a tap that something still holds; 0 when there is none, or another one has its name now. */
int network_tap_remove(const char *tap, unsigned int ifindex);

/* --- bridge.c --- */

/* The index of a bridge that the host has, or 0. */
unsigned int network_bridge_find(const char *name);
/* Of mode bridge and of a guard, what is taken from a policy, from texts as the registry has them (or NULL). */
void network_bridge_read(struct policy_nic *nic, const char *bridge, const char *ip4,
                         const char *ip6);
/* False when a rule of the policy lets the guest talk with other VMs. */
bool network_bridge_isolated(const struct policy *policy);
/* Makes the tap a port of its bridge; changes the port of one that is. */
int network_bridge_join(const struct firewall_nic *nic, unsigned int ifindex, bool isolated,
                        struct host_error *error);
int network_bridge_port(unsigned int ifindex, bool isolated);

/* --- forwarding.c --- */

/* Turns forwarding on for both families, noting what was off; and back, after the last VM. */
int network_forwarding_on(struct host_error *error);
void network_forwarding_restore(void);

/* thp.c: transparent huge pages for memfds, for mappings that ask; and back, after the last VM. */
void thp_on(void);
void thp_restore(void);

/* --- launch.c --- */

/* Parses a policy; the first of its errors is in the sentence, all are in error->data. */
int launch_parse(const char *text, size_t size, const char *path, struct policy *policy,
                 struct host_error *error);
/* Starts the VM that the policy text describes; `dir` is what relative paths are relative to. */
int launch_vm(const char *text, size_t size, const char *path, const char *dir, struct host_vm *vm,
              struct host_error *error);

/*
 * Starts a VM again whose processes, tap, rules and cgroup are gone, and whose folder and numbers are not;
 * the caller has its lock. On failure what was made is the caller's to remove.
 */
int launch_again(struct host_vm *vm, bool watchdog_fired, struct host_error *error);

/* False, and the error says so, where the policy is for `cordon run` and a guard's was expected, or the other way. */
bool launch_kind(const struct policy *policy, const char *path, bool guard,
                 struct host_error *error);
/* What the policy asks and this host, or this version, cannot give. */
int launch_can(const struct policy *policy, struct host_error *error);
/* confidential.c: the same of memory encryption alone. The sentence is of each host that has it. */
int host_confidential_can(const struct policy *policy, struct host_error *error);
extern const char *const host_confidential_limits;
/* 0, or -ENOTSUP and what this host lacks for that type (not none), in why[WHY_MAX]. */
int host_confidential(enum policy_confidential_type type, char *why);
/* Attaches the programs to the VM's taps and tells the monitor of them. */
int launch_watch(const struct policy *policy, struct host_vm *vm, struct host_error *error);

/* --- guard.c --- */

/* The methods vm.guard {interface, policy, path, dir} and vm.unguard {name}: a guest's name, or its tap's. */
json_t *guard_method(const json_t *params, struct host_error *error);
json_t *guard_end_method(const json_t *params, struct host_error *error);
/*
 * For one whose keeper is gone, by whoever has its lock: a new one, as the guest's VMM goes on. -ENODEV when the tap
 * is gone too, and the guarding is to be undone.
 */
int guard_resume(struct host_vm *vm);

/* --- restart.c --- */

/* Whether the vmm's wait status is one after which the policy, or the operator, wants the VM back. */
bool restart_wanted(const struct host_vm *vm, int status);
/* Starts it again, with SIGTERM blocked; -ECANCELED when one came. */
int restart_vm(struct host_vm *vm, int status);

/* --- reap.c --- */

struct host_end {
	int status; /* the vmm's wait status, or -1: not known */
	bool asked; /* somebody told cordon to end it, so a SIGKILL is cordon's own */
};
#define HOST_END_UNKNOWN ((struct host_end){.status = -1})

/* Removes all that is the VM's, however much of it there is. */
int reap_vm(const char *name, struct host_end end, struct host_error *error);
/* The same for a start that failed, by whoever holds the VM's lock; its keeper may still be there. */
int reap_failed(struct host_vm *vm);
/* Reaps every VM whose keeper is gone; returns how many. */
int reap_stale(void);

/* --- process.c --- */

/* The process's real uid, or -1 when it is gone or a zombie. */
int64_t process_uid(pid_t pid);
/* Kills it if it is a guest's (runs as one of the uids of VMs); true when it has. */
bool process_kill_guests(pid_t pid);

/* --- watch.c --- */

/*
 * Makes sure that a monitor runs, and knows every VM, and returns a connection to it, subscribed to
 * actions when asked. The caller holds the host's lock, or two would be started.
 */
int watch_connect(bool subscribe, struct host_error *error);
int watch_register(int connection, const struct host_vm *vm, const struct policy *policy,
                   size_t nic, int flow_map, struct host_error *error);
int watch_forget(int connection, const char *vm);
/* Whether any VM that runs has a tap to watch. */
bool watch_needed(void);
/* Under the host's lock: watch_connect() with a subscription. Returns the connection; -ENOENT, and nothing
 * said, where no VM needs one. */
int watch_recover(struct host_error *error);
/* Does what one answer of type MONITOR_ACT asks for, after checking it. */
int watch_act(const struct monitor_answer *act);

/* --- baselines.c --- */

/* The file of what the monitor has learnt of the VM's `nic`th NIC, made if need be. A negative errno, and an error. */
int baseline_open(const char *vm, size_t nic, struct host_error *error);
/* It is broken: it gets another name, which is said. */
void baseline_set_aside(const char *vm, size_t nic);

/* --- lists.c --- */

/* Opens a list of known bad addresses and names. A negative errno: -EINVAL when it is no regular file. */
int list_open(const char *path);
/* Adds two fds for each list of the policy: the file, and one that tells of changes. The caller closes what was
 * added, also on an error. */
int lists_open(const struct policy *policy, int *fds, size_t *count, struct host_error *error);
/* What the monitor has found wrong with the list; it is not trusted. Returns the error. */
int list_refused(const char *path, const struct monitor_answer *answer, struct host_error *error);
/* A connection to a running monitor without starting one; for queries. */
int watch_query(void);

/* --- control.c: the control sockets of the vmm and of devices --- */

/* CLOCK_MONOTONIC in milliseconds, for deadlines. */
int64_t control_now_ms(void);
/* Connects to a SOCK_SEQPACKET socket in the VM's folder; the fd, which does not block, or a negative errno. */
int control_connect(const char *vm, const char *socket_name);
/*
 * Sends a message and waits for an answer of the same size, in its place, until `deadline`. -ETIMEDOUT;
 * -ECONNRESET when it has hung up; -EPROTO for an answer of another size.
 */
int control_ask(int fd, void *message, size_t size, int64_t deadline);
/* To the vmm: connects, sends one message (verb 0: only connects) and waits for the answer, at most `timeout_ms`. */
int control_call(const char *vm, enum vmm_verb verb, struct vmm_message *answer, int timeout_ms);
/* Gives a device of the vmm's another back end's socket (the caller's), or (-1) says that there is none. */
int control_device(const char *vm, const char *device, int vhost_fd, int timeout_ms);

/* --- limit.c --- */

/* The method vm.limit: {name, device, bandwidth, iops, burst} -> the limits as they are then. */
json_t *limit_method(const json_t *params, struct host_error *error);

/* --- balloon.c --- */

/* The method vm.balloon: {name, target} -> what the guest has, wants and has given back. */
json_t *balloon_method(const json_t *params, struct host_error *error);

/* --- names.c --- */

/* Writes the policy's names for cordon-names to read; an fd of the file, for reading, is in *fd, or -1: it has none. */
int names_open(const struct policy *policy, int *fd, struct host_error *error);
/* The same file again, for reading; an fd or a negative errno. */
int names_reopen(const char *vm);
/* Other names for a VM that was started with some: those who have the file open see them. */
int names_change(const struct policy *policy, struct host_error *error);
/* [{name, address, seconds}]: what the names stand for by now; the caller's. NULL with an error. */
json_t *names_json(struct firewall *fw, const char *vm, struct host_error *error);

/* --- methods.c --- */

/* Loads the VM that params.name names; the caller holds nothing afterwards. */
int method_vm(const json_t *params, struct host_vm *vm, struct host_error *error);

/* The same, but for a guest that cordon runs: of one that is guarded, the error says so. */
int method_own_vm(const json_t *params, struct host_vm *vm, struct host_error *error);

/* Calls a method here, in this process, which must be root. The caller owns the result. */
json_t *method_call(const char *method, const json_t *params, struct host_error *error);
/* The same through the daemon where one runs, else here. */
json_t *method_call_any(const char *method, json_t *params, struct host_error *error);

/* --- rpc.c --- */

/* Connects to the daemon; -ENOENT or -ECONNREFUSED when none runs. */
int rpc_connect(void);
json_t *rpc_call(int connection, const char *method, json_t *params, struct host_error *error);
/* Serves until SIGTERM. */
int rpc_serve(struct host_error *error);

/* --- serve.c --- */

/* Serves one VM for as long as it lives, where no daemon does; in a process of its own. */
int serve_start(const struct host_vm *vm);
/* The same by its name, unless a daemon runs. */
int serve_ensure(const char *name);
/* Serves all VMs; does not return. */
_Noreturn void serve_all(void);

/* --- programs.c: where the installed programs are --- */

/* Opens a program of ours (O_PATH|O_CLOEXEC) beside this command, in the build tree, or in libexec. */
int programs_open(const char *name, struct host_error *error);
int programs_path(char out[POLICY_PATH_MAX], const char *name);

#endif
