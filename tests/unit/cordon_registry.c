/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry, in a folder of this test's own (the paths are relative, and each test stands in a new
 * folder): names, numbers that are given once, locks that survive a folder's being made anew, and
 * states that somebody has broken.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/host.h"

enum { CLAIMERS = 24, ROUNDS = 40 };

static char folder[64];

static void setup(void)
{
	struct host_error error = {0};

	strcpy(folder, "/tmp/cordon-registry-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_msg(registry_prepare(&error) == 0, "%s", error.text);
}

static void teardown(void)
{
	pid_t child;

	ck_assert_int_eq(chdir("/"), 0);
	child = fork();
	if (child == 0) {
		execlp("rm", "rm", "-rf", "--", folder, NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

static struct host_vm *make(const char *name)
{
	struct host_vm *vm = calloc(1, sizeof(*vm));

	ck_assert_ptr_nonnull(vm);
	base_copy_string(vm->name, sizeof(vm->name), name);
	base_copy_string(vm->state, sizeof(vm->state), "starting");
	return vm;
}

static struct host_vm *claim(const char *name, size_t nics, int *lock)
{
	struct host_error error = {0};
	struct host_vm *vm = make(name);

	ck_assert_msg(registry_claim(vm, nics, lock, &error) == 0, "%s", error.text);
	return vm;
}

static bool locked(const char *name)
{
	BASE_AUTO_FD int fd = registry_try_vm(name);

	return fd == -EWOULDBLOCK;
}

static void write_state(const char *name, const char *text)
{
	char path[POLICY_PATH_MAX];

	registry_path(path, name, "state.json");
	ck_assert_int_eq(registry_write_file(path, text, strlen(text), 0640), 0);
}

START_TEST(valid_names)
{
	static const char *const bad[] = {"",     "-a",  ".", "..",
	                                  ".new", "a/b", "A", "a_b",
	                                  "a b",  "a\n", "é", "0123456789012345678901234567890x"};

	for (size_t i = 0; i < BASE_COUNT(bad); i++)
		ck_assert_msg(!registry_name_valid(bad[i]), "'%s'", bad[i]);
	ck_assert(registry_name_valid("a"));
	ck_assert(registry_name_valid("0123456789012345678901234567890"));
	ck_assert_int_eq(registry_lock_vm("../vms"), -EINVAL);
	ck_assert_int_eq(registry_try_vm(".."), -EINVAL);
}
END_TEST

static void touch(const char *name, const char *file)
{
	char path[POLICY_PATH_MAX];

	registry_path(path, name, file);
	ck_assert_int_eq(registry_write_file(path, "x", 1, 0640), 0);
}

static bool there(const char *name, const char *file)
{
	char path[POLICY_PATH_MAX];

	registry_path(path, name, file);
	return access(path, F_OK) == 0;
}

/* What a run of the VM has made goes, what the VM is stays. */
START_TEST(clears_for_another_start)
{
	static const char *const made[] = {"vmm.sock", "limits", "record", "policy.yaml.new"};
	int lock;
	struct host_vm *vm = claim("web0", 1, &lock), *back = make("other");

	touch("web0", "policy.yaml");
	for (size_t i = 0; i < BASE_COUNT(made); i++)
		touch("web0", made[i]);
	ck_assert_int_eq(registry_clear(vm), 0);
	for (size_t i = 0; i < BASE_COUNT(made); i++)
		ck_assert_msg(!there("web0", made[i]), "%s", made[i]);
	ck_assert(there("web0", "policy.yaml"));
	ck_assert_int_eq(registry_load("web0", back), 0);
	ck_assert_uint_eq(back->slot, vm->slot);
	ck_assert(locked("web0"));
	ck_assert_int_eq(registry_drop(vm), 0);
	ck_assert_int_eq(registry_clear(vm), 0); /* there is nothing */
	close(lock);
	free(vm);
	free(back);
}
END_TEST

START_TEST(claims_and_drops)
{
	struct host_error error = {0};
	int lock, other;
	struct host_vm *vm = claim("web0", 4, &lock), *twice = make("web0");

	ck_assert_uint_eq(vm->slot, 1);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(vm->links[i], i + 1);
	ck_assert(locked("web0"));
	ck_assert_int_eq(registry_claim(twice, 0, &other, &error), -EEXIST);
	ck_assert_int_eq(error.exit, 126);
	ck_assert_ptr_nonnull(strstr(error.text, "'web0'"));
	ck_assert_int_eq(other, -1);
	ck_assert_int_ne(access(HOST_RUN_DIR "/vms/.new", F_OK), 0);
	ck_assert(locked("web0"));
	ck_assert_int_eq(registry_drop(vm), 0);
	ck_assert_int_eq(registry_drop(vm), 0);
	ck_assert_int_eq(registry_lock_vm("web0"), -ENOENT);
	ck_assert_int_ne(access(HOST_RUN_DIR "/slots/1", F_OK), 0);
	ck_assert_int_ne(access(HOST_RUN_DIR "/links/4", F_OK), 0);
	close(lock);
	free(vm);
	free(twice);
}
END_TEST

/* Other people's back ends are told from the policy, as nothing of theirs is a process of the VM's. */
START_TEST(back_ends_of_others)
{
	static const char policy[] =
	        "version: 1\nvm:\n  name: a\n  memory: 256M\n  kernel: demo\n  vhost_user:\n"
	        "    - {type: fs, socket: /run/a.sock, tag: home}\n"
	        "    - {type: net, socket: /run/b.sock, unfiltered: true}\n"
	        "    - {type: blk, socket: /run/c.sock}\n";
	static const char expected[] = "[{\"type\":\"fs\",\"socket\":\"/run/a.sock\"},"
	                               "{\"type\":\"net\",\"socket\":\"/run/b.sock\"},"
	                               "{\"type\":\"blk\",\"socket\":\"/run/c.sock\"}]";
	char path[POLICY_PATH_MAX];
	int lock;
	struct host_vm *vm = claim("a", 0, &lock);

	ck_assert_ptr_null(registry_backends("a")); /* no policy */
	registry_path(path, "a", "policy.yaml");
	ck_assert_int_eq(registry_write_file(path, policy, strlen(policy), 0640), 0);
	json_t *list = registry_backends("a");
	char *text = json_dumps(list, JSON_COMPACT);

	ck_assert_str_eq(text, expected);
	free(text);
	json_decref(list);
	close(lock);
	free(vm);
}
END_TEST

/* What one that was killed halfway has left is in nobody's way. */
START_TEST(leftover_of_a_claim)
{
	int lock;

	ck_assert_int_eq(mkdir(HOST_RUN_DIR "/vms/.new", 0700), 0);
	ck_assert_int_eq(registry_write_file(HOST_RUN_DIR "/vms/.new/state.json", "x", 1, 0600), 0);
	struct host_vm *vm = claim("a", 0, &lock);
	char names[2][POLICY_NAME_MAX];

	ck_assert_int_eq(registry_list(names, 2), 1);
	ck_assert_str_eq(names[0], "a");
	registry_sweep();
	ck_assert_int_eq(access(HOST_RUN_DIR "/slots/1", F_OK), 0);
	registry_drop(vm);
	ck_assert_int_eq(mkdir(HOST_RUN_DIR "/slots/7", 0700), 0);
	registry_sweep();
	ck_assert_int_ne(access(HOST_RUN_DIR "/slots/7", F_OK), 0);
	close(lock);
	free(vm);
}
END_TEST

/* The end of an earlier VM of the name is not that of this one. */
START_TEST(forgets_an_earlier_end)
{
	int lock;

	ck_assert_int_eq(registry_write_file(HOST_RUN_DIR "/ended/a.json", "{}", 2, 0640), 0);
	struct host_vm *vm = claim("a", 0, &lock);

	ck_assert_int_ne(access(HOST_RUN_DIR "/ended/a.json", F_OK), 0);
	close(lock);
	free(vm);
}
END_TEST

/* Who waited for the lock of a folder that is removed meanwhile gets the next one's, or none. */
START_TEST(lock_of_a_folder_made_anew)
{
	int lock, pipes[2];
	struct host_vm *first = claim("a", 0, &lock);
	char answer;

	ck_assert_int_eq(pipe(pipes), 0);
	pid_t waiter = fork();
	if (waiter == 0) {
		char path[POLICY_PATH_MAX];
		struct stat there, held;

		close(lock);
		ck_assert_int_eq(write(pipes[1], "w", 1), 1);
		int got = registry_lock_vm("a");

		registry_path(path, "a", "");
		_exit(got >= 0 && fstat(got, &held) == 0 && stat(path, &there) == 0 &&
		                      held.st_ino == there.st_ino
		              ? 0
		              : 1);
	}
	ck_assert_int_eq(read(pipes[0], &answer, 1), 1);
	usleep(50000); /* it is waiting now; if it is not yet, the test is only weaker */
	registry_drop(first);
	int next;
	struct host_vm *second = claim("a", 0, &next);
	int status;

	close(lock);
	usleep(50000);
	ck_assert_int_eq(waitpid(waiter, &status, WNOHANG), 0);
	close(next);
	ck_assert_int_eq(waitpid(waiter, &status, 0), waiter);
	ck_assert_int_eq(status, 0);
	close(pipes[0]);
	close(pipes[1]);
	free(first);
	free(second);
}
END_TEST

/* One of the claimers: takes a name of three, keeps its numbers to itself, gives all back. */
static int claimer(int seed)
{
	char name[8], path[64];

	for (int round = 0; round < ROUNDS; round++) {
		struct host_error error = {0};
		struct host_vm *vm;
		int lock, err, mine;

		snprintf(name, sizeof(name), "v%d", (seed + round) % 3);
		vm = make(name);
		err = registry_claim(vm, 2, &lock, &error);
		if (err == 0) {
			/* nobody else has these numbers now */
			snprintf(path, sizeof(path), "mine-%u", vm->slot);
			mine = open(path, O_CREAT | O_EXCL, 0600);
			if (mine < 0 || vm->links[0] == vm->links[1])
				return 2;
			close(mine);
			unlink(path);
			if (registry_drop(vm) != 0)
				return 3;
			close(lock);
		} else if (err != -EEXIST) {
			fprintf(stderr, "%s\n", error.text);
			return 4;
		}
		/* and those who look after what is left do so at any time */
		lock = registry_try_vm(name);
		base_close(&lock);
		free(vm);
	}
	return 0;
}

START_TEST(many_at_once)
{
	char names[1][POLICY_NAME_MAX];
	int status;

	for (int i = 0; i < CLAIMERS; i++)
		if (fork() == 0)
			_exit(claimer(i));
	for (int i = 0; i < CLAIMERS; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(registry_list(names, 1), 0);
	ck_assert_int_ne(access(HOST_RUN_DIR "/slots/1", F_OK), 0);
	ck_assert_int_ne(access(HOST_RUN_DIR "/links/1", F_OK), 0);
}
END_TEST

START_TEST(state_round_trip)
{
	int lock;
	struct host_vm *vm = claim("0123456789012345678901234567890", 4, &lock), *back = make("");
	const uint8_t mac[] = {0x02, 1, 2, 3, 4, 0xff};

	vm->vcpus = 64;
	vm->memory = 1ULL << 40;
	vm->keeper = 4194303;
	vm->keeper_start = 1ULL << 50;
	vm->started = 1796000000000;
	vm->quarantined = true;
	base_copy_string(vm->policy_path, sizeof(vm->policy_path), "/a \"b\"/ü.yaml");
	for (size_t i = 0; i < 4; i++) {
		struct policy_nic nic = {.mode = (enum policy_nic_mode)(i % 3)};

		if (i == 2)
			memcpy(nic.mac, mac, 6);
		network_plan(vm->links[i], &nic, &vm->nics[i]);
		vm->ifindex[i] = (unsigned int)i + 100;
	}
	for (size_t i = 0; i < HOST_PROCESSES_MAX; i++) {
		snprintf(vm->processes[i].role, sizeof(vm->processes[i].role), "blk%zu", i);
		vm->processes[i].pid = (pid_t)i + 1000;
		vm->processes[i].uid = 2000000032 + (uid_t)i;
		vm->processes[i].restarts = (uint32_t)i;
		vm->processes[i].recent = (uint32_t)i % 3;
		vm->processes[i].since = 1700000000000 + (int64_t)i;
		base_copy_string(vm->processes[i].state, sizeof(vm->processes[i].state),
		                 i % 2 ? "lost" : "running");
	}
	vm->restarts = 3;
	base_copy_string(vm->dir, sizeof(vm->dir), "/srv/guests");
	vm->process_count = HOST_PROCESSES_MAX;
	ck_assert_int_eq(registry_save(vm), 0);
	ck_assert_int_eq(registry_load(vm->name, back), 0);
	ck_assert_mem_eq(vm->nics, back->nics, sizeof(vm->nics));
	ck_assert_mem_eq(vm->links, back->links, sizeof(vm->links));
	ck_assert_mem_eq(vm->ifindex, back->ifindex, sizeof(vm->ifindex));
	ck_assert_mem_eq(vm->processes, back->processes, sizeof(vm->processes));
	ck_assert_str_eq(vm->dir, back->dir);
	ck_assert_uint_eq(back->restarts, 3);
	ck_assert_str_eq(vm->policy_path, back->policy_path);
	ck_assert_uint_eq(back->slot, vm->slot);
	ck_assert_uint_eq(back->memory, vm->memory);
	ck_assert_uint_eq(back->keeper_start, vm->keeper_start);
	ck_assert_int_eq(back->keeper, vm->keeper);
	ck_assert(back->quarantined);
	ck_assert_int_eq(registry_load(back->name, back), 0); /* over itself */
	ck_assert_str_eq(back->name, vm->name);
	close(lock);
	free(vm);
	free(back);
}
END_TEST

START_TEST(broken_states)
{
	static const char *const texts[] = {
	        "",
	        "{",
	        "[]",
	        "null",
	        "7",
	        "{\"slot\": \"1\"}",
	        "{\"nics\": {}, \"processes\": 7}",
	        "{\"slot\": -62500000, \"keeper\": -1, \"keeper_start\": -5, \"memory\": -1}",
	        "{\"slot\": 16384, \"keeper\": 9223372036854775807}",
	        "{\"slot\": 99999999999999999999}",
	        ("{\"nics\": [7, null, {\"link\": -3, \"ifindex\": -1, \"mode\": 99, \"mac\": "
	         "\"x\"}, {}, {}, {}, {}]}"),
	        "{\"nics\": [{\"link\": 16384, \"ifindex\": 4294967296}]}",
	};
	struct host_vm *vm = make("");
	int lock;
	struct host_vm *owner = claim("a", 0, &lock);

	for (size_t i = 0; i < BASE_COUNT(texts); i++) {
		write_state("a", texts[i]);
		ck_assert_int_eq(registry_load("a", vm), 0);
		ck_assert_str_eq(vm->name, "a");
		ck_assert_msg(vm->slot == 0, "%s: slot %u", texts[i], vm->slot);
		ck_assert_int_le(vm->nic_count, POLICY_NICS_MAX);
		for (size_t k = 0; k < vm->nic_count; k++) {
			ck_assert_uint_eq(vm->links[k], 0);
			ck_assert_uint_eq(vm->ifindex[k], 0);
		}
		ck_assert(!registry_alive(vm));
	}
	ck_assert_int_eq(registry_load("b", vm), -ENOENT);
	ck_assert_int_eq(registry_load("../a", vm), -EINVAL);
	close(lock);
	free(owner);
	free(vm);
}
END_TEST

/* A process that is gone, or a zombie, keeps nothing. */
START_TEST(who_is_alive)
{
	struct host_vm *vm = make("a");
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	vm->keeper = child;
	ck_assert(!registry_alive(vm)); /* not without its start time */
	vm->keeper_start = registry_start_time(child);
	ck_assert_uint_ne(vm->keeper_start, 0);
	ck_assert(registry_alive(vm));
	kill(child, SIGKILL);
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	ck_assert(!registry_alive(vm));
	waitpid(child, NULL, 0);
	ck_assert(!registry_alive(vm));
	vm->keeper_start = 0;
	ck_assert(!registry_alive(vm));
	free(vm);
}
END_TEST

START_TEST(logs_are_no_links)
{
	BASE_AUTO_FD int log = registry_log_open("a.log", O_TRUNC);

	ck_assert_int_ge(log, 0);
	ck_assert_int_eq(symlink("/etc/hostname", HOST_LOG_DIR "/b.log"), 0);
	ck_assert_int_eq(registry_log_open("b.log", O_TRUNC), -ELOOP);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_registry");
	TCase *names_case = tcase_create("names"), *folders = tcase_create("folders");

	if (geteuid() != 0) {
		printf("skipped: the registry belongs to root\n");
		return 77;
	}
	tcase_add_test(names_case, valid_names);
	tcase_add_checked_fixture(folders, setup, teardown);
	tcase_add_test(folders, claims_and_drops);
	tcase_add_test(folders, clears_for_another_start);
	tcase_add_test(folders, leftover_of_a_claim);
	tcase_add_test(folders, forgets_an_earlier_end);
	tcase_add_test(folders, lock_of_a_folder_made_anew);
	tcase_add_test(folders, many_at_once);
	tcase_add_test(folders, state_round_trip);
	tcase_add_test(folders, broken_states);
	tcase_add_test(folders, who_is_alive);
	tcase_add_test(folders, back_ends_of_others);
	tcase_add_test(folders, logs_are_no_links);
	tcase_set_timeout(folders, 60);
	suite_add_tcase(suite, names_case);
	suite_add_tcase(suite, folders);
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? 1 : 0;
}
