/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The spools of sinks, and who delivers what is in them. A sink is known by what the policy says of it: two
 * VMs that name the same receiver in the same way share its spool and its courier (monitor/courier.c). Its folder under
 * HOST_SPOOL_DIR holds the inbox, the courier's two state files, and the sink itself, so that a courier can be
 * started again, and what waits be delivered, when the VM whose policy it was is long gone.
 */
#include "cordon/courier.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "monitor/courier.h"
#include "monitor/spool.h"

enum { COURIER_UID = ISOLATE_UID_BASE - 5, COURIER_ID = 24 };

/* The line of the policy is nothing of the sink's. */
static struct policy_sink courier_sink(const struct policy_sink *sink)
{
	struct policy_sink same;

	memcpy(&same, sink, sizeof(same));
	same.line = 0;
	return same;
}

/* FNV-1a of all that is said of it. The structs that the policy's parser makes are zero where nothing is. */
static void courier_id(const struct policy_sink *sink, char id[COURIER_ID])
{
	const uint8_t *at = (const uint8_t *)sink;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(*sink); i++)
		hash = (hash ^ at[i]) * 0x100000001b3;
	snprintf(id, COURIER_ID, "%016llx", (unsigned long long)hash);
}

static int courier_folder(const char *id)
{
	char path[POLICY_PATH_MAX];
	int fd;

	if (mkdir(HOST_SPOOL_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), HOST_SPOOL_DIR "/%s", id);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int courier_file(int folder, const char *name, int flags)
{
	int fd = openat(folder, name, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

/* Puts the fds where the program looks for them; those that are there first are moved out of the way. */
static int courier_arrange(int *fds)
{
	for (int i = 0; i < COURIER_FD_INOTIFY - COURIER_FD_INBOX; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, COURIER_FDS_END);
		if (fds[i] < 0)
			return -errno;
	}
	for (int i = 0; i < COURIER_FD_INOTIFY - COURIER_FD_INBOX; i++)
		if (dup2(fds[i], COURIER_FD_INBOX + i) < 0)
			return -errno;
	return 0;
}

/* Whose standard output it is: the sink's, or nobody's. */
static _Noreturn void courier_exec(int *fds, bool output)
{
	char path[POLICY_PATH_MAX], uid[16];
	char *argv[] = {(char *)"cordon-courier", uid, NULL};
	BASE_AUTO_FD int log = registry_log_open("monitor.messages", O_APPEND);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), err;

	setsid();
	snprintf(uid, sizeof(uid), "%d", COURIER_UID);
	err = programs_path(path, "cordon-courier");
	if (!err)
		err = courier_arrange(fds);
	if (!err && (dup2(null, STDIN_FILENO) < 0 || (!output && dup2(null, STDOUT_FILENO) < 0) ||
	             dup2(log >= 0 ? log : null, STDERR_FILENO) < 0 || chdir("/") < 0))
		err = -errno;
	if (!err)
		execve(path, argv, (char *[]){NULL});
	dprintf(COURIER_FD_READY, "cannot start %s: %s", path, strerror(err ? -err : errno));
	_exit(1);
}

/* Forks twice, so that it is nobody's child, and reads what it says of its start. */
static int courier_spawn(int *fds, bool output, struct host_error *error)
{
	BASE_AUTO_FD int said = -1;
	char why[COURIER_WHY_MAX] = "";
	int ends[2];
	size_t used = 0;
	ssize_t n;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	said = ends[0];
	fds[COURIER_FD_READY - COURIER_FD_INBOX] = ends[1];
	child = fork();
	if (child == 0) {
		if (fork() == 0)
			courier_exec(fds, output);
		_exit(0);
	}
	close(ends[1]);
	if (child < 0 || waitpid(child, NULL, 0) < 0)
		return -errno;
	while ((n = read(said, why + used, sizeof(why) - 1 - used)) > 0)
		used += (size_t)n;
	return used ? host_fail(error, -EINVAL, 126, "%s", why) : 0;
}

/* Starts a courier for the folder unless one has its lock. */
static int courier_ensure(int folder, int inbox, struct host_error *error)
{
	BASE_AUTO_FD int first = courier_file(folder, "state.0", O_RDWR);
	BASE_AUTO_FD int second = courier_file(folder, "state.1", O_RDWR);
	BASE_AUTO_FD int sink = courier_file(folder, "sink", O_RDONLY);
	int fds[] = {inbox, first, second, sink, -1};
	struct policy_sink what;

	if (first < 0 || second < 0 || sink < 0)
		return -EIO;
	/* the lock is the open file's: it goes with the fd, and lasts as long as the courier */
	if (flock(first, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : -errno;
	if (base_read_at(sink, &what, sizeof(what), 0) < 0)
		return -EIO;
	return courier_spawn(fds, what.type == POLICY_SINK_STDOUT, error);
}

static int courier_note(int folder, const struct policy_sink *sink)
{
	struct policy_sink there;
	BASE_AUTO_FD int fd = courier_file(folder, "sink", O_RDWR);

	if (fd < 0)
		return fd;
	if (base_read_at(fd, &there, sizeof(there), 0) == 0 &&
	    memcmp(&there, sink, sizeof(there)) == 0)
		return 0;
	return base_write_all(fd, sink, sizeof(*sink));
}

int courier_open(const struct policy_sink *sink, struct host_error *error)
{
	const struct policy_sink same = courier_sink(sink);
	char id[COURIER_ID];
	int err;

	courier_id(&same, id);
	BASE_AUTO_FD int folder = courier_folder(id);
	if (folder < 0)
		return folder;
	BASE_AUTO_FD int inbox = courier_file(folder, "inbox", O_RDWR | O_APPEND);
	BASE_AUTO_FD int reader = courier_file(folder, "inbox", O_RDWR);
	if (inbox < 0 || reader < 0)
		return -EIO;
	/* as long as somebody can append, the courier stays; one that is about to end is waited for */
	if (flock(inbox, LOCK_SH) < 0)
		return -errno;
	err = courier_note(folder, &same);
	if (!err)
		err = courier_ensure(folder, reader, error);
	return err ? err : base_take_fd(&inbox);
}

/* True when something may wait there, or somebody may append. */
static bool courier_wanted(int inbox)
{
	struct stat facts;

	if (fstat(inbox, &facts) < 0 || facts.st_size > 0)
		return true;
	if (flock(inbox, LOCK_EX | LOCK_NB) < 0)
		return true;
	flock(inbox, LOCK_UN);
	return false;
}

void courier_recover(void)
{
	DIR *spools = opendir(HOST_SPOOL_DIR);
	struct dirent *entry;

	while (spools && (entry = readdir(spools))) {
		struct host_error error = {0};

		if (entry->d_name[0] == '.')
			continue;
		BASE_AUTO_FD int folder = openat(dirfd(spools), entry->d_name,
		                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		BASE_AUTO_FD int inbox = folder < 0 ? -1 : courier_file(folder, "inbox", O_RDWR);

		if (inbox < 0 || !courier_wanted(inbox))
			continue;
		if (courier_ensure(folder, inbox, &error) < 0 && error.text[0])
			fprintf(stderr, "cordon: no courier for the spool %s: %s\n", entry->d_name,
			        error.text);
		host_error_clear(&error);
	}
	if (spools)
		closedir(spools);
}

/* What a spool's files say; they are its courier's, and only read here. */
static json_t *courier_stats_of(int folder, const char *id)
{
	static const char *const formats[] = {[POLICY_FORMAT_SYSLOG] = "syslog",
	                                      [POLICY_FORMAT_ECS] = "ecs",
	                                      [POLICY_FORMAT_CEF] = "cef",
	                                      [POLICY_FORMAT_OCSF] = "ocsf"};
	static const char *const names[] = {"inbox", "state.0", "state.1", "sink"};
	struct policy_sink sink;
	struct spool *spool = NULL;
	int fds[BASE_COUNT(names)];
	json_t *json = NULL;
	bool open_all = true;

	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		fds[i] = openat(folder, names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		open_all = open_all && fds[i] >= 0;
	}
	/* without a limit nothing of it is ever changed */
	if (open_all && base_read_at(fds[3], &sink, sizeof(sink), 0) == 0 &&
	    policy_sink_word(sink.type)[0] && sink.format < BASE_COUNT(formats) &&
	    spool_open(fds[0], fds + 1, UINT64_MAX, &spool) == 0 && spool_refresh(spool, 0) == 0)
		json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "sink", sink.target, "type",
		                 policy_sink_word(sink.type), "format",
		                 policy_sink_is_flows(sink.type) ? "ipfix" : formats[sink.format],
		                 "id", id, "delivered", (json_int_t)spool_delivered(spool),
		                 "dropped", (json_int_t)spool_dropped(spool), "waiting",
		                 (json_int_t)spool_count(spool));
	spool_close(spool);
	for (size_t i = 0; i < BASE_COUNT(names); i++)
		base_close(&fds[i]);
	return json;
}

json_t *courier_stats(void)
{
	DIR *spools = opendir(HOST_SPOOL_DIR);
	struct dirent *entry;
	json_t *list = json_array(), *one;

	while (spools && (entry = readdir(spools))) {
		if (entry->d_name[0] == '.')
			continue;
		BASE_AUTO_FD int folder = openat(dirfd(spools), entry->d_name,
		                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		one = folder < 0 ? NULL : courier_stats_of(folder, entry->d_name);
		if (one)
			json_array_append_new(list, one);
	}
	if (spools)
		closedir(spools);
	return list;
}
