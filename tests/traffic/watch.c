/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch: the BPF programs at links that are there already, and cordon-monitor in its role behind them, for what
 * drives real guests through them (soak/): no firewall is in their way.
 *
 *   usage: watch ALERTS LINK=NAME…
 *
 * ALERTS is the file of the alert log, LINK's other end is the VM called NAME, with all detectors on. It prints
 * "ready", then answers each line of its standard input: "stats" with the monitor's counters, a JSON object for each VM;
 * "flows NAME" with the VM's flows, one a line, and an empty line. When the input ends it forgets the VMs, waits for the
 * monitor, and ends.
 * CORDON_MONITOR names the program. 77, and a reason, without root, namespaces or BPF, and with sanitizers.
 */
#include "tests/unit/monitor_process.h"

enum { TAPS = 128 };

static int links;
static char **link_names;
static unsigned int link_at[TAPS];

/* The links, each given as LINK=NAME. */
static void watch_links(int control)
{
	struct monitor_request request = request_new(MONITOR_REGISTER, "");

#define WATCH_ENABLE(key, text) request.monitor.key.enabled = true;
	POLICY_DETECTORS(WATCH_ENABLE)
#undef WATCH_ENABLE
	for (int i = 0; i < links; i++) {
		char *vm = strchr(link_names[i], '=');
		BASE_AUTO_FD int flows = -1;

		ck_assert_ptr_nonnull(vm);
		*vm++ = '\0';
		link_at[i] = if_nametoindex(link_names[i]);
		ck_assert_msg(link_at[i] > 0, "no link %s", link_names[i]);
		flows = tap_watch_attach(taps, link_at[i], (uint8_t[6]){0});
		ck_assert_int_ge(flows, 0);
		request.ifindex = link_at[i];
		memset(request.vm, 0, sizeof(request.vm));
		base_copy_string(request.vm, sizeof(request.vm), vm);
		link_names[i] = vm;
		ck_assert_int_eq(ask(control, &request, &flows, 1), 0);
	}
}

static void answer_line(int control, char *line)
{
	static const char flows[] = "flows ";
	const bool listed = strncmp(line, flows, strlen(flows)) == 0;
	struct monitor_request request;
	struct text_answer answer;

	line[strcspn(line, "\n")] = '\0';
	request = request_new(listed ? MONITOR_FLOWS : MONITOR_STATS,
	                      listed ? line + strlen(flows) : "");

	put(control, &request, sizeof(request), NULL, 0);
	while (get(control, &answer) == MONITOR_TEXT)
		printf("%s\n", answer.text);
	if (listed)
		printf("\n");
	fflush(stdout);
}

START_TEST(links_are_watched)
{
	BASE_AUTO_FD int control = -1;
	const char *why = "";
	char line[64];

	ck_assert_msg(tap_watch_open(&taps, &why) == 0, "%s", why);
	serve();
	control = client();
	watch_links(control);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		answer_line(control, line);
	for (int i = 0; i < links; i++)
		ck_assert_int_eq(simple(control, MONITOR_FORGET, link_names[i]), 0);
	end();
	for (int i = 0; i < links; i++)
		tap_watch_detach(taps, link_at[i]);
	tap_watch_close(taps);
	tap_watch_unpin();
}
END_TEST

int main(int argc, char **argv)
{
	const char *missing = prepare();
	Suite *suite = suite_create("watch");
	TCase *all = tcase_create("watch");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (missing || argc < 3 || argc - 2 > TAPS) {
		printf("skipped: %s\n", missing ? missing : "usage: watch ALERTS LINK=NAME…");
		return missing ? 77 : 2;
	}
	links = argc - 2;
	link_names = argv + 2;
	log_fd = open(argv[1], O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	tcase_add_test(all, links_are_watched);
	suite_add_tcase(suite, all);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	if (failed)
		srunner_print(runner, CK_NORMAL);
	srunner_free(runner);
	return failed ? 1 : 0;
}
