/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * analyze: the monitor's detectors over capture files. This verb only becomes cordon-analyze, which reads
 * them in a sandbox of its own.
 */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"

static const char usage[] =
        "usage: cordon analyze [--vm CIDR]... [--intel LIST]... [--format table|json|flows|ipfix] "
        "FILE...\n\n"
        "Runs the monitor's flow engine and detectors over captures, pcap or pcapng ('-' is the "
        "standard\n"
        "input), and prints each finding when it has ended. As JSON: one Elastic Common Schema "
        "object a\n"
        "line, then one summary line. As flows: those, one ECS object a line; as ipfix: those, as "
        "an IPFIX file (RFC 5655).\n\n"
        "  --vm CIDR     these addresses are the VMs; without it every source address counts as "
        "one\n"
        "  --intel LIST  a file of known bad addresses, networks and names, one a line\n";

int verb_analyze(int argc, char **argv)
{
	char path[POLICY_PATH_MAX];

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return VERB_OK;
		}
	if (argc < 2) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	if (programs_path(path, "cordon-analyze") == 0)
		execve(path, argv, (char *[]){NULL});
	fprintf(stderr, "cordon: cannot run cordon-analyze: %s\n", strerror(errno));
	return VERB_FAILED;
}
