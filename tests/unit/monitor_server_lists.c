/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cordon-monitor is handed of the host's files: lists of known bad addresses, baselines. Skips (77) where monitor_server
 * does.
 */
#include "monitor_hello.h"
#include "monitor_process.h"

static char list_path[64];

static int list_write(const char *text)
{
	char other[80];
	int fd;

	snprintf(other, sizeof(other), "%s.new", list_path);
	fd = open(other, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_eq(base_write_all(fd, text, strlen(text)), 0);
	ck_assert_int_eq(rename(other, list_path), 0);
	return fd;
}

static int list_give(int control, int list)
{
	struct monitor_request request = request_new(MONITOR_INTEL, "");

	request.monitor.list_count = 1;
	base_copy_string(request.monitor.lists[0], POLICY_PATH_MAX, list_path);
	return ask(control, &request, &list, 1);
}

/* It asks for a list whose file has been replaced, and goes by the new one. */
START_TEST(a_list_is_read_again)
{
	BASE_AUTO_FD int control = client(), subscriber = client(), first = -1, broken = -1,
	                 second = -1;
	BASE_AUTO_FD int notes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");
	char folder[] = "/tmp/monitor_serverXXXXXX";
	struct text_answer answer;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(list_path, sizeof(list_path), "%s/bad.txt", folder);
	first = list_write("# nobody yet\n192.0.2.1\n");
	ck_assert_int_ge(inotify_add_watch(notes, folder, IN_CLOSE_WRITE | IN_MOVED_TO), 0);
	ck_assert_int_eq(simple(subscriber, MONITOR_SUBSCRIBE, ""), 0);
	request.monitor.intel = request.monitor.scan;
	request.monitor.list_count = 1;
	base_copy_string(request.monitor.lists[0], POLICY_PATH_MAX, list_path);
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, first, notes}, 3), 0);
	broken = list_write("10.77.0.1\nno address!\n");
	ck_assert_uint_eq(get(subscriber, &answer), MONITOR_RELOAD);
	ck_assert_str_eq(answer.head.vm, "web0");
	ck_assert_int_eq(list_give(control, broken), -EINVAL);
	second = list_write("10.77.0.1\n");
	ck_assert_uint_eq(get(subscriber, &answer), MONITOR_RELOAD);
	ck_assert_int_eq(list_give(control, second), 0);
	net_connected(net_connecting(&net, 0, "10.77.0.1", 20001), 1000);
	wait_for(log_fd, "\"intel.address\"");
	wait_for(log_fd, "line 1 of the list bad.txt");
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	/* nobody uses it any more */
	ck_assert_int_eq(list_give(control, second), -ENOENT);
	unlink(list_path);
	rmdir(folder);
	end();
}
END_TEST

START_TEST(a_broken_list_is_refused)
{
	BASE_AUTO_FD int control = client(), list = memory("list");
	BASE_AUTO_FD int notes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");
	struct text_answer answer;

	ck_assert_int_eq(base_write_all(list, "a.example\n\n10.0.0.0/40\n", 24), 0);
	request.monitor.list_count = 1;
	base_copy_string(request.monitor.lists[0], POLICY_PATH_MAX, "/etc/bad.txt");
	put(control, &request, sizeof(request), (int[]){flows_fd, list, notes}, 3);
	ck_assert_uint_eq(get(control, &answer), MONITOR_FAILED);
	ck_assert_int_eq(answer.head.error, -EINVAL);
	ck_assert_uint_eq(answer.head.size, 3);
	ck_assert_str_eq(answer.head.alert_id, "10.0.0.0/40");
	end(); /* nobody is registered */
}
END_TEST

/* --- what is learnt --- */

static uint64_t sequence_of(int file)
{
	uint8_t head[64] = {0};

	if (pread(file, head, sizeof(head), 65536) < 0)
		return UINT64_MAX;
	return base_le64(head + 16);
}

START_TEST(a_baseline_is_kept)
{
	BASE_AUTO_FD int control = client(), file = memfd_create("baseline", MFD_CLOEXEC);
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");

	request.baseline = 1;
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, file}, 2), 0);
	net_connected(net_connecting(&net, 0, "10.77.0.1", 20001), 1000);
	ck_assert_uint_eq(sequence_of(file), 0);
	/* the same VM again: the first one's is written before it is read */
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, file}, 2), 0);
	ck_assert_uint_eq(sequence_of(file), 1);
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, file}, 1), -EINVAL);
	/* broken in both slots: refused, and the monitor lives on */
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	for (off_t at = 0; at < 2 * 65536; at += 65536)
		ck_assert_int_eq((int)pwrite(file, "x", 1, at + 20), 1);
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, file}, 2), -EUCLEAN);
	request.baseline = 2;
	put(control, &request, sizeof(request), (int[]){flows_fd, file}, 2);
	end();
}
END_TEST

/* --- what TLS says --- */

/* A flow of a real connection, as it is asked for. */
static bool flow_says(int control, const char *words)
{
	struct monitor_request request = request_new(MONITOR_FLOWS, "web0");
	struct text_answer answer;
	bool says = false;

	ck_assert_int_gt((int)put(control, &request, sizeof(request), NULL, 0), 0);
	while (get(control, &answer) == MONITOR_TEXT)
		says = says || strstr(answer.text, words);
	ck_assert_uint_eq(answer.head.type, MONITOR_END);
	return says;
}

START_TEST(a_hello_is_in_its_flow)
{
	BASE_AUTO_FD int control = client();
	BASE_AUTO_FD int server = net_bound(&net, NET_HOST, SOCK_STREAM, "10.77.0.1", 4433);
	BASE_AUTO_FD int guest = -1;
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");
	bool says = false;

	ck_assert_int_eq(ask(control, &request, &flows_fd, 1), 0);
	guest = net_connecting(&net, 0, "10.77.0.1", 4433);
	ck_assert(net_connected(guest, 5000));
	ck_assert_int_eq((int)send(guest, hello_bytes, sizeof(hello_bytes), 0),
	                 (int)sizeof(hello_bytes));
	for (int i = 0; i < WAIT_MS / 100 && !says; i++, poll(NULL, 0, 100))
		says = flow_says(control, "\"server_name\":\"www.example.com\"");
	ck_assert_msg(says, "%s", content(messages_fd));
	ck_assert(flow_says(control, "\"ja4\":\"" HELLO_JA4 "\""));
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {a_list_is_read_again, a_broken_list_is_refused,
	                              a_baseline_is_kept, a_hello_is_in_its_flow};

	return run("monitor_server_lists", tests, BASE_COUNT(tests));
}
