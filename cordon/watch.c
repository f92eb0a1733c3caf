/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's one monitor, seen from the privileged side: started when the first VM needs it, handed
 * each VM's flow map and sinks, and listened to when an alert asks for an action. It has no privilege,
 * so an action is a fixed-size message that is checked here: it can ask only for what the VM's own
 * policy names, and only against a VM that is there.
 *
 * The monitor may die at any time. Flows stay in the kernel meanwhile, the VMs stay firewalled, and
 * whoever starts another, under the host's lock, tells it of every VM.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "bpf/tap.h"
#include "cordon/netlink.h"
#include "cordon/courier.h"
#include "isolate/isolate.h"

#define WATCH_SOCKET HOST_RUN_DIR "/monitor.sock"

enum {
	WATCH_UID = ISOLATE_UID_BASE - 2,
	WATCH_TIMEOUT_MS = 10000,
	WATCH_OPEN_FILES = 65536,
};

static void watch_address(struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	base_copy_string(address->sun_path, sizeof(address->sun_path), WATCH_SOCKET);
}

int watch_query(void)
{
	struct sockaddr_un address;
	/* a monitor that hangs lets its queue fill: that is an error here, and no reason to hang too */
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	watch_address(&address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int watch_listen(void)
{
	struct sockaddr_un address;
	const struct group *group = getgrnam(HOST_GROUP);
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	watch_address(&address);
	unlink(WATCH_SOCKET);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(WATCH_SOCKET, 0660) < 0 ||
	    chown(WATCH_SOCKET, 0, group ? group->gr_gid : 0) < 0 || listen(fd, 64) < 0)
		return -errno;
	return base_take_fd(&fd);
}

/* Forks twice, so that the monitor is nobody's child: it outlives whoever started it. */
static int watch_spawn(const struct isolate_process *process)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		pid_t monitor = isolate_spawn(process, NULL);

		_exit(monitor < 0 ? (-monitor & 0xff) : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

/* As many fds as it may come to need: where that takes a capability that root lacks (a container), fewer VMs. */
static rlim_t watch_open_files(void)
{
	struct rlimit own, wanted = {WATCH_OPEN_FILES, WATCH_OPEN_FILES};

	if (getrlimit(RLIMIT_NOFILE, &own) < 0 || own.rlim_max >= WATCH_OPEN_FILES)
		return WATCH_OPEN_FILES;
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
		setrlimit(RLIMIT_NOFILE, &own);
		return WATCH_OPEN_FILES;
	}
	fprintf(stderr,
	        "cordon: the monitor gets %llu open files, not %d: it serves that many taps and "
	        "sinks\n",
	        (unsigned long long)own.rlim_max, WATCH_OPEN_FILES);
	return own.rlim_max;
}

static int watch_start(struct host_error *error)
{
	char *argv[] = {(char *)"cordon-monitor", NULL};
	struct tap_watch *taps = NULL;
	const char *why = "";
	int err = tap_watch_open(&taps, &why);
	BASE_AUTO_FD int listener = watch_listen();
	BASE_AUTO_FD int binary = programs_open("cordon-monitor", error);
	BASE_AUTO_FD int denied = denied_open();
	BASE_AUTO_FD int alerts = registry_log_open("alerts.json", O_APPEND);
	BASE_AUTO_FD int log =
	        registry_log_open("monitor.messages", O_APPEND); /* no VM's: those are .log */

	if (err)
		return host_fail(error, err, 126, "cannot load the BPF programs: %s: %s", why,
		                 strerror(-err));
	if (listener < 0 || binary < 0 || alerts < 0 || log < 0) {
		tap_watch_close(taps);
		return host_fail(error, -EIO, 125, "cannot open what the monitor needs");
	}
	if (denied < 0) {
		tap_watch_close(taps);
		return host_fail(error, denied, 126,
		                 "the firewall's log (nfnetlink_log's group %d) cannot be read: %s",
		                 FIREWALL_DENIED_GROUP,
		                 denied == -EBUSY || denied == -EPERM ? "somebody else does"
		                                                      : strerror(-denied));
	}
	struct isolate_fd fds[] = {
	        {listener, MONITOR_FD_LISTEN},
	        {denied, MONITOR_FD_DENIED},
	        {tap_watch_events(taps), MONITOR_FD_EVENTS},
	        {alerts, MONITOR_FD_ALERTS},
	        {log, STDERR_FILENO},
	};
	struct isolate_process process = {
	        .name = "monitor",
	        .binary = binary,
	        .argv = argv,
	        .uid = WATCH_UID,
	        .gid = WATCH_UID,
	        .fds = fds,
	        .fd_count = BASE_COUNT(fds),
	        .cgroup = -1,
	        .file_size_max = UINT64_MAX, /* the alert log is rotated, not capped */
	        .open_files_max = watch_open_files(),
	};
	err = watch_spawn(&process);
	tap_watch_close(taps);
	if (err)
		return host_fail(error, err, 126, "cannot start the monitor: %s", strerror(-err));
	return 0;
}

static int watch_send(int connection, const struct monitor_request *request, const int *fds,
                      size_t count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * MONITOR_FDS_MAX)];
	} control = {0};
	struct iovec part = {.iov_base = (void *)request, .iov_len = sizeof(*request)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (count > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
	}
	return sendmsg(connection, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* One answer; the monitor is not trusted to send a whole one, or any. */
static int watch_answer(int connection, struct monitor_answer *answer)
{
	struct pollfd ready = {.fd = connection, .events = POLLIN};
	int64_t deadline = control_now_ms() + WATCH_TIMEOUT_MS;
	ssize_t n;

	do {
		int64_t left = deadline - control_now_ms();

		if (left <= 0 || poll(&ready, 1, (int)left) <= 0)
			return -ETIMEDOUT;
		n = recv(connection, answer, sizeof(*answer), MSG_TRUNC);
		if (n < 0)
			return -errno;
		if (n != (ssize_t)sizeof(*answer))
			return n == 0 ? -ECONNRESET : -EPROTO;
		/* another VM's alert may come first; it is in the log */
	} while (answer->type == MONITOR_ACT || answer->type == MONITOR_RELOAD);
	if (answer->type == MONITOR_FAILED)
		return answer->error < 0 ? answer->error : -EPROTO;
	return answer->type == MONITOR_OK ? 0 : -EPROTO;
}

static int watch_simple(int connection, enum monitor_verb verb, const char *vm)
{
	struct monitor_request request = {.version = MONITOR_VERSION, .verb = verb};
	struct monitor_answer answer;
	int err;

	base_copy_string(request.vm, sizeof(request.vm), vm);
	err = watch_send(connection, &request, NULL, 0);
	return err ? err : watch_answer(connection, &answer);
}

int watch_forget(int connection, const char *vm)
{
	return watch_simple(connection, MONITOR_FORGET, vm);
}

/* The line of the policy, and what the courier said of its files. */
static int watch_sink_failed(const struct policy_sink *sink, int err, struct host_error *error)
{
	char why[HOST_ERROR_MAX];

	base_copy_string(why, sizeof(why), error->text[0] ? error->text : strerror(-err));
	host_error_clear(error);
	return host_fail(error, err, 126, "policy line %u: cannot open the sink %s: %.400s",
	                 sink->line, sink->target, why);
}

/* The file of the NIC's baseline, as one more of the fds. Without one the VM is learnt anew each time, and runs. */
static bool watch_baseline(const struct host_vm *vm, size_t nic, int *fds, size_t *count)
{
	struct host_error error = {0};
	int fd = baseline_open(vm->name, nic, &error);

	if (fd < 0)
		fprintf(stderr, "cordon: what is learnt of '%s' is not kept: %s\n", vm->name,
		        error.text);
	else
		fds[(*count)++] = fd;
	host_error_clear(&error);
	return fd >= 0;
}

/* -EUCLEAN, and no error said: the baseline is broken. */
static int watch_register_once(int connection, const struct host_vm *vm,
                               const struct policy *policy, size_t nic, int flow_map,
                               struct host_error *error)
{
	struct monitor_request request = {
	        .version = MONITOR_VERSION,
	        .verb = MONITOR_REGISTER,
	        .ifindex = vm->ifindex[nic],
	        .monitor = policy->monitor,
	        .scan_line = policy->monitor.scan.line,
	};
	struct monitor_answer answer = {0};
	int fds[MONITOR_FDS_MAX] = {flow_map};
	size_t count = 1;
	int err = 0;

	base_copy_string(request.vm, sizeof(request.vm), vm->name);
	if (policy->vm.group_count)
		base_copy_string(request.group, sizeof(request.group), policy->vm.groups[0]);
	memcpy(request.mac, vm->nics[nic].mac, sizeof(request.mac));
	memcpy(request.ip4, vm->nics[nic].ip4, sizeof(request.ip4));
	memcpy(request.ip6, vm->nics[nic].ip6, sizeof(request.ip6));
	for (size_t i = 0; !err && i < policy->monitor.sink_count; i++) {
		const struct policy_sink *sink = &policy->monitor.sinks[i];

		fds[count] = courier_open(sink, error);
		if (fds[count] < 0)
			err = watch_sink_failed(sink, fds[count], error);
		else
			count++;
	}
	if (!err)
		err = lists_open(policy, fds, &count, error);
	if (!err)
		request.baseline = watch_baseline(vm, nic, fds, &count);
	if (!err)
		err = watch_send(connection, &request, fds, count);
	if (!err)
		err = watch_answer(connection, &answer);
	for (size_t i = 1; i < count; i++)
		close(fds[i]);
	if (err && answer.size && answer.respond < policy->monitor.list_count)
		return list_refused(policy->monitor.lists[answer.respond], &answer, error);
	return err;
}

int watch_register(int connection, const struct host_vm *vm, const struct policy *policy,
                   size_t nic, int flow_map, struct host_error *error)
{
	int err = watch_register_once(connection, vm, policy, nic, flow_map, error);

	if (err == -EUCLEAN) {
		baseline_set_aside(vm->name, nic);
		err = watch_register_once(connection, vm, policy, nic, flow_map, error);
	}
	if (err)
		return host_fail(error, err, 126, "the monitor did not take '%s': %s", vm->name,
		                 strerror(-err));
	return 0;
}

/* Each of the VM's taps that has a flow map; one that is being started registers itself. */
static void watch_register_vm(int connection, struct tap_watch *taps, const char *name)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	struct host_error error = {0};
	int err = policy && vm ? registry_load(name, vm) : -ENOMEM;

	if (!err && vm->nic_count > 0)
		err = registry_policy(name, policy);
	for (size_t i = 0; !err && i < vm->nic_count; i++) {
		BASE_AUTO_FD int flows =
		        vm->ifindex[i] ? tap_watch_flows(taps, vm->ifindex[i]) : -ENOENT;

		if (flows != -ENOENT)
			err = flows < 0 ? flows
			                : watch_register(connection, vm, policy, i, flows, &error);
	}
	if (err)
		fprintf(stderr, "cordon: the new monitor did not take '%s': %s\n", name,
		        error.text[0] ? error.text : strerror(-err));
	host_error_clear(&error);
}

/* A new monitor knows of nobody. On a connection of its own, so that no action is taken for an answer. */
static int watch_register_all(struct host_error *error)
{
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	BASE_AUTO_FD int connection = watch_query();
	struct tap_watch *taps = NULL;
	int count, err = names ? BASE_MIN(connection, 0) : -ENOMEM;

	if (!err)
		err = tap_watch_open(&taps, NULL);
	if (err)
		return host_fail(error, err, 126,
		                 "the new monitor cannot be told of the guests: %s",
		                 strerror(-err));
	count = registry_list(names, HOST_SLOTS_MAX);
	for (int i = 0; i < BASE_MIN(count, HOST_SLOTS_MAX); i++)
		watch_register_vm(connection, taps, names[i]);
	tap_watch_close(taps);
	return 0;
}

int watch_connect(bool subscribe, struct host_error *error)
{
	BASE_AUTO_FD int fd = watch_query();
	bool started = fd == -ENOENT || fd == -ECONNREFUSED;
	int err = 0;

	if (started) {
		err = watch_start(error);
		fd = err ? fd : watch_query();
	}
	err = err ? err : BASE_MIN(fd, 0);
	/* before the VMs are registered, so that what they ask for at once is heard */
	if (!err && subscribe)
		err = watch_simple(fd, MONITOR_SUBSCRIBE, "");
	if (!err && started)
		err = watch_register_all(error);
	if (err)
		return host_fail(error, err, 126, "the monitor does not answer: %s",
		                 strerror(-err));
	return base_take_fd(&fd);
}

bool watch_needed(void)
{
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	int count = names && vm ? registry_list(names, HOST_SLOTS_MAX) : 0;

	for (int i = 0; i < BASE_MIN(count, HOST_SLOTS_MAX); i++)
		if (registry_load(names[i], vm) == 0 && vm->nic_count > 0 && registry_alive(vm))
			return true;
	return false;
}

int watch_recover(struct host_error *error)
{
	BASE_AUTO_FD int host = registry_lock_host();

	/* The last VM may just have gone, and with it what a new monitor would pin again, for nobody to
	 * remove: who removes it has this lock. */
	if (!watch_needed())
		return -ENOENT;
	return watch_connect(true, error);
}

/* Asks for one method of the VM, and says what came of it. */
static void watch_method(const char *method, const char *vm, const char *rule)
{
	struct host_error error = {0};
	json_t *params = json_pack("{s:s}", "name", vm);
	json_t *answer = method_call(method, params, &error);

	fprintf(stderr, "cordon: alert %s of '%s' asks for %s: %s\n", rule, vm, method,
	        answer ? "done" : error.text);
	json_decref(answer);
	json_decref(params);
	host_error_clear(&error);
}

/* What the VM's own policy lets its alerts ask for; where it cannot be read, a cut is not denied. */
static uint32_t watch_allowed(const char *vm)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	const struct policy_monitor *monitor = policy ? &policy->monitor : NULL;

	if (!policy || registry_policy(vm, policy) < 0)
		return POLICY_RESPOND_QUARANTINE;
#define WATCH_RESPONDS(key, text) | monitor->key.respond
	return 0 POLICY_DETECTORS(WATCH_RESPONDS);
}

static int watch_list(int connection, const char *path, struct host_error *error)
{
	struct monitor_request request = {.version = MONITOR_VERSION, .verb = MONITOR_INTEL};
	struct monitor_answer answer = {0};
	BASE_AUTO_FD int list = list_open(path);
	int err = BASE_MIN(list, 0);

	base_copy_string(request.monitor.lists[0], POLICY_PATH_MAX, path);
	request.monitor.list_count = 1;
	if (!err)
		err = watch_send(connection, &request, &list, 1);
	if (!err)
		err = watch_answer(connection, &answer);
	answer.error = err;
	return err ? list_refused(path, &answer, error) : 0;
}

/* Hands the lists of the VM's own policy over again, whatever it was that asked. */
static int watch_reload(const char *vm)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FD int connection = watch_query();
	int err = policy ? registry_policy(vm, policy) : -ENOMEM;

	if (err || connection < 0)
		return err ? err : connection;
	for (size_t i = 0; i < policy->monitor.list_count; i++) {
		struct host_error error = {0};

		if (watch_list(connection, policy->monitor.lists[i], &error) < 0)
			fprintf(stderr, "cordon: what was known to be bad stays so: %s\n",
			        error.text);
		host_error_clear(&error);
	}
	return 0;
}

int watch_act(const struct monitor_answer *act)
{
	char vm[POLICY_NAME_MAX], rule[sizeof(act->rule)];
	uint32_t respond;

	base_copy_string(vm, sizeof(vm), act->vm);
	base_copy_string(rule, sizeof(rule), act->rule);
	for (char *c = rule; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || *c == '.' || *c == '_'))
			*c = '?';
	if (!registry_name_valid(vm))
		return -EINVAL;
	if (act->type == MONITOR_RELOAD)
		return watch_reload(vm);
	respond = act->respond & watch_allowed(vm);
	if (respond & POLICY_RESPOND_QUARANTINE)
		watch_method("vm.quarantine", vm, rule);
	if (respond & POLICY_RESPOND_PAUSE)
		watch_method("vm.pause", vm, rule);
	return 0;
}
