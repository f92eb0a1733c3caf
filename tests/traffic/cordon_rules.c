/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A running VM's rules by way of the daemon's methods: another policy is there as a whole or not at all, and
 * is the one that is recorded; what cannot change is refused by name; a quarantine survives whoever made it.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/rules.h"
#include "firewall/names.h"
#include "tests/traffic/firewall_fixture.h"

enum { GUEST = 1 }; /* link 1's addresses are those of the fixture's second guest */

static const char world[] = "192.0.2.10", other[] = "192.0.2.1";
static const char head[] = "version: 1\nvm:\n  name: web0\n  memory: 128M\n  kernel: /k\n"
                           "  nics: [{mode: nat, mac: \"02:00:00:00:00:11\"}]\nfirewall:\n";
static const char first[] = "  egress:\n    - {to: any, proto: tcp, ports: [8080]}\n";
static const char second[] = "  sets: {web: [192.0.2.0/24]}\n  egress:\n"
                             "    - {to: \"set:web\", proto: tcp, ports: [8081]}\n"
                             "  limits: {connections: 100}\n";

int method_vm(const json_t *params, struct host_vm *vm, struct host_error *error)
{
	int err = registry_load(json_string_value(json_object_get(params, "name")), vm);

	return err ? host_fail(error, err, 127, "none") : 0;
}

int launch_parse(const char *text, size_t size, const char *path, struct policy *policy,
                 struct host_error *error)
{
	struct policy_errors errors = {0};
	int err = policy_parse(text, size, policy, &errors);

	return err ? host_fail(error, err, 126, "%s:%u: found %s, expected %s", path,
	                       errors.list[0].line, errors.list[0].found, errors.list[0].expected)
	           : 0;
}

static char *whole(const char *rules)
{
	char *text;

	ck_assert_int_ge(asprintf(&text, "%s%s", head, rules), 0);
	return text;
}

static const char named[] =
        "  egress:\n    - {to: {names: [www.example.org, \"*.example.com\"]}, proto: tcp}\n"
        "    - {to: {names: [www.example.org]}, proto: udp}\n";
static const char named_less[] =
        "  egress:\n    - {to: {names: [\"*.example.com\"]}, proto: tcp}\n";

static void start_with(const char *rules)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct host_vm *vm = calloc(1, sizeof(*vm));
	struct host_error error = {0};
	char *text BASE_AUTO_FREE = whole(rules);
	int names BASE_AUTO_FD = -1;

	fixture_open();
	mkdir(HOST_RUN_DIR, 0700);
	mkdir(HOST_RUN_DIR "/vms", 0700);
	mkdir(HOST_RUN_DIR "/vms/web0", 0700);
	/* a small one, which can be full; in the mount namespace of the fixture's */
	ck_assert_int_eq(mount("none", HOST_RUN_DIR "/vms/web0", "tmpfs", 0, "size=64k"), 0);
	ck_assert_msg(launch_parse(text, strlen(text), "old.yaml", policy, &error) == 0, "%s",
	              error.text);
	strcpy(vm->name, "web0");
	strcpy(vm->policy_path, "/etc/old.yaml");
	vm->nic_count = 1;
	vm->links[0] = GUEST;
	network_plan(GUEST, &policy->vm.nics[0], &vm->nics[0]);
	ck_assert_int_eq(registry_save(vm), 0);
	ck_assert_int_eq(
	        registry_write_file(HOST_RUN_DIR "/vms/web0/policy.yaml", text, strlen(text), 0640),
	        0);
	ck_assert_int_eq(names_open(policy, &names, &error), 0);
	ck_assert_msg(rules_load(fixture.fw, policy, vm) == 0, "%s", firewall_error(fixture.fw));
	net_tap_up(&fixture.net, GUEST);
	free(policy);
	free(vm);
}

static void start(void)
{
	start_with(first);
}

static void start_named(void)
{
	start_with(named);
}

static void stop(void)
{
	umount(HOST_RUN_DIR "/vms/web0");
	rmdir(HOST_RUN_DIR "/vms/web0");
	fixture_close();
}

/* What the method answers, as JSON; or the sentence of its error. */
static char *ask(json_t *(*method)(const json_t *params, struct host_error *error), const char *key,
                 const char *value)
{
	struct host_error error = {0};
	json_t *params =
	        json_pack("{s:s, s:s*, s:s}", "name", "web0", key, value, "path", "/etc/new.yaml");
	json_t *answer = method(params, &error);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : strdup(error.text);

	json_decref(params);
	json_decref(answer);
	host_error_clear(&error);
	ck_assert_ptr_nonnull(text);
	return text;
}

static bool reaches(uint16_t port)
{
	return net_reaches(&fixture.net, GUEST, world, port, SHORT);
}

/* Without what is in sets: packets that were dropped meanwhile are counted in one. */
static char *ruleset(void)
{
	return net_output(&fixture.net, NET_HOST, "nft -s -t list ruleset");
}

START_TEST(another_policy)
{
	char *text BASE_AUTO_FREE = whole(second);
	char *diff BASE_AUTO_FREE = ask(apply_diff, "policy", text);
	struct host_vm vm;

	ck_assert(reaches(ALLOWED_PORT) && !reaches(DENIED_PORT));
	ck_assert_msg(strstr(diff, "{\"change\":\"added\",\"section\":\"egress\",\"line\":10,"
	                           "\"text\":\"allow tcp 8081 to set:web\"}"),
	              "%s", diff);
	ck_assert_msg(strstr(diff, "{\"change\":\"removed\",\"section\":\"egress\",\"line\":9,"
	                           "\"text\":\"allow tcp 8080 to any address\"}"),
	              "%s", diff);
	ck_assert_msg(strstr(diff, "\"section\":\"sets\""), "%s", diff);
	ck_assert_msg(strstr(diff, "\"text\":\"limit 100 connections at once\""), "%s", diff);
	ck_assert_msg(strstr(diff, "\"refused\":[]"), "%s", diff);
	char *done BASE_AUTO_FREE = ask(apply_method, "policy", text);
	ck_assert_msg(strstr(done, "\"policy\":\"/etc/new.yaml\""), "%s", done);
	ck_assert(!reaches(ALLOWED_PORT) && reaches(DENIED_PORT));
	/* it is what is recorded */
	char *again BASE_AUTO_FREE = ask(apply_diff, "policy", text);
	ck_assert_msg(strstr(again, "\"changes\":[]"), "%s", again);
	ck_assert_int_eq(registry_load("web0", &vm), 0);
	ck_assert_str_eq(vm.policy_path, "/etc/new.yaml");
	char *shown BASE_AUTO_FREE = ask(rules_counters, "policy", NULL);
	ck_assert_msg(strstr(shown, "{\"rule\":\"egress[0]\",\"line\":10,\"text\":\"- {to: "
	                            "\\\"set:web\\\", proto: tcp, ports: [8081]}\",\"packets\":1"),
	              "%s", shown);
}
END_TEST

START_TEST(what_cannot_change)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
	        {"version: 1\nvm:\n  name: web0\n  memory: 256M\n  vcpus: 2\n  kernel: /k\n"
	         "  nics: [{mode: nat, mac: \"02:00:00:00:00:11\"}]\n",
	         "vm.vcpus, vm.memory cannot be changed"},
	        {"version: 1\nvm:\n  name: web0\n  memory: 128M\n  kernel: /k\n"
	         "  disks: [{path: a.raw}]\n",
	         "vm.disks, vm.nics cannot be changed"},
	        {"version: 1\nvm:\n  name: web1\n  memory: 128M\n  kernel: /k\n"
	         "  nics: [{mode: nat, mac: \"02:00:00:00:00:11\"}]\n",
	         "vm.name cannot be changed"},
	        {"version: 1\nvm:\n  name: web0\n  memory: 128M\n  kernel: /k\n"
	         "  nics: [{mode: nat, mac: \"02:00:00:00:00:11\"}]\nfirewall: {dns: false}\n"
	         "monitor: {scan: {respond: [quarantine]}}\n",
	         "firewall.dns, monitor cannot be changed"},
	        {"version: 1\nvm: {name: web0}\n", "/etc/new.yaml:2: found vm without kernel"},
	};
	char *before BASE_AUTO_FREE = ruleset();

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		char *said BASE_AUTO_FREE = ask(apply_method, "policy", cases[i].text);

		ck_assert_msg(strstr(said, cases[i].says), "%zu: %s", i, said);
	}
	char *after BASE_AUTO_FREE = ruleset();
	ck_assert(strcmp(before, after) == 0);
	ck_assert(reaches(ALLOWED_PORT));
}
END_TEST

/* What is recorded of it, in one text: the policy, the names, the policy's path. */
static char *record(void)
{
	BASE_AUTO_FREE char *policy = NULL, *names = NULL;
	struct host_vm vm;
	char *all;

	ck_assert_int_gt(policy_read_file(HOST_RUN_DIR "/vms/web0/policy.yaml", &policy), 0);
	ck_assert_int_gt(policy_read_file(HOST_RUN_DIR "/vms/web0/names", &names), 0);
	ck_assert_int_eq(registry_load("web0", &vm), 0);
	ck_assert_int_ge(asprintf(&all, "%s%s%s", policy, names, vm.policy_path), 0);
	return all;
}

static bool has_rules_of(const char *name)
{
	char *rules BASE_AUTO_FREE = ruleset(), set[64];

	snprintf(set, sizeof(set), "@" NAMES_SET_FORMAT, "web0", 4,
	         (unsigned long long)names_hash(name));
	return strstr(rules, set) != NULL;
}

static void fill_folder(void)
{
	int fd BASE_AUTO_FD = open(HOST_RUN_DIR "/vms/web0/full", O_WRONLY | O_CREAT, 0600);
	static const char page[4096];

	ck_assert_int_ge(fd, 0);
	while (write(fd, page, sizeof(page)) > 0)
		continue;
	ck_assert_int_eq(errno, ENOSPC);
}

/* Whatever of the record cannot be written: rules and record are the old ones. */
START_TEST(old_or_new)
{
	static const char *const blocked[][2] = {
	        {HOST_RUN_DIR "/vms/web0/policy.yaml.old", "; nothing was changed"},
	        {HOST_RUN_DIR "/vms/web0/policy.yaml.new", "; its rules are the old ones"},
	        {HOST_RUN_DIR "/vms/web0/state.json.new", "; its rules are the old ones"}};
	char *text BASE_AUTO_FREE = whole(named_less);
	char *before BASE_AUTO_FREE = record();

	ck_assert_int_eq(mkdir(blocked[_i][0], 0700), 0);
	char *said BASE_AUTO_FREE = ask(apply_method, "policy", text);
	rmdir(blocked[_i][0]);
	ck_assert_msg(strstr(said, blocked[_i][1]), "%s", said);
	char *after BASE_AUTO_FREE = record();
	ck_assert_str_eq(before, after);
	ck_assert(has_rules_of("www.example.org"));
	ck_assert_int_ne(access(HOST_RUN_DIR "/vms/web0/policy.yaml.old", F_OK), 0);
}
END_TEST

/* The same where the folder's file system is full: not even the state fits. */
START_TEST(no_space)
{
	char *text BASE_AUTO_FREE = whole(named_less);
	char *before BASE_AUTO_FREE = record();

	fill_folder();
	char *said BASE_AUTO_FREE = ask(apply_method, "policy", text);
	ck_assert_msg(strstr(said, "No space left on device; its rules are the old ones"), "%s",
	              said);
	char *after BASE_AUTO_FREE = record();
	ck_assert_str_eq(before, after);
	ck_assert(has_rules_of("www.example.org"));
	unlink(HOST_RUN_DIR "/vms/web0/full");
	char *done BASE_AUTO_FREE = ask(apply_method, "policy", text);
	ck_assert_msg(strstr(done, "changes"), "%s", done);
	ck_assert(!has_rules_of("www.example.org"));
}
END_TEST

START_TEST(quarantine_stays)
{
	char *text BASE_AUTO_FREE = whole(second);
	struct host_vm vm;

	char *bad BASE_AUTO_FREE = ask(rules_quarantine, "allow", "192.0.2.10/24");
	ck_assert_msg(strstr(bad, "host bits"), "%s", bad);
	char *done BASE_AUTO_FREE = ask(rules_quarantine, "allow", "192.0.2.10/32");
	ck_assert_str_eq(done, "{\"name\":\"web0\",\"quarantined\":true,"
	                       "\"allow\":\"192.0.2.10/32\"}");
	ck_assert(reaches(ALLOWED_PORT) && !net_pings(&fixture.net, GUEST, other, SHORT));
	ck_assert_int_eq(registry_load("web0", &vm), 0);
	ck_assert(vm.quarantined);
	ck_assert_str_eq(vm.quarantine_allow, "192.0.2.10/32");
	/* not even the whole table's loss ends it, once the rules are loaded again */
	net_run(&fixture.net, NET_HOST, "nft delete table inet cordon");
	char *loaded BASE_AUTO_FREE = ask(apply_method, "policy", text);
	ck_assert_msg(strstr(loaded, "changes"), "%s", loaded);
	ck_assert(reaches(DENIED_PORT) && !net_pings(&fixture.net, GUEST, "10.77.0.5", SHORT));
	char *cut BASE_AUTO_FREE = ask(rules_quarantine, "allow", NULL);
	ck_assert_str_eq(cut, "{\"name\":\"web0\",\"quarantined\":true}");
	ck_assert(!reaches(DENIED_PORT));
	char *free_again BASE_AUTO_FREE = ask(rules_release, "allow", NULL);
	ck_assert_str_eq(free_again, "{\"name\":\"web0\",\"quarantined\":false}");
	ck_assert(reaches(DENIED_PORT) && net_pings(&fixture.net, GUEST, "10.77.0.5", WAIT));
}
END_TEST

/* Who has the file open sees the names that a change leaves; what a name that stays stands for, stays. */
START_TEST(names_change_in_place)
{
	char *text BASE_AUTO_FREE = whole(named_less), *none BASE_AUTO_FREE = whole(first);
	char set[64], command[160], list[64] = "";
	int open_file BASE_AUTO_FD = open(HOST_RUN_DIR "/vms/web0/names", O_RDONLY | O_CLOEXEC);
	char now[64] = "";

	ck_assert_int_gt(pread(open_file, list, sizeof(list) - 1, 0), 0);
	ck_assert_str_eq(list, "www.example.org\n*.example.com\n");
	snprintf(set, sizeof(set), NAMES_SET_FORMAT, "web0", 4,
	         (unsigned long long)names_hash("*.example.com"));
	snprintf(command, sizeof(command), "nft add element inet cordon %s { %s timeout 60s }", set,
	         world);
	net_run(&fixture.net, NET_HOST, command);
	ck_assert(reaches(ALLOWED_PORT) && reaches(DENIED_PORT));
	char *done BASE_AUTO_FREE = ask(apply_method, "policy", text);
	ck_assert_msg(strstr(done, "allow tcp to *.example.com"), "%s", done);
	ck_assert_int_gt(read(open_file, now, sizeof(now) - 1), 0);
	ck_assert_str_eq(now, "*.example.com\n");
	ck_assert(reaches(ALLOWED_PORT));
	char *shown BASE_AUTO_FREE = ask(rules_counters, "policy", NULL);
	ck_assert_msg(strstr(shown, "\"names\":[{\"name\":\"*.example.com\",\"address\":"
	                            "\"192.0.2.10\",\"seconds\":"),
	              "%s", shown);
	/* all of them may go; the file stays, for whoever has it open */
	char *gone BASE_AUTO_FREE = ask(apply_method, "policy", none);
	ck_assert_msg(strstr(gone, "changes"), "%s", gone);
	ck_assert_int_eq(pread(open_file, now, sizeof(now), 0), 0);
	char *shown_none BASE_AUTO_FREE = ask(rules_counters, "policy", NULL);
	ck_assert_msg(strstr(shown_none, "\"names\":[]"), "%s", shown_none);
}
END_TEST

/* Nobody was started that would ask for them. */
START_TEST(first_names_are_refused)
{
	char *text BASE_AUTO_FREE = whole(named);
	char *said BASE_AUTO_FREE = ask(apply_method, "policy", text);

	ck_assert_msg(strstr(said, "firewall.egress: the first names cannot be changed"), "%s",
	              said);
	ck_assert(reaches(ALLOWED_PORT));
}
END_TEST

START_TEST(lines)
{
	char line[16];

	rules_line("a\n \tb c \r\n\nlonger than that\n", 2, line, sizeof(line));
	ck_assert_str_eq(line, "b c");
	rules_line("a\n\nlonger than that one\n", 3, line, sizeof(line));
	ck_assert_str_eq(line, "longer than tha");
	rules_line("12345678901234\xc3\xa4z", 1, line, sizeof(line));
	ck_assert_str_eq(line, "12345678901234");
	rules_line("a\n", 7, line, sizeof(line));
	ck_assert_str_eq(line, "");
	rules_line(NULL, 1, line, sizeof(line));
	ck_assert_str_eq(line, "");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("rules"), *text = tcase_create("text");
	TCase *names = tcase_create("names");
	Suite *suite = suite_create("cordon rules");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, start, stop);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, another_policy);
	tcase_add_test(tests, what_cannot_change);
	tcase_add_test(tests, quarantine_stays);
	tcase_add_test(tests, first_names_are_refused);
	tcase_add_checked_fixture(names, start_named, stop);
	tcase_add_test(names, names_change_in_place);
	tcase_add_loop_test(names, old_or_new, 0, 3);
	tcase_add_test(names, no_space);
	suite_add_tcase(suite, names);
	tcase_add_test(text, lines);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, text);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
