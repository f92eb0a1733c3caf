/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-attest and cordon-measure as programs: options, exit statuses, what they print, and that their sandbox lets
 * them do their work. CORDON_ATTEST and CORDON_MEASURE name them; with sanitizers, whose calls are in no list, the
 * test is skipped.
 */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/attest_fixture.h"

#include "base/base.h"
#include "tests/unit/igvm_fixture.h"

enum { ARGS_MAX = 16, OUTPUT_MAX = 1 << 16, SKIPPED = 77 };

static char folder[64];

struct run {
	char output[OUTPUT_MAX]; /* both streams, terminated */
	int status;
};

/* Runs a program in the folder, with arguments up to a NULL. */
static void run(struct run *run, const char *variable, const char *verb, const char *const *args)
{
	const char *argv[ARGS_MAX + 2] = {verb};
	int ends[2], status;
	size_t size = 0;
	ssize_t n;
	pid_t pid;

	for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
		argv[i + 1] = args[i];
	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (chdir(folder) == 0 && dup2(ends[1], 1) >= 0 && dup2(ends[1], 2) >= 0) {
			close(ends[0]);
			close(ends[1]);
			execv(getenv(variable), (char *const *)argv);
		}
		_exit(99);
	}
	close(ends[1]);
	while ((n = read(ends[0], run->output + size, OUTPUT_MAX - 1 - size)) > 0)
		size += (size_t)n;
	run->output[size] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "it died by signal %d: %s", WTERMSIG(status), run->output);
	run->status = WEXITSTATUS(status);
}

static void put(const char *name, const void *bytes, size_t size)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	BASE_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert(fd >= 0 && base_write_all(fd, bytes, size) == 0);
}

static void take(const char *name, const char *to)
{
	size_t size;
	BASE_AUTO_FREE uint8_t *bytes = attest_file(name, &size);

	put(to, bytes, size);
}

#define MILAN                                                                                      \
	"7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480" \
	"cd81841f"
#define OTHER                                                                                      \
	"7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480" \
	"cd81841e"

/* An ID block of the report's digest, which the report's guest did not start with. */
static void make_block(void)
{
	struct run result;

	run(&result, "CORDON_MEASURE", "id-block",
	    (const char *const[]){"--measurement", MILAN, "--id-key", "id.pem", "--author-key",
	                          "author.pem", "--block", "block", "--auth", "auth",
	                          "--guest-policy", "0x30000", NULL});
	ck_assert_msg(result.status == 0, "%d: %s", result.status, result.output);
}

/* Reports here; certificates in certs/, beside what is none. */
static void set_up(void)
{
	char path[160];

	snprintf(folder, sizeof(folder), "/tmp/confidential-verbs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder,
		         (const char *const[]){"certs", "none", "certs/more"}[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	/* nobody writes to it */
	snprintf(path, sizeof(path), "%s/certs/fifo", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	put("certs/empty", "", 0);
	put("none/cut.der", "\x30\x82\x05", 3);
	put("none/cut.json", "{\"tcbInfo\":{\"id\"", 17);
	put("none/cut.pem", "-----BEGIN CERTIFICATE-----\n", 28);
	put("none/key", "-----BEGIN PRIVATE KEY-----\n", 28);
	put("none/README", "nothing", 7);
	put("certs/README", "these are certificates\n", 23);
	take("report_milan.hex", "report");
	take("tdx_prod_quote_SPR_E4.dat", "trailing");
	take("cos-113-tdx-quote.dat", "quote");
	take("ccel_data.dat", "log");
	take("vcek_milan.der", "certs/vcek");
	take("cert_chain_milan", "certs/chain");
	take("test_id_key.pem", "id.pem");
	take("test_auth_key.pem", "author.pem");
	put("secret", "x", 1);
	make_block();
}

static void tear_down(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", folder, NULL);
		_exit(99);
	}
	waitpid(pid, NULL, 0);
}

#define MILAN_HOST "00000000000000000000000000000000000000000000000000000000000000aa"

static const struct verdict {
	const char *report, *certs, *at, *more[4];
	int status;
	const char *says;
} verdicts[] = {
        {"report", "certs", "2025-01-01", {0}, 0, "accepted, but not checked: revocation\n"},
        {"report", "certs", "@1735689600", {0}, 0, "accepted, but not checked: revocation\n"},
        {"report", "certs", "2025-01-01T12:00:00Z", {"--strict"}, 1, "\nrefused\n"},
        {"report", "certs", "2025-01-01", {"--measurement", MILAN}, 0, "passed   measurement"},
        {"report", "certs", "2025-01-01", {"--measurement", OTHER}, 1, "FAILED   measurement"},
        {"report", "certs", "2031-01-01", {0}, 1, "FAILED   validity"},
        {"report", "none", "2025-01-01", {0}, 1, "FAILED   certificate"},
        {"report", "certs", "2025-01-01", {"--policy", "0x30000"}, 0, "passed   policy"},
        {"report", "certs", "2025-01-01", {"--policy", "b0000"}, 1, "FAILED   policy"},
        {"report",
         "certs",
         "2025-01-01",
         {"--min-tcb", "0xff00000000000000"},
         1,
         "FAILED   tcb-minimum"},
        {"report", "certs", "2025-01-01", {"--type", "sev-snp"}, 0, "passed   type"},
        {"report", "certs", "2025-01-01", {"--type", "tdx"}, 1, "FAILED   type"},
        {"quote", "none", "2025-01-01", {"--type", "tdx"}, 0, "passed   type"},
        {"quote", "none", "2025-01-01", {"--type", "sev-snp"}, 1, "FAILED   type"},
        {"quote", "none", "2025-01-01", {"--type", "sev-es"}, 125, "--type 'sev-es' is not"},
        {"report", "certs", "2025-01-01", {"--vmpl", "0"}, 0, "passed   vmpl"},
        {"report", "certs", "2025-01-01", {"--vmpl", "1"}, 1, "FAILED   vmpl"},
        {"report", "certs", "2025-01-01", {"--vmpl", "4"}, 125, "--vmpl '4' is not"},
        {"report", "certs", "2025-01-01", {0}, 0, "SEV-SNP report, version 2, Milan\n"},
        /* of what is neither nothing is printed but that */
        {"log", "certs", "2025-01-01", {0}, 1, "  FAILED   length"},
        {"trailing", "none", "2025-01-01", {0}, 1, "39 trailing bytes follow it"},
        {"trailing",
         "none",
         "2025-01-01",
         {"--trim"},
         0,
         "accepted, but not checked: revocation, tcb-level, qe-identity\n"},
        {"quote", "none", "2025-01-01", {"--ccel", "log"}, 0, "passed   event-log"},
        {"quote", "none", "2025-01-01", {"--ccel", "report"}, 1, "FAILED   event-log"},
        {"quote", "none", "2025-01-01", {0}, 0, "none/cut.der is left out"},
        {"quote", "none", "2025-01-01", {0}, 0, "none/cut.json is left out"},
        {"quote", "none", "2025-01-01", {0}, 0, "none/cut.pem is left out"},
        /* what is not well said */
        {"nothing", "certs", "2025-01-01", {0}, 127, "cannot open nothing"},
        {"report", "nowhere", "2025-01-01", {0}, 127, "cannot open nowhere"},
        {"certs", "certs", "2025-01-01", {0}, 127, "cannot open certs"},
        {"report", "certs", "today", {0}, 125, "--at 'today' is not a time"},
        {"report", "certs", "2025-02-30x", {0}, 125, "--at '2025-02-30x'"},
        {"report", "certs", "2025-02-29", {0}, 125, "--at '2025-02-29'"},
        {"report", "certs", "@-1", {0}, 125, "--at '@-1'"},
        {"report", "certs", "2025-01-01", {"--measurement", "7a"}, 125, "is not 48 bytes in hex"},
        {"report", "certs", "2025-01-01", {"--policy", "g"}, 125, "--policy 'g' is not"},
        {"report", "certs", "2025-01-01", {"--accept-tcb", "Revoked"}, 125, "SWHardeningNeeded"},
        {"report", "certs", "2025-01-01", {"--format", "xml"}, 125, "'xml' is not one of"},
        {"report", "certs", "2025-01-01", {"more"}, 125, "usage:"},
        {"report", "certs", "2025-01-01", {"--id-block", "block"}, 125, "are given together"},
        {"report", "certs", "2025-01-01", {"--id-auth", "auth"}, 125, "are given together"},
        {"report",
         "certs",
         "2025-01-01",
         {"--id-block", "block", "--id-auth", "auth"},
         1,
         "FAILED   id-key                 the guest has started without an ID block"},
        {"report",
         "certs",
         "2025-01-01",
         {"--id-block", "block", "--id-auth", "auth"},
         1,
         "passed   id-block"},
        {"quote",
         "none",
         "2025-01-01",
         {"--id-block", "block", "--id-auth", "auth"},
         1,
         "FAILED   id-block"},
        {"report",
         "certs",
         "2025-01-01",
         {"--id-block", "auth", "--id-auth", "block"},
         125,
         "the ID block is 4096 bytes long"},
        {"report", "certs", "2025-01-01", {"--certain"}, 125, "usage:"},
};

START_TEST(test_verdicts)
{
	const struct verdict *test = &verdicts[_i];
	const char *args[ARGS_MAX] = {"verify",    "--report", test->report, "--certs",
	                              test->certs, "--at",     test->at};
	struct run result;

	memcpy(args + 7, test->more, sizeof(test->more));
	run(&result, "CORDON_ATTEST", "attest", args);
	ck_assert_msg(result.status == test->status && strstr(result.output, test->says), "%d: %s",
	              result.status, result.output);
}
END_TEST

/* What nobody takes for a certificate is left out without a word. */
START_TEST(test_quiet)
{
	struct run result;

	run(&result, "CORDON_ATTEST", "attest",
	    (const char *const[]){"verify", "--report", "quote", "--certs", "none", "--at",
	                          "2025-01-01", NULL});
	ck_assert_int_eq(result.status, 0);
	ck_assert_ptr_null(strstr(result.output, "none/README"));
	ck_assert_ptr_null(strstr(result.output, "none/key"));
}
END_TEST

START_TEST(test_json)
{
	struct run result;
	const char *verdict, *type, *measurement;
	json_t *json, *skipped, *checks;

	run(&result, "CORDON_ATTEST", "attest",
	    (const char *const[]){"verify", "--report", "report", "--certs", "certs", "--at",
	                          "2025-01-01", "--format", "json", NULL});
	ck_assert_int_eq(result.status, 0);
	json = json_loads(result.output, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_int_eq(json_unpack(json, "{s:s, s:s, s:s, s:o, s:o}", "verdict", &verdict, "type",
	                             &type, "measurement", &measurement, "skipped", &skipped,
	                             "checks", &checks),
	                 0);
	ck_assert_str_eq(verdict, "accepted");
	ck_assert_str_eq(type, "sev-snp");
	ck_assert_str_eq(measurement, MILAN);
	ck_assert_uint_eq(json_array_size(skipped), 1);
	ck_assert_str_eq(json_string_value(json_array_get(skipped, 0)), "revocation");
	ck_assert_uint_gt(json_array_size(checks), 8);
	json_decref(json);
}
END_TEST

/* An ID block that was made is checked. */
START_TEST(test_id_block)
{
	struct run result;

	run(&result, "CORDON_MEASURE", "id-block",
	    (const char *const[]){"--check", "--block", "block", "--auth", "auth", "--measurement",
	                          MILAN, NULL});
	ck_assert_msg(result.status == 0 &&
	                      strstr(result.output, "59fb2c686dfa4fef49f38339aa775c90"),
	              "%d: %s", result.status, result.output);
	run(&result, "CORDON_MEASURE", "id-block",
	    (const char *const[]){"--check", "--block", "block", "--auth", "auth", "--measurement",
	                          OTHER, NULL});
	ck_assert_msg(result.status == 1, "%d: %s", result.status, result.output);
	run(&result, "CORDON_MEASURE", "id-block",
	    (const char *const[]){"--check", "--block", "auth", "--auth", "block", NULL});
	ck_assert_msg(result.status == 1, "%d: %s", result.status, result.output);
}
END_TEST

/* The digest of a policy's guest, whose IGVM file has its kernel and its processors: it is the launch's own. */
START_TEST(test_measure_igvm)
{
	static const char *const types[] = {"sev", "sev-es", "sev-snp", "tdx"};
	const struct igvm_guest guest = {
	        .base = 0x100000, .vcpus = 2, .code = "\xf4", .code_size = 1};
	struct launch_input input = {
	        .type = (enum confidential_type)_i, .vcpus = 2, .features = 1, .igvm = true};
	BASE_AUTO_FREE uint8_t *file = igvm_fixture(&guest, &input.size);
	BASE_AUTO_FREE char *text = NULL;
	struct confidential_digest digest;
	char hex[2 * CONFIDENTIAL_DIGEST_MAX + 2], why[WHY_MAX];
	struct run result;
	int size = asprintf(&text,
	                    "version: 1\nvm: {name: a, vcpus: 2}\n"
	                    "confidential: {type: %s, firmware: ./guest.igvm}\n",
	                    types[_i]);

	ck_assert_int_gt(size, 0);
	put("policy.yaml", text, (size_t)size);
	put("guest.igvm", file, input.size);
	input.bytes = file;
	ck_assert_int_eq(confidential_measure(&input, &digest, why), 0);
	for (size_t i = 0; i < digest.size; i++)
		snprintf(hex + 2 * i, 4, "%02x\n", digest.bytes[i]);
	run(&result, "CORDON", "cordon", (const char *const[ARGS_MAX]){"measure", "policy.yaml"});
	ck_assert_int_eq(result.status, 0);
	ck_assert_str_eq(result.output, hex);
}
END_TEST

/* What a policy's file asks for, by way of `cordon`. */
static const struct asked {
	const char *confidential, *report;
	int status;
	const char *says;
} asked[] = {
        {"type: sev-snp", "report", 0, "passed   policy"},
        {"type: sev-snp, policy: {smt: false}", "report", 1, "0x30000, where 0x20000 was expected"},
        {"type: sev-snp, policy: {smt: true}", "report", 0, "passed   policy"},
        {"type: sev-snp, policy: {smt: true}", "report", 0, "passed   host-data"},
        {"type: sev-snp, policy: {smt: true}", "quote", 1, "FAILED   type"},
        {"type: sev-snp, policy: {smt: true, abi: 1.0}", "report", 1, "FAILED   policy"},
        {"type: sev-snp, policy: {smt: true}, host_data: \"" MILAN_HOST "\"", "report", 1,
         "FAILED   host-data"},
        {"type: tdx", "quote", 0, "passed   policy"},
        {"type: tdx, policy: {debug: true}", "quote", 1, "FAILED   policy"},
        {"type: tdx", "report", 1, "FAILED   type"},
        {"type: sev-es", "report", 125, "have no such reports"},
        {"type: sev-snp, id_block: ./block, id_auth: ./auth", "report", 1, "FAILED   author-key"},
        {"type: sev-snp, id_block: ./none.bin, id_auth: ./auth", "report", 127, "cannot open"},
        {"type: sev-snp, policy: {smt: 1}", "report", 125, "expected true or false"},
};

START_TEST(test_asked)
{
	const struct asked *test = &asked[_i];
	BASE_AUTO_FREE char *text = NULL;
	struct run result;
	int size = asprintf(&text,
	                    "version: 1\nvm: {name: a, kernel: ./k}\n"
	                    "confidential: {firmware: ./OVMF.fd, %s}\n",
	                    test->confidential);

	ck_assert_int_gt(size, 0);
	put("policy.yaml", text, (size_t)size);
	for (int i = 0; i < 3; i++) {
		const char *const ways[][ARGS_MAX] = {
		        {"attest", "verify", "policy.yaml", "--report", test->report, "--certs",
		         "certs", "--at", "2025-01-01"},
		        {"attest", "verify", "--report", test->report, "--certs", "certs", "--at",
		         "2025-01-01", "--policy", "policy.yaml"},
		        {"attest", "verify", "--policy", "policy.yaml", "--report", test->report,
		         "--certs", "certs", "--at", "2025-01-01"},
		};

		run(&result, "CORDON", "cordon", ways[i]);
		ck_assert_msg(result.status == test->status && strstr(result.output, test->says),
		              "%d: %s", result.status, result.output);
	}
}
END_TEST

/* A policy that is broken: where, for both verbs, and nothing is asked of anybody. */
static const struct broken {
	const char *line, *says; /* the third line of the policy */
} broken[] = {
        {"confidential: {type: snp, firmware: ./f}", "policy.yaml:3:22: "},
        {"confidential: {firmware: ./f}", "policy.yaml:3:1: "},
        {"confidential: {type: sev-snp}", "policy.yaml:3:22: "},
        {"confidential: {type: sev-snp, firmware: ./f, policy: {debug: maybe}}",
         "policy.yaml:3:62: "},
        {"confidential: {type: sev-snp, firmware: ./f, policy: {abi: 1}}", "policy.yaml:3:60: "},
        {"confidential: {type: sev-snp, firmware: ./f, host_data: abc}", "policy.yaml:3:57: "},
        {"confidential: {type: sev-snp, firmware: ./f, host_data: xy}", "policy.yaml:3:57: "},
        {"confidential: {type: tdx, firmware: ./f, host_data: aa}", "policy.yaml:3:53: "},
        {"confidential: {type: tdx, firmware: ./f, policy: {smt: true}}", "policy.yaml:3:56: "},
        {"confidential: {type: sev-snp, firmware: ./f, id_block: ./b}", "policy.yaml:3:56: "},
        {"confidential: {type: sev-snp, firmware: ./f, require: false}", "policy.yaml:3:55: "},
        {"confidential: {type: sev-snp, firmware: ./f, measurement: aa}", "policy.yaml:3:46: "},
        {"confidential: {type: sev-snp, type: tdx, firmware: ./f}", "policy.yaml:3:31: "},
        {"confidential: [sev-snp]", "policy.yaml:3:15: "},
        {"confidential: {type: sev-snp", "policy.yaml:"},
        {"confidential: {type: none}", "its `confidential` is none"},
        {"confidential: {type: sev, firmware: ./f}", "policy line 3: guests of type sev"},
        {"", "its `confidential` is none"},
};

START_TEST(test_broken)
{
	static const char *const ways[][ARGS_MAX] = {
	        {"attest", "verify", "policy.yaml", "--report", "report", "--certs", "certs"},
	        {"attest", "verify", "--report", "report", "--certs", "certs", "--policy",
	         "policy.yaml"},
	        {"attest", "gate", "policy.yaml", "--secret", "secret", "--listen", "gate.sock",
	         "--measurement", MILAN, "--certs", "certs"},
	        {"attest", "gate", "--secret", "secret", "--listen", "gate.sock", "--measurement",
	         MILAN, "--certs", "certs", "--policy", "policy.yaml"},
	};
	const struct broken *test = &broken[_i];
	BASE_AUTO_FREE char *text = NULL;
	char path[160];
	struct run result;
	int size = asprintf(&text, "version: 1\nvm: {name: a, kernel: ./k}\n%s\n", test->line);

	ck_assert_int_gt(size, 0);
	put("policy.yaml", text, (size_t)size);
	for (size_t i = 0; i < BASE_COUNT(ways); i++) {
		run(&result, "CORDON", "cordon", ways[i]);
		ck_assert_msg(result.status == 125 && strstr(result.output, test->says), "%d: %s",
		              result.status, result.output);
	}
	snprintf(path, sizeof(path), "%s/gate.sock", folder);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_help)
{
	static const char *const verbs[][2] = {{"CORDON_ATTEST", "attest"},
	                                       {"CORDON_MEASURE", "measure"},
	                                       {"CORDON_MEASURE", "id-block"}};
	struct run result;

	run(&result, verbs[_i][0], verbs[_i][1], (const char *const[]){"--help", NULL});
	ck_assert_int_eq(result.status, 0);
	ck_assert(strncmp(result.output, "usage: cordon ", 14) == 0);
	run(&result, verbs[_i][0], verbs[_i][1], (const char *const[]){NULL});
	ck_assert_int_eq(result.status, 125);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_verbs");
	TCase *test = tcase_create("verbs");
	SRunner *runner;
	int failed;

	if (SANITIZED) {
		puts("skipped: a sanitizer's system calls are in no list");
		return SKIPPED;
	}
	tcase_set_timeout(test, 170);
	tcase_add_unchecked_fixture(test, set_up, tear_down);
	tcase_add_loop_test(test, test_verdicts, 0, BASE_COUNT(verdicts));
	tcase_add_test(test, test_quiet);
	tcase_add_test(test, test_json);
	tcase_add_loop_test(test, test_asked, 0, BASE_COUNT(asked));
	tcase_add_loop_test(test, test_broken, 0, BASE_COUNT(broken));
	tcase_add_test(test, test_id_block);
	tcase_add_loop_test(test, test_measure_igvm, 0, CONFIDENTIAL_TYPES);
	tcase_add_loop_test(test, test_help, 0, 3);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
