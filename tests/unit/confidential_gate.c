// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate against guests, honest and not, each a process at the other end of a socket pair. Their reports are signed
 * by an authority of the test's own, so that all that is wrong is what the test makes wrong.
 */
#include <check.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/attest_fixture.h"

#include "base/base.h"
#include "confidential/gate.h"
#include "confidential/list_gate.h"
#include "isolate/isolate.h"

enum { REPORT = 1184, CHIP_SIZE = 64, REPORT_CHIP = 0x1a0, REPORT_DATA = 0x50, MEASUREMENT = 0x90 };

static const char secret[] = "a key for a disk, of some length";
static const uint8_t chip[CHIP_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, [63] = 9};
static const uint8_t measurement[48] = {0xab, 0xcd, [47] = 0xef};

static const struct authority_options milan = {.product = "Milan",
                                               .named = "Milan-B0",
                                               .chip = chip,
                                               .chip_size = CHIP_SIZE,
                                               .svns = {[1] = 3, [3] = 8, [8] = 0xd5},
                                               .from = "2024-01-01",
                                               .to = "2030-01-01"};

/* What a guest does that it should not. */
enum lie {
	HONEST,
	SLOW,        /* honest, byte by byte */
	OLD_REPORT,  /* of another nonce */
	OTHER_KEY,   /* not the one in the report */
	FORGED,      /* one byte after it was signed */
	OTHER_GUEST, /* another measurement */
	DEBUGGED,    /* its host may read it */
	ZERO_KEY,    /* a point of small order, in a true report */
	TOO_LARGE,
	NO_SIZE,
	HANGS_UP,
	SILENT,
	HALF,
	LIES
};

struct guest {
	int fd;
	const struct authority *authority;
	enum lie lie;
	EVP_PKEY *key;
	uint8_t hello[GATE_HELLO], public_key[GATE_KEY], report[REPORT];
};

static void guest_report(struct guest *guest)
{
	static const uint8_t tcb[8] = {3, 0, 0, 0, 0, 0, 8, 0xd5};
	uint8_t *report = guest->report, hello[GATE_HELLO];

	memcpy(hello, guest->hello, sizeof(hello));
	hello[GATE_HELLO - 1] ^= guest->lie == OLD_REPORT;
	memset(report, 0, REPORT);
	report[0] = 3;
	report[0x0a] = guest->lie == DEBUGGED ? 0x0b : 3;
	report[0x34] = 1;
	memcpy(report + 0x38, tcb, 8);
	memcpy(report + 0x180, tcb, 8);
	memcpy(report + 0x1e0, tcb, 8);
	memcpy(report + REPORT_CHIP, chip, CHIP_SIZE);
	report[0x188] = 0x19;
	report[0x189] = 0x01;
	memcpy(report + MEASUREMENT, measurement, sizeof(measurement));
	report[MEASUREMENT] ^= guest->lie == OTHER_GUEST;
	gate_report_data(hello, guest->public_key, report + REPORT_DATA);
	authority_sign(guest->authority, report);
	report[0x10] ^= guest->lie == FORGED;
}

static bool take(int fd, void *to, size_t size)
{
	uint8_t *at = to;

	while (size > 0) {
		ssize_t n = read(fd, at, size);

		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static void guest_send(const struct guest *guest)
{
	const uint32_t size = guest->lie == TOO_LARGE ? GATE_EVIDENCE_MAX + 1
	                      : guest->lie == NO_SIZE ? 0
	                                              : REPORT;
	uint8_t message[4 + GATE_KEY + REPORT];
	const size_t length = guest->lie == HALF ? sizeof(message) / 2 : sizeof(message);

	memcpy(message, &size, 4);
	memcpy(message + 4, guest->public_key, GATE_KEY);
	message[4] ^= guest->lie == OTHER_KEY;
	memcpy(message + 4 + GATE_KEY, guest->report, REPORT);
	for (size_t at = 0; at < length; at += guest->lie == SLOW ? 1 : length)
		if (write(guest->fd, message + at, guest->lie == SLOW ? 1 : length) < 0)
			return;
}

/* The guest's side of the key, from gate.h's words. */
static bool guest_key(const struct guest *guest, const uint8_t theirs[GATE_KEY], uint8_t key[32])
{
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs, GATE_KEY);
	EVP_PKEY_CTX *exchange = EVP_PKEY_CTX_new(guest->key, NULL);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	uint8_t shared[32], salt[64], info[16 + 64];
	size_t size = sizeof(shared);
	OSSL_PARAM params[] = {
	        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA384"}, 0),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared, sizeof(shared)),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt)),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
	        OSSL_PARAM_END};
	bool good = EVP_PKEY_derive_init(exchange) == 1 &&
	            EVP_PKEY_derive_set_peer(exchange, peer) == 1 &&
	            EVP_PKEY_derive(exchange, shared, &size) == 1;

	memcpy(salt, guest->hello + 16, 64);
	memcpy(info, guest->hello, 16);
	memcpy(info + 16, guest->public_key, 32);
	memcpy(info + 48, theirs, 32);
	good = good && EVP_KDF_derive(context, key, 32, params) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	EVP_PKEY_CTX_free(exchange);
	EVP_PKEY_free(peer);
	return good;
}

/* 0: it has the secret; 1: it was refused; 2: nothing came, or nothing that it can use. */
static int guest_answer(const struct guest *guest)
{
	static const uint8_t iv[12];
	uint8_t head[36], sealed[256], open[256], key[32], status;
	EVP_CIPHER_CTX *context;
	uint32_t size;
	int part = 0;
	bool good;

	if (!take(guest->fd, &status, 1))
		return 2;
	if (status != 0)
		return read(guest->fd, head, 1) == 0 ? 1 : 2;
	if (!take(guest->fd, head, sizeof(head)))
		return 2;
	memcpy(&size, head + 32, 4);
	if (size != sizeof(secret) + 16 || !take(guest->fd, sealed, size) ||
	    !guest_key(guest, head, key))
		return 2;
	context = EVP_CIPHER_CTX_new();
	good = EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
	       EVP_DecryptUpdate(context, open, &part, sealed, sizeof(secret)) == 1 &&
	       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, sealed + sizeof(secret)) ==
	               1 &&
	       EVP_DecryptFinal_ex(context, open + part, &part) == 1;
	EVP_CIPHER_CTX_free(context);
	return good && memcmp(open, secret, sizeof(secret)) == 0 ? 0 : 2;
}

static int guest_run(struct guest *guest)
{
	size_t size = GATE_KEY;

	guest->key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY_get_raw_public_key(guest->key, guest->public_key, &size);
	if (guest->lie == ZERO_KEY)
		memset(guest->public_key, 0, GATE_KEY);
	if (!take(guest->fd, guest->hello, GATE_HELLO))
		return 2;
	guest_report(guest);
	if (guest->lie == HANGS_UP)
		return 2;
	if (guest->lie != SILENT)
		guest_send(guest);
	return guest_answer(guest);
}

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

static void open_gate(struct gate *gate, const struct authority *authority,
                      struct attest_collateral *collateral)
{
	authority_add(authority, collateral);
	authority_crl(authority, collateral, 0, 0, -1, "2024-06-01", "2025-06-01");
	authority_crl(authority, collateral, 1, 1, -1, "2024-06-01", "2025-06-01");
	*gate = (struct gate){.input = {.collateral = collateral,
	                                .roots = &authority->root,
	                                .root_count = 1,
	                                .strict = true,
	                                .measurement = measurement},
	                      .at = attest_day("2025-01-01"),
	                      .secret = (const uint8_t *)secret,
	                      .secret_size = sizeof(secret),
	                      .seconds = GATE_SECONDS};
}

/* Both ends of one connection: what the gate says, and what the guest has. */
static int serve(const struct gate *gate, const struct authority *authority, enum lie lie,
                 struct attest_verdict *verdict, char *why, int *guest_has)
{
	int pair[2], err, status;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct guest guest = {.fd = pair[1], .authority = authority, .lie = lie};

		close(pair[0]);
		_exit(guest_run(&guest));
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

START_TEST(test_guest)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	struct gate gate;
	char why[WHY_MAX] = "";
	int err, has;

	authority_open(&authority, &milan);
	open_gate(&gate, &authority, collateral);
	if (expected[_i].err == -ETIMEDOUT)
		gate.seconds = 1;
	err = serve(&gate, &authority, (enum lie)_i, &verdict, why, &has);
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

/* What could not be checked is no yes; nor is a gate that asks for no measurement one at all. */
START_TEST(test_strict)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	struct gate gate;
	char why[WHY_MAX] = "";
	int has;

	authority_open(&authority, &milan);
	open_gate(&gate, &authority, collateral);
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

/* The same in the gate's own list of system calls: libcrypto makes a key, derives one and encrypts there. */
START_TEST(test_role)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct guest guest = {.lie = _i == 0 ? HONEST : FORGED};
	struct authority authority;
	struct gate gate;
	int pair[2], status;
	pid_t pid;

	authority_open(&authority, &milan);
	open_gate(&gate, &authority, collateral);
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
	ck_assert_int_eq(guest_run(&guest), _i);
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
	uint8_t hello[GATE_HELLO], head[4 + GATE_KEY] = {REPORT & 0xff, REPORT >> 8}, answer = 0xff;
	int ends[2], fd;
	size_t size;
	FILE *file;
	pid_t pid;
	BASE_AUTO_FREE uint8_t *report = attest_file("report_debug.bin", &size);

	ck_assert_uint_eq(size, REPORT);
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
	ck_assert(take(fd, hello, sizeof(hello)) && strcmp((char *)hello, GATE_NAME) == 0);
	ck_assert_int_eq(write(fd, head, sizeof(head)), sizeof(head));
	ck_assert_int_eq(write(fd, report, REPORT), REPORT);
	ck_assert(take(fd, &answer, 1) && answer == 1);
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
	tcase_add_test(test, test_strict);
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
