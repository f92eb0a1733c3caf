// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate at the other end of a guest's vsock: the test plays the guest, packet by packet, to cordon-vsock, whose
 * connections cordon-dial makes to the gate's unix socket. The programs are the real ones, in their sandboxes; only
 * the gate that gives its secret is a process of the test's, as the program's pinned roots sign nothing for tests.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/gate_guest.h"
#include "tests/unit/vsock_guest.h"

#include "base/base.h"

enum { PORT = 1234, HOST_PORT = 5000, PIECE = 1000, TRIES = 600, SKIPPED = 77 };

#define MILAN                                                                                      \
	"7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480" \
	"cd81841f"

#define OTHER                                                                                      \
	"7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480" \
	"cd81841e"

static char folder[] = "/tmp/cordon-gate-vsock-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const void *bytes, size_t size)
{
	BASE_AUTO_FD int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert(fd >= 0 && base_write_all(fd, bytes, size) == 0);
}

static void take(const char *name, const char *to)
{
	size_t size;
	BASE_AUTO_FREE uint8_t *bytes = attest_file(name, &size);

	put(to, bytes, size);
}

static void set_up(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(mkdir(in_folder("certs"), 0700), 0);
	take("vcek_milan.der", "certs/vcek");
	take("cert_chain_milan", "certs/chain");
	put("secret", "never given", 11);
}

static void tear_down(void)
{
	static const char *const names[] = {"certs/vcek", "certs/chain", "secret", "gate.sock",
	                                    "policy.yaml"};

	for (size_t i = 0; i < BASE_COUNT(names); i++)
		unlink(in_folder(names[i]));
	rmdir(in_folder("certs"));
	rmdir(folder);
}

/* --- the way of the bytes --- */

/* The guest's port 1234 is joined to what listens at the path; what cordon-dial has connected goes to cordon-vsock. */
static void join(const char *path)
{
	int requests, fd = -1;
	pid_t pid = host_dialer_start(&requests, path);

	guest_send(VIRTIO_VSOCK_OP_REQUEST, PORT, HOST_PORT);
	for (int tries = 0; fd < 0 && tries < TRIES; tries++) {
		fd = host_dialer_ask(requests, HOST_PORT);
		if (fd < 0)
			usleep(100000);
	}
	ck_assert_int_ge(fd, 0);
	host_dial(HOST_PORT, fd, 0);
	close(fd);
	close(requests);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	guest_want(VIRTIO_VSOCK_OP_RESPONSE, PORT, HOST_PORT);
}

/* What comes next: how many bytes, or 0: the host says no more. */
static uint32_t receive(void *data)
{
	struct virtio_vsock_hdr h = guest_next(data);

	ck_assert(h.op == VIRTIO_VSOCK_OP_RW || h.op == VIRTIO_VSOCK_OP_SHUTDOWN);
	guest_taken += h.len;
	return h.op == VIRTIO_VSOCK_OP_RW ? h.len : 0;
}

static void receive_all(void *to, size_t size)
{
	uint8_t data[4096], *at = to;

	while (size > 0) {
		uint32_t length = receive(data);

		ck_assert(length > 0 && length <= size);
		memcpy(at, data, length);
		at += length;
		size -= length;
	}
}

static void send_all(const void *bytes, uint32_t size)
{
	for (uint32_t at = 0; at < size; at += PIECE)
		guest_send_data(PORT, HOST_PORT, (const uint8_t *)bytes + at,
		                BASE_MIN(size - at, (uint32_t)PIECE));
}

static void hang_up(void)
{
	guest_send(VIRTIO_VSOCK_OP_RST, PORT, HOST_PORT);
	guest_stop();
	guest_taken = 0;
}

/* --- a gate with an authority of the test's own --- */

static pid_t serve(const struct authority *authority, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	base_copy_string(address.sun_path, sizeof(address.sun_path), path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct attest_collateral *collateral = attest_collateral_new();
		struct attest_verdict verdict;
		struct gate gate;
		char why[WHY_MAX];

		gate_open(&gate, authority, collateral);
		_exit(gate_serve(&gate, accept4(listener, NULL, NULL, SOCK_NONBLOCK), &verdict,
		                 why) == 0
		              ? 0
		              : 1);
	}
	close(listener);
	return pid;
}

/* A guest that is a process of its own; what it says and hears goes by as packets. */
static void carry(int fd)
{
	uint8_t data[4096], message[4 + GATE_KEY + GATE_REPORT];
	uint32_t size;

	receive_all(data, GATE_HELLO);
	ck_assert_int_eq(write(fd, data, GATE_HELLO), GATE_HELLO);
	ck_assert(gate_take(fd, message, sizeof(message)));
	send_all(message, sizeof(message));
	while ((size = receive(data)) > 0)
		ck_assert_int_eq(write(fd, data, size), size);
	shutdown(fd, SHUT_WR);
}

START_TEST(test_given)
{
	static const enum gate_lie lies[] = {HONEST, FORGED};
	const char *path = in_folder("gate.sock");
	struct authority authority;
	int pair[2], status;
	pid_t gate, guest;

	authority_open(&authority, &gate_milan);
	unlink(path);
	gate = serve(&authority, path);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guest = fork();
	ck_assert_int_ge(guest, 0);
	if (guest == 0) {
		struct gate_guest self = {.fd = pair[1], .authority = &authority, .lie = lies[_i]};

		close(pair[0]);
		_exit(gate_guest_run(&self));
	}
	close(pair[1]);
	guest_start();
	join(path);
	carry(pair[0]);
	close(pair[0]);
	ck_assert_int_eq(waitpid(guest, &status, 0), guest);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == _i, "0x%x", (unsigned)status);
	ck_assert_int_eq(waitpid(gate, &status, 0), gate);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == _i, "0x%x", (unsigned)status);
	hang_up();
	authority_close(&authority);
}
END_TEST

/* --- the program, with a policy: a published report is of another time, whatever else is right --- */

static const struct asked {
	const char *confidential, *measurement, *option, *value;
	const char *failed; /* in the order of the checks */
} asked[] = {
        {"{}", MILAN, "--vmpl", "0", "revocation report-data"},
        {"{smt: false}", MILAN, "--vmpl", "0", "revocation policy report-data"},
        {"{debug: true}", MILAN, "--vmpl", "0", "revocation policy report-data"},
        {"{abi: 1.55}", MILAN, "--vmpl", "0", "revocation policy report-data"},
        {"{}, host_data: aa", MILAN, "--vmpl", "0", "revocation report-data host-data"},
        {"{}", MILAN, "--vmpl", "1", "revocation vmpl report-data"},
        {"{}", MILAN, "--min-tcb", "7408000000000003", "revocation tcb-minimum report-data"},
        {"{}", MILAN, "--at", "2031-01-01", "validity revocation report-data"},
        {"{}", OTHER, "--vmpl", "0", "revocation measurement report-data"},
};

/* The gate as `cordon attest gate policy.yaml ...`; what it says comes from the descriptor. */
static pid_t program_start(const struct asked *test, int *said)
{
	char measurement[97], policy[512];
	int ends[2];
	pid_t pid;

	snprintf(measurement, sizeof(measurement), "%s", test->measurement);
	snprintf(policy, sizeof(policy),
	         "version: 1\nvm: {name: a, kernel: ./k}\n"
	         "confidential: {type: sev-snp, firmware: ./OVMF.fd, policy: %s}\n",
	         test->confidential);
	put("policy.yaml", policy, strlen(policy));
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (chdir(folder) == 0 && dup2(ends[1], 1) >= 0 && dup2(ends[1], 2) >= 0)
			execl(getenv("CORDON"), "cordon", "attest", "gate", "policy.yaml",
			      "--secret", "secret", "--listen", "gate.sock", "--measurement",
			      measurement, "--certs", "certs", "--at", "2025-01-01", test->option,
			      test->value, (char *)NULL);
		_exit(99);
	}
	close(ends[1]);
	*said = ends[0];
	return pid;
}

/* The names of a line such as "refused: why; name: why; name: why". */
static void failed_names(char *line, char *names, size_t size)
{
	char *at = strstr(line, "; ");

	names[0] = '\0';
	while (at) {
		char *end = strchr(at + 2, ':');
		char *next = strstr(at + 2, "; ");

		if (end && (!next || end < next))
			snprintf(names + strlen(names), size - strlen(names), "%s%.*s",
			         *names ? " " : "", (int)(end - at - 2), at + 2);
		at = next;
	}
}

START_TEST(test_program)
{
	const struct asked *test = &asked[_i];
	uint8_t hello[GATE_HELLO], head[4 + GATE_KEY] = {GATE_REPORT & 0xff, GATE_REPORT >> 8};
	uint8_t report[GATE_REPORT], answer = 0xff;
	char said[4096] = "", names[256];
	size_t size, have = 0;
	BASE_AUTO_FREE char *hex = (char *)attest_file("report_milan.hex", &size);
	int fd;
	pid_t pid;

	for (size_t i = 0; i < GATE_REPORT; i++)
		ck_assert_int_eq(sscanf(hex + 2 * i, "%2hhx", &report[i]), 1);
	pid = program_start(test, &fd);
	guest_start();
	join(in_folder("gate.sock"));
	receive_all(hello, sizeof(hello));
	ck_assert_str_eq((char *)hello, GATE_NAME);
	send_all(head, sizeof(head));
	send_all(report, sizeof(report));
	receive_all(&answer, 1);
	ck_assert_uint_eq(answer, 1);
	ck_assert_uint_eq(receive(report), 0);
	hang_up();
	while (have < sizeof(said) - 1 && !memchr(said, '\n', have)) {
		ssize_t n = read(fd, said + have, sizeof(said) - 1 - have);

		ck_assert_int_gt(n, 0);
		have += (size_t)n;
	}
	ck_assert_msg(strncmp(said, "refused: ", 9) == 0, "%s", said);
	failed_names(said, names, sizeof(names));
	ck_assert_msg(strcmp(names, test->failed) == 0, "%s: %s", names, said);
	ck_assert_ptr_null(strstr(said, "never given"));
	close(fd);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_gate_vsock");
	TCase *test = tcase_create("vsock");
	SRunner *runner;
	int failed;

	if (SANITIZED) {
		puts("skipped: a sanitizer's system calls are in no list");
		return SKIPPED;
	}
	tcase_set_timeout(test, 120);
	tcase_add_unchecked_fixture(test, set_up, tear_down);
	tcase_add_loop_test(test, test_given, 0, 2);
	tcase_add_loop_test(test, test_program, 0, BASE_COUNT(asked));
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
