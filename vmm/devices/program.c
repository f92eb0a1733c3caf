/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All devices are one file, cordon-device, under a name each: the pages of its text are there once for all
 * processes of a VM, of which there are several even where there is one VM. What a process may do is said by
 * its own seccomp list, and what it holds by its fds; that the text of the others is there too gives it nothing.
 *
 * A device program takes its fds by number, connects, locks its seccomp list, and only then reads what
 * a front end or a guest wrote. Exit status: 0 when the front end hung up, 1 when it could not go on, 2
 * for a wrong command line.
 */
#include "vmm/devices/program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "isolate/isolate.h"

/* DEVICES is DEVICE(name) for each of them: meson.build has the list. */
#define DEVICE(name) extern const struct device_program device_##name;
DEVICES
#undef DEVICE

static const struct device_program *const devices[] = {
#define DEVICE(name) &device_##name,
        DEVICES
#undef DEVICE
};

/* The device whose name the path ends with, or NULL. */
static const struct device_program *find_device(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < BASE_COUNT(devices); i++)
		if (strcmp(devices[i]->ops->name, name) == 0)
			return devices[i];
	device_log("cordon-device", "'%s' is not the name of a device", name);
	for (size_t i = 0; i < BASE_COUNT(devices); i++)
		device_log("cordon-device", "%s is", devices[i]->ops->name);
	return NULL;
}

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
	const struct device_program *program = find_device(argc > 0 ? argv[0] : "");
	struct device_arguments a = {.vhost = -1, .sandbox = true};
	struct vhost_back back;
	void *self BASE_AUTO_FREE = program ? calloc(1, program->state_size) : NULL;

	if (!program)
		return 2;
	if (!self)
		return 1;
	(void)prctl(PR_SET_NAME, program->ops->name, 0, 0, 0); /* the file has another */
	if (device_arguments_parse(program, self, argv, &a) < 0) {
		device_usage(program);
		return 2;
	}
	return serve(program, self, &back, &a) < 0 ? 1 : 0;
}
