/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tap of a guest that another VMM runs (QEMU, libvirt, Firecracker): our firewall and monitor on it, and
 * nothing else. The tap, its addresses, routes and bridge are its owner's: none is made, changed or removed.
 *
 * In the registry it is a VM without slot and link: one NIC, and for its keeper cordon-mind (mind.h), which ends
 * the guarding with the tap. A keeper that was killed is started again by whoever looks for stale VMs, for
 * its guest runs on; the rules stand in the kernel meanwhile.
 *
 * Which rules fit depends on where the tap is: a port of a bridge is filtered in the bridge family, any other
 * where packets are routed. One that is moved is moved in the rules too, by `cordon reguard`, which the keeper
 * calls; where that fails the tap is closed, as its guest may not be on the wire without them.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/base.h"
#include "cordon/netlink.h"
#include "cordon/repair.h"
#include "cordon/report.h"
#include "cordon/rules.h"
#include "cordon/verbs.h"

enum { GUARD_END_MS = 20000 };

/* --- the tap --- */

static int guard_master_of(const struct nlmsghdr *message, void *data)
{
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message,
	                  sizeof(struct ifinfomsg)) if (mnl_attr_get_type(attribute) ==
	                                                IFLA_MASTER) *
	        (unsigned int *)data = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

/* The interface that it is a port of; 0: of none. */
static int guard_master(unsigned int ifindex, unsigned int *master)
{
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = netlink_link(buffer, ifindex, RTM_GETLINK, AF_UNSPEC);
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	ssize_t n = -1;
	int err = 0;

	*master = 0;
	if (!socket)
		return -errno;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = 1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0)
		n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0 || mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket),
	                        guard_master_of, master) < 0)
		err = -errno;
	mnl_socket_close(socket);
	return err;
}

/* A mistaken name must not put the host's own network behind a guest's rules. */
static int guard_is_tap(const char *interface, struct host_error *error)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&driver}, kind = {0};
	BASE_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	base_copy_string(request.ifr_name, sizeof(request.ifr_name), interface);
	base_copy_string(kind.ifr_name, sizeof(kind.ifr_name), interface);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0)
		base_copy_string(driver.driver, sizeof(driver.driver), "none");
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &kind) < 0)
		return host_fail(error, -errno, 126, "cannot look at %s: %s", interface,
		                 strerror(errno));
	if (strcmp(driver.driver, "tun") != 0 || kind.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return host_fail(error, -EINVAL, 126,
		                 "%s is no tap (its driver is '%s', where a tap's is 'tun')",
		                 interface, driver.driver);
	return 0;
}

/* Where the tap is now: its name, and its bridge. Fills in vm->nics[0] from the policy's NIC. -ENODEV: it is gone. */
static int guard_look(struct host_vm *vm, const struct policy_nic *nic, unsigned int *master,
                      struct host_error *error)
{
	char tap[IF_NAMESIZE] = "", bridge[IF_NAMESIZE] = "";
	int err = guard_master(vm->ifindex[0], master);

	if (!err && !if_indextoname(vm->ifindex[0], tap))
		err = errno == ENXIO ? -ENODEV : -errno;
	if (err == -ENODEV)
		return host_fail(error, err, 126, "its tap is gone");
	if (err)
		return host_fail(error, err, 126, "cannot look at its tap: %s", strerror(-err));
	if (*master && (!if_indextoname(*master, bridge) || network_bridge_find(bridge) == 0))
		return host_fail(error, -EOPNOTSUPP, 126,
		                 "%s is a port of '%s', which is no bridge of the kernel's", tap,
		                 bridge);
	network_plan_guard(tap, bridge, nic, &vm->nics[0]);
	return 0;
}

/* False, and the error says so, when another guest of cordon's than this one has the tap already. */
static bool guard_is_free(const struct host_vm *self, const char *interface,
                          struct host_error *error)
{
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	int count = names && vm ? registry_list(names, HOST_SLOTS_MAX) : -ENOMEM;
	bool taken = false;

	for (int n = 0; n < BASE_MIN(count, HOST_SLOTS_MAX) && !taken; n++) {
		if (strcmp(names[n], self->name) == 0 || registry_load(names[n], vm) < 0)
			continue;
		for (size_t i = 0; i < vm->nic_count; i++)
			taken |= vm->ifindex[i] == self->ifindex[0];
		if (taken)
			host_fail(error, -EBUSY, 126, "%s is the tap of '%s' already", interface,
			          vm->name);
	}
	return count >= 0 && !taken;
}

/* --- its keeper --- */

static _Noreturn void guard_become(const struct host_vm *vm, const char *name, int program, int log,
                                   unsigned int master, const char *cordon)
{
	char numbers[2][16];
	char *argv[] = {(char *)"cordon-mind",
	                (char *)name,
	                numbers[0],
	                (char *)vm->nics[0].tap,
	                numbers[1],
	                (char *)cordon,
	                NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/") < 0)
		_exit(VERB_FAILED);
	snprintf(numbers[0], sizeof(numbers[0]), "%u", vm->ifindex[0]);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", master);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	fexecve(program, argv, (char *[]){NULL});
	_exit(VERB_FAILED);
}

/* Starts the keeper, and writes it down. */
static int guard_keep(struct host_vm *vm, unsigned int master, struct host_error *error)
{
	char cordon[POLICY_PATH_MAX], file[POLICY_NAME_MAX + 8];
	BASE_AUTO_FD int program = programs_open("cordon-keeper", error);
	BASE_AUTO_FD int log = -1;
	sigset_t term, before;
	pid_t child;
	int err;

	if (program < 0)
		return program;
	snprintf(file, sizeof(file), "%s.log", vm->name);
	log = registry_log_open(file, O_APPEND);
	if (log < 0 || programs_path(cordon, "cordon") < 0)
		return host_fail(error, -EIO, 125, "cannot open the log of '%s'", vm->name);
	fflush(NULL);
	/* an unguard, or a repair, that comes at once must not kill it, but wait until it can listen */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigaddset(&term, SIGUSR1);
	sigprocmask(SIG_BLOCK, &term, &before);
	child = fork();
	if (child == 0)
		guard_become(vm, vm->name, program, log, master, cordon);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0)
		return host_fail(error, -errno, 125, "fork: %s", strerror(errno));
	vm->keeper = child;
	vm->keeper_start = registry_start_time(child);
	err = registry_save(vm);
	if (!err)
		return 0;
	kill(child, SIGKILL);
	vm->keeper = 0;
	return host_fail(error, err, 125, "cannot save the state of '%s'", vm->name);
}

/* --- begin --- */

static int guard_rules(const struct policy *policy, const struct host_vm *vm,
                       struct host_error *error)
{
	struct firewall *fw = firewall_open();
	int err = fw ? rules_load(fw, policy, vm) : -errno;

	if (err)
		host_fail(error, err, 126, "the firewall was not loaded: %s",
		          fw ? firewall_error(fw) : strerror(-err));
	if (fw)
		firewall_close(fw);
	return err;
}

static int guard_wire(const struct policy *policy, struct host_vm *vm, unsigned int master,
                      struct host_error *error)
{
	struct timespec now;
	int err = guard_rules(policy, vm, error);

	if (!err)
		err = launch_watch(policy, vm, error);
	if (err)
		return err;
	clock_gettime(CLOCK_REALTIME, &now);
	vm->started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	base_copy_string(vm->state, sizeof(vm->state), "guarded");
	return guard_keep(vm, master, error);
}

/*
 * Names what it will be, and takes its folder. Of two that want one tap at once each may find the other then, and
 * neither gets it; never do both.
 */
static int guard_claim(const struct policy *policy, const char *text, const char *interface,
                       struct host_vm *vm, int *lock, struct host_error *error)
{
	char file[POLICY_PATH_MAX];
	int err;

	base_copy_string(vm->name, sizeof(vm->name), policy->vm.name);
	base_copy_string(vm->state, sizeof(vm->state), "starting");
	vm->guard = true;
	vm->nic_count = 1;
	err = registry_claim(vm, 1, lock, error);
	if (err)
		return err;
	registry_path(file, vm->name, "policy.yaml");
	err = registry_write_file(file, text, strlen(text), 0640);
	if (!err)
		err = registry_save(vm);
	if (err)
		host_fail(error, err, 125, "cannot write %s: %s", file, strerror(-err));
	else if (!guard_is_free(vm, interface, error))
		err = -EBUSY;
	if (err)
		registry_drop(vm);
	return err;
}

static int guard_begin(const struct policy *policy, const char *interface, const char *text,
                       struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FD int lock = -1;
	unsigned int master = 0;
	int err;

	vm->ifindex[0] = if_nametoindex(interface);
	if (vm->ifindex[0] == 0)
		return host_fail(error, -ENODEV, 127, "there is no interface '%.15s'", interface);
	err = guard_is_tap(interface, error);
	if (!err)
		err = registry_prepare(error);
	if (err)
		return err;
	reap_stale();
	if (!guard_is_free(vm, interface, error))
		return -EBUSY;
	err = guard_look(vm, &policy->vm.nics[0], &master, error);
	if (!err)
		err = guard_claim(policy, text, interface, vm, &lock, error);
	if (err)
		return err;
	err = guard_wire(policy, vm, master, error);
	if (err && reap_failed(vm) < 0)
		fprintf(stderr,
		        "cordon: something of '%s' is left; it is tried again at the next start\n",
		        vm->name);
	return err;
}

json_t *guard_method(const json_t *params, struct host_error *error)
{
	const char *interface = json_string_value(json_object_get(params, "interface"));
	const char *text = json_string_value(json_object_get(params, "policy"));
	const char *path = json_string_value(json_object_get(params, "path"));
	const char *dir = json_string_value(json_object_get(params, "dir"));
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));

	if (!policy || !vm || !interface || !text || !path || !dir || dir[0] != '/' ||
	    strlen(path) >= sizeof(vm->policy_path)) {
		host_fail(error, -EINVAL, 125,
		          "vm.guard takes interface, policy (text), path and dir (absolute)");
		return NULL;
	}
	base_copy_string(vm->policy_path, sizeof(vm->policy_path), path);
	base_copy_string(vm->first_path, sizeof(vm->first_path), path);
	base_copy_string(vm->dir, sizeof(vm->dir), dir);
	if (launch_parse(text, strlen(text), path, policy, error) < 0 ||
	    !launch_kind(policy, path, true, error) || launch_can(policy, error) < 0 ||
	    guard_begin(policy, interface, text, vm, error) < 0)
		return NULL;
	return registry_json(vm);
}

/* --- end, and change --- */

/* The guarded guest of that name, or the one at that tap. */
static int guard_find(const char *what, struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	int count = names ? registry_list(names, HOST_SLOTS_MAX) : 0;

	for (int n = 0; n < BASE_MIN(count, HOST_SLOTS_MAX); n++)
		if (registry_load(names[n], vm) == 0 && vm->guard && vm->nic_count == 1 &&
		    (strcmp(vm->nics[0].tap, what) == 0 || strcmp(vm->name, what) == 0))
			return 0;
	return host_fail(error, -ENOENT, 127, "nothing is guarded at '%.31s'", what);
}

/* By its keeper, which is waited for; or here, where it has none, or that died of something else meanwhile. */
static int guard_stop(const struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FD int keeper =
	        registry_alive(vm) ? (int)syscall(SYS_pidfd_open, vm->keeper, 0) : -1;
	struct pollfd ended = {.fd = keeper, .events = POLLIN};

	if (keeper >= 0 && registry_alive(vm)) {
		syscall(SYS_pidfd_send_signal, keeper, SIGTERM, NULL, 0);
		poll(&ended, 1, GUARD_END_MS);
	}
	return reap_vm(vm->name, (struct host_end){.asked = true}, error);
}

json_t *guard_end_method(const json_t *params, struct host_error *error)
{
	const char *what = json_string_value(json_object_get(params, "name"));
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	char path[POLICY_PATH_MAX];
	int err;

	if (!vm || !what) {
		host_fail(error, -EINVAL, 125, "vm.unguard takes name");
		return NULL;
	}
	if (guard_find(what, vm, error) < 0)
		return NULL;
	err = guard_stop(vm, error);
	registry_path(path, vm->name, "state.json");
	if (!err && access(path, F_OK) == 0)
		host_fail(error, -EIO, 125,
		          "'%s' is guarded still; " HOST_LOG_DIR "/%s.log may say why", vm->name,
		          vm->name);
	if (error->code)
		return NULL;
	if (repair_is_closed(vm)) /* what we took away is given back */
		network_link_up(vm->ifindex[0]);
	return json_pack("{s:s, s:s}", "name", vm->name, "interface", vm->nics[0].tap);
}

/* Under its lock: the rules for where the tap is now; or, where they cannot be loaded, no way out. */
static int guard_again(struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	unsigned int master;
	int err = policy ? registry_policy(vm->name, policy) : -ENOMEM;

	if (err)
		host_fail(error, err, 125, "its policy cannot be read: %s", strerror(-err));
	else
		err = guard_look(vm, &policy->vm.nics[0], &master, error);
	if (!err)
		err = guard_rules(policy, vm, error);
	repair_switch(vm, err == 0);
	registry_save(vm); /* if not, it is looked at again with the next change */
	return err;
}

int guard_resume(struct host_vm *vm)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	struct host_error error = {0};
	unsigned int master;
	int err;

	if (!policy || !vm->started || registry_policy(vm->name, policy) < 0)
		return vm->started ? -ENOMEM : -ENODEV;
	err = guard_look(vm, &policy->vm.nics[0], &master, &error);
	if (err == -ENODEV) {
		host_error_clear(&error);
		return err;
	}
	/* as its state has it, so that a move in the meantime is seen and repaired */
	err = registry_load(vm->name, vm);
	/* somebody may have removed the rules while nobody was there to load them again */
	if (!err && guard_rules(policy, vm, &error) < 0)
		repair_switch(vm, false);
	/* no bridge has that number: what is closed is tried again at once */
	master = repair_is_closed(vm) ? UINT_MAX : if_nametoindex(vm->nics[0].bridge);
	if (!err)
		err = guard_keep(vm, master, &error);
	report_guard(vm, REPORT_GUARD_KEEPER, error.text);
	if (!err)
		serve_ensure(vm->name);
	host_error_clear(&error);
	return err;
}

int verb_reguard(int argc, char **argv)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	struct host_error error = {0};
	BASE_AUTO_FD int lock =
	        vm && argc == 2 && registry_name_valid(argv[1]) ? registry_lock_vm(argv[1]) : -1;
	struct firewall_nic was;
	bool was_closed, closed;
	int err;

	if (lock < 0 || registry_load(argv[1], vm) < 0 || !vm->guard || vm->nic_count != 1) {
		fprintf(stderr, "usage: cordon reguard NAME (started by cordon-mind)\n");
		return VERB_FAILED;
	}
	was = vm->nics[0];
	was_closed = repair_is_closed(vm);
	err = guard_again(vm, &error);
	closed = repair_is_closed(vm);
	/* once, however often it is tried, or told */
	if (err != -ENODEV &&
	    (was_closed != closed || (!err && memcmp(&was, &vm->nics[0], sizeof(was)) != 0)))
		report_guard(vm, closed ? REPORT_GUARD_CLOSED : REPORT_GUARD_CHANGED, error.text);
	host_error_clear(&error);
	return err ? VERB_FAILED : VERB_OK;
}
