/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn: watches a guest for a while, or reads a capture of one, and writes the smallest policy that allows what it
 * did. The capture is read by cordon-analyze, in its sandbox; the policy is read back by the parser before it
 * is said to be one.
 */
#include "cordon/cli.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/base.h"
#include "cordon/ask.h"
#include "cordon/learn.h"
#include "cordon/replay.h"
#include "cordon/verbs.h"

enum { LEARN_FOR_MAX = 7 * 86400, LEARN_LOOK_MS = 2000, LEARN_VMS_MAX = 2 };

struct learn_options {
	const char *vm, *output, *pcap, *policy;
	const char *addresses[LEARN_VMS_MAX];
	size_t address_count;
	long seconds;
};

static const char usage[] =
        "usage: cordon learn NAME [--for TIME] [--policy BASE] [-o FILE]\n"
        "       cordon learn --pcap FILE --vm ADDRESS... [--policy BASE] [-o FILE] [NAME]\n\n"
        "Suggests the smallest policy that allows what a guest does, each rule with what it rests "
        "on. The rest of it\n"
        "is the guest's own policy, or BASE.\n\n"
        "  --for TIME       how long it watches: 10m (the default), 2h; an interrupt ends it "
        "earlier\n"
        "  --pcap FILE      a capture, in place of a running guest\n"
        "  --vm ADDRESS     the guest's address in the capture; one of each family at most\n"
        "  --policy BASE    a policy, the rules of which are replaced\n"
        "  -o, --output FILE  where it is written; without it, standard output\n";

/* --- flows --- */

static int64_t learn_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int learn_look(struct learn *learn, const char *vm)
{
	BASE_AUTO_FD int monitor = ask_monitor(MONITOR_FLOWS, vm);
	json_t *flow = NULL;
	int type = monitor < 0 ? -ENOTCONN : MONITOR_TEXT;

	while (type == MONITOR_TEXT && (type = ask_next(monitor, &flow)) == MONITOR_TEXT) {
		learn_flow(learn, flow);
		json_decref(flow);
	}
	return BASE_MIN(type, 0);
}

/* Looks again and again; a guest that ends is no error, once there was something to see. */
static int learn_watch(struct learn *learn, const struct learn_options *options)
{
	const int64_t until = learn_now_ms() + options->seconds * 1000;
	int64_t left;
	sigset_t ends;
	int err = learn_look(learn, options->vm);

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	BASE_AUTO_FD int signals = signalfd(-1, &ends, SFD_CLOEXEC);
	struct pollfd wait = {.fd = signals, .events = POLLIN};
	if (err || signals < 0)
		return err ? err : -errno;
	while ((left = until - learn_now_ms()) > 0) {
		if (poll(&wait, 1, (int)BASE_MIN(left, (int64_t)LEARN_LOOK_MS)) > 0)
			break;
		err = learn_look(learn, options->vm);
		if (err == -ENOENT || err == -ENOTCONN)
			break;
		if (err)
			return err;
	}
	learn_look(learn, options->vm);
	return 0;
}

static void learn_replayed(const json_t *flow, void *data)
{
	learn_flow(data, flow);
}

static int learn_capture(struct learn *learn, const struct learn_options *options)
{
	const char *arguments[3 + 2 * LEARN_VMS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < options->address_count; i++) {
		arguments[count++] = "--vm";
		arguments[count++] = options->addresses[i];
	}
	arguments[count++] = "--";
	arguments[count++] = options->pcap;
	arguments[count] = NULL;
	return replay_flows(arguments, learn_replayed, learn);
}

/* --- the policy --- */

/* Of a guest that only a capture knows. */
static char *learn_guard(const struct learn_options *options)
{
	char *text = NULL;
	int size =
	        asprintf(&text,
	                 "version: 1\nguard:\n  name: %s\n"
	                 "  mac: \"02:00:00:00:00:01\" # as its VMM was told: put the right one\n"
	                 "  addresses: [\"%s\"%s%s%s]\n",
	                 options->vm[0] ? options->vm : "learned", options->addresses[0],
	                 options->address_count > 1 ? ", \"" : "",
	                 options->address_count > 1 ? options->addresses[1] : "",
	                 options->address_count > 1 ? "\"" : "");

	return size < 0 ? NULL : text;
}

/* The text that the rules are put into; the caller's. NULL, and said. */
static char *learn_base(const struct learn_options *options)
{
	char path[POLICY_PATH_MAX], *text = NULL;
	ssize_t size;

	if (options->pcap && !options->policy)
		return learn_guard(options);
	registry_path(path, options->vm, "policy.yaml");
	size = policy_read_file(options->policy ? options->policy : path, &text);
	if (size >= 0)
		return text;
	fprintf(stderr, "cordon: cannot read the policy %s: %s\n",
	        options->policy ? options->policy : path, strerror((int)-size));
	return NULL;
}

/* What was written is a policy; else it is said what is wrong with it. */
static bool learn_is_policy(const char *text, size_t size)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct policy_errors *errors = calloc(1, sizeof(*errors));
	int err;

	if (!policy || !errors)
		return false;
	err = policy_parse(text, size, policy, errors);
	if (err)
		fprintf(stderr, "cordon: what was learned makes no policy: %s\n", strerror(-err));
	if (err == -EINVAL)
		policy_errors_print(stderr, "suggestion", errors);
	return err == 0;
}

static int learn_put(const char *path, const char *text, size_t size)
{
	BASE_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int err = fd < 0 ? -errno : base_write_all(fd, text, size);

	if (err)
		fprintf(stderr, "cordon: cannot write %s: %s\n", path, strerror(-err));
	return err ? VERB_FAILED : VERB_OK;
}

static int learn_suggest(struct learn *learn, const struct learn_options *options)
{
	const struct learn_numbers numbers = learn_numbers(learn);
	BASE_AUTO_FREE char *base = learn_base(options);
	BASE_AUTO_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = base ? open_memstream(&text, &size) : NULL;
	int err;

	if (!out)
		return VERB_FAILED;
	err = learn_write(learn, out, base);
	fclose(out);
	if (err) {
		fprintf(stderr, "cordon: what '%s' did is more than a policy's rules can say: %s\n",
		        options->vm,
		        err == -E2BIG ? "more than 256 of them, or 2048 peers" : strerror(-err));
		return VERB_FAILED;
	}
	if (!learn_is_policy(text, size))
		return VERB_FAILED;
	if (!options->output) {
		fwrite(text, 1, size, stdout);
		return fflush(stdout) == 0 ? VERB_OK : VERB_FAILED;
	}
	err = learn_put(options->output, text, size);
	if (!err)
		fprintf(stderr,
		        "cordon: %s allows %llu of %llu flows; `cordon check --explain %s` "
		        "says how\n",
		        options->output, (unsigned long long)numbers.answered,
		        (unsigned long long)numbers.flows, options->output);
	return err;
}

/* --- the verb --- */

static bool learn_address(struct learn_options *options, const char *text)
{
	uint8_t address[16];

	if (options->address_count < LEARN_VMS_MAX &&
	    inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, address) == 1 &&
	    (options->address_count == 0 ||
	     !strchr(options->addresses[0], ':') != !strchr(text, ':'))) {
		options->addresses[options->address_count++] = text;
		return true;
	}
	fprintf(stderr,
	        "cordon: --vm '%s' is no address such as 10.0.0.2, or the second of its "
	        "family\n",
	        text);
	return false;
}

/* -1 to go on, or the exit status. */
static int learn_option(int option, struct learn_options *options)
{
	switch (option) {
	case 'o': options->output = optarg; return -1;
	case 'p': options->pcap = optarg; return -1;
	case 'P': options->policy = optarg; return -1;
	case 'v': return learn_address(options, optarg) ? -1 : VERB_FAILED;
	case 't':
		if (cli_duration(optarg, LEARN_FOR_MAX, &options->seconds))
			return -1;
		fprintf(stderr, "cordon: --for '%s' is no time such as 10m (up to a week)\n",
		        optarg);
		return VERB_FAILED;
	case 'h': fputs(usage, stdout); return VERB_OK;
	default: fputs(usage, stderr); return VERB_FAILED;
	}
}

int verb_learn(int argc, char **argv)
{
	static const struct option longs[] = {{"for", required_argument, NULL, 't'},
	                                      {"output", required_argument, NULL, 'o'},
	                                      {"pcap", required_argument, NULL, 'p'},
	                                      {"vm", required_argument, NULL, 'v'},
	                                      {"policy", required_argument, NULL, 'P'},
	                                      CLI_HELP_OPTION,
	                                      {0}};
	struct learn_options options = {.seconds = 600, .vm = ""};
	int option, status = -1, err;
	struct learn *learn;

	optind = 1;
	while (status < 0 && (option = getopt_long(argc, argv, "ho:", longs, NULL)) != -1)
		status = learn_option(option, &options);
	if (status >= 0)
		return status;
	if (argc - optind > 1 || (!options.pcap && optind == argc) ||
	    !options.pcap != !options.address_count) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	options.vm = optind < argc ? argv[optind] : "";
	if (*options.vm && !registry_name_valid(options.vm))
		return ask_failed(-ENOENT, options.vm);
	learn = learn_new();
	if (!learn)
		return VERB_FAILED;
	if (options.pcap) {
		status = learn_capture(learn, &options);
	} else {
		err = learn_watch(learn, &options);
		status = err ? ask_failed(err, options.vm) : VERB_OK;
	}
	if (status == VERB_OK)
		status = learn_suggest(learn, &options);
	learn_free(learn);
	return status;
}
