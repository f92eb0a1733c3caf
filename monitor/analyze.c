/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-analyze: the flow engine and the detectors over capture files, pcap and pcapng. The files are opened,
 * then the process enters its role, and only then is a byte of them read: somebody else wrote them.
 *
 * A finding is printed when it has ended, with all that came of it: one line, as a table or as JSON; then the
 * summary. As flows or IPFIX, it is the flows that are written, and no findings. Exit status 0 done (a file that is cut short is read to its end, and said), 125 usage or failure,
 * 127 no such file.
 *
 * #syscall analyze: read - the captures
 * #syscall analyze: pread64 - lists of known bad addresses and names
 * #syscall analyze: fstat - how long such a list is
 * #syscall analyze: newfstatat(arg3 = AT_EMPTY_PATH) - the same, as the C library asks it
 * #syscall analyze: write(arg0 = 1) - alerts
 * #syscall analyze: madvise(arg2 = 14) - MADV_HUGEPAGE, for the flow table
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "bpf/flow.h"
#include "isolate/isolate.h"
#include "monitor/capsort.h"
#include "monitor/intel_list.h"
#include "monitor/ipfix.h"
#include "monitor/list_analyze.h"
#include "monitor/offline.h"

enum {
	ANALYZE_FILES_MAX = 32,
	ANALYZE_RULES_MAX = 64,
	ANALYZE_FLOWS_MIN = 4096,
	ANALYZE_FLOWS = 1 << 17,
	ANALYZE_FLOWS_MAX = 1 << 18,
	ANALYZE_BATCH = 64,
	ANALYZE_PROGRESS_PACKETS = 1 << 16,
	ANALYZE_UID = ISOLATE_UID_BASE - 4,
	ANALYZE_DOMAIN = 1,
};
enum { ANALYZE_DONE = 0, ANALYZE_FAILED = 125, ANALYZE_NO_FILE = 127 };

enum analyze_format { ANALYZE_TABLE, ANALYZE_JSON, ANALYZE_IPFIX, ANALYZE_FLOW_LINES };

struct analyze {
	enum analyze_format format;
	bool progress;
	struct offline_cidr vms[OFFLINE_CIDRS_MAX];
	size_t vm_count;
	const char *names[ANALYZE_FILES_MAX];
	int files[ANALYZE_FILES_MAX];
	size_t file_count;
	const char *list_names[INTEL_LISTS_MAX];
	int lists[INTEL_LISTS_MAX];
	size_t list_count;
	struct intel_set intel;
	uint64_t size, done; /* bytes of all files; 0: not known */
	struct ipfix_batch batch;
	uint32_t sequence; /* IPFIX records that were written */
	struct {
		const char *rule; /* static strings of the detectors */
		uint64_t count;
	} rules[ANALYZE_RULES_MAX];
	struct offline *offline;
};

static const char usage[] = "usage: cordon analyze [--vm CIDR]... [--intel LIST]... [--format "
                            "table|json|ipfix] FILE...\n";

/* --- what is printed --- */

static void analyze_count(struct analyze *analyze, const char *rule)
{
	size_t i = 0;

	while (i < ANALYZE_RULES_MAX - 1 && analyze->rules[i].rule &&
	       strcmp(analyze->rules[i].rule, rule) != 0)
		i++;
	analyze->rules[i].rule = rule;
	analyze->rules[i].count++;
}

static const char *analyze_severity(enum alert_severity severity)
{
	switch (severity) {
	case ALERT_CRITICAL: return "critical";
	case ALERT_HIGH: return "high";
	case ALERT_MEDIUM: return "medium";
	default: return "low";
	}
}

static void analyze_emit(const struct alert *alert, const char *vm, void *data)
{
	struct analyze *analyze = data;
	const struct alert_subject subject = {
	        .vm = vm, .observer = "", .tls = offline_tls(analyze->offline)};
	char time[32];

	if (alert->stage != ALERT_END)
		return;
	analyze_count(analyze, alert->rule);
	if (analyze->format >= ANALYZE_IPFIX)
		return;
	if (analyze->format == ANALYZE_JSON) {
		json_t *json = alert_json(alert, &subject);

		if (json)
			json_dumpf(json, stdout, JSON_COMPACT);
		json_decref(json);
	} else {
		alert_time(time, alert->first_ns);
		printf("%s %-8s %-15s %-9s %s %s", time, analyze_severity(alert->severity),
		       alert->rule, alert->technique, vm, alert->sentence);
	}
	putchar('\n');
	fflush(stdout);
}

static void analyze_summary(const struct analyze *analyze, double elapsed)
{
	struct offline_stats stats;
	json_t *rules = json_object(), *json;
	double seconds;

	offline_stats(analyze->offline, &stats);
	seconds = (double)(stats.last_ns - BASE_MIN(stats.first_ns, stats.last_ns)) / 1e9;
	for (size_t i = 0; i < ANALYZE_RULES_MAX && analyze->rules[i].rule; i++)
		json_object_set_new(rules, analyze->rules[i].rule,
		                    json_integer((json_int_t)analyze->rules[i].count));
	if (analyze->format != ANALYZE_JSON) {
		const char *rule;
		json_t *count;

		printf("%llu packets, %llu flows, %llu bytes in %.1f s of capture; %llu not read;",
		       (unsigned long long)stats.packets, (unsigned long long)stats.flows,
		       (unsigned long long)stats.bytes, seconds, (unsigned long long)stats.unread);
		json_object_foreach(rules, rule, count)
		        printf(" %s %lld", rule, (long long)json_integer_value(count));
		printf("%s\n", json_object_size(rules) ? "" : " no alerts");
		json_decref(rules);
		return;
	}
	json = json_pack("{s:I, s:I, s:I, s:o, s:f, s:f, s:I, s:I, s:I, s:I}", "packets",
	                 (json_int_t)stats.packets, "flows", (json_int_t)stats.flows, "bytes",
	                 (json_int_t)stats.bytes, "alerts", rules, "seconds", seconds,
	                 "elapsed_seconds", elapsed, "unread", (json_int_t)stats.unread, "evicted",
	                 (json_int_t)stats.evicted, "sources_dropped",
	                 (json_int_t)stats.sources_dropped, "flows_unwatched",
	                 (json_int_t)stats.unwatched);
	if (json)
		json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(json);
}

/* --- flows (RFC 5655: a file is messages, one after the other) --- */

static void analyze_message(struct analyze *analyze, uint64_t now_ns)
{
	struct ipfix_batch *batch = &analyze->batch;
	const uint32_t now = (uint32_t)(now_ns / 1000000000);
	uint8_t header[IPFIX_HEADER], templates[IPFIX_HEADER + IPFIX_TEMPLATES_MAX];

	if (analyze->sequence == 0)
		fwrite(templates, 1, ipfix_templates(templates, now, 0, ANALYZE_DOMAIN), stdout);
	if (batch->count == 0)
		return;
	ipfix_header(header, sizeof(header) + batch->size, now, analyze->sequence, ANALYZE_DOMAIN);
	fwrite(header, 1, sizeof(header), stdout);
	fwrite(batch->bytes, 1, batch->size, stdout);
	analyze->sequence += batch->count;
	memset(batch, 0, sizeof(*batch));
}

/* As the monitor answers a query; of whose it is, its addresses say. */
static void analyze_flow_line(const struct flow_record *record)
{
	json_t *json = alert_flow_json(record, "", 0, NULL);

	if (json)
		json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
}

static void analyze_flow(const struct flow_record *record, uint64_t now_ns, void *data)
{
	struct analyze *analyze = data;
	const struct ipfix_origin origin = {.vm = ""};
	enum ipfix_end end;

	if (analyze->format == ANALYZE_FLOW_LINES) {
		analyze_flow_line(record);
		return;
	}
	end = ipfix_end_of(record, now_ns, record->last_ns + flow_idle_ns(record));

	if (ipfix_add(&analyze->batch, record, &origin, end))
		return;
	analyze_message(analyze, now_ns);
	ipfix_add(&analyze->batch, record, &origin, end);
}

static void analyze_progress(const struct analyze *analyze, uint64_t packets, bool last)
{
	if (!analyze->progress)
		return;
	if (last)
		fprintf(stderr, "\r\033[K");
	else if (analyze->size)
		fprintf(stderr, "\r\033[K%3.0f %%, %llu packets",
		        100.0 * (double)analyze->done / (double)analyze->size,
		        (unsigned long long)packets);
	else
		fprintf(stderr, "\r\033[K%llu packets", (unsigned long long)packets);
}

/* --- reading --- */

static ssize_t analyze_read(void *data, void *to, size_t size)
{
	return read(*(const int *)data, to, size);
}

/* Packets of link types that nobody here knows are left out; once it is said. */
static size_t analyze_known(struct capfile_packet *packets, size_t count, int *unknown)
{
	size_t known = 0;

	for (size_t i = 0; i < count; i++) {
		if (offline_linktype_known(packets[i].linktype))
			packets[known++] = packets[i];
		else
			*unknown = packets[i].linktype;
	}
	return known;
}

/* What was kept to be put in order, and from now on nothing is. */
static void analyze_sorted(struct analyze *analyze, struct capsort **sort)
{
	const struct capfile_packet *packets;
	size_t count;

	if (!*sort)
		return;
	packets = capsort_all(*sort, &count);
	offline_packets(analyze->offline, packets, count);
	capsort_close(*sort);
	*sort = NULL;
}

static void analyze_feed(struct analyze *analyze, const struct capfile_packet *packets,
                         size_t count, struct capsort **sort)
{
	size_t kept = 0;

	while (*sort && kept < count && capsort_add(*sort, &packets[kept]))
		kept++;
	if (kept == count)
		return;
	analyze_sorted(analyze, sort);
	offline_packets(analyze->offline, packets + kept, count - kept);
}

static struct capsort *analyze_sort(int file)
{
	struct stat facts;

	if (fstat(file, &facts) < 0 || !S_ISREG(facts.st_mode) || facts.st_size > CAPSORT_FILE_MAX)
		return NULL;
	return capsort_open((size_t)facts.st_size);
}

static int analyze_packets(struct analyze *analyze, size_t index, struct capfile *file)
{
	const char *name = analyze->names[index];
	const uint64_t before = analyze->done;
	struct capsort *sort = analyze_sort(analyze->files[index]);
	struct capfile_packet packets[ANALYZE_BATCH];
	uint64_t count = 0, shown = 0, read = 0;
	char why[CAPFILE_WHY_MAX];
	int unknown = -1, n;

	while ((n = capfile_next(file, packets, ANALYZE_BATCH, why)) > 0) {
		size_t known = analyze_known(packets, (size_t)n, &unknown);

		analyze_feed(analyze, packets, known, &sort);
		count += (uint64_t)n;
		read += known;
		analyze->done = before + capfile_position(file);
		if (count - shown >= ANALYZE_PROGRESS_PACKETS) {
			analyze_progress(analyze, count, false);
			shown = count;
		}
	}
	analyze_sorted(analyze, &sort);
	analyze_progress(analyze, count, true);
	if (n < 0)
		fprintf(stderr, "cordon: %s is read up to packet %llu: %s\n", name,
		        (unsigned long long)count, why);
	if (unknown >= 0)
		fprintf(stderr,
		        "cordon: %s has link type %d, packets of which are left out; Ethernet, "
		        "Linux "
		        "cooked, raw IP and loopback are read\n",
		        name, unknown);
	return unknown >= 0 && read == 0 ? ANALYZE_FAILED : ANALYZE_DONE;
}

static int analyze_file(struct analyze *analyze, size_t index)
{
	char why[CAPFILE_WHY_MAX];
	struct capfile *file;
	int status;

	if (capfile_open(&file, analyze_read, &analyze->files[index], why) != 0) {
		fprintf(stderr, "cordon: %s is no capture: %s\n", analyze->names[index], why);
		return ANALYZE_FAILED;
	}
	status = analyze_packets(analyze, index, file);
	capfile_close(file);
	return status;
}

static double analyze_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The lists, which somebody else may have written too. */
static bool analyze_lists(struct analyze *analyze)
{
	for (size_t i = 0; i < analyze->list_count; i++) {
		const char *name = analyze->list_names[i];
		struct intel_list *list = NULL;
		struct intel_fault fault;
		int err = intel_list_read(analyze->lists[i], name, &list, &fault);

		if (err && fault.line)
			fprintf(stderr, "cordon: %s:%u: '%s' %s\n", name, fault.line, fault.excerpt,
			        err == -EFBIG ? "is one entry too many"
			                      : "is no address, no network and no name");
		else if (err)
			fprintf(stderr, "cordon: cannot read the list %s: %s\n", name,
			        strerror(-err));
		if (err)
			return false;
		analyze->intel.lists[analyze->intel.count++] = list;
	}
	return true;
}

/* The last message, and the templates of a file without flows. */
static void analyze_end(struct analyze *analyze)
{
	struct offline_stats stats;

	offline_stats(analyze->offline, &stats);
	analyze_message(analyze, stats.last_ns);
}

static int analyze_run(struct analyze *analyze)
{
	size_t flows = analyze->size ? (size_t)BASE_MIN(analyze->size / 64, (uint64_t)ANALYZE_FLOWS)
	                             : ANALYZE_FLOWS;
	const struct offline_config config = {
	        .flows = BASE_MAX(flows, (size_t)ANALYZE_FLOWS_MIN),
	        .flows_max = ANALYZE_FLOWS_MAX,
	        .vms = analyze->vms,
	        .vm_count = analyze->vm_count,
	        .tls = analyze->format == ANALYZE_JSON,
	        .intel = analyze->list_count ? &analyze->intel : NULL,
	        .flow = analyze->format >= ANALYZE_IPFIX ? analyze_flow : NULL};
	int status = ANALYZE_DONE, err;
	double start;

	if (!analyze_lists(analyze))
		return ANALYZE_FAILED;
	err = offline_open(&analyze->offline, &config, analyze_emit, analyze);
	start = analyze_now();
	if (err) {
		fprintf(stderr, "cordon: cannot analyze: %s\n", strerror(-err));
		return ANALYZE_FAILED;
	}
	for (size_t i = 0; i < analyze->file_count; i++)
		if (analyze_file(analyze, i) != ANALYZE_DONE)
			status = ANALYZE_FAILED;
	offline_finish(analyze->offline);
	if (analyze->format == ANALYZE_IPFIX)
		analyze_end(analyze);
	else if (analyze->format != ANALYZE_FLOW_LINES)
		analyze_summary(analyze, analyze_now() - start);
	offline_close(analyze->offline);
	return fflush(stdout) == 0 ? status : ANALYZE_FAILED;
}

/* --- before the lock --- */

static bool analyze_list_open(struct analyze *analyze, const char *name)
{
	int list = analyze->list_count < INTEL_LISTS_MAX ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	if (list < 0) {
		if (analyze->list_count == INTEL_LISTS_MAX)
			fprintf(stderr, "cordon: --intel '%s' is the %dth list\n", name,
			        INTEL_LISTS_MAX + 1);
		else
			fprintf(stderr, "cordon: cannot open %s: %s\n", name, strerror(errno));
		return false;
	}
	analyze->list_names[analyze->list_count] = name;
	analyze->lists[analyze->list_count++] = list;
	return true;
}

static const char *const analyze_formats[] = {[ANALYZE_TABLE] = "table",
                                              [ANALYZE_JSON] = "json",
                                              [ANALYZE_IPFIX] = "ipfix",
                                              [ANALYZE_FLOW_LINES] = "flows"};

static bool analyze_option(struct analyze *analyze, int option, const char *value)
{
	if (option == 'f') {
		for (size_t i = 0; i < BASE_COUNT(analyze_formats); i++)
			if (strcmp(value, analyze_formats[i]) == 0) {
				analyze->format = (enum analyze_format)i;
				return true;
			}
		fprintf(stderr, "cordon: --format '%s' is none of table, json, flows and ipfix\n",
		        value);
		return false;
	}
	if (option == 'v') {
		if (analyze->vm_count < OFFLINE_CIDRS_MAX &&
		    offline_cidr_parse(value, &analyze->vms[analyze->vm_count]) == 0) {
			analyze->vm_count++;
			return true;
		}
		fprintf(stderr,
		        "cordon: --vm '%s' is no address or CIDR such as 10.0.0.0/24, or the "
		        "%dth\n",
		        value, OFFLINE_CIDRS_MAX + 1);
		return false;
	}
	if (option == 'i')
		return analyze_list_open(analyze, value);
	fputs(usage, stderr);
	return false;
}

static int analyze_open(struct analyze *analyze, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	int file = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	struct stat facts;

	if (file < 0 || fstat(file, &facts) < 0 || S_ISDIR(facts.st_mode)) {
		fprintf(stderr, "cordon: cannot open %s: %s\n", name,
		        strerror(file < 0 ? errno : EISDIR));
		return ANALYZE_NO_FILE;
	}
	analyze->names[analyze->file_count] = name;
	analyze->files[analyze->file_count++] = file;
	analyze->size += S_ISREG(facts.st_mode) ? (uint64_t)facts.st_size : 0;
	return ANALYZE_DONE;
}

static int analyze_parse(int argc, char **argv, struct analyze *analyze)
{
	static const struct option longs[] = {{"vm", required_argument, NULL, 'v'},
	                                      {"format", required_argument, NULL, 'f'},
	                                      {"intel", required_argument, NULL, 'i'},
	                                      {0}};
	int option, status = ANALYZE_DONE;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if (!analyze_option(analyze, option, optarg))
			return ANALYZE_FAILED;
	if (optind == argc) {
		fputs(usage, stderr);
		return ANALYZE_FAILED;
	}
	if (argc - optind > ANALYZE_FILES_MAX) {
		fprintf(stderr, "cordon: %d files are more than %d\n", argc - optind,
		        ANALYZE_FILES_MAX);
		return ANALYZE_FAILED;
	}
	for (; status == ANALYZE_DONE && optind < argc; optind++)
		status = analyze_open(analyze, argv[optind]);
	return status;
}

static int analyze_lock(const struct analyze *analyze)
{
	struct isolate_fd fds[ANALYZE_FILES_MAX + INTEL_LISTS_MAX + 2] = {
	        {STDOUT_FILENO, STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
	struct isolate_role role = {.uid = ANALYZE_UID,
	                            .gid = ANALYZE_UID,
	                            .fds = fds,
	                            .fd_count = 2,
	                            .flags = geteuid() == 0 ? 0 : ISOLATE_UNPRIVILEGED,
	                            .file_size_max = UINT64_MAX, /* standard output may be a file */
	                            .list = &list_analyze};

	for (size_t i = 0; i < analyze->file_count; i++) {
		int fd = analyze->files[i];

		fds[role.fd_count++] = (struct isolate_fd){fd, fd};
	}
	for (size_t i = 0; i < analyze->list_count; i++)
		fds[role.fd_count++] = (struct isolate_fd){analyze->lists[i], analyze->lists[i]};
	return isolate_enter(&role);
}

int main(int argc, char **argv)
{
	static struct analyze analyze;
	static char output[BUFSIZ];
	int status, err;
	size_t seed;

	signal(SIGPIPE, SIG_IGN);
	status = analyze_parse(argc, argv, &analyze);
	if (status != ANALYZE_DONE)
		return status;
	analyze.progress = isatty(STDERR_FILENO);
	if (analyze.format == ANALYZE_IPFIX && isatty(STDOUT_FILENO)) {
		fprintf(stderr,
		        "cordon: --format ipfix is no text: write it to a file or a pipe\n");
		return ANALYZE_FAILED;
	}
	/* what libraries would open files for at their first use, and later cannot */
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	tzset();
	err = getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed) ? 0 : -errno;
	json_object_seed(seed | 1);
	if (!err)
		err = analyze_lock(&analyze);
	if (err) {
		fprintf(stderr, "cordon: cannot enter the sandbox of analyze: %s\n",
		        strerror(-err));
		return ANALYZE_FAILED;
	}
	return analyze_run(&analyze);
}
