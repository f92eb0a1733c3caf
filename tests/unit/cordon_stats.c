/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters: the text for Prometheus, held against the rules of its format, and the verb that writes it: into a
 * file, by a rename, and at a unix socket. CORDON names the program.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/prometheus.h"

enum { WAIT_MS = 30000 };

/* --- the format --- */

/* [a-zA-Z_:][a-zA-Z0-9_:]*; returns what is behind it. */
static const char *name_end(const char *at)
{
	const char *from = at;

	while ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_' ||
	       (at > from && *at >= '0' && *at <= '9'))
		at++;
	ck_assert_msg(at > from, "no name at: %s", from);
	return at;
}

/* {NAME="VALUE",...}, or nothing. */
static const char *labels_end(const char *at)
{
	if (*at != '{')
		return at;
	do {
		at = name_end(at + 1);
		ck_assert_msg(at[0] == '=' && at[1] == '"', "no label at: %s", at);
		for (at += 2; *at != '"'; at++) {
			ck_assert_msg(*at && *at != '\n', "a label without an end");
			if (*at == '\\') {
				at++;
				ck_assert(*at == '\\' || *at == '"' || *at == 'n');
			}
		}
		at++;
	} while (*at == ',');
	ck_assert_int_eq(*at, '}');
	return at + 1;
}

struct format {
	char typed[64][64]; /* metrics whose TYPE was said, in their order */
	size_t count, samples;
};

static void check_line(struct format *format, const char *line)
{
	char name[64], type[16];

	if (strncmp(line, "# HELP ", 7) == 0) {
		const char *end = name_end(line + 7);

		/* one HELP a metric, and TYPE behind it */
		snprintf(format->typed[format->count], sizeof(name), "%.*s", (int)(end - line - 7),
		         line + 7);
		for (size_t i = 0; i < format->count; i++)
			ck_assert_str_ne(format->typed[i], format->typed[format->count]);
		ck_assert_uint_lt(++format->count, 64);
	} else if (strncmp(line, "# TYPE ", 7) == 0) {
		ck_assert_int_eq(sscanf(line, "# TYPE %63s %15s", name, type), 2);
		ck_assert_str_eq(name, format->typed[format->count - 1]);
		ck_assert(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0);
		if (strcmp(type, "counter") == 0)
			ck_assert_ptr_nonnull(strstr(name, "_total"));
	} else {
		const char *end = name_end(line);
		char *number_end;

		/* samples of a metric stand together, behind its head */
		snprintf(name, sizeof(name), "%.*s", (int)(end - line), line);
		ck_assert_str_eq(name, format->typed[format->count - 1]);
		end = labels_end(end);
		ck_assert_int_eq(*end, ' ');
		strtod(end + 1, &number_end);
		ck_assert_msg(number_end > end + 1 && *number_end == '\0', "%s", line);
		format->samples++;
	}
}

/* How many samples; the text is used up. */
static size_t check_format(char *text)
{
	struct format format = {0};
	char *save = NULL;

	ck_assert_int_eq(text[strlen(text) - 1], '\n');
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		check_line(&format, line);
	return format.samples;
}

static char *written(const json_t *stats)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	prometheus_write(out, stats);
	fclose(out);
	return text;
}

START_TEST(format)
{
	json_t *stats = json_pack(
	        "{s:[{s:s, s:s, s:i, s:i, s:i, s:i, s:{s:i, s:i}}, {s:s, s:s, s:i, s:{}}],"
	        " s:[{s:s, s:s, s:s, s:s, s:i, s:i, s:i}], s:[{s:s, s:s, s:s, s:i, s:i}]}",
	        "guests", "vm", "web0", "tap", "vnet\"3\\\n", "bytes_out", 5, "bytes_in", 6,
	        "packets_out", 7, "flows", 8, "findings", "scan.vertical", 2, "dns.tunnel", 1, "vm",
	        "db", "tap", "", "bytes_out", 9, "findings", "sinks", "sink", "/var/log/a b.json",
	        "type", "file", "format", "ecs", "id", "ab", "delivered", 10, "dropped", 1,
	        "waiting", 2, "rules", "vm", "web0", "rule", "egress drop", "line", "12", "packets",
	        3, "bytes", 300);
	char *text;

	ck_assert_ptr_nonnull(stats);
	text = written(stats);
	json_decref(stats);
	ck_assert_ptr_nonnull(
	        strstr(text, "\ncordon_guest_bytes_total{vm=\"web0\",tap=\"vnet\\\"3\\\\\\n\","
	                     "direction=\"out\"} 5\n"
	                     "cordon_guest_bytes_total{vm=\"db\",tap=\"\",direction=\"out\"} 9\n"
	                     "cordon_guest_bytes_total{vm=\"web0\",tap=\"vnet\\\"3\\\\\\n\","
	                     "direction=\"in\"} 6\n"));
	ck_assert_ptr_nonnull(strstr(text, "rule=\"scan.vertical\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "# TYPE cordon_sink_waiting gauge\n"
	                                   "cordon_sink_waiting{sink=\"/var/log/a b.json\",type="
	                                   "\"file\",format=\"ecs\",id=\"ab\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text,
	                             "cordon_firewall_packets_total{vm=\"web0\",rule=\"egress "
	                             "drop\",line=\"12\"} 3\n"));
	ck_assert_uint_eq(check_format(text), 12);
	free(text);
}
END_TEST

/* --- the verb --- */

static char folder[] = "/tmp/cordon-stats-XXXXXX";
static char text[65536];

static pid_t run(const char *const *args)
{
	const char *argv[16] = {"cordon", "stats"};
	pid_t child;

	for (size_t i = 0; args[i]; i++)
		argv[i + 2] = args[i];
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(CORDON, (char *const *)argv);
		_exit(99);
	}
	return child;
}

static int ended(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *content(const char *path)
{
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[BASE_MAX(n, 0)] = '\0';
	return text;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
}

static void teardown(void)
{
	unlink("metrics.prom");
	unlink("socket");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(folder), 0); /* nothing else is left */
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
}

/* Written again and again, and each time it is another file, whole from its first moment. */
START_TEST(a_file)
{
	struct stat first, second;
	pid_t child;

	ck_assert_int_eq(ended(run((const char *[]){"--output", "metrics.prom", NULL})), 0);
	ck_assert_ptr_nonnull(strstr(content("metrics.prom"), "# TYPE cordon_monitor_up gauge\n"));
	ck_assert_uint_ge(check_format(text), 1);
	ck_assert_int_eq(stat("metrics.prom", &first), 0);
	BASE_AUTO_FD int kept = open("metrics.prom", O_RDONLY | O_CLOEXEC);
	child = run((const char *[]){"--output", "metrics.prom", "--every", "1s", NULL});
	for (int i = 0; i < WAIT_MS / 20; i++, poll(NULL, 0, 20))
		if (stat("metrics.prom", &second) == 0 && second.st_ino != first.st_ino)
			break;
	ck_assert(second.st_ino != first.st_ino);
	kill(child, SIGTERM);
	ck_assert_int_eq(ended(child), 0);
}
END_TEST

static void ask(const char *request)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t used = 0;
	ssize_t n;
	int err = -1;

	for (int i = 0; err && i < WAIT_MS / 20; i++, poll(NULL, 0, 20))
		err = connect(fd, (struct sockaddr *)&at, sizeof(at));
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq((int)send(fd, request, strlen(request), MSG_NOSIGNAL),
	                 (int)strlen(request));
	while ((n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
}

START_TEST(a_socket)
{
	pid_t child = run((const char *[]){"--listen", "socket", NULL});
	char *body;

	ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(text, "HTTP/1.1 200 OK\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4;"));
	body = strstr(text, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_uint_eq(strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10),
	                  strlen(body + 4));
	ck_assert_uint_ge(check_format(body + 4), 1);
	/* who says nothing, holds up the next one by little */
	ask("");
	ck_assert_str_eq(text, "");
	ask("GET / HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(text, "cordon_monitor_up"));
	/* another one does not take its place */
	ck_assert_int_eq(ended(run((const char *[]){"--listen", "socket", NULL})), 125);
	kill(child, SIGINT);
	ck_assert_int_eq(ended(child), 0);
	ck_assert_int_lt(access("socket", F_OK), 0);
	/* what one that was killed has left is no hindrance */
	child = run((const char *[]){"--listen", "socket", NULL});
	ask("GET / HTTP/1.0\r\n\r\n");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = run((const char *[]){"--listen", "socket", NULL});
	ask("GET / HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(text, "cordon_monitor_up"));
	kill(child, SIGTERM);
	ck_assert_int_eq(ended(child), 0);
}
END_TEST

START_TEST(errors)
{
	ck_assert_int_eq(ended(run((const char *[]){"--output", "nowhere/metrics", NULL})), 125);
	ck_assert_int_eq(ended(run((const char *[]){"--format", "xml", NULL})), 125);
	ck_assert_int_eq(ended(run((const char *[]){"--every", "5s", NULL})), 125);
	ck_assert_int_eq(ended(run((const char *[]){"no/guest", NULL})), 127);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_stats");
	TCase *tests = tcase_create("stats");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, format);
	tcase_add_test(tests, a_file);
	tcase_add_test(tests, a_socket);
	tcase_add_test(tests, errors);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
