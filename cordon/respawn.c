/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a process of a VM was started, written down for the case that it dies: its program and arguments, its uid, what it
 * sees and may do. All of that was decided at the VM's start, and stays as it is whatever was applied since.
 */
#include "cordon/respawn.h"

#include <fcntl.h>

#include "base/base.h"
#include "cordon/keeper.h"

static void respawn_path(char out[POLICY_PATH_MAX], const char *vm, const char *role)
{
	char file[32];

	snprintf(file, sizeof(file), "%.16s.start", role);
	registry_path(out, vm, file);
}

/* A list that ends with NULL, or is NULL. */
static json_t *respawn_list(const char *const *list)
{
	json_t *json = json_array();

	for (size_t i = 0; list && list[i]; i++)
		json_array_append_new(json, json_string(list[i]));
	return json;
}

int respawn_note(const char *vm, const struct plan_process *each, struct host_error *error)
{
	const struct isolate_process *process = &each->process;
	json_t *json = json_pack("{s:o, s:o, s:s*, s:I, s:I, s:I, s:I, s:s}", "argv",
	                         respawn_list((const char *const *)process->argv), "binds",
	                         respawn_list(process->binds), "binary",
	                         each->dnsmasq ? each->dnsmasq->binary : NULL, "uid",
	                         (json_int_t)process->uid, "flags", (json_int_t)process->flags,
	                         "capability", (json_int_t)process->capability, "open_files",
	                         (json_int_t)process->open_files_max, "file_size", "");
	char path[POLICY_PATH_MAX];
	int err = -ENOMEM;

	/* a number of 64 bits, which JSON's have not */
	if (json)
		json_object_set_new(
		        json, "file_size",
		        json_sprintf("%llu", (unsigned long long)process->file_size_max));
	BASE_AUTO_FREE char *text = json ? json_dumps(json, 0) : NULL;
	json_decref(json);
	respawn_path(path, vm, each->role);
	if (text)
		err = registry_write_file(path, text, strlen(text), 0600);
	return err ? host_fail(error, err, 125, "cannot write %s: %s", path, strerror(-err)) : 0;
}

/* The strings of a list, with a NULL after them; how many there are. */
static size_t respawn_strings(const json_t *json, const char *key, char **to, size_t max)
{
	size_t count = 0, i;
	json_t *each;

	json_array_foreach(json_object_get(json, key), i, each)
	{
		if (count + 1 < max && json_is_string(each))
			to[count++] = (char *)(uintptr_t)json_string_value(each);
	}
	to[count] = NULL;
	return count;
}

static int respawn_binary(const json_t *json, const char *program, struct host_error *error)
{
	const char *path = json_string_value(json_object_get(json, "binary"));
	int fd;

	if (!path)
		return programs_open(program, error);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? host_fail(error, -errno, 126, "cannot open %s:", path) : fd;
}

static pid_t respawn_from(const struct respawn *respawn, const char *role, const json_t *json)
{
	const char *size = json_string_value(json_object_get(json, "file_size"));
	uid_t uid = (uid_t)json_integer_value(json_object_get(json, "uid"));
	struct host_error error = {0};
	struct isolate_fd fds[LAUNCH_FDS_MAX + 1];
	char *argv[LAUNCH_ARGS_MAX], *binds[POLICY_VSOCK_MAX + 1];
	struct isolate_process process = {
	        .name = role,
	        .argv = argv,
	        .uid = uid,
	        .gid = uid,
	        .fds = fds,
	        .fd_count = respawn->fd_count + 1,
	        .cgroup = respawn->cgroup,
	        .flags = (unsigned int)json_integer_value(json_object_get(json, "flags")) &
	                 ~(unsigned int)ISOLATE_PDEATHSIG,
	        .capability = (uint64_t)json_integer_value(json_object_get(json, "capability")),
	        .file_size_max = size ? strtoull(size, NULL, 10) : 0,
	        .open_files_max =
	                (uint64_t)json_integer_value(json_object_get(json, "open_files"))};
	const char *stage = "";
	pid_t pid;

	if (respawn_strings(json, "argv", argv, BASE_COUNT(argv)) == 0)
		return -EINVAL;
	if (respawn_strings(json, "binds", binds, BASE_COUNT(binds)) > 0)
		process.binds = (const char *const *)binds;
	memcpy(fds, respawn->fds, respawn->fd_count * sizeof(fds[0]));
	fds[respawn->fd_count] = (struct isolate_fd){.from = STDERR_FILENO, .to = STDERR_FILENO};
	BASE_AUTO_FD int binary = respawn_binary(json, argv[0], &error);
	process.binary = binary;
	pid = binary < 0 ? binary : isolate_spawn(&process, &stage);
	if (pid < 0)
		fprintf(stderr, "cordon: %s of '%s' cannot be started again: %s %s\n", role,
		        respawn->vm, *stage ? stage : error.text, strerror(-pid));
	host_error_clear(&error);
	return pid;
}

pid_t respawn_process(const struct respawn *respawn, const char *role)
{
	struct keeper_revived revived = {0};
	char path[POLICY_PATH_MAX];
	json_t *json;
	pid_t pid;

	respawn_path(path, respawn->vm, role);
	json = json_load_file(path, 0, NULL);
	pid = json ? respawn_from(respawn, role, json) : -ENOENT;
	json_decref(json);
	if (pid > 0 && respawn->report >= 0) {
		revived.pid = pid;
		base_copy_string(revived.role, sizeof(revived.role), role);
		base_write_all(respawn->report, &revived, sizeof(revived));
	}
	return pid;
}
