/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See replay.h. */
#include "cordon/replay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/flow_json.h"
#include "cordon/host.h"
#include "cordon/verbs.h"

enum { REPLAY_ARGUMENTS_MAX = 128, REPLAY_LINE_MAX = 65536 };

static _Noreturn void replay_exec(const char *const *arguments, int output)
{
	const char *argv[REPLAY_ARGUMENTS_MAX] = {"cordon-analyze", "--format", "flows"};
	char path[POLICY_PATH_MAX];
	size_t argc = 3;

	for (; *arguments && argc < REPLAY_ARGUMENTS_MAX - 1; arguments++)
		argv[argc++] = *arguments;
	if (dup2(output, STDOUT_FILENO) >= 0 && programs_path(path, "cordon-analyze") == 0)
		execve(path, (char *const *)argv, (char *[]){NULL});
	fprintf(stderr, "cordon: cannot run cordon-analyze: %s\n", strerror(errno));
	_exit(VERB_FAILED);
}

static int replay_lines(int from, void (*each)(const json_t *flow, void *data), void *data)
{
	BASE_AUTO_FILE FILE *lines = fdopen(from, "r");
	BASE_AUTO_FREE char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!lines)
		return -errno;
	while ((n = getline(&line, &size, lines)) > 0) {
		json_t *flow = n < REPLAY_LINE_MAX ? json_loadb(line, (size_t)n, 0, NULL) : NULL;

		if (flow)
			each(flow, data);
		json_decref(flow);
	}
	return 0;
}

int replay_flows(const char *const *arguments, void (*each)(const json_t *flow, void *data),
                 void *data)
{
	int ends[2], status = 0, err;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return VERB_FAILED;
	child = fork();
	if (child == 0)
		replay_exec(arguments, ends[1]);
	close(ends[1]);
	err = child < 0 ? -errno : replay_lines(ends[0], each, data);
	if (err || waitpid(child, &status, 0) < 0)
		return VERB_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : VERB_FAILED;
}

int replay_judge(const struct policy *policy, const json_t *flow, struct firewall_verdict *verdict)
{
	const bool v6 = strcmp(flow_json_text(flow, "network", "type"), "ipv6") == 0;
	const bool incoming = strcmp(flow_json_text(flow, "network", "direction"), "ingress") == 0;
	const int family = v6 ? AF_INET6 : AF_INET;
	/* whose tap it was is not known, so its network is somebody else's: DHCP and neighbours are no news */
	struct firewall_nic nic = {.tap = "replay", .mode = POLICY_NIC_ROUTED, .foreign = true};
	struct firewall_packet packet = {.family = v6 ? 6 : 4};
	const uint8_t *guest = incoming ? packet.to : packet.from;

	packet.protocol =
	        (uint8_t)strtoul(flow_json_text(flow, "network", "iana_number"), NULL, 10);
	if (strcmp(flow_json_text(flow, "network", "type"), "arp") == 0 ||
	    inet_pton(family, flow_json_text(flow, "source", "ip"), packet.from) != 1 ||
	    inet_pton(family, flow_json_text(flow, "destination", "ip"), packet.to) != 1)
		return -ENOENT;
	if (packet.protocol == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		packet.type = (uint8_t)flow_json_number(flow, "source", "port");
	} else {
		packet.sport = (uint16_t)flow_json_number(flow, "source", "port");
		packet.dport = (uint16_t)flow_json_number(flow, "destination", "port");
	}
	memcpy(v6 ? nic.ip6 : nic.ip4, guest, v6 ? 16 : 4);
	return firewall_judge(policy, &nic, 1, &packet, false, NULL, verdict);
}
