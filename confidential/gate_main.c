// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-gate: listens on a unix socket for a guest (`vm.vsock.guest_to_host` joins it to the guest's connections), and
 * gives it a secret once its evidence verifies. The socket, the secret and the certificates are opened; then the process
 * enters its role; then they are read. What could not be checked (no CRL, no TCB info) refuses, always.
 *
 * Exit status 0 the secret was given (--once), 125 usage or failure, 127 no such file.
 */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"
#include "confidential/attest_args.h"
#include "confidential/gate.h"
#include "confidential/list_gate.h"

enum { GATE_BACKLOG = 4, GATE_MODE = 0660 };

struct gate_run {
	struct attest_args args;
	struct gate gate;
	const char *secret_name, *path;
	int secret, listener;
	bool once;
};

static const char usage[] =
        "usage: cordon attest gate [POLICY] --secret FILE --listen SOCKET --measurement HEX "
        "--certs DIR "
        "[OPTION]...\n\n"
        "Gives a secret to a guest that has proved what it is: its SEV-SNP report or TDX quote is "
        "about a\n"
        "number that it was just sent and a key of its own, verifies as with `cordon attest "
        "verify "
        "--strict`,\n"
        "and only that key opens the secret. A policy's vm.vsock.guest_to_host joins a guest to "
        "SOCKET.\n"
        "Implemented to the ABI, never run on hardware.\n\n"
        "  --secret FILE        1 to 65536 bytes\n"
        "  --listen SOCKET      made here, for its owner and group; one guest at a time\n"
        "  --measurement HEX    the launch digest (`cordon measure` prints it), or MRTD\n"
        "  --certs DIR          certificates, CRLs, and Intel's TCB info and QE identity\n"
        "  POLICY               a policy that says --type, --policy, --host-data, --id-block, "
        "--id-auth\n"
        "                       and --allow-debug\n"
        "  --type TYPE, --host-data HEX, --policy HEX, --min-tcb HEX, --vmpl N, --accept-tcb "
        "STATUS,\n"
        "  --id-block FILE, --id-auth FILE, --at TIME, --allow-debug\n"
        "                       as of `cordon attest verify`\n"
        "  --once               end when a guest was given the secret\n";

static int gate_parse(int argc, char **argv, struct gate_run *run)
{
	static const struct option longs[] = {{"secret", required_argument, NULL, 's'},
	                                      {"listen", required_argument, NULL, 'l'},
	                                      {"once", no_argument, NULL, 'o'},
	                                      ATTEST_ARGS_OPTIONS,
	                                      {0}};
	bool known = true;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == '?' + 256) {
			fputs(usage, stdout);
			return TOOL_HELP;
		}
		if (!attest_args_option(&run->args, option, optarg, &known))
			return TOOL_FAILED;
		if (option == 's')
			run->secret_name = optarg;
		else if (option == 'l')
			run->path = optarg;
		else if (option == 'o')
			run->once = true;
		else if (!known)
			break;
	}
	if (option == -1 && optind == argc && run->secret_name && run->path && run->args.folder &&
	    run->args.input.measurement)
		return TOOL_OK;
	fputs(usage, stderr);
	return TOOL_FAILED;
}

/* --- before the role --- */

/* A socket on which nobody listens any more is what a gate before this one left. */
static void gate_clear(const struct sockaddr_un *address)
{
	struct stat facts;
	int fd BASE_AUTO_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && lstat(address->sun_path, &facts) == 0 && S_ISSOCK(facts.st_mode) &&
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
}

static int gate_listen(struct gate_run *run)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask;

	if (fd < 0 || strlen(run->path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "cordon: --listen '%s' is no path for a socket\n", run->path);
		base_close(&fd);
		return TOOL_FAILED;
	}
	base_copy_string(address.sun_path, sizeof(address.sun_path), run->path);
	gate_clear(&address);
	mask = umask(0777 & ~GATE_MODE);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, GATE_BACKLOG) < 0) {
		fprintf(stderr, "cordon: cannot listen on %s: %s\n", run->path, strerror(errno));
		base_close(&fd);
	}
	umask(mask);
	if (fd < 0)
		return TOOL_FAILED;
	run->listener = TOOL_FIRST_FD + (int)run->args.tool.count;
	run->args.tool.files[run->args.tool.count++] = fd;
	return TOOL_OK;
}

static int gate_open(struct gate_run *run)
{
	int status;

	run->secret = tool_open(&run->args.tool, run->secret_name, O_RDONLY);
	if (run->secret < 0)
		return TOOL_NO_FILE;
	status = attest_args_open(&run->args);
	return status == TOOL_OK ? gate_listen(run) : status;
}

/* --- in the role --- */

/* What came of a guest, for whoever reads the log; the guest's own bytes are not in it. */
static void gate_say(const struct attest_verdict *verdict, int err, const char *why)
{
	printf("%s: %s", err == 0 ? "given" : err == -EACCES ? "refused" : "broken off", why);
	for (size_t i = 0; i < verdict->count; i++)
		if (verdict->checks[i].status != ATTEST_PASSED)
			printf("; %s: %s", verdict->checks[i].name, verdict->checks[i].why);
	putchar('\n');
	fflush(stdout);
}

/*
 * #syscall gate: accept4 - a guest connects
 * #syscall gate: close - and is done
 */
static int gate_run(struct gate_run *run)
{
	struct attest_verdict verdict;
	char why[WHY_MAX];

	for (;;) {
		int fd BASE_AUTO_FD =
		        accept4(run->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int err;

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			fprintf(stderr, "cordon: no guest can connect: %s\n", strerror(errno));
			return TOOL_FAILED;
		}
		err = gate_serve(&run->gate, fd, &verdict, why);
		gate_say(&verdict, err, why);
		if (err == 0 && run->once)
			return TOOL_OK;
	}
}

static int gate_serve_all(struct gate_run *run, struct attest_collateral *collateral)
{
	uint8_t *secret = NULL;
	int status = attest_args_collect(&run->args, collateral);

	if (status != TOOL_OK)
		return status;
	secret = tool_read(run->secret, run->secret_name, GATE_SECRET_MAX, &run->gate.secret_size);
	if (!secret || run->gate.secret_size == 0) {
		if (secret)
			fprintf(stderr, "cordon: %s is empty\n", run->secret_name);
		free(secret);
		return TOOL_FAILED;
	}
	run->gate.input = run->args.input;
	run->gate.input.collateral = collateral;
	run->gate.input.strict = true;
	run->gate.at = run->args.input.at;
	run->gate.secret = secret;
	run->gate.seconds = GATE_SECONDS;
	status = gate_run(run);
	OPENSSL_cleanse(secret, run->gate.secret_size);
	free(secret);
	return status;
}

int main(int argc, char **argv)
{
	static struct gate_run run;
	struct attest_collateral *collateral;
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = gate_parse(argc, argv, &run);
	if (status == TOOL_OK)
		status = gate_open(&run);
	if (status == TOOL_OK)
		status = tool_enter(&run.args.tool, &list_gate);
	if (status != TOOL_OK)
		return tool_exit(status);
	collateral = attest_collateral_new();
	status = collateral ? gate_serve_all(&run, collateral) : TOOL_FAILED;
	attest_collateral_free(collateral);
	return status;
}
