/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's vsock needs of the host: a listening socket for those who connect to the guest, and for
 * those that the guest connects to, a socket pair between cordon-vsock and cordon-dial.
 *
 * cordon-dial has a uid of the VM's own and the group `cordon`, and connects as that: a service lets
 * guests in by making its socket writable for the group, or for all. Where a socket is there already and
 * is not, the VM does not start.
 */
#include "cordon/launch.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"

/* May somebody of the group, who owns nothing, do `bit` (S_IWOTH, S_IXOTH)? */
static bool vsock_may(const struct stat *facts, mode_t bit)
{
	if (facts->st_gid == registry_group())
		return facts->st_mode & (bit << 3);
	return facts->st_mode & bit;
}

/* Looks at a target's folder, and at its socket, which may also come later. */
static int vsock_look(const struct policy_vsock_target *target, struct host_error *error)
{
	char folder[POLICY_SOCKET_MAX];
	struct stat facts;

	base_copy_string(folder, sizeof(folder), target->socket);
	*strrchr(folder, '/') = '\0';
	if (stat(folder, &facts) < 0)
		return host_fail(error, -errno, 126,
		                 "policy line %u: cannot look at the folder %s: %s", target->line,
		                 folder, strerror(errno));
	if (!vsock_may(&facts, S_IXOTH))
		return host_fail(error, -EACCES, 126,
		                 "policy line %u: the folder %s is closed to the group " HOST_GROUP
		                 ", which cordon-dial is in",
		                 target->line, folder);
	if (stat(target->socket, &facts) < 0)
		return 0;
	if (!S_ISSOCK(facts.st_mode))
		return host_fail(error, -ENOTSOCK, 126, "policy line %u: %s is not a socket",
		                 target->line, target->socket);
	if (!vsock_may(&facts, S_IWOTH))
		return host_fail(error, -EACCES, 126,
		                 "policy line %u: %s is not writable for the group " HOST_GROUP
		                 ", which cordon-dial is in",
		                 target->line, target->socket);
	return 0;
}

int launch_vsock(struct launch *launch, struct host_error *error)
{
	const struct policy_vsock *vsock = &launch->policy->vm.vsock;
	int err = 0;

	if (vsock->host_to_guest_count > 0) {
		launch->vsock = launch_listen(launch->policy->vm.name, "vsock.sock", SOCK_STREAM,
		                              0660, true);
		if (launch->vsock < 0)
			return host_fail(error, launch->vsock, 125,
			                 "cannot make the vsock socket of '%s': %s",
			                 launch->policy->vm.name, strerror(-launch->vsock));
	}
	for (size_t i = 0; !err && i < vsock->guest_to_host_count; i++)
		err = vsock_look(&vsock->guest_to_host[i], error);
	if (!err && vsock->guest_to_host_count > 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, launch->dial) < 0)
		return host_fail(error, -errno, 125, "no socket pair for cordon-dial: %s",
		                 strerror(errno));
	return err;
}
