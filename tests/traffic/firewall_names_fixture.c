/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See firewall_names.h. The upstream server is Debian's dnsmasq with host records of the test's, in the world's
 * namespace; the VM's own is started as cordon starts it, and so are cordon-names and cordon-sets. The world
 * has whole networks of addresses: 198.51.100.0/24, 203.0.113.0/24 and 2001:db8:1::/64.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "firewall/names_fds.h"
#include "firewall/rules.h"
#include "isolate/isolate.h"
#include "monitor/dns.h"
#include "tests/traffic/firewall_names.h"

struct names_world names_world;

/* The zone. h0… have an address each; the rest is for one test each. */
static void write_zone(void)
{
	FILE *hosts BASE_AUTO_FILE = fopen("/run/zone.hosts", "we");

	ck_assert_ptr_nonnull(hosts);
	for (int i = 0; i < 500; i++) {
		fprintf(hosts, "%s.%d h%d.example.org\n", i < 250 ? "198.51.100" : "203.0.113",
		        i % 250 + 1, i);
		fprintf(hosts, "2001:db8:1::%x h%d.example.org\n", i + 1, i);
	}
	for (int i = 0; i < 1400; i++)
		fprintf(hosts, "198.51.%d.%d many.example.org\n", 101 + i / 200, i % 200 + 1);
}

static void start_upstream(void)
{
	static const char *const zone[] = {
	        "/usr/sbin/dnsmasq",
	        "--keep-in-foreground",
	        "--conf-file=/dev/null",
	        "--pid-file=",
	        "--user=root",
	        "--log-facility=/dev/null",
	        "--no-resolv",
	        "--no-hosts",
	        "--addn-hosts=/run/zone.hosts",
	        "--local-ttl=60",
	        "--edns-packet-max=4096",
	        "--listen-address=192.0.2.10",
	        "--bind-interfaces",
	        "--local=/org/",
	        "--local=/com/",
	        "--host-record=www.example.com,198.51.100.70,2001:db8:1::70,1",
	        "--host-record=other.example.com,198.51.100.71,60",
	        "--host-record=short.example.org,198.51.100.251,2001:db8:1::251,1",
	        "--host-record=zero.example.org,198.51.100.252,0",
	        "--host-record=huge.example.org,198.51.100.253,2000000000",
	        "--host-record=private.example.org,10.9.9.9,60",
	        "--host-record=metadata.example.org,169.254.169.254,fd00:ec2::254,60",
	        "--host-record=loop.example.org,127.0.0.1,::1,60",
	        "--host-record=link.example.org,169.254.7.7,fe80::7,60",
	        "--host-record=multi.example.org,224.0.0.251,ff02::fb,60",
	        "--host-record=ula.example.org,fd12::1,60",
	        "--host-record=vm.example.org,10.77.0.6,fd77::1:2,60",
	        "--host-record=host.example.org,192.0.2.1,2001:db8::1,60",
	        "--host-record=public.example.org,8.8.8.8,60",
	        "--host-record=strict.example.net,198.51.100.80,60",
	        "--host-record=cdn.example.net,198.51.100.81,60",
	        "--cname=alias.example.org,strict.example.net,60",
	        "--cname=site.example.org,cdn.example.net,60",
	        NULL};

	write_zone();
	names_world.upstream = fork();
	if (names_world.upstream == 0) {
		net_enter(&fixture.net, NET_WORLD);
		execv(zone[0], (char *const *)zone);
		_exit(127);
	}
	ck_assert_int_gt(names_world.upstream, 0);
}

/* As it was built: the build folder may have been carried elsewhere since. */
static void find_built(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX] = "", beside[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	*strrchr(self, '/') = '\0';
	snprintf(beside, sizeof(beside), "%s/../../firewall/%s", self, name);
	ck_assert_msg(realpath(beside, path) != NULL, "%s: %s", beside, strerror(errno));
}

static pid_t spawn(struct isolate_process *process, const char *path)
{
	const char *stage = NULL;
	pid_t pid;

	process->cgroup = -1;
	process->flags |= ISOLATE_PDEATHSIG;
	process->open_files_max = 64;
	process->file_size_max = 1 << 20;
	if (names_world.note)
		names_world.note(process, path);
	pid = isolate_spawn(process, &stage);
	ck_assert_msg(pid > 0, "%s: %s: %s", process->name, stage, strerror(-pid));
	return pid;
}

static void start_dnsmasq(void)
{
	struct firewall_dnsmasq *made BASE_AUTO_FREE = NULL;
	char preload[PATH_MAX];
	FILE *resolv = fopen("/run/resolv.conf", "we");
	int binary BASE_AUTO_FD = -1;

	find_built("dnsmasq-preload.so", preload);
	ck_assert_ptr_nonnull(resolv);
	fputs("nameserver 192.0.2.10\n", resolv);
	ck_assert_int_eq(fclose(resolv), 0);
	ck_assert_int_eq(firewall_dnsmasq_make(fixture.policies[0], &fixture.nics[0], preload,
	                                       "/run/resolv.conf", &made),
	                 0);
	binary = open(made->binary, O_RDONLY | O_CLOEXEC);
	names_world.dnsmasq =
	        spawn(&(struct isolate_process){.name = "dnsmasq",
	                                        .binary = binary,
	                                        .argv = made->argv,
	                                        .uid = isolate_uid(0, 20),
	                                        .gid = isolate_uid(0, 20),
	                                        .fds = &(struct isolate_fd){2, 2},
	                                        .fd_count = 1,
	                                        .flags = ISOLATE_KEEP_NET | ISOLATE_KEEP_ROOT,
	                                        .binds = made->binds},
	              made->binary);
}

static void start_sets(int requests)
{
	char path[PATH_MAX], grace[8];
	int netlink BASE_AUTO_FD = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	find_built("cordon-sets", path);
	snprintf(grace, sizeof(grace), "%d", NAMES_GRACE);
	int binary BASE_AUTO_FD = open(path, O_RDONLY | O_CLOEXEC);
	char *argv[] = {(char *)"cordon-sets", fixture.policies[0]->vm.name, grace, NULL};
	int lock BASE_AUTO_FD = firewall_lock_open();
	struct isolate_fd fds[] = {{2, 2},
	                           {requests, NAMES_FD_REQUESTS},
	                           {netlink, NAMES_FD_NETLINK},
	                           {lock, NAMES_FD_LOCK}};

	names_world.sets = spawn(&(struct isolate_process){.name = "sets",
	                                                   .binary = binary,
	                                                   .argv = argv,
	                                                   .uid = isolate_uid(0, 21),
	                                                   .gid = isolate_uid(0, 21),
	                                                   .fds = fds,
	                                                   .fd_count = BASE_COUNT(fds),
	                                                   .capability = 1ull << CAP_NET_ADMIN},
	                         NULL);
}

static void start_front(int requests)
{
	char path[PATH_MAX];

	find_built("cordon-names", path);
	int binary BASE_AUTO_FD = open(path, O_RDONLY | O_CLOEXEC);
	char *argv[] = {(char *)"cordon-names", fixture.nics[0].tap, (char *)"10053",
	                (char *)"10054",        (char *)"10.77.0.1", (char *)"10.77.0.2",
	                (char *)"fd77::0:1",    (char *)"fd77::0:2", NULL};
	struct isolate_fd fds[] = {
	        {2, 2}, {requests, NAMES_FD_REQUESTS}, {names_world.list, NAMES_FD_LIST}};

	names_world.front = spawn(&(struct isolate_process){.name = "names",
	                                                    .binary = binary,
	                                                    .argv = argv,
	                                                    .uid = isolate_uid(0, 22),
	                                                    .gid = isolate_uid(0, 22),
	                                                    .fds = fds,
	                                                    .fd_count = BASE_COUNT(fds),
	                                                    .flags = ISOLATE_KEEP_NET},
	                          NULL);
}

void names_start(bool front)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	start_sets(pair[0]);
	close(pair[0]);
	names_world.requests = -1;
	if (!front) {
		names_world.requests = pair[1];
		return;
	}
	start_dnsmasq();
	start_front(pair[1]);
	close(pair[1]);
}

static void set_names(const char *const *names, size_t count)
{
	struct policy *policy = fixture.policies[0];
	BASE_AUTO_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	policy->name_count = count;
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(base_copy_string(policy->names[i], POLICY_DNS_NAME_MAX, names[i]),
		                 0);
	policy->firewall.egress[0].names = (struct policy_span){0, (uint16_t)count};
	ck_assert_ptr_nonnull(out);
	firewall_names_write(out, policy);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(pwrite(names_world.list, text, size, 0), (ssize_t)size);
	ck_assert_int_eq(ftruncate(names_world.list, (off_t)size), 0);
}

void names_world_change(const char *const *names, size_t count)
{
	set_names(names, count);
	fixture_apply(0);
}

void names_world_open(const char *const *names, size_t count)
{
	static const char *const routes[] = {"198.51.100.0/22", "198.51.104.0/21", "203.0.113.0/24",
	                                     "8.8.8.8", "10.9.9.9"};
	char command[128];

	names_world = (struct names_world){.requests = -1, .note = names_world.note};
	fixture_open();
	for (size_t i = 0; i < BASE_COUNT(routes); i++) {
		snprintf(command, sizeof(command), "ip route add local %s dev lo", routes[i]);
		net_run(&fixture.net, NET_WORLD, command);
		snprintf(command, sizeof(command), "ip route add %s via 192.0.2.10", routes[i]);
		net_run(&fixture.net, NET_HOST, command);
	}
	net_run(&fixture.net, NET_WORLD, "ip -6 route add local 2001:db8:1::/64 dev lo");
	net_run(&fixture.net, NET_HOST, "ip -6 route add 2001:db8:1::/64 via 2001:db8::10");
	net_enter(&fixture.net, NET_HOST);
	base_close(&fixture.listeners[0]);
	fixture.listeners[0] = -1;
	names_world.listener = net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "::", ALLOWED_PORT);
	start_upstream();
	names_world.list = memfd_create("names", MFD_CLOEXEC);
	ck_assert_int_ge(names_world.list, 0);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, ALLOWED_PORT)->any = false;
	set_names(names, count);
	fixture_start(0);
}

void names_kill(pid_t *pid)
{
	int status;

	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	ck_assert_int_eq(waitpid(*pid, &status, 0), *pid);
	/* what a list forbids ends a program by SIGSYS */
	ck_assert_msg(WIFEXITED(status) || WTERMSIG(status) == SIGKILL, "it ended: status %#x",
	              status);
	*pid = 0;
}

void names_world_close(void)
{
	names_kill(&names_world.front);
	names_kill(&names_world.sets);
	names_kill(&names_world.dnsmasq);
	names_kill(&names_world.upstream);
	base_close(&names_world.requests);
	base_close(&names_world.list);
	base_close(&names_world.listener);
	fixture_close();
}

/* ---- the guest ---- */

static size_t make_question(uint8_t *to, const char *name, uint16_t type)
{
	static uint16_t id;
	size_t at = 12;

	memset(to, 0, 12);
	id++;
	memcpy(to, (uint8_t[]){(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1}, 6);
	while (*name) {
		size_t length = strcspn(name, ".");

		to[at++] = (uint8_t)length;
		memcpy(to + at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	memcpy(to + at, (uint8_t[]){0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1}, 5);
	return at + 5;
}

static ssize_t ask_tcp(const uint8_t *question, size_t size, uint8_t *answer, int ms)
{
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, "10.77.0.1", 53);
	uint8_t length[2] = {(uint8_t)(size >> 8), (uint8_t)size};
	size_t have = 0, want = 2;

	/* in pieces, as a network may bring it */
	if (!net_connected(fd, ms) || write(fd, length, 1) != 1 || write(fd, length + 1, 1) != 1 ||
	    write(fd, question, size) != (ssize_t)size)
		return -1;
	for (ssize_t n; have < want; have += (size_t)n) {
		if (!net_readable(fd, ms))
			return -1;
		n = have < 2 ? read(fd, length + have, 2 - have)
		             : read(fd, answer + have - 2, want - have);
		if (n <= 0)
			return -1;
		if (have + (size_t)n == 2)
			want = 2u + base_be16(length);
	}
	return (ssize_t)have - 2;
}

ssize_t names_ask(const char *name, uint16_t type, uint8_t *answer, bool tcp, int ms)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	uint8_t question[512];
	size_t size = make_question(question, name, type);

	if (tcp)
		return ask_tcp(question, size, answer, ms);
	int fd BASE_AUTO_FD = net_bound(&fixture.net, 0, SOCK_DGRAM, "10.77.0.2", 0);

	ck_assert_int_eq(inet_pton(AF_INET, "10.77.0.1", &to.sin_addr), 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	if (send(fd, question, size, 0) < 0 || !net_readable(fd, ms))
		return -1;
	return recv(fd, answer, NAMES_ANSWER_MAX, 0);
}

struct finding {
	uint16_t type;
	char *text;
	bool found;
};

static bool find_address(const struct dns_record *record, void *data)
{
	struct finding *finding = data;

	if (record->type != finding->type)
		return true;
	finding->found = inet_ntop(record->type == NAMES_A ? AF_INET : AF_INET6, record->data,
	                           finding->text, 64) != NULL;
	return false;
}

bool names_address(const uint8_t *answer, size_t size, uint16_t type, char text[64])
{
	struct finding finding = {type, text, false};

	dns_walk(answer, size, 4096, find_address, &finding);
	return finding.found;
}

/* What the world has accepted is closed, or its queue would be full. */
static void accept_all(void)
{
	for (int fd; (fd = accept(names_world.listener, NULL, NULL)) >= 0;)
		close(fd);
}

bool names_connects(const char *address)
{
	bool connected = net_reaches(&fixture.net, 0, address, ALLOWED_PORT, WAIT);

	accept_all();
	return connected;
}

size_t names_elements(const char *name, int family)
{
	char set[FIREWALL_NAME_MAX], command[256];
	size_t count = 0;

	firewall_named_set(set, fixture.policies[0]->vm.name, name, family);
	snprintf(command, sizeof(command), "nft list set inet cordon %s", set);
	char *text BASE_AUTO_FREE = net_output(&fixture.net, NET_HOST, command);

	for (const char *at = text; (at = strstr(at, " expires ")); at++)
		count++;
	return count;
}
