/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device program takes its fds by number, connects, locks its seccomp list, and only then reads what
 * a front end or a guest wrote. Exit status: 0 when the front end hung up, 1 when it could not go on, 2
 * for a wrong command line.
 */
#include "vmm/devices/program.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "isolate/isolate.h"

/* Listens at `path` for one front end, for people and for QEMU. Returns the connection. */
static int accept_one(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener BASE_AUTO_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int connection;

	if (listener < 0)
		return -errno;
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), path) < 0)
		return -ENAMETOOLONG;
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0)
		return -errno;
	connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (connection < 0)
		connection = -errno;
	unlink(path);
	return connection;
}

static int serve(const struct device_program *program, void *self, struct vhost_back *back,
                 struct device_arguments *a)
{
	const char *name = program->ops->name, *why = "";
	int step, error;

	if (a->socket) {
		a->vhost = accept_one(a->socket);
		if (a->vhost < 0) {
			device_log(name, "'%s': %s", a->socket, strerror(-a->vhost));
			return a->vhost;
		}
	}
	error = vhost_back_init(back, program->ops, self, a->vhost);
	if (error < 0) {
		device_log(name, "fd %d is not a front end's socket: %s", a->vhost,
		           strerror(-error));
		return error;
	}
	error = program->open(self, back, &why);
	if (error < 0) {
		device_log(name, "%s: %s", why, strerror(-error));
		return error;
	}
	if (a->sandbox) {
		error = isolate_lock(program->list);
		if (error < 0) {
			device_log(name, "the seccomp list cannot be installed: %s",
			           strerror(-error));
			return error;
		}
	}
	do {
		step = vhost_back_step(back, -1);
	} while (step > 0);
	return step;
}

int main(int argc, char **argv)
{
	const struct device_program *program = &cordon_device;
	struct device_arguments a = {.vhost = -1, .sandbox = true};
	struct vhost_back back;
	void *self BASE_AUTO_FREE = calloc(1, program->state_size);

	if (argc < 1 || !self)
		return 1;
	if (device_arguments_parse(program, self, argv, &a) < 0) {
		device_usage(program);
		return 2;
	}
	return serve(program, self, &back, &a) < 0 ? 1 : 0;
}
