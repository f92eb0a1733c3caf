/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Couriers whose receiver has no address: a file, a unix socket, standard output. See cordon_receivers.c.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/courier.h"
#include "monitor/spool.h"
#include "receivers_fixture.h"

/* --- sinks without an address --- */

static struct policy_sink sink_local(enum policy_sink_type type, const char *name)
{
	struct policy_sink sink;

	memset(&sink, 0, sizeof(sink));
	sink.type = type;
	sink.spool = 16 << 20;
	snprintf(sink.target, sizeof(sink.target), "%s/%s", receivers.folder, name);
	return sink;
}

/* The courier is killed again and again, and so it is before it has noted what it wrote. */
START_TEST(a_file_of_a_courier_that_dies)
{
	struct policy_sink sink = sink_local(POLICY_SINK_FILE, "out");
	BASE_AUTO_FD int inbox = receivers_open(&sink);
	json_t *sinks, *one;

	for (unsigned int i = 0; i < RECEIVERS_ALERTS; i += 100) {
		receivers_append(inbox, i, i + 100);
		poll(NULL, 0, (int)(i / 100 % 3));
		receivers_courier_kill();
		courier_recover();
	}
	receivers_arrived();
	receivers_delivered(RECEIVERS_ALERTS);
	sinks = courier_stats();
	ck_assert_uint_eq(json_array_size(sinks), 1);
	one = json_array_get(sinks, 0);
	ck_assert_str_eq(json_string_value(json_object_get(one, "type")), "file");
	ck_assert_str_eq(json_string_value(json_object_get(one, "sink")), sink.target);
	ck_assert_int_eq((int)json_integer_value(json_object_get(one, "delivered")),
	                 RECEIVERS_ALERTS);
	ck_assert_int_eq((int)json_integer_value(json_object_get(one, "dropped")), 0);
	ck_assert_int_eq((int)json_integer_value(json_object_get(one, "waiting")), 0);
	json_decref(sinks);
}
END_TEST

/* Every line of the files, from the oldest on. */
static void check_rotated(unsigned int files)
{
	unsigned int next = 0;

	for (unsigned int i = files + 1; i-- > 0;) {
		char path[32];

		snprintf(path, sizeof(path), i ? "out.%u" : "out", i);
		for (const char *line = receivers_content(path); *line;
		     line += strcspn(line, "\n") + 1) {
			const char *at = strstr(line, "alert-");

			ck_assert_ptr_nonnull(at);
			if (next == 0) /* the oldest ones are gone */
				next = (unsigned int)strtoul(at + 6, NULL, 10);
			ck_assert_uint_eq(strtoul(at + 6, NULL, 10), next++);
			ck_assert_ptr_nonnull(strchr(at, '\n'));
		}
	}
	ck_assert_uint_eq(next, 9000);
}

START_TEST(a_file_that_is_rotated)
{
	struct policy_sink sink = sink_local(POLICY_SINK_FILE, "out");
	struct stat facts;

	sink.rotate = 65536;
	sink.keep = 3;
	sink.sync = true;
	BASE_AUTO_FD int inbox = receivers_open(&sink);
	for (unsigned int i = 0; i < 9000; i += 100)
		receivers_append(inbox, i, i + 100);
	ck_assert(receivers_wait("out", "alert-8999."));
	check_rotated(3);
	for (unsigned int i = 1; i <= 3; i++) {
		char path[32];

		snprintf(path, sizeof(path), "out.%u", i);
		ck_assert_int_eq(stat(path, &facts), 0);
		ck_assert(facts.st_size >= 65536 && facts.st_size < 65536 * 2);
	}
	ck_assert_int_eq(stat("out.4", &facts), -1);
}
END_TEST

/* As logrotate does it, between two alerts and while the courier is not there. */
START_TEST(a_file_that_somebody_renames)
{
	struct policy_sink sink = sink_local(POLICY_SINK_FILE, "out");
	BASE_AUTO_FD int inbox = receivers_open(&sink);

	receivers_append(inbox, 0, 10);
	ck_assert(receivers_wait("out", "alert-0009."));
	ck_assert_int_eq(rename("out", "first"), 0);
	receivers_append(inbox, 10, 20);
	ck_assert(receivers_wait("out", "alert-0019."));
	ck_assert_ptr_null(strstr(receivers_content("out"), "alert-0009."));
	ck_assert_ptr_null(strstr(receivers_content("first"), "alert-0010."));
	/* a disk that is full gives back the half of a line; here, a line that somebody else has begun */
	ck_assert_int_eq(mkdir("folder", 0700), 0);
	ck_assert_int_eq(rename("out", "second"), 0);
	ck_assert_int_eq(rename("folder", "out"), 0);
	receivers_append(inbox, 20, 30);
	ck_assert(receivers_wait(HOST_LOG_DIR "/monitor.messages",
	                         "takes no alerts: Is a directory"));
	ck_assert_int_eq(rmdir("out"), 0);
	ck_assert(receivers_wait("out", "alert-0029."));
	ck_assert_ptr_nonnull(strstr(receivers_content("out"), "alert-0020."));
}
END_TEST

/* Then the courier goes, too, and the next one has an opener of its own. */
START_TEST(an_opener_that_dies)
{
	struct policy_sink sink = sink_local(POLICY_SINK_FILE, "out");
	BASE_AUTO_FD int inbox = receivers_open(&sink);
	pid_t courier = receivers_courier();
	char path[64];

	receivers_append(inbox, 0, 500);
	ck_assert(receivers_wait("out", "alert-0499."));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", courier, courier);
	ck_assert_int_eq(kill((pid_t)strtol(receivers_content(path), NULL, 10), SIGKILL), 0);
	receivers_append(inbox, 500, RECEIVERS_ALERTS);
	ck_assert_int_eq(waitpid(courier, NULL, 0), courier);
	courier_recover();
	receivers_arrived();
}
END_TEST

/* Reads lines from whoever connects, one connection after the other. */
static void unix_start(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	BASE_AUTO_FD int out = open("out", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	unlink(at.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	receivers.pid = fork();
	if (receivers.pid != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		BASE_AUTO_FD int connection = accept(fd, NULL, NULL);
		char line[4096];
		ssize_t n;

		while ((n = read(connection, line, sizeof(line))) > 0)
			base_write_all(out, line, (size_t)n);
	}
}

START_TEST(unix_socket)
{
	struct policy_sink sink = sink_local(POLICY_SINK_UNIX, "socket");

	receivers_outage(&sink, unix_start, SIGKILL);
}
END_TEST

/* It is that of the first who opens the sink; when that is closed, of the next one. */
START_TEST(standard_output)
{
	struct policy_sink sink;
	int kept = dup(STDOUT_FILENO), ends[2];
	char line[256] = "";

	memset(&sink, 0, sizeof(sink));
	sink.type = POLICY_SINK_STDOUT;
	sink.spool = 1 << 20;
	base_copy_string(sink.target, sizeof(sink.target), "stdout");
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_ge(dup2(ends[1], STDOUT_FILENO), 0);
	BASE_AUTO_FD int inbox = receivers_open(&sink);
	close(ends[1]);
	receivers_append(inbox, 0, 1);
	ck_assert_int_gt((int)read(ends[0], line, sizeof(line) - 1), 0);
	ck_assert_ptr_nonnull(strstr(line, "alert-0000.\n"));
	close(ends[0]);
	BASE_AUTO_FD int out = open("out", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(dup2(out, STDOUT_FILENO), 0);
	receivers_append(inbox, 1, 3);
	for (int i = 0;
	     i < RECEIVERS_WAIT_MS / 50 && !strstr(receivers_content("out"), "alert-0002."); i++) {
		waitpid(-1, NULL, WNOHANG);
		courier_recover();
		poll(NULL, 0, 50);
	}
	ck_assert_int_ge(dup2(kept, STDOUT_FILENO), 0);
	close(kept);
	ck_assert_ptr_nonnull(strstr(receivers_content("out"), "alert-0001."));
	ck_assert_ptr_nonnull(strstr(receivers_content("out"), "alert-0002."));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_receivers_local");
	TCase *tests = tcase_create("receivers");

	tcase_add_checked_fixture(tests, receivers_setup, receivers_teardown);
	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, a_file_of_a_courier_that_dies);
	tcase_add_test(tests, a_file_that_is_rotated);
	tcase_add_test(tests, a_file_that_somebody_renames);
	tcase_add_test(tests, an_opener_that_dies);
	tcase_add_test(tests, unix_socket);
	tcase_add_test(tests, standard_output);
	suite_add_tcase(suite, tests);
	return receivers_main("cordon_receivers_local", suite);
}
