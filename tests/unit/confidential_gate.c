// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate against guests, honest and not, each a process at the other end of a socket pair; and the gate as a program.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/gate_guest.h"

#include "base/base.h"
#include "confidential/list_gate.h"
#include "isolate/isolate.h"

static const struct {
	int err, guest;     /* of the gate, and what the guest has of it */
	const char *failed; /* checks */
	const char *why;
} expected[LIES] = {
        [HONEST] = {0, 0, "", "was given the secret"},
        [SLOW] = {0, 0, "", "was given the secret"},
        [OLD_REPORT] = {-EACCES, 1, "report-data", "refused"},
        [OTHER_KEY] = {-EACCES, 1, "report-data", "refused"},
        [FORGED] = {-EACCES, 1, "signature", "refused"},
        [OTHER_GUEST] = {-EACCES, 1, "measurement", "refused"},
        [DEBUGGED] = {-EACCES, 1, "debug", "refused"},
        [ZERO_KEY] = {-EINVAL, 2, "", "none of X25519"},
        [TOO_LARGE] = {-EPROTO, 2, "", "65537 bytes long"},
        [NO_SIZE] = {-EPROTO, 2, "", "0 bytes long"},
        [HANGS_UP] = {-EPROTO, 2, "", "hung up"},
        [SILENT] = {-ETIMEDOUT, 2, "", "did not come"},
        [HALF] = {-ETIMEDOUT, 2, "", "did not come"},
};

/* Both ends of one connection: what the gate says, and what the guest has. */
static int serve_guest(const struct gate *gate, struct gate_guest *guest,
                       struct attest_verdict *verdict, char *why, int *guest_has)
{
	int pair[2], err, status;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		guest->fd = pair[1];
		close(pair[0]);
		_exit(gate_guest_run(guest));
	}
	close(pair[1]);
	ck_assert_int_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	err = gate_serve(gate, pair[0], verdict, why);
	close(pair[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	*guest_has = WEXITSTATUS(status);
	return err;
}

static int serve(const struct gate *gate, const struct authority *authority, enum gate_lie lie,
                 struct attest_verdict *verdict, char *why, int *guest_has)
{
	struct gate_guest guest = {.authority = authority, .lie = lie};

	return serve_guest(gate, &guest, verdict, why, guest_has);
}

START_TEST(test_guest)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	struct gate gate;
	char why[WHY_MAX] = "";
	int err, has;

	authority_open(&authority, &gate_milan);
	gate_open(&gate, &authority, collateral);
	if (expected[_i].err == -ETIMEDOUT)
		gate.seconds = 1;
	err = serve(&gate, &authority, (enum gate_lie)_i, &verdict, why, &has);
	ck_assert_msg(err == expected[_i].err, "%d: %d %s", _i, err, why);
	ck_assert_int_eq(has, expected[_i].guest);
	if (err == 0 || err == -EACCES)
		attest_expect(&verdict, expected[_i].failed);
	else
		ck_assert(!verdict.accepted || err == -EINVAL);
	ck_assert_msg(strstr(why, expected[_i].why), "%s", why);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

/* The same lies of a TDX guest. */
START_TEST(test_tdx)
{
	static const enum gate_lie lies[] = {HONEST, OLD_REPORT,  OTHER_KEY,
	                                     FORGED, OTHER_GUEST, DEBUGGED};
	const enum gate_lie lie = lies[_i % (int)BASE_COUNT(lies)];
	struct attest_collateral *collateral = attest_collateral_new();
	struct quote quote;
	struct gate_guest guest = {.quote = &quote, .lie = lie};
	struct attest_verdict verdict;
	struct gate gate;
	char why[WHY_MAX] = "";
	int has;

	quote_open(&quote, _i < (int)BASE_COUNT(lies) ? 4 : 5, &quote_plain);
	gate_open_tdx(&gate, &quote, &quote_current, collateral);
	ck_assert_int_eq(serve_guest(&gate, &guest, &verdict, why, &has), expected[lie].err);
	ck_assert_int_eq(has, expected[lie].guest);
	attest_expect(&verdict, expected[lie].failed);
	attest_collateral_free(collateral);
	quote_close(&quote);
}
END_TEST

/* A platform of which Intel says nothing, something bad, or nothing any more. */
START_TEST(test_tdx_platform)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct quote_documents documents = quote_current;
	struct quote quote;
	struct gate_guest guest = {.quote = &quote};
	struct attest_verdict verdict;
	struct gate gate;
	char why[WHY_MAX] = "";
	int has;

	if (_i == 1)
		documents.status = "OutOfDate";
	quote_open(&quote, 4, &quote_plain);
	gate_open_tdx(&gate, &quote, _i == 2 ? NULL : &documents, collateral);
	if (_i == 0)
		gate.at = attest_day("2025-03-01"); /* later than the documents are for */
	ck_assert_int_eq(serve_guest(&gate, &guest, &verdict, why, &has), -EACCES);
	ck_assert_int_eq(has, 1);
	if (_i < 2)
		attest_expect(&verdict,
		              _i == 0 ? "tcb-info-current qe-identity-current" : "tcb-level");
	else
		ck_assert_int_eq(attest_status(&verdict, "tcb-level"), ATTEST_SKIPPED);
	attest_collateral_free(collateral);
	quote_close(&quote);
}
END_TEST

/* What could not be checked is no yes; nor is a gate that asks for no measurement one at all. */
START_TEST(test_strict)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	struct gate gate;
	char why[WHY_MAX] = "";
	int has;

	authority_open(&authority, &gate_milan);
	gate_open(&gate, &authority, collateral);
	gate.at = attest_day("2026-01-01"); /* both CRLs are too old */
	ck_assert_int_eq(serve(&gate, &authority, HONEST, &verdict, why, &has), -EACCES);
	ck_assert_int_eq(has, 1);
	gate.at = attest_day("2025-01-01");
	gate.input.measurement = NULL;
	ck_assert_int_eq(serve(&gate, &authority, HONEST, &verdict, why, &has), -EINVAL);
	ck_assert_int_eq(has, 2);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

/* --- what a policy asks for: the guest is honest, and another one --- */

/* What the fixture's guests are; one bit of it changed is not. */
struct wanted {
	enum attest_kind kind;
	uint64_t policy, min_tcb, vmpl;
	uint8_t measurement[48], host_data[32];
	struct attest_block block;
};
#define WANTED(field) offsetof(struct wanted, field)

static const struct asked {
	size_t at;
	uint8_t bits;
	const char *failed;
} asked[] = {
        {0, 0, ""},
        {WANTED(kind), 1, "type"},
        {WANTED(policy), 1, "policy"},
        {WANTED(policy) + 2, 1, "policy"}, /* SMT */
        {WANTED(min_tcb), 2, ""},          /* below what there is: boot loader, SNP, microcode */
        {WANTED(min_tcb), 4, "tcb-minimum"},
        {WANTED(min_tcb) + 6, 1, "tcb-minimum"},
        {WANTED(min_tcb) + 7, 2, "tcb-minimum"},
        {WANTED(vmpl), 1, "vmpl"},
        {WANTED(vmpl) + 4, 1, "vmpl"},
        {WANTED(measurement), 0x80, "measurement"},
        {WANTED(measurement) + 47, 1, "measurement"},
        {WANTED(host_data), 1, "host-data"},
        {WANTED(host_data) + 31, 0x80, "host-data"},
        {WANTED(block.block.digest), 1, "id-block"},
        {WANTED(block.block.family) + 15, 1, "id-block"},
        {WANTED(block.block.image), 1, "id-block"},
        {WANTED(block.block.svn), 1, "id-block"},
        {WANTED(block.block.policy) + 7, 1, "id-block"},
        {WANTED(block.keys.id_key), 1, "id-key"},
        {WANTED(block.keys.id_key) + 47, 0x80, "id-key"},
        {WANTED(block.keys.author_key) + 47, 1, "author-key"},
        {WANTED(block.keys.has_author), 1, "author-key"},
};

static void wanted_fill(struct wanted *wanted)
{
	*wanted = (struct wanted){.policy = 0x30000, .min_tcb = 0xd508000000000003};
	memcpy(wanted->measurement, gate_measurement, sizeof(wanted->measurement));
	memset(wanted->host_data, GATE_HOST_DATA, sizeof(wanted->host_data));
	memcpy(wanted->block.block.digest, gate_measurement, sizeof(wanted->measurement));
	memset(wanted->block.block.family, GATE_FAMILY, sizeof(wanted->block.block.family));
	memset(wanted->block.block.image, GATE_IMAGE, sizeof(wanted->block.block.image));
	wanted->block.block.svn = GATE_SVN;
	wanted->block.block.policy = wanted->policy;
	memset(wanted->block.keys.id_key, GATE_ID_KEY, sizeof(wanted->block.keys.id_key));
	memset(wanted->block.keys.author_key, GATE_AUTHOR, sizeof(wanted->block.keys.author_key));
	wanted->block.keys.has_author = true;
}

static void wanted_ask(const struct wanted *wanted, struct attest_input *input)
{
	input->kind = &wanted->kind;
	input->policy = &wanted->policy;
	input->min_tcb = &wanted->min_tcb;
	input->vmpl = &wanted->vmpl;
	input->measurement = wanted->measurement;
	input->host_data = wanted->host_data;
	input->block = &wanted->block;
}

START_TEST(test_asked)
{
	const struct asked *test = &asked[_i];
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	struct wanted wanted;
	struct gate gate;
	char why[WHY_MAX] = "";
	int has;

	authority_open(&authority, &gate_milan);
	gate_open(&gate, &authority, collateral);
	wanted_fill(&wanted);
	((uint8_t *)&wanted)[test->at] ^= test->bits;
	wanted_ask(&wanted, &gate.input);
	ck_assert_int_eq(serve(&gate, &authority, HONEST, &verdict, why, &has),
	                 *test->failed ? -EACCES : 0);
	ck_assert_int_eq(has, *test->failed != '\0');
	attest_expect(&verdict, test->failed);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

/* A policy with debugging is for guests with debugging, and for no other. */
START_TEST(test_debug)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	struct wanted wanted;
	struct gate gate;
	char why[WHY_MAX] = "";
	int has;

	authority_open(&authority, &gate_milan);
	gate_open(&gate, &authority, collateral);
	wanted_fill(&wanted);
	wanted_ask(&wanted, &gate.input);
	serve(&gate, &authority, DEBUGGED, &verdict, why, &has);
	ck_assert_int_eq(has, 1);
	attest_expect(&verdict, "debug policy id-block");
	wanted.policy = wanted.block.block.policy = 0xb0000;
	gate.input.allow_debug = true;
	serve(&gate, &authority, HONEST, &verdict, why, &has);
	ck_assert_int_eq(has, 1);
	attest_expect(&verdict, "policy id-block");
	serve(&gate, &authority, DEBUGGED, &verdict, why, &has);
	ck_assert_int_eq(has, 0);
	attest_expect(&verdict, "");
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

/* The same in the gate's own list of system calls: libcrypto makes a key, derives one and encrypts there. */
START_TEST(test_role)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct gate_guest guest = {.lie = _i == 0 ? HONEST : FORGED};
	struct authority authority;
	struct gate gate;
	int pair[2], status;
	pid_t pid;

	authority_open(&authority, &gate_milan);
	gate_open(&gate, &authority, collateral);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct attest_verdict verdict;
		char why[WHY_MAX];

		close(pair[1]);
		if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 || isolate_lock(&list_gate) < 0)
			_exit(99);
		_exit(gate_serve(&gate, pair[0], &verdict, why) == 0 ? 0 : 1);
	}
	close(pair[0]);
	guest.fd = pair[1];
	guest.authority = &authority;
	ck_assert_int_eq(gate_guest_run(&guest), _i);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == _i, "0x%x", (unsigned)status);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

/* --- the program, in its sandbox: a published report is of no nonce of ours, and nothing is given --- */

static int program_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	base_copy_string(address.sun_path, sizeof(address.sun_path), path);
	for (int tries = 0; tries < 600; tries++) {
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		usleep(100000);
	}
	close(fd);
	return -1;
}

static pid_t program_start(const char *folder, int out)
{
	char socket_path[128], secret_path[128], hex[97];
	pid_t pid;

	snprintf(socket_path, sizeof(socket_path), "%s/gate.sock", folder);
	snprintf(secret_path, sizeof(secret_path), "%s/secret", folder);
	memset(hex, '0', sizeof(hex) - 1);
	hex[96] = '\0';
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(out, 1);
		dup2(out, 2);
		execl(getenv("CORDON_GATE"), "gate", "--secret", secret_path, "--listen",
		      socket_path, "--measurement", hex, "--certs", ATTEST_DIR, "--once", NULL);
		_exit(99);
	}
	return pid;
}

START_TEST(test_program)
{
	char folder[] = "/tmp/cordon-gate-XXXXXX", path[128], said[4096] = "";
	uint8_t hello[GATE_HELLO], head[4 + GATE_KEY] = {GATE_REPORT & 0xff, GATE_REPORT >> 8},
	                                    answer = 0xff;
	int ends[2], fd;
	size_t size;
	FILE *file;
	pid_t pid;
	BASE_AUTO_FREE uint8_t *report = attest_file("report_debug.bin", &size);

	ck_assert_uint_eq(size, GATE_REPORT);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/secret", folder);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fputs("never given", file);
	fclose(file);
	ck_assert_int_eq(pipe(ends), 0);
	pid = program_start(folder, ends[1]);
	close(ends[1]);
	snprintf(path, sizeof(path), "%s/gate.sock", folder);
	fd = program_connect(path);
	ck_assert_int_ge(fd, 0);
	ck_assert(gate_take(fd, hello, sizeof(hello)) && strcmp((char *)hello, GATE_NAME) == 0);
	ck_assert_int_eq(write(fd, head, sizeof(head)), sizeof(head));
	ck_assert_int_eq(write(fd, report, GATE_REPORT), GATE_REPORT);
	ck_assert(gate_take(fd, &answer, 1) && answer == 1);
	ck_assert_int_eq(read(fd, &answer, 1), 0);
	close(fd);
	ck_assert_int_gt(read(ends[0], said, sizeof(said) - 1), 0);
	ck_assert_msg(strncmp(said, "refused: ", 9) == 0 && strstr(said, "; report-data: ") &&
	                      strstr(said, "; measurement: "),
	              "%s", said);
	ck_assert_ptr_null(strstr(said, "never given"));
	close(ends[0]);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	unlink(path);
	snprintf(path, sizeof(path), "%s/secret", folder);
	unlink(path);
	rmdir(folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_gate");
	TCase *test = tcase_create("gate");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 120);
	tcase_add_loop_test(test, test_guest, 0, LIES);
	tcase_add_loop_test(test, test_tdx, 0, 12);
	tcase_add_loop_test(test, test_tdx_platform, 0, 3);
	tcase_add_test(test, test_strict);
	tcase_add_loop_test(test, test_asked, 0, BASE_COUNT(asked));
	tcase_add_test(test, test_debug);
	if (!SANITIZED) /* whose calls are in no list */ {
		tcase_add_loop_test(test, test_role, 0, 2);
		tcase_add_test(test, test_program);
	}
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
