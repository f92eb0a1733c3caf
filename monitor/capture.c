/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-capture: a tap's packets to a pcapng file (monitor.h has its options). libpcap opens the tap
 * and compiles the filter as root; then the process enters its role, with the packet socket and the
 * output file and nothing else, and only then is a packet read.
 *
 * #syscall capture: poll - waits for packets
 * #syscall capture: writev - blocks of the capture file
 * #syscall capture: getsockopt - the kernel's counts of packets, at the end
 * #syscall capture: recvfrom - libpcap asks why a tap gave an error
 * #syscall capture: ioctl(arg1 = 0x8913) - SIOCGIFFLAGS: whether the tap is gone or only down
 * #syscall capture: rt_sigprocmask - libpcap's error path
 */
#include <getopt.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include <fcntl.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "monitor/list_capture.h"
#include "monitor/pcapng.h"

enum { CAPTURE_BUFFER = 8 * 1024 * 1024, CAPTURE_TICK_MS = 100, CAPTURE_FDS_MAX = 64 };
enum { CAPTURE_DONE = 0, CAPTURE_FAILED = 1, CAPTURE_USAGE = 2 };

struct capture {
	const char *interface, *vm, *filter;
	int output;
	uid_t uid;
	uint64_t seconds, count;
	uint32_t snaplen;
	pcap_t *pcap;
	uint64_t packets;
	int error;
};

static volatile sig_atomic_t capture_stop;

static void capture_signal(int number)
{
	(void)number;
	capture_stop = 1;
}

static uint64_t capture_number(const char *text, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || *end || end == text || value > max ? UINT64_MAX : value;
}

static bool capture_parse(int argc, char **argv, struct capture *capture)
{
	static const struct option longs[] = {{"interface", required_argument, NULL, 'i'},
	                                      {"output-fd", required_argument, NULL, 'o'},
	                                      {"uid", required_argument, NULL, 'u'},
	                                      {"filter", required_argument, NULL, 'f'},
	                                      {"duration", required_argument, NULL, 'd'},
	                                      {"count", required_argument, NULL, 'c'},
	                                      {"snaplen", required_argument, NULL, 's'},
	                                      {"vm", required_argument, NULL, 'v'},
	                                      {0}};
	uint64_t value = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'i': capture->interface = optarg; break;
		case 'v': capture->vm = optarg; break;
		case 'f': capture->filter = optarg; break;
		case 'o':
			capture->output =
			        (int)(value = capture_number(optarg, CAPTURE_FDS_MAX - 1));
			break;
		case 'u':
			capture->uid = (uid_t)(value = capture_number(optarg, UINT32_MAX - 1));
			break;
		case 'd': capture->seconds = value = capture_number(optarg, 7 * 24 * 3600); break;
		case 'c': capture->count = value = capture_number(optarg, UINT32_MAX); break;
		case 's':
			capture->snaplen =
			        (uint32_t)(value = capture_number(optarg, PCAPNG_SNAPLEN_MAX));
			break;
		default: return false;
		}
		if (value == UINT64_MAX) {
			fprintf(stderr, "cordon-capture: '%s' is out of range\n", optarg);
			return false;
		}
	}
	if (capture->interface && capture->output >= 0 && capture->uid != 0 && optind == argc)
		return true;
	fprintf(stderr,
	        "usage: cordon-capture --interface TAP --output-fd N --uid U [--filter EXPR] "
	        "[--duration SECONDS] [--count N] [--snaplen N] [--vm NAME]\n");
	return false;
}

/* Opens the tap as root; nothing is read yet. Returns an exit status. */
static int capture_open(struct capture *capture)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	struct bpf_program program;
	int err;

	capture->pcap = pcap_create(capture->interface, why);
	if (!capture->pcap) {
		fprintf(stderr, "cordon-capture: %s\n", why);
		return CAPTURE_FAILED;
	}
	pcap_set_snaplen(capture->pcap, (int)capture->snaplen);
	pcap_set_timeout(capture->pcap, CAPTURE_TICK_MS);
	pcap_set_buffer_size(capture->pcap, CAPTURE_BUFFER);
	pcap_set_tstamp_precision(capture->pcap, PCAP_TSTAMP_PRECISION_NANO);
	err = pcap_activate(capture->pcap);
	if (err < 0 || pcap_setnonblock(capture->pcap, 1, why) < 0) {
		fprintf(stderr, "cordon-capture: cannot open %s: %s\n", capture->interface,
		        err < 0 ? pcap_geterr(capture->pcap) : why);
		return CAPTURE_FAILED;
	}
	if (!capture->filter)
		return CAPTURE_DONE;
	if (pcap_compile(capture->pcap, &program, capture->filter, 1, PCAP_NETMASK_UNKNOWN) < 0) {
		fprintf(stderr, "cordon-capture: the filter '%s' is not understood: %s\n",
		        capture->filter, pcap_geterr(capture->pcap));
		return CAPTURE_USAGE;
	}
	err = pcap_setfilter(capture->pcap, &program);
	pcap_freecode(&program);
	if (err < 0)
		fprintf(stderr, "cordon-capture: %s\n", pcap_geterr(capture->pcap));
	return err < 0 ? CAPTURE_FAILED : CAPTURE_DONE;
}

static int capture_lock(const struct capture *capture)
{
	struct isolate_fd fds[CAPTURE_FDS_MAX];
	struct isolate_role role = {.uid = capture->uid,
	                            .gid = capture->uid,
	                            .fds = fds,
	                            .file_size_max = UINT64_MAX,
	                            .list = &list_capture};

	/* what libpcap has opened keeps its number; programs are started with nothing else open */
	for (int fd = 0; fd < CAPTURE_FDS_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			fds[role.fd_count++] = (struct isolate_fd){.from = fd, .to = fd};
	return isolate_enter(&role);
}

static uint64_t capture_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void capture_packet(u_char *data, const struct pcap_pkthdr *header, const u_char *bytes)
{
	struct capture *capture = (struct capture *)data;
	uint64_t time = (uint64_t)header->ts.tv_sec * 1000000000 + (uint64_t)header->ts.tv_usec;

	if (capture->error || (capture->count && capture->packets == capture->count))
		return;
	capture->error = pcapng_packet(capture->output, time, bytes, header->caplen, header->len);
	capture->packets++;
}

static int capture_loop(struct capture *capture)
{
	uint64_t end = capture->seconds
	                       ? capture_now(CLOCK_MONOTONIC) + capture->seconds * 1000000000
	                       : UINT64_MAX;
	struct pollfd ready = {.fd = pcap_get_selectable_fd(capture->pcap), .events = POLLIN};
	struct pcap_stat stats = {0};
	int n = 0;

	while (!capture_stop && !capture->error && n >= 0 && capture_now(CLOCK_MONOTONIC) < end &&
	       !(capture->count && capture->packets == capture->count)) {
		poll(&ready, 1, CAPTURE_TICK_MS);
		n = pcap_dispatch(capture->pcap, -1, capture_packet, (u_char *)capture);
	}
	/* the last block may not have been handed over yet */
	if (n >= 0 && !capture->error)
		pcap_dispatch(capture->pcap, -1, capture_packet, (u_char *)capture);
	pcap_stats(capture->pcap, &stats);
	if (!capture->error)
		capture->error = pcapng_end(capture->output, capture_now(CLOCK_REALTIME),
		                            stats.ps_recv, stats.ps_drop);
	if (capture->error) {
		fprintf(stderr, "cordon-capture: cannot write: %s\n", strerror(-capture->error));
		return CAPTURE_FAILED;
	}
	fprintf(stderr, "%llu packets captured, %u dropped by the kernel\n",
	        (unsigned long long)capture->packets, stats.ps_drop);
	return CAPTURE_DONE;
}

int main(int argc, char **argv)
{
	static struct capture capture = {.output = -1, .snaplen = PCAPNG_SNAPLEN_MAX, .vm = ""};
	struct sigaction stop = {.sa_handler = capture_signal};
	int status, err;

	if (!capture_parse(argc, argv, &capture))
		return CAPTURE_USAGE;
	status = capture_open(&capture);
	if (status)
		return status;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	err = capture_lock(&capture);
	if (!err)
		err = pcapng_begin(capture.output, capture.interface, capture.vm, capture.snaplen);
	if (err) {
		fprintf(stderr, "cordon-capture: cannot start: %s\n", strerror(-err));
		return CAPTURE_FAILED;
	}
	return capture_loop(&capture);
}
