/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of a device program: --vhost or --socket, --no-sandbox, and the device's own options,
 * which are a table. It is read before anything else, and never again.
 */
#include "vmm/devices/program.h"

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

int device_fd(const char *text, int *fd)
{
	uint64_t number = 0;
	int error = device_number(text, STDERR_FILENO + 1, INT32_MAX, &number);

	*fd = (int)number;
	return error;
}

void device_usage(const struct device_program *program)
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

static int common_option(struct device_arguments *a, const char *name, const char *value,
                         bool *took_value)
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

static int device_option(const struct device_program *program, void *self,
                         struct device_arguments *a, const char *name, const char *value,
                         bool *took_value)
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

int device_arguments_parse(const struct device_program *program, void *self, char **argv,
                           struct device_arguments *a)
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
