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

enum { OPTIONS_MAX = 16 };

struct arguments {
	int vhost;
	const char *socket;
	bool sandbox;
	uint32_t given; /* a bit a device option */
};

static void usage(const struct device_program *program)
{
	char line[256];
	int used = snprintf(line, sizeof(line), "usage: %s (--vhost FD | --socket PATH)",
	                    program->ops->name);

	for (size_t i = 0; i < program->option_count && used < (int)sizeof(line); i++) {
		const struct device_option *o = &program->options[i];

		used += snprintf(line + used, sizeof(line) - (size_t)used, " %s--%s%s%s%s",
		                 o->required ? "" : "[", o->name, o->value ? " " : "",
		                 o->value ? o->value : "", o->required ? "" : "]");
	}
	device_log(program->ops->name, "%s [--no-sandbox]", line);
}

int device_number(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
	char *end;
	unsigned long long value;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || value < low || value > high)
		return -EINVAL;
	*number = value;
	return 0;
}

static int common_option(struct arguments *a, const char *name, const char *value, bool *took_value)
{
	uint64_t fd;

	*took_value = true;
	if (strcmp(name, "vhost") == 0) {
		if (!value || device_number(value, 0, INT32_MAX, &fd) < 0)
			return -EINVAL;
		a->vhost = (int)fd;
		return 0;
	}
	if (strcmp(name, "socket") == 0) {
		a->socket = value;
		return value ? 0 : -EINVAL;
	}
	*took_value = false;
	if (strcmp(name, "no-sandbox") == 0) {
		a->sandbox = false;
		return 0;
	}
	return -ENOENT;
}

static int device_option(const struct device_program *program, void *self, struct arguments *a,
                         const char *name, const char *value, bool *took_value)
{
	for (size_t i = 0; i < program->option_count; i++) {
		const struct device_option *o = &program->options[i];

		if (strcmp(name, o->name) != 0)
			continue;
		*took_value = o->value;
		if (o->value && !value)
			return -EINVAL;
		a->given |= 1u << i;
		return o->set(self, value);
	}
	return -ENOENT;
}

static int parse(const struct device_program *program, void *self, char **argv, struct arguments *a)
{
	for (char **at = argv + 1; *at; at++) {
		const char *name = *at, *value = at[1];
		bool took_value = false;
		int error = -ENOENT;

		if (strncmp(name, "--", 2) == 0) {
			error = common_option(a, name + 2, value, &took_value);
			if (error == -ENOENT)
				error = device_option(program, self, a, name + 2, value,
				                      &took_value);
		}
		if (error == -ENOENT)
			device_log(program->ops->name, "'%s' is not an option", name);
		else if (error < 0)
			device_log(program->ops->name, "%s '%s': not possible", name,
			           took_value && value ? value : "");
		if (error < 0)
			return error;
		at += took_value;
	}
	for (size_t i = 0; i < program->option_count; i++) {
		if (!program->options[i].required || a->given & 1u << i)
			continue;
		device_log(program->ops->name, "--%s is missing", program->options[i].name);
		return -EINVAL;
	}
	if ((a->vhost < 0) == !a->socket) {
		device_log(program->ops->name, "one of --vhost and --socket is needed");
		return -EINVAL;
	}
	return 0;
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
                 struct arguments *a)
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
	const struct device_program *program = &device_program;
	struct arguments a = {.vhost = -1, .sandbox = true};
	struct vhost_back back;
	void *self BASE_AUTO_FREE = calloc(1, program->state_size);

	if (argc < 1 || !self)
		return 1;
	if (parse(program, self, argv, &a) < 0) {
		usage(program);
		return 2;
	}
	return serve(program, self, &back, &a) < 0 ? 1 : 0;
}
