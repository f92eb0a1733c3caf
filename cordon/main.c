/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cordon command: a table of verbs. Started as `cordond` it is the host daemon, which is the same
 * code with `daemon` for its verb.
 */
#include <fcntl.h>
#include <signal.h>

#include "base/base.h"
#include "cordon/verbs.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* NULL: internal, not in the help */
};

static const struct verb verbs[] = {
        {"run", verb_run, "start a guest under a policy"},
        {"ps", verb_ps, "list the guests"},
        {"inspect", verb_inspect, "all that is known of one guest"},
        {"stop", verb_stop, "ask a guest to shut down, then end it"},
        {"kill", verb_kill, "end a guest at once"},
        {"reset", verb_reset, "start a guest again, without asking it"},
        {"pause", verb_pause, "stop a guest's vCPUs"},
        {"resume", verb_resume, "let a paused guest go on"},
        {"balloon", verb_balloon, "show what a guest has of its memory, and ask some of it back"},
        {"limit", verb_limit, "show and change what a guest's disks and NICs may do"},
        {"console", verb_console, "attach to a guest's serial console"},
        {"logs", verb_logs, "print what a guest wrote to its serial console"},
        {"check", verb_check, "check policies, and explain what they stand for"},
        {"firewall", verb_firewall, "show a guest's rules with their counters, and what changes"},
        {"apply", verb_apply, "give a running guest another policy's rules"},
        {"guard", verb_guard, "put the firewall and the monitor on another VMM's tap"},
        {"unguard", verb_unguard, "take them off it"},
        {"quarantine", verb_quarantine, "cut a guest off its network"},
        {"release", verb_release, "end a quarantine"},
        {"flows", verb_flows, "list the connections of the guests"},
        {"alerts", verb_alerts, "print alerts, and follow new ones"},
        {"top", verb_top, "show what guests send and receive, and with whom"},
        {"stats", verb_stats, "print counters, also for Prometheus"},
        {"capture", verb_capture, "write a running guest's packets to a pcapng file"},
        {"analyze", verb_analyze, "find attacks in capture files"},
        {"attest", verb_attest, "verify reports of confidential guests, or give them a secret"},
        {"measure", verb_measure, "compute the launch digest of a confidential guest"},
        {"id-block", verb_id_block, "make and check the ID block of an SEV-SNP guest"},
        {"learn", verb_learn, "suggest a policy that allows what a guest does"},
        {"image", verb_image, "import and list kernel images"},
        {"doctor", verb_doctor, "say what this host can and cannot do"},
        {"daemon", verb_daemon, "serve the host's guests (cordond)"},
        {"version", verb_version, "print the version"},
        {"reap", verb_reap, NULL},
        {"revive", verb_revive, NULL},
        {"attend", verb_attend, NULL},
        {"reguard", verb_reguard, NULL},
};

static void usage(FILE *out)
{
	fprintf(out, "cordon runs each KVM guest inside a cordon: a small hardened VMM, a firewall "
	             "of its "
	             "own,\nand a watcher on its wire.\n\nusage: cordon VERB [OPTION]... "
	             "[ARGUMENT]...\n\n");
	for (size_t i = 0; i < BASE_COUNT(verbs); i++)
		if (verbs[i].summary)
			fprintf(out, "  %-11s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(out, "\n`cordon VERB --help` says more of each; cordon(1) has all of it.\n");
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < BASE_COUNT(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* Started with one of them closed, what is opened first would take its place, and be written to. */
static bool main_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

int main(int argc, char **argv)
{
	const char *self = argc > 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : "cordon";
	const struct verb *verb;

	if (!main_standard_fds())
		return VERB_FAILED;
	/* A reader that goes away (cordon alerts | head) is seen as EPIPE where it is written to. */
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(self, "cordond") == 0)
		return verb_daemon(argc, argv);
	if (argc < 2) {
		usage(stderr);
		return VERB_FAILED;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return VERB_OK;
	}
	if (strcmp(argv[1], "--version") == 0)
		return verb_version(1, argv + 1);
	verb = verb_find(argv[1]);
	if (!verb) {
		fprintf(stderr, "cordon: '%s' is not a verb; `cordon --help` lists them\n",
		        argv[1]);
		return VERB_FAILED;
	}
	return verb->run(argc - 1, argv + 1);
}
