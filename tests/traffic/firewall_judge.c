/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewall_judge() beside the kernel: for a set of policies, each of many packets is really sent, from the
 * guest, from the world or from the host, and the one counter that it adds to has to be the one that was
 * foretold. Where nothing else could tell an allow from a drop, their counters have different names.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "base/base.h"
#include "cordon/packet.h"
#include "tests/traffic/firewall_fixture.h"

enum { COUNTERS_MAX = 640, HIGH_PORT = 1024, HEADER_INCLUDED = 36 /* IPV6_HDRINCL */ };

static const char *const policies[] = {
        "  egress:\n"
        "    - {to: any, proto: tcp, ports: [8080]}\n"
        "    - {to: 192.0.2.0/24, proto: tcp, ports: [443], action: reject}\n"
        "    - {to: any, proto: udp, ports: [53], action: drop}\n"
        "    - {to: [192.0.2.10/32, \"2001:db8::10/128\"], proto: udp}\n"
        "    - {to: any, proto: icmp, types: [echo-request]}\n"
        "    - {to: 10.77.0.1/32, proto: tcp, ports: [22]}\n",
        "  sets: {web: [192.0.2.0/28, \"2001:db8::/64\", 10.99.0.0/16]}\n"
        "  egress:\n"
        "    - {to: 169.254.169.254/32, proto: tcp, ports: [80]}\n"
        "    - {to: \"set:web\", service: [ssh, https, ping]}\n"
        "    - {to: host, proto: udp, ports: [123]}\n"
        "    - {to: \"vm:vm1\", proto: tcp, ports: [5432]}\n"
        "    - {to: world, proto: tcp, ports: [80, 8000-8100]}\n"
        "    - {to: vms, proto: udp, action: reject}\n"
        "  ingress:\n"
        "    - {from: world, proto: tcp, ports: [80]}\n"
        "    - {from: host, proto: tcp, ports: [22]}\n"
        "    - {from: \"vm:vm1\", proto: any}\n"
        "    - {from: 192.0.2.10/32, proto: icmp}\n",
        "  egress:\n"
        "    - {to: 192.0.2.11/32, action: drop}\n"
        "    - {to: [192.0.2.0/25, 198.51.100.0/24, 203.0.113.0/24], proto: tcp,\n"
        "       ports: [1-99, 200, 300-310, 8080, 9000], limits: {connections: 1000}}\n"
        "    - {to: 224.0.0.251/32, proto: udp, ports: [5353]}\n"
        "    - {to: any, proto: gre}\n"
        "    - {to: \"group:db\", proto: tcp}\n"
        "    - {to: metadata, proto: tcp, ports: [80]}\n"
        "    - {to: 10.77.0.0/16, proto: tcp, action: reject}\n"
        "  ingress:\n"
        "    - {from: 192.0.2.0/24, proto: udp, ports: [514], limits: {packets: 1000/s}}\n"
        "    - {from: any, proto: tcp, ports: [443], action: reject}\n"
        "    - {from: any, proto: tcp}\n"
        "  limits: {new_connections: 500/s}\n",
        "  sets: {public: [8.8.4.4/32, 9.9.9.0/24]}\n"
        "  egress:\n"
        "    - {to: 192.0.2.77/32, proto: udp, ports: [53], action: drop}\n"
        "    - {to: {names: [www.example.org, \"*.example.com\"]}, proto: tcp, ports: [443, 853]}\n"
        "    - {to: \"set:public\", proto: tcp, ports: [443]}\n"
        "    - {to: [192.0.2.10/32, 192.0.2.77/32], proto: udp, ports: [53, 54]}\n"
        "    - {to: \"2001:db8::10/128\"}\n"
        "    - {to: any, action: allow, proto: any}\n"
        "    - {to: host}\n",
        "  egress:\n"
        "    - {to: {names: [www.example.org]}, proto: tcp}\n"
        "    - {to: host, proto: udp, ports: [53]}\n"
        "    - {to: [192.0.2.1/32], proto: tcp}\n",
        "  dns: false\n  egress: []\n",
};

static const struct {
	int from;
	const char *packet;
} packets[] = {
        {0, "tcp guest > 192.0.2.10:8080"},
        {0, "tcp guest > 192.0.2.10:443"},
        {0, "tcp guest > 192.0.2.77:443"},
        {0, "tcp guest > 192.0.2.11:80"},
        {0, "tcp guest > 192.0.2.10:80"},
        {0, "tcp guest > 192.0.2.10:99"},
        {0, "tcp guest > 192.0.2.10:100"},
        {0, "tcp guest > 192.0.2.10:305"},
        {0, "tcp guest > 192.0.2.10:22"},
        {0, "tcp guest > 192.0.2.1:22"},
        {0, "tcp guest > 10.77.0.1:22"},
        {0, "tcp guest > 10.77.0.1:23"},
        {0, "udp guest > 10.77.0.1:53"},
        {0, "tcp guest > 10.77.0.1:53"},
        {0, "udp guest > 192.0.2.1:53"},
        {0, "udp guest > 10.77.0.1:123"},
        {0, "udp guest > 192.0.2.1:123"},
        {0, "udp guest > 192.0.2.10:53"},
        {0, "udp guest > 192.0.2.10:54"},
        {0, "udp guest > 192.0.2.1:54"},
        {0, "tcp guest > 192.0.2.1:53"},
        {0, "tcp guest > 192.0.2.1:853"},
        {0, "tcp guest > 10.77.0.1:853"},
        {0, "udp guest > 192.0.2.77:53"},
        {0, "tcp guest > 192.0.2.77:53"},
        {0, "tcp guest > 192.0.2.10:853"},
        {0, "udp guest > 192.0.2.77:853"},
        {0, "tcp guest > [2001:db8::10]:853"},
        {0, "tcp guest > [2001:db8::11]:853"},
        {0, "tcp guest > 8.8.4.4:443"},
        {0, "tcp guest > 8.8.8.8:443"},
        {0, "udp guest > 9.9.9.9:443"},
        {0, "tcp guest > 9.9.9.9:80"},
        {0, "udp guest > 10.77.0.6:99"},
        {0, "tcp guest > 10.77.0.6:5432"},
        {0, "tcp guest > 10.77.0.6:5433"},
        {0, "icmp guest > 192.0.2.10"},
        {0, "icmp guest > 192.0.2.10 type 13"},
        {0, "icmp guest > 10.77.0.1"},
        {0, "icmp guest > 192.0.2.1"},
        {0, "icmp guest > 10.77.0.6"},
        {0, "gre guest > 192.0.2.10"},
        {0, "tcp guest > 169.254.169.254:80"},
        {0, "tcp guest > 169.254.169.254:81"},
        {0, "tcp guest > 10.99.0.1:443"},
        {0, "tcp guest > 10.99.0.1:8080"},
        {0, "tcp guest > 8.8.8.8:8050"},
        {0, "udp guest > 224.0.0.1:5353"},
        {0, "udp guest:67 > 192.0.2.10:68"},
        {0, "udp guest:68 > 255.255.255.255:67"},
        {0, "udp guest > 255.255.255.255:9"},
        {0, "tcp 10.77.0.3 > 192.0.2.10:8080"},
        {0, "tcp 192.0.2.10 > 192.0.2.10:8080"},
        {0, "tcp guest > [2001:db8::10]:8080"},
        {0, "tcp guest > [2001:db8::10]:443"},
        {0, "tcp guest > [2001:db8::1]:22"},
        {0, "udp guest > [2001:db8::10]:1000"},
        {0, "udp guest > [2001:db8::10]:53"},
        {0, "udp guest > [fd77::1]:53"},
        {0, "icmp guest > 2001:db8::10"},
        {0, "icmp guest > fd77::1"},
        {0, "icmp guest > 2001:db8::10 type 134"},
        {0, "tcp [2001:db8::99] > [2001:db8::10]:8080"},
        {0, "tcp guest > [fd77::1:2]:5432"},
        {0, "udp guest:547 > [2001:db8::10]:546"},
        {NET_WORLD, "tcp 192.0.2.10 > guest:80"},
        {NET_WORLD, "tcp 192.0.2.10 > guest:443"},
        {NET_WORLD, "tcp 192.0.2.10 > guest:22"},
        {NET_WORLD, "udp 192.0.2.10 > guest:514"},
        {NET_WORLD, "udp 192.0.2.10 > guest:515"},
        {NET_WORLD, "icmp 192.0.2.10 > guest"},
        {NET_WORLD, "tcp [2001:db8::10] > guest:80"},
        {NET_WORLD, "icmp 2001:db8::10 > guest"},
        {NET_HOST, "tcp 10.77.0.1 > guest:22"},
        {NET_HOST, "tcp 192.0.2.1 > guest:443"},
        {NET_HOST, "udp 10.77.0.1 > guest:514"},
        {NET_HOST, "icmp fd77::1 > guest"},
        {1, "tcp 10.77.0.6 > guest:80"},
        {1, "udp 10.77.0.6 > guest:80"},
        {1, "tcp [fd77::1:2] > guest:443"},
};

static struct policy *load_policy(const char *rules)
{
	struct policy_errors *errors BASE_AUTO_FREE = calloc(1, sizeof(*errors));
	struct policy *policy = calloc(1, sizeof(*policy));
	char *text BASE_AUTO_FREE = NULL;

	ck_assert_int_ge(asprintf(&text,
	                          "version: 1\nvm: {name: vm0, kernel: /k, nics: [{mode: nat}]}\n"
	                          "firewall:\n%s",
	                          rules),
	                 0);
	ck_assert_msg(policy_parse(text, strlen(text), policy, errors) == 0, "%u: %s, expected %s",
	              errors->list[0].line, errors->list[0].found, errors->list[0].expected);
	return policy;
}

/* ---- sending ---- */

static uint32_t add_words(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

/* RFC 1071, over the pseudo-header (RFC 793 section 3.1, RFC 8200 section 8.1) too. */
static uint16_t checksum(const struct firewall_packet *packet, const void *data, size_t size)
{
	size_t address = packet->family == 4 ? 4 : 16;
	uint32_t sum = add_words(0, data, size);

	if (packet->protocol != IPPROTO_ICMP) {
		sum = add_words(sum, packet->from, address);
		sum = add_words(sum, packet->to, address);
		sum += packet->protocol + (uint32_t)size;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* What stands behind the IP header; `serial` makes each one a connection of its own. Returns its size. */
static size_t build(struct firewall_packet *packet, uint16_t serial, uint8_t out[64])
{
	struct tcphdr tcp = {.th_off = 5, .th_flags = TH_SYN, .th_win = htons(1000)};
	struct udphdr udp = {.uh_ulen = htons(sizeof(udp))};
	struct icmp6_hdr icmp = {.icmp6_type = packet->type};
	uint16_t sum;

	memset(out, 0, 64);
	if (packet->sport >= HIGH_PORT)
		packet->sport = (uint16_t)(20000 + serial);
	switch (packet->protocol) {
	case IPPROTO_TCP:
		tcp.th_sport = htons(packet->sport);
		tcp.th_dport = htons(packet->dport);
		tcp.th_sum = checksum(packet, &tcp, sizeof(tcp));
		memcpy(out, &tcp, sizeof(tcp));
		return sizeof(tcp);
	case IPPROTO_UDP:
		udp.uh_sport = htons(packet->sport);
		udp.uh_dport = htons(packet->dport);
		udp.uh_sum = checksum(packet, &udp, sizeof(udp));
		memcpy(out, &udp, sizeof(udp));
		return sizeof(udp);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		icmp.icmp6_id = htons(serial);
		memcpy(out, &icmp, sizeof(icmp));
		sum = checksum(packet, out, 24);
		memcpy(out + 2, &sum, sizeof(sum));
		return 24;
	default: return 8;
	}
}

static void send_packet(int where, struct firewall_packet *packet, uint16_t serial)
{
	union {
		struct ip ip4;
		struct ip6_hdr ip6;
		uint8_t bytes[128];
	} frame = {0};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	uint8_t payload[64];
	size_t header = packet->family == 4 ? sizeof(frame.ip4) : sizeof(frame.ip6);
	size_t size = build(packet, serial, payload);
	int fd BASE_AUTO_FD = -1, one = 1;
	ssize_t sent;

	memcpy(frame.bytes + header, payload, size);
	net_enter(&fixture.net, where);
	fd = socket(packet->family == 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	net_enter(&fixture.net, NET_HOST);
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	if (packet->family == 4) {
		frame.ip4 = (struct ip){.ip_hl = 5,
		                        .ip_v = 4,
		                        .ip_len = htons((uint16_t)(header + size)),
		                        .ip_ttl = 64,
		                        .ip_p = packet->protocol};
		memcpy(&frame.ip4.ip_src, packet->from, 4);
		memcpy(&frame.ip4.ip_dst, packet->to, 4);
		memcpy(&to4.sin_addr, packet->to, 4);
		sent = sendto(fd, frame.bytes, header + size, 0, (struct sockaddr *)&to4,
		              sizeof(to4));
	} else {
		ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, HEADER_INCLUDED, &one, sizeof(one)),
		                 0);
		frame.ip6.ip6_flow = htonl(6u << 28);
		frame.ip6.ip6_plen = htons((uint16_t)size);
		frame.ip6.ip6_nxt = packet->protocol;
		frame.ip6.ip6_hlim = 64;
		memcpy(&frame.ip6.ip6_src, packet->from, 16);
		memcpy(&frame.ip6.ip6_dst, packet->to, 16);
		memcpy(&to6.sin6_addr, packet->to, 16);
		sent = sendto(fd, frame.bytes, header + size, 0, (struct sockaddr *)&to6,
		              sizeof(to6));
	}
	/* on its way out, the host's own packet says EPERM when it is dropped */
	ck_assert_msg(sent > 0 || (where == NET_HOST && errno == EPERM), "%s", strerror(errno));
}

/* ---- comparing ---- */

static struct firewall_counter before[COUNTERS_MAX], after[COUNTERS_MAX];
static int last = -1; /* how many there are in `after` */

static int read_counters(const char *vm, struct firewall_counter *list)
{
	int count = firewall_vm_counters(fixture.fw, vm, list, COUNTERS_MAX);

	ck_assert_msg(count >= 0 && count <= COUNTERS_MAX, "%s", firewall_error(fixture.fw));
	return count;
}

/* What was last seen, as reading costs more than all else here; or, at first, what is there. */
static int read_before(void)
{
	if (last < 0)
		last = read_counters("vm0", after);
	memcpy(before, after, sizeof(before));
	return last;
}

static uint64_t counted(const struct firewall_counter *list, int count, const char *what)
{
	for (int i = 0; i < count; i++)
		if (strcmp(list[i].what, what) == 0)
			return list[i].packets;
	return 0;
}

/* What kernels say by themselves (multicast reports, resets, errors), and what every packet adds to. */
static bool is_noise(const char *what)
{
	static const char *const noise[] = {
	        "sent",
	        "received",
	        "neighbour discovery",
	        "ipv6 multicast",
	        "unspecified ipv6 source",
	        "error message",
	        "ingress invalid",
	        "dns answer",
	        "ipv6 hop-by-hop options",
	        "ingress default deny",
	        "quarantine to guest",
	        "quarantine from guest",
	};

	for (size_t i = 0; i < BASE_COUNT(noise); i++)
		if (strcmp(noise[i], what) == 0)
			return true;
	return false;
}

/* The packet's counters, other than the one foretold, that went up. */
static const char *another(int was, int is, const char *what)
{
	for (int i = 0; i < is; i++)
		if (after[i].packets > counted(before, was, after[i].what) &&
		    strcmp(after[i].what, what) != 0 && !is_noise(after[i].what) &&
		    !strstr(after[i].what, "no longer"))
			return after[i].what;
	return NULL;
}

static void describe(struct firewall_packet *packet, int from)
{
	static const uint8_t here4[] = {10, 77, 0, 1}, up4[] = {192, 0, 2, 1};
	static const uint8_t here6[16] = {0xfd, 0x77, [15] = 1},
	                     up6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	const uint8_t *far = from == 0 ? packet->to : packet->from;
	bool vm1 = from == 1 ||
	           memcmp(far, packet->family == 4 ? fixture.nics[1].ip4 : fixture.nics[1].ip6,
	                  packet->family == 4 ? 4 : 16) == 0;

	if (vm1) {
		packet->other = FIREWALL_END_VM;
		packet->vm = "vm1";
		packet->groups = (const char(*)[POLICY_NAME_MAX])fixture.policies[1]->vm.groups;
		packet->group_count = fixture.policies[1]->vm.group_count;
	} else if (packet->family == 4 ? memcmp(far, here4, 4) == 0 || memcmp(far, up4, 4) == 0
	                               : memcmp(far, here6, 16) == 0 || memcmp(far, up6, 16) == 0) {
		packet->other = FIREWALL_END_HOST;
	}
}

static void compare(const struct policy *policy, size_t which, size_t i, uint16_t serial, bool cut,
                    const struct policy_cidr *allow)
{
	struct host_error error = {0};
	struct firewall_packet packet;
	struct firewall_verdict verdict;
	const char *other;
	int was, is;

	ck_assert_msg(packet_parse(packets[i].packet, &fixture.nics[0], &packet, &error) == 0, "%s",
	              error.text);
	describe(&packet, packets[i].from);
	ck_assert_int_eq(firewall_judge(policy, &fixture.nics[0], 1, &packet, cut, allow, &verdict),
	                 0);
	was = read_before();
	send_packet(packets[i].from, &packet, serial);
	for (int waited = 0; waited < WAIT; waited += 10) {
		is = last = read_counters("vm0", after);
		other = another(was, is, verdict.what);
		if (other || counted(after, is, verdict.what) > counted(before, was, verdict.what))
			break;
		usleep(10000);
	}
	ck_assert_msg(!other &&
	                      counted(after, is, verdict.what) > counted(before, was, verdict.what),
	              "policy %zu, %s: foretold %s, but it was %s", which, packets[i].packet,
	              verdict.what, other ? other : "nothing");
	for (int k = 0; k < is; k++)
		if (strcmp(after[k].what, verdict.what) == 0)
			ck_assert_uint_eq(after[k].line, verdict.line);
}

static void start(void)
{
	fixture_open();
	net_run(&fixture.net, NET_HOST, "ip route add default via 192.0.2.10");
	net_run(&fixture.net, NET_WORLD, "ip route add 10.77.0.0/16 via 192.0.2.1");
	net_run(&fixture.net, NET_WORLD, "ip route add fd77::/16 via 2001:db8::1");
	/* a quarantine of IPv4 only leaves no neighbour discovery */
	net_run(&fixture.net, 0, "ip neigh replace fd77::1 lladdr 02:00:00:00:01:10 dev g0");
	for (int in = 0; in < 2; in++)
		fixture_rule(1, in, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	strcpy(fixture.policies[1]->vm.groups[0], "db");
	fixture.policies[1]->vm.group_count = 1;
	fixture_start(1);
	fixture_start(0);
}

START_TEST(the_kernel_agrees)
{
	struct policy *policy BASE_AUTO_FREE = load_policy(policies[_i]);
	uint16_t serial = 0;

	ck_assert_msg(firewall_vm_apply(fixture.fw, policy, &fixture.nics[0], 1) == 0, "%s",
	              firewall_error(fixture.fw));
	for (size_t i = 0; i < BASE_COUNT(packets); i++)
		compare(policy, (size_t)_i, i, serial++, false, NULL);
}
END_TEST

START_TEST(the_kernel_agrees_in_quarantine)
{
	struct policy *policy BASE_AUTO_FREE = load_policy(policies[1]);
	struct policy_cidr allow = {.family = 4, .prefix = 28, .addr = {192, 0, 2, 0}};
	uint16_t serial = 0;

	ck_assert_int_eq(firewall_vm_apply(fixture.fw, policy, &fixture.nics[0], 1), 0);
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", &allow), 0);
	for (size_t i = 0; i < BASE_COUNT(packets); i++)
		compare(policy, 9, i, serial++, true, &allow);
}
END_TEST

/* By a name, without a kernel: what the rules say once the guest has asked for it. */
START_TEST(a_name_in_place_of_an_address)
{
	static const struct {
		const char *packet, *what;
	} cases[] = {
	        {"tcp guest > www.example.org:443", "egress[0]"},
	        {"tcp guest > WWW.Example.org:443", "egress[0]"},
	        {"tcp guest > a.b.example.com:443", "egress[0]"},
	        {"tcp guest > example.com:443", "egress default deny"},
	        {"tcp guest > www.example.org:444", "egress default deny"},
	        {"tcp guest > www.example.org:853", "dns to another resolver"},
	        {"udp guest > www.example.org:443", "egress[1]"},
	        {"tcp www.example.org:443 > guest:80", "ingress default deny"},
	};
	struct policy *policy = calloc(1, sizeof(*policy));
	struct policy_errors *errors = calloc(1, sizeof(*errors));
	struct firewall_nic nic = {.tap = "cn0", .ip4 = {10, 77, 0, 2}, .dns_port = 10053};
	struct host_error error = {0};
	static const char text[] =
	        "version: 1\nvm:\n  name: vm0\n  kernel: /k\n  nics: [{}]\nfirewall:\n  egress:\n"
	        "    - {to: {names: [www.example.org, \"*.example.com\"]}, proto: tcp, ports: "
	        "443}\n"
	        "    - {to: world, proto: udp}\n";

	ck_assert(policy && errors);
	ck_assert_int_eq(policy_parse(text, sizeof(text) - 1, policy, errors), 0);
	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct firewall_packet packet;
		struct firewall_verdict verdict;

		ck_assert_msg(packet_parse(cases[i].packet, &nic, &packet, &error) == 0, "%s",
		              error.text);
		ck_assert_int_eq(firewall_judge(policy, &nic, 1, &packet, false, NULL, &verdict),
		                 0);
		ck_assert_str_eq(verdict.what, cases[i].what);
	}
	free(policy);
	free(errors);
}
END_TEST

START_TEST(what_is_no_packet)
{
	static const char *const wrong[] = {
	        "",
	        "tcp",
	        "tcp guest > 1.2.3.4",
	        "tcp guest 1.2.3.4:1",
	        "tcp guest < 1.2.3.4:1",
	        "tpc guest > 1.2.3.4:1",
	        "tcp guest > 1.2.3.4:0",
	        "tcp guest > 1.2.3.4:65536",
	        "tcp guest > 1.2.3.4:1x",
	        "tcp guest > 1.2.3.4.5:1",
	        "tcp 10.0.0.1 > [::1]:1",
	        "tcp guest > [::1:1",
	        "tcp guest > [1.2.3.4]:1",
	        "tcp guest > *.example.org:1",
	        "tcp guest > example:1",
	        "tcp guest > [www.example.org]:1",
	        "udp guest > 1.2.3.4:1 type 3",
	        "icmp guest > 1.2.3.4:1",
	        "icmp guest > 1.2.3.4 type 256",
	        "icmp guest > 1.2.3.4 type",
	        "icmp guest > 1.2.3.4 kind 3",
	        "256 guest > 1.2.3.4",
	        "tcp guest > 1.2.3.4:1 and more of it here",
	        "tcp guest > 111111111111111111111111111111111111111111111111111111111111111111:1",
	};
	static const struct firewall_nic nic = {.ip4 = {10, 77, 0, 2}, .ip6 = {0xfd}};
	struct firewall_packet packet;

	for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
		struct host_error error = {0};

		ck_assert_msg(packet_parse(wrong[i], &nic, &packet, &error) == -EINVAL, "%s",
		              wrong[i]);
		ck_assert_ptr_nonnull(strstr(error.text, wrong[i]));
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("judge"), *text = tcase_create("text");
	Suite *suite = suite_create("firewall judge");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, start, fixture_close);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, the_kernel_agrees, 0, BASE_COUNT(policies));
	tcase_add_test(tests, the_kernel_agrees_in_quarantine);
	tcase_add_test(text, a_name_in_place_of_an_address);
	tcase_add_test(text, what_is_no_packet);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, text);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
