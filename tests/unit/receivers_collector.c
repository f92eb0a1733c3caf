/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See receivers_collector.h. TLS is a process between: it has the connection, and the collector what is in it. */
#include "receivers_collector.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/base.h"

struct collector collector;

static void pump(SSL *tls, int connection, int plain)
{
	struct pollfd fds[] = {{.fd = connection, .events = POLLIN},
	                       {.fd = plain, .events = POLLIN}};
	char bytes[16384];
	int n;

	for (;;) {
		if (!SSL_pending(tls) && poll(fds, 2, -1) < 0)
			return;
		if (SSL_pending(tls) || fds[0].revents) {
			n = SSL_read(tls, bytes, sizeof(bytes));
			if (n <= 0)
				return;
			base_write_all(plain, bytes, (size_t)n);
		} else if (fds[1].revents) {
			n = (int)read(plain, bytes, sizeof(bytes));
			if (n <= 0 || SSL_write(tls, bytes, n) != n)
				break;
		}
	}
	SSL_shutdown(tls);
}

static int unwrap(int connection)
{
	SSL_CTX *context;
	SSL *tls;
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	if (fork() > 0) {
		close(ends[1]);
		return ends[0];
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ends[0]);
	context = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(context, "siem.pem") != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, "siem.key", SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(context, "ca.pem", NULL) != 1)
		_exit(1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	tls = SSL_new(context);
	SSL_set_fd(tls, connection);
	if (SSL_accept(tls) == 1)
		pump(tls, connection, ends[1]);
	_exit(0);
}

static void append_out(const char *bytes, size_t size)
{
	BASE_AUTO_FD int out = open("out", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	base_write_all(out, bytes, size);
}

/* Reads one request, and writes its body with its key in one write, unless it has the key already. */
static void collect_http(int fd)
{
	static char request[2 << 20];
	size_t used = 0, need = SIZE_MAX;
	char *body = NULL, *key, *length, line[256];
	ssize_t n;

	while (used < need && (n = read(fd, request + used, sizeof(request) - 1 - used)) > 0) {
		used += (size_t)n;
		request[used] = '\0';
		if (body || !(body = strstr(request, "\r\n\r\n")))
			continue;
		length = strcasestr(request, "\r\nContent-Length: ");
		body += 4;
		need = (size_t)(body - request) + strtoul(length + 18, NULL, 10);
	}
	key = body ? strstr(request, "\r\nIdempotency-Key: ") : NULL;
	if (used < need || !key || !strstr(request, "\r\nAuthorization: Bearer abc\r\n"))
		return;
	snprintf(line, sizeof(line), "%.*s\n", (int)strcspn(key + 2, "\r"), key + 2);
	if (!strstr(receivers_content("out"), line)) {
		char *whole = NULL;
		int size = asprintf(&whole, "%s%s", line, body);

		append_out(whole, (size_t)size);
		free(whole);
	}
	base_write_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 57);
}

static void collect(int fd)
{
	char bytes[65536];
	ssize_t n;

	if (collector.http) {
		collect_http(fd);
		return;
	}
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		append_out(bytes, (size_t)n);
}

static int listening(void)
{
	struct sockaddr_in6 at6 = {.sin6_family = AF_INET6,
	                           .sin6_port = htons(receivers.port),
	                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in at4 = {.sin_family = AF_INET,
	                          .sin_port = htons(receivers.port),
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr *at =
	        collector.v6 ? (struct sockaddr *)&at6 : (struct sockaddr *)&at4;
	int fd = socket(at->sa_family,
	                (collector.datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 21}, sizeof(int)), 0);
	ck_assert_int_eq(bind(fd, at, collector.v6 ? sizeof(at6) : sizeof(at4)), 0);
	if (!collector.datagrams)
		ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

void collector_start(void)
{
	BASE_AUTO_FD int fd = listening();

	receivers.pid = fork();
	setpgid(receivers.pid, receivers.pid);
	if (receivers.pid != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		BASE_AUTO_FD int connection = collector.datagrams ? -1 : accept(fd, NULL, NULL);
		BASE_AUTO_FD int plain = collector.tls ? unwrap(connection) : -1;

		if (collector.tls)
			base_close(&connection);
		collect(collector.datagrams ? fd : collector.tls ? plain : connection);
	}
}

struct policy_sink collector_sink(enum policy_sink_type type, bool v6)
{
	struct policy_sink sink = receivers_sink(type);

	collector = (struct collector){.v6 = v6,
	                               .datagrams = type == POLICY_SINK_SYSLOG_UDP ||
	                                            type == POLICY_SINK_IPFIX_UDP,
	                               .http = policy_sink_is_http(type),
	                               .tls = policy_sink_is_tls(type)};
	if (v6)
		snprintf(sink.target, sizeof(sink.target), "[::1]:%u%s", receivers.port,
		         collector.http ? "/alerts" : "");
	if (collector.tls) {
		receivers_certificates();
		receivers_tls(&sink, "courier", "siem.test");
	}
	if (collector.http) {
		receivers_shell("echo 'Bearer abc' >token");
		snprintf(sink.token, sizeof(sink.token), "%s/token", receivers.folder);
	}
	return sink;
}
