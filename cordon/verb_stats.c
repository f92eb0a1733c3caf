/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stats: counters of guests, sinks and rules; once, into a file again and again, or for whoever asks at a unix socket.
 * A file is written beside its place and renamed to it, so that who reads it never sees half of one. The
 * socket speaks as much HTTP as a scraper needs: whatever is asked, it answers with the metrics.
 */
#include "cordon/cli.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"
#include "cordon/ask.h"
#include "cordon/prometheus.h"
#include "cordon/stats.h"
#include "cordon/verbs.h"

enum { STATS_EVERY_MAX = 86400, STATS_CLIENT_MS = 2000, STATS_REQUEST_MAX = 8192 };
enum stats_format { STATS_TABLE, STATS_JSON, STATS_PROMETHEUS };

struct stats_options {
	enum stats_format format;
	bool rules;
	const char *vm, *output, *listen;
	long every; /* seconds; 0: once */
};

static const char usage[] =
        "usage: cordon stats [--format table|json|prometheus] [--rules] [NAME]\n"
        "       cordon stats [--rules] --output FILE [--every TIME]\n"
        "       cordon stats [--rules] --listen SOCKET\n\n"
        "Counters of one guest, or of all and of the receivers of alerts: what crossed the taps, "
        "what was\n"
        "lost, dropped and suppressed, and what was found.\n\n"
        "  --rules        the firewall's rules, too\n"
        "  --output FILE  write Prometheus' text format there, by a rename\n"
        "  --every TIME   and again, until a signal comes: 15s, 1m\n"
        "  --listen SOCKET  answer scrapers at a unix socket, in the same format\n";

/* --- forms --- */

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static void stats_guest_row(const json_t *guest)
{
	char out[16], in[16];

	cli_bytes(out, (uint64_t)number_of(guest, "bytes_out"));
	cli_bytes(in, (uint64_t)number_of(guest, "bytes_in"));
	cli_print_text(
	        "%-16s %-10s %8s %8s %10lld %10lld %8lld %7lld %10lld %6lld\n",
	        text_of(guest, "vm"), text_of(guest, "tap"), out, in,
	        (long long)number_of(guest, "packets_out"),
	        (long long)number_of(guest, "packets_in"), (long long)number_of(guest, "flows"),
	        (long long)number_of(guest, "alerts"), (long long)number_of(guest, "suppressed"),
	        (long long)(number_of(guest, "events_lost") + number_of(guest, "payloads_lost") +
	                    number_of(guest, "contended") + number_of(guest, "evicted") +
	                    number_of(guest, "sinks_lost")));
}

static void stats_table(const json_t *stats)
{
	const json_t *rules = json_object_get(stats, "rules"), *one;
	const json_t *sinks = json_object_get(stats, "sinks");
	size_t i;

	printf("%-16s %-10s %8s %8s %10s %10s %8s %7s %10s %6s\n", "GUEST", "TAP", "OUT", "IN",
	       "PACKETS", "IN", "FLOWS", "ALERTS", "SUPPRESSED", "LOST");
	json_array_foreach(json_object_get(stats, "guests"), i, one) stats_guest_row(one);
	if (json_array_size(sinks))
		printf("\n%-40s %-10s %-7s %10s %8s %8s\n", "SINK", "TYPE", "FORMAT", "DELIVERED",
		       "WAITING", "DROPPED");
	json_array_foreach(sinks, i, one) cli_print_text(
	        "%-40s %-10s %-7s %10lld %8lld %8lld\n", text_of(one, "sink"), text_of(one, "type"),
	        text_of(one, "format"), (long long)number_of(one, "delivered"),
	        (long long)number_of(one, "waiting"), (long long)number_of(one, "dropped"));
	if (json_array_size(rules))
		printf("\n%-16s %-30s %5s %10s %12s\n", "GUEST", "RULE", "LINE", "PACKETS",
		       "BYTES");
	json_array_foreach(rules, i, one) cli_print_text(
	        "%-16s %-30s %5s %10lld %12lld\n", text_of(one, "vm"), text_of(one, "rule"),
	        text_of(one, "line"), (long long)number_of(one, "packets"),
	        (long long)number_of(one, "bytes"));
}

/* The metrics as text, the caller's; also where no monitor runs: then those of guests are missing. */
static char *stats_metrics(const struct stats_options *options, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);
	int err = 0;
	json_t *stats = stats_gather(options->vm, options->rules, &err);

	if (out) {
		fprintf(out,
		        "# HELP cordon_monitor_up Whether the monitor answers.\n"
		        "# TYPE cordon_monitor_up gauge\ncordon_monitor_up %d\n",
		        stats && json_array_size(json_object_get(stats, "guests")) > 0);
		if (stats)
			prometheus_write(out, stats);
		fclose(out);
	}
	json_decref(stats);
	return text;
}

static int stats_once(const struct stats_options *options)
{
	int err = 0;
	json_t *stats;

	if (options->format == STATS_PROMETHEUS) {
		size_t size = 0;
		BASE_AUTO_FREE char *text = stats_metrics(options, &size);

		fwrite(text ? text : "", 1, text ? size : 0, stdout);
		return text && fflush(stdout) == 0 ? VERB_OK : VERB_FAILED;
	}
	stats = stats_gather(options->vm, options->rules, &err);
	if (!stats)
		return ask_failed(err, options->vm);
	if (options->format == STATS_JSON)
		cli_print_json(stats);
	else
		stats_table(stats);
	json_decref(stats);
	return VERB_OK;
}

/* --- a file --- */

static int stats_write(const struct stats_options *options)
{
	char beside[POLICY_PATH_MAX + 32];
	size_t size = 0;
	BASE_AUTO_FREE char *text = stats_metrics(options, &size);
	int err = 0;

	snprintf(beside, sizeof(beside), "%s.%d", options->output, getpid());
	BASE_AUTO_FD int fd =
	        open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || !text)
		err = fd < 0 ? -errno : -ENOMEM;
	if (!err)
		err = base_write_all(fd, text, size);
	if (!err && rename(beside, options->output) < 0)
		err = -errno;
	if (err && fd >= 0)
		unlink(beside);
	if (err)
		fprintf(stderr, "cordon: cannot write %s: %s\n", options->output, strerror(-err));
	return err;
}

/* Becomes readable when somebody wants this to end. */
static int stats_signals(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	return signalfd(-1, &ends, SFD_CLOEXEC);
}

static int stats_files(const struct stats_options *options)
{
	BASE_AUTO_FD int ends = stats_signals();
	struct pollfd wait = {.fd = ends, .events = POLLIN};

	do
		if (stats_write(options) < 0)
			return VERB_FAILED;
	while (options->every && poll(&wait, 1, (int)options->every * 1000) == 0);
	return VERB_OK;
}

/* --- a socket --- */

/* Until the request's empty line, or the client has said enough. */
static bool stats_request(int client)
{
	struct pollfd ready = {.fd = client, .events = POLLIN};
	char request[STATS_REQUEST_MAX];
	size_t used = 0;

	while (used < sizeof(request) - 1 && poll(&ready, 1, STATS_CLIENT_MS) > 0) {
		ssize_t n = recv(client, request + used, sizeof(request) - 1 - used, 0);

		if (n <= 0)
			return false;
		used += (size_t)n;
		request[used] = '\0';
		if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n"))
			return true;
	}
	return false;
}

static void stats_answer(const struct stats_options *options, int client)
{
	const struct timeval patience = {.tv_sec = STATS_CLIENT_MS / 1000};
	size_t size = 0;
	BASE_AUTO_FREE char *text = NULL;

	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!stats_request(client))
		return;
	text = stats_metrics(options, &size);
	if (!text)
		return;
	dprintf(client,
	        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
	        "Content-Length: %zu\r\nConnection: close\r\n\r\n",
	        size);
	base_write_all(client, text, size);
}

static int stats_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct group *group = getgrnam(HOST_GROUP);
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat facts;

	if (fd < 0)
		return -errno;
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), path) < 0)
		return -ENAMETOOLONG;
	/* what an earlier one has left, and nothing else */
	if (lstat(path, &facts) == 0 && S_ISSOCK(facts.st_mode)) {
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return -EADDRINUSE;
		unlink(path);
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0660) < 0 ||
	    listen(fd, 16) < 0)
		return -errno;
	if (group && chown(path, (uid_t)-1, group->gr_gid) < 0 && geteuid() == 0)
		return -errno;
	return base_take_fd(&fd);
}

static int stats_serve(const struct stats_options *options)
{
	BASE_AUTO_FD int ends = stats_signals();
	BASE_AUTO_FD int listener = stats_listen(options->listen);
	struct pollfd wait[] = {{.fd = ends, .events = POLLIN}, {.fd = listener, .events = POLLIN}};

	if (listener < 0) {
		fprintf(stderr, "cordon: cannot listen at %s: %s\n", options->listen,
		        strerror(-listener));
		return VERB_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	while (poll(wait, BASE_COUNT(wait), -1) > 0 && !wait[0].revents) {
		BASE_AUTO_FD int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (client >= 0)
			stats_answer(options, client);
	}
	unlink(options->listen);
	return VERB_OK;
}

/* --- the verb --- */

static bool stats_format(const char *value, struct stats_options *options)
{
	static const char *const formats[] = {
	        [STATS_TABLE] = "table", [STATS_JSON] = "json", [STATS_PROMETHEUS] = "prometheus"};

	for (size_t i = 0; i < BASE_COUNT(formats); i++)
		if (strcmp(value, formats[i]) == 0) {
			options->format = (enum stats_format)i;
			return true;
		}
	fprintf(stderr, "cordon: --format '%s' is none of table, json and prometheus\n", value);
	return false;
}

/* -1 to go on, or the exit status. */
static int stats_option(int option, struct stats_options *options)
{
	switch (option) {
	case 'F': return stats_format(optarg, options) ? -1 : VERB_FAILED;
	case 'r': options->rules = true; return -1;
	case 'o': options->output = optarg; return -1;
	case 'l': options->listen = optarg; return -1;
	case 'e':
		if (cli_duration(optarg, STATS_EVERY_MAX, &options->every))
			return -1;
		fprintf(stderr, "cordon: --every '%s' is no time such as 15s (up to a day)\n",
		        optarg);
		return VERB_FAILED;
	case 'h': fputs(usage, stdout); return VERB_OK;
	default: fputs(usage, stderr); return VERB_FAILED;
	}
}

int verb_stats(int argc, char **argv)
{
	static const struct option longs[] = {{"rules", no_argument, NULL, 'r'},
	                                      {"output", required_argument, NULL, 'o'},
	                                      {"listen", required_argument, NULL, 'l'},
	                                      {"every", required_argument, NULL, 'e'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	struct stats_options options = {.vm = ""};
	int option, status = -1;

	optind = 1;
	while (status < 0 && (option = getopt_long(argc, argv, "ho:", longs, NULL)) != -1)
		status = stats_option(option, &options);
	if (status >= 0)
		return status;
	if (argc - optind > 1 || (options.output && options.listen) ||
	    (options.every && !options.output)) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	options.vm = optind < argc ? argv[optind] : "";
	if (*options.vm && !registry_name_valid(options.vm)) {
		fprintf(stderr, "cordon: there is no guest named '%s'\n", options.vm);
		return VERB_NOT_FOUND;
	}
	return options.output   ? stats_files(&options)
	       : options.listen ? stats_serve(&options)
	                        : stats_once(&options);
}
