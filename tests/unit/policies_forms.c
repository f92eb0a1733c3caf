/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way in which a value may be written, the defaults, and the ready-made policies.
 */
#include <check.h>
#include <glob.h>

#include "policies/internal.h"

#define VM "version: 1\nvm: {name: a, kernel: k, nics: [{}]}\n"

static struct policy policy;
static struct policy_errors errors;

static void parse(const char *text)
{
	int result = policy_parse(text, strlen(text), &policy, &errors);

	if (result)
		policy_errors_print(stdout, "text", &errors);
	ck_assert_int_eq(result, 0);
}

START_TEST(test_defaults)
{
	parse("version: 1\nvm: {name: a, kernel: ./k}\n");
	ck_assert_uint_eq(policy.vm.vcpus, 1);
	ck_assert_uint_eq(policy.vm.memory, 256ull << 20);
	ck_assert_uint_eq(policy.vm.nic_count, 0);
	ck_assert(policy.vm.balloon && policy.vm.memory_reclaim);
	ck_assert_int_eq(policy.vm.on_panic, POLICY_THEN_STOP);
	ck_assert_int_eq(policy.vm.on_reset, POLICY_THEN_STOP);
	ck_assert_int_eq(policy.vm.watchdog, POLICY_THEN_NONE);
	ck_assert_uint_eq(policy.isolation.cpus[0], 0);
	ck_assert(!policy.isolation.any);
	ck_assert_int_eq(policy.confidential.type, POLICY_CC_NONE);
	ck_assert_uint_eq(policy.firewall.ingress_count, 0);
	ck_assert_uint_eq(policy.firewall.egress_count, 0);
	ck_assert(policy.firewall.dns);
	ck_assert_uint_eq(policy.firewall.limits.bandwidth, 0);
	ck_assert(policy.monitor.scan.enabled && policy.monitor.beacon.enabled);
	ck_assert(policy.monitor.dns_tunnel.enabled && policy.monitor.exfiltration.enabled);
	ck_assert_uint_eq(policy.monitor.exfiltration.respond, POLICY_RESPOND_ALERT);
	ck_assert_uint_eq(policy.capture.ring, 0);
	parse(VM "capture: {ring: 2M}\n");
	ck_assert_uint_eq(policy.capture.snaplen, 256);
	ck_assert_uint_eq(policy.capture.before_alert, 30);
}
END_TEST

START_TEST(test_confidential_forms)
{
	const struct policy_confidential *c = &policy.confidential;

	parse(VM "confidential: {type: sev-snp, firmware: ./OVMF.fd, host_data: 00fF10,\n"
	         "  policy: {debug: true, smt: false, abi: 1.55}, require: true,\n"
	         "  id_block: ./id, id_auth: /auth}\n");
	ck_assert_int_eq(c->type, POLICY_CC_SEV_SNP);
	ck_assert(c->debug && !c->smt);
	ck_assert_uint_eq(c->abi_major, 1);
	ck_assert_uint_eq(c->abi_minor, 55);
	ck_assert_str_eq(c->firmware, "./OVMF.fd");
	ck_assert_str_eq(c->id_block, "./id");
	ck_assert_str_eq(c->id_auth, "/auth");
	ck_assert_mem_eq(c->host_data, "\x00\xff\x10\x00", 4);
	ck_assert_uint_eq(c->line, 3);
	ck_assert(!policy.vm.balloon && !policy.vm.memory_reclaim);
	parse(VM "confidential: {type: sev, firmware: ./f, policy: {abi: 0.24}}\n");
	ck_assert(c->smt && !c->debug);
	ck_assert_uint_eq(c->abi_minor, 24);
	parse(VM "confidential: {type: tdx, firmware: ./f, policy: {debug: true}}\n"
	         "isolation: {huge_pages: none}\n");
	ck_assert(c->debug);
	parse("version: 1\nvm: {name: a}\nconfidential: {type: sev-es, firmware: ./guest.igvm}\n");
	ck_assert_str_eq(policy.vm.kernel, "");
	parse(VM "confidential: {type: sw-protected}\n");
	ck_assert_int_eq(c->type, POLICY_CC_SW_PROTECTED);
	ck_assert(!policy.vm.balloon && !policy.vm.memory_reclaim);
	parse(VM "confidential: {type: none}\n");
	ck_assert(policy.vm.balloon && !c->firmware[0]);
}
END_TEST

START_TEST(test_guard_forms)
{
	const struct policy_nic *nic = &policy.vm.nics[0];

	parse("version: 1\nguard: {name: old, groups: [web], mac: \"52:54:00:12:34:56\",\n"
	      "  addresses: [192.0.2.20, \"2001:db8::20\"]}\n"
	      "monitor: {scan: {respond: [quarantine]}}\n");
	ck_assert(policy.vm.guard);
	ck_assert_uint_eq(policy.vm.line, 2);
	ck_assert_str_eq(policy.vm.name, "old");
	ck_assert_str_eq(policy.vm.groups[0], "web");
	ck_assert_uint_eq(policy.vm.nic_count, 1);
	ck_assert_int_eq(nic->mode, POLICY_NIC_ROUTED);
	ck_assert_mem_eq(nic->mac, "\x52\x54\0\x12\x34\x56", 6);
	ck_assert_mem_eq(nic->ip4, "\xc0\0\x02\x14", 4);
	ck_assert_uint_eq(nic->ip6[15], 0x20);
	parse("version: 1\nguard: {name: a, mac: \"52:54:00:12:34:56\", addresses: "
	      "\"2001:db8::20\"}\n");
	ck_assert_uint_eq(nic->ip4[0], 0);
	parse(VM);
	ck_assert(!policy.vm.guard);
}
END_TEST

START_TEST(test_life_forms)
{
	static const struct {
		const char *text;
		enum policy_then on_panic, on_reset, watchdog;
	} forms[] = {
	        {"on_panic: pause", POLICY_THEN_PAUSE, POLICY_THEN_STOP, POLICY_THEN_NONE},
	        {"on_panic: log", POLICY_THEN_LOG, POLICY_THEN_STOP, POLICY_THEN_NONE},
	        {"on_panic: stop", POLICY_THEN_STOP, POLICY_THEN_STOP, POLICY_THEN_NONE},
	        {"on_reset: restart", POLICY_THEN_STOP, POLICY_THEN_RESTART, POLICY_THEN_NONE},
	        {"on_reset: stop", POLICY_THEN_STOP, POLICY_THEN_STOP, POLICY_THEN_NONE},
	        {"watchdog: {}", POLICY_THEN_STOP, POLICY_THEN_STOP, POLICY_THEN_RESTART},
	        {"watchdog: {action: reset}", POLICY_THEN_STOP, POLICY_THEN_STOP,
	         POLICY_THEN_RESTART},
	        {"watchdog: {action: stop}", POLICY_THEN_STOP, POLICY_THEN_STOP, POLICY_THEN_STOP},
	        {"watchdog: {action: pause}", POLICY_THEN_STOP, POLICY_THEN_STOP,
	         POLICY_THEN_PAUSE},
	};
	char text[160];

	for (size_t i = 0; i < BASE_COUNT(forms); i++) {
		snprintf(text, sizeof(text), "version: 1\nvm:\n  name: a\n  kernel: k\n  %s\n",
		         forms[i].text);
		parse(text);
		ck_assert_int_eq(policy.vm.on_panic, forms[i].on_panic);
		ck_assert_int_eq(policy.vm.on_reset, forms[i].on_reset);
		ck_assert_int_eq(policy.vm.watchdog, forms[i].watchdog);
	}
}
END_TEST

START_TEST(test_vm_forms)
{
	const struct policy_vm *vm = &policy.vm;

	parse("version: 1\n"
	      "vm:\n"
	      "  name: 0-a\n"
	      "  memory: 2G\n"
	      "  kernel: /boot/vmlinuz\n"
	      "  initrd: \"/boot/initrd img\"\n"
	      "  cmdline: >-\n"
	      "    quiet\n"
	      "    panic=1\n"
	      "  disks:\n"
	      "    - path: caf\u00e9.raw\n"
	      "      format: raw\n"
	      "      read_only: true\n"
	      "      serial: root 1\n"
	      "  nics:\n"
	      "    - {mode: bridge, bridge: br-lan.5, mac: 52:54:00:AB:cd:01, mtu: 9000, queues: "
	      "8, addresses: [192.0.2.20, 2001:db8::20]}\n"
	      "    - {mode: host-only, limit: {bandwidth: 8Mbit, iops: 500, burst: 64K}}\n"
	      "    - {mode: routed}\n"
	      "  vhost_user:\n"
	      "    - {socket: /run/fs.sock, type: fs, tag: home.0, queues: 2}\n"
	      "    - {socket: /run/net.sock, type: net, unfiltered: true}\n"
	      "    - {socket: /run/blk.sock, type: blk}\n");
	ck_assert_uint_eq(vm->vhost_count, 3);
	ck_assert_str_eq(vm->vhosts[0].socket, "/run/fs.sock");
	ck_assert_str_eq(vm->vhosts[0].tag, "home.0");
	ck_assert_uint_eq(vm->vhosts[0].queues, 2);
	ck_assert_int_eq(vm->vhosts[1].type, POLICY_VHOST_NET);
	ck_assert(vm->vhosts[1].unfiltered);
	ck_assert_int_eq(vm->vhosts[2].type, POLICY_VHOST_BLK);
	ck_assert_uint_eq(vm->vhosts[2].line, 22);
	ck_assert_str_eq(vm->name, "0-a");
	ck_assert_uint_eq(vm->memory, 2ull << 30);
	ck_assert_str_eq(vm->kernel, "/boot/vmlinuz");
	ck_assert_str_eq(vm->initrd, "/boot/initrd img");
	ck_assert_str_eq(vm->cmdline, "quiet panic=1");
	ck_assert_str_eq(vm->disks[0].path, "caf\u00e9.raw");
	ck_assert(vm->disks[0].read_only);
	ck_assert_str_eq(vm->disks[0].serial, "root 1");
	ck_assert_int_eq(vm->nics[0].mode, POLICY_NIC_BRIDGE);
	ck_assert_str_eq(vm->nics[0].bridge, "br-lan.5");
	ck_assert_mem_eq(vm->nics[0].mac, "\x52\x54\x00\xab\xcd\x01", 6);
	ck_assert_mem_eq(vm->nics[0].ip4, "\xc0\x00\x02\x14", 4);
	ck_assert_uint_eq(vm->nics[0].ip6[15], 0x20);
	ck_assert_uint_eq(vm->nics[0].mtu, 9000);
	ck_assert_uint_eq(vm->nics[0].queues, 8);
	ck_assert_int_eq(vm->nics[1].mode, POLICY_NIC_HOST_ONLY);
	ck_assert_uint_eq(vm->nics[1].limit.bandwidth, 1000000);
	ck_assert_uint_eq(vm->nics[1].limit.iops, 500);
	ck_assert_uint_eq(vm->nics[1].limit.burst, 65536);
	ck_assert_int_eq(vm->nics[2].mode, POLICY_NIC_ROUTED);
}
END_TEST

START_TEST(test_cpu_forms)
{
	const struct policy_cpu *cpu = &policy.vm.cpu;
	char text[POLICY_CPU_TEXT_MAX];

	parse(VM);
	ck_assert_int_eq(cpu->model, POLICY_CPU_HOST);
	ck_assert(!cpu->nested);
	policy_cpu_text(cpu, text);
	ck_assert_str_eq(text, "host");
	ck_assert_uint_eq(policy.isolation.numa, 0);
	parse("version: 1\nvm:\n  name: a\n  kernel: k\n"
	      "  cpu: {model: x86-64-v3, nested: true,"
	      " features: {add: [avx512f, sha-ni], remove: rdrand}}\n"
	      "isolation: {numa: 0}\n");
	policy_cpu_text(cpu, text);
	ck_assert_str_eq(text, "x86-64-v3,nested,-rdrand,+avx512f,+sha-ni");
	ck_assert_uint_eq(policy.isolation.numa, 1);
	parse(VM "isolation: {numa: auto, cpus: \"3\"}\n");
	ck_assert_uint_eq(policy.isolation.numa, POLICY_NUMA_AUTO);
}
END_TEST

START_TEST(test_console_and_vsock)
{
	const struct policy_vsock *vsock = &policy.vm.vsock;

	parse("version: 1\nvm: {name: a, kernel: k}\n");
	ck_assert_int_eq(policy.vm.console, POLICY_CONSOLE_SERIAL);
	ck_assert_uint_eq(vsock->line, 0);
	parse("version: 1\nvm:\n  name: a\n  kernel: k\n  console: virtio\n"
	      "  vsock:\n"
	      "    cid: auto\n"
	      "    guest_to_host:\n"
	      "      - {port: 5000, socket: /run/web/log.sock}\n"
	      "      - {socket: /a/b, port: 4294967294}\n"
	      "    host_to_guest: [22, 1024]\n");
	ck_assert_int_eq(policy.vm.console, POLICY_CONSOLE_VIRTIO);
	ck_assert_uint_ne(vsock->line, 0);
	ck_assert_uint_eq(vsock->cid, 0);
	ck_assert_uint_eq(vsock->guest_to_host_count, 2);
	ck_assert_uint_eq(vsock->guest_to_host[0].port, 5000);
	ck_assert_str_eq(vsock->guest_to_host[0].socket, "/run/web/log.sock");
	ck_assert_uint_eq(vsock->guest_to_host[0].line, 9);
	ck_assert_uint_eq(vsock->guest_to_host[1].port, UINT32_MAX - 1);
	ck_assert_uint_eq(vsock->host_to_guest_count, 2);
	ck_assert_uint_eq(vsock->host_to_guest[1], 1024);
	parse("version: 1\nvm: {name: a, kernel: k, vsock: {cid: 4294967294}}\n");
	ck_assert_uint_eq(vsock->cid, UINT32_MAX - 1);
	ck_assert_uint_eq(vsock->guest_to_host_count + vsock->host_to_guest_count, 0);
}
END_TEST

START_TEST(test_monitor_forms)
{
	char *explained = NULL;
	size_t explained_size;
	FILE *out = open_memstream(&explained, &explained_size);
	const struct policy_monitor *monitor = &policy.monitor;

	parse(VM "monitor:\n"
	         "  scan: {respond: pause, ports: 3, hosts: 4}\n"
	         "  beacon: {enabled: false}\n"
	         "  exfiltration: {respond: [throttle]}\n"
	         "  brute_force: {respond: quarantine}\n"
	         "  intel: {lists: [/etc/a.txt, /etc/b.txt], respond: quarantine}\n"
	         "  expect: {egress: 10G, destinations: 50}\n"
	         "  suppress:\n"
	         "    - {rule: scan.*, peers: [192.0.2.0/24, 2001:db8::1], hours: 22:00-04:30}\n"
	         "    - rule: beacon.regular\n"
	         "  icmp_tunnel: {enabled: false, respond: pause}\n"
	         "  sinks:\n"
	         "    - file: /var/log/a.json\n"
	         "    - syslog: udp://192.0.2.1:514\n"
	         "    - syslog: \"tcp://[2001:db8::1]:601\"\n"
	         "    - {syslog: \"tls://192.0.2.1:6514\", ca: /a, certificate: /b, key: /c, peer: "
	         "s.example, "
	         "format: cef, spool: 1M}\n"
	         "    - {http: \"https://[2001:db8::1]:8088/in?x=1\", ca: /a, token: /t, format: "
	         "ocsf}\n"
	         "    - {file: /b, rotate: 64M, sync: always, format: cef}\n"
	         "    - {unix: /run/siem.sock, spool: 64K}\n"
	         "    - {ipfix: \"tls://192.0.2.1:4740\", ca: /a, domain: 77}\n"
	         "capture: {ring: 1G, snaplen: 65535, before_alert: 5m}\n");
	ck_assert_uint_eq(monitor->scan_ports, 3);
	ck_assert_uint_eq(monitor->scan_hosts, 4);
	ck_assert_uint_eq(monitor->scan.respond, POLICY_RESPOND_ALERT | POLICY_RESPOND_PAUSE);
	ck_assert(!monitor->beacon.enabled);
	ck_assert_uint_eq(monitor->brute_force.respond,
	                  POLICY_RESPOND_ALERT | POLICY_RESPOND_QUARANTINE);
	ck_assert(monitor->brute_force.enabled && !monitor->icmp_tunnel.enabled);
	ck_assert_uint_eq(monitor->icmp_tunnel.respond,
	                  POLICY_RESPOND_ALERT | POLICY_RESPOND_PAUSE);
	ck_assert(monitor->dns_names.enabled && monitor->long_connection.enabled);
	ck_assert_uint_eq(monitor->expect.egress, 10ull << 30);
	ck_assert_uint_eq(monitor->expect.destinations, 50);
	ck_assert_uint_eq(monitor->list_count, 2);
	ck_assert_str_eq(monitor->lists[1], "/etc/b.txt");
	ck_assert_uint_eq(monitor->intel.respond, POLICY_RESPOND_ALERT | POLICY_RESPOND_QUARANTINE);
	ck_assert_uint_eq(monitor->suppress_count, 2);
	ck_assert_str_eq(monitor->suppress[0].rule, "scan.*");
	ck_assert_uint_eq(monitor->suppress[0].peer_count, 2);
	ck_assert_uint_eq(monitor->suppress[0].peers[1].prefix, 128);
	ck_assert(monitor->suppress[0].timed && !monitor->suppress[1].timed);
	ck_assert_uint_eq(monitor->suppress[0].from, 22 * 60);
	ck_assert_uint_eq(monitor->suppress[0].to, 4 * 60 + 30);
	ck_assert_uint_eq(monitor->exfiltration.respond,
	                  POLICY_RESPOND_ALERT | POLICY_RESPOND_THROTTLE);
	ck_assert_uint_eq(monitor->sink_count, 8);
	ck_assert_int_eq(monitor->sinks[0].type, POLICY_SINK_FILE);
	ck_assert_str_eq(monitor->sinks[0].target, "/var/log/a.json");
	ck_assert_int_eq(monitor->sinks[1].type, POLICY_SINK_SYSLOG_UDP);
	ck_assert_str_eq(monitor->sinks[1].target, "192.0.2.1:514");
	ck_assert_int_eq(monitor->sinks[2].type, POLICY_SINK_SYSLOG_TCP);
	ck_assert_str_eq(monitor->sinks[2].target, "[2001:db8::1]:601");
	ck_assert_uint_eq(monitor->sinks[2].format, POLICY_FORMAT_SYSLOG);
	ck_assert_uint_eq(monitor->sinks[2].spool, 16 << 20);
	ck_assert_uint_eq(monitor->sinks[3].format, POLICY_FORMAT_CEF);
	ck_assert_uint_eq(monitor->sinks[3].spool, 1 << 20);
	ck_assert_str_eq(monitor->sinks[3].certificate, "/b");
	ck_assert_str_eq(monitor->sinks[3].peer, "s.example");
	ck_assert_int_eq(monitor->sinks[4].type, POLICY_SINK_HTTPS);
	ck_assert_str_eq(monitor->sinks[4].target, "[2001:db8::1]:8088/in?x=1");
	ck_assert_uint_eq(monitor->sinks[4].format, POLICY_FORMAT_OCSF);
	ck_assert_uint_eq(monitor->sinks[5].rotate, 64 << 20);
	ck_assert_uint_eq(monitor->sinks[5].keep, 5);
	ck_assert(monitor->sinks[5].sync && !monitor->sinks[0].sync);
	ck_assert_uint_eq(monitor->sinks[5].format, POLICY_FORMAT_CEF);
	ck_assert_int_eq(monitor->sinks[6].type, POLICY_SINK_UNIX);
	ck_assert_str_eq(monitor->sinks[6].target, "/run/siem.sock");
	ck_assert_uint_eq(monitor->sinks[6].format, POLICY_FORMAT_ECS);
	ck_assert_int_eq(monitor->sinks[7].type, POLICY_SINK_IPFIX_TLS);
	ck_assert_str_eq(monitor->sinks[7].target, "192.0.2.1:4740");
	policy_explain(out, &policy);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(explained, " syslog, TLS, 192.0.2.1:6514, as CEF\n"));
	ck_assert_ptr_nonnull(
	        strstr(explained, " /b, as CEF, another at 64M, 5 kept, on the disk at once\n"));
	ck_assert_ptr_nonnull(strstr(explained, " unix socket, /run/siem.sock, as ECS\n"));
	ck_assert_ptr_nonnull(strstr(explained, " flows by IPFIX, TLS, 192.0.2.1:4740\n"));
	free(explained);
	ck_assert_uint_eq(monitor->sinks[7].domain, 77);
	ck_assert_uint_eq(policy.capture.before_alert, 300);
}
END_TEST

START_TEST(test_units)
{
	uint64_t value;
	uint8_t cpus[POLICY_CPUS_MAX / 8];
	char text[POLICY_FORMAT_MAX];

	ck_assert(policy_value_size("0", &value) == 0 && value == 0);
	ck_assert(policy_value_size("3K", &value) == 0 && value == 3072);
	ck_assert(policy_value_size("2T", &value) == 0 && value == 2ull << 40);
	ck_assert_int_eq(policy_value_size("18446744073709551615T", &value), -ERANGE);
	ck_assert_int_eq(policy_value_size("18446744073709551616", &value), -ERANGE);
	ck_assert_int_eq(policy_value_size("", &value), -EINVAL);
	ck_assert_int_eq(policy_value_size("-1", &value), -EINVAL);
	ck_assert_int_eq(policy_value_size("0x10", &value), -EINVAL);
	ck_assert_int_eq(policy_value_size("1.5G", &value), -EINVAL);
	ck_assert(policy_value_bandwidth("1Gbit", &value) == 0 && value == 125000000);
	ck_assert(policy_value_bandwidth("8bit", &value) == 0 && value == 1);
	ck_assert_int_eq(policy_value_bandwidth("7bit", &value), -EINVAL);
	ck_assert(policy_value_bandwidth("1M", &value) == 0 && value == 1048576);
	ck_assert(policy_value_duration("2h", &value) == 0 && value == 7200);
	ck_assert_int_eq(policy_value_rate("50/m", &value), -EINVAL);
	ck_assert_int_eq(policy_value_cpus("0-1023", cpus), 0);
	ck_assert_uint_eq(cpus[127], 0xff);
	ck_assert_int_eq(policy_value_cpus("1024", cpus), -ERANGE);
	ck_assert_int_eq(policy_value_cpus("3-2", cpus), -ERANGE);
	ck_assert_int_eq(policy_value_cpus("1,", cpus), -EINVAL);
	ck_assert_str_eq(policy_format_size(512ull << 20, text), "512M");
	ck_assert_str_eq(policy_format_size(1000, text), "1000");
	ck_assert_str_eq(policy_format_size(0, text), "0");
	ck_assert_str_eq(policy_format_bandwidth(12500000, text), "100Mbit");
	ck_assert_str_eq(policy_format_bandwidth(100ull << 20, text), "100M");
}
END_TEST

START_TEST(test_cidr_contains)
{
	static const struct {
		const char *outer, *inner;
		bool yes;
	} pairs[] = {
	        {"10.0.0.0/8", "10.255.0.0/16", true},
	        {"10.0.0.0/8", "11.0.0.0/16", false},
	        {"10.0.0.0/9", "10.128.0.0/9", false},
	        {"0.0.0.0/0", "203.0.113.9/32", true},
	        {"10.0.0.0/16", "10.0.0.0/8", false},
	        {"::/0", "10.0.0.0/8", false},
	        {"2001:db8::/33", "2001:db8:8000::/33", false},
	        {"2001:db8::/32", "2001:db8::1", true},
	};

	for (size_t i = 0; i < BASE_COUNT(pairs); i++) {
		struct policy_cidr outer, inner;
		bool bits;

		ck_assert_int_eq(policy_value_cidr(pairs[i].outer, &outer, &bits), 0);
		ck_assert(!bits);
		ck_assert_int_eq(policy_value_cidr(pairs[i].inner, &inner, &bits), 0);
		ck_assert_msg(policy_cidr_contains(&outer, &inner) == pairs[i].yes, "%s, %s",
		              pairs[i].outer, pairs[i].inner);
	}
}
END_TEST

START_TEST(test_ready_made)
{
	glob_t found;

	ck_assert_int_eq(glob(POLICIES_DIR "/*.yaml", 0, NULL, &found), 0);
	ck_assert_uint_ge(found.gl_pathc, 5);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *text BASE_AUTO_FREE = NULL;
		ssize_t size = policy_read_file(found.gl_pathv[i], &text);
		int result = policy_parse(text, (size_t)size, &policy, &errors);

		if (result)
			policy_errors_print(stdout, found.gl_pathv[i], &errors);
		ck_assert_int_eq(result, 0);
	}
	globfree(&found);
}
END_TEST

START_TEST(test_balloon_forms)
{
	static const struct {
		const char *vm, *rest;
		bool balloon, reclaim;
	} forms[] = {
	        {"", "", true, true},
	        {", memory_reclaim: false", "", true, false},
	        {", balloon: true, memory_reclaim: true", "", true, true},
	        {", balloon: false", "", false, false},
	        {", balloon: false, memory_reclaim: false", "", false, false},
	        {"", "isolation: {huge_pages: 2M}\n", false, false},
	        {", memory_reclaim: false", "isolation: {huge_pages: 2M}\n", false, false},
	        {", balloon: false", "isolation: {huge_pages: 2M}\n", false, false},
	};
	char text[256];

	snprintf(text, sizeof(text), "version: 1\nvm: {name: a, kernel: k%s}\n%s", forms[_i].vm,
	         forms[_i].rest);
	parse(text);
	ck_assert_int_eq(policy.vm.balloon, forms[_i].balloon);
	ck_assert_int_eq(policy.vm.memory_reclaim, forms[_i].reclaim);
}
END_TEST

START_TEST(test_explained)
{
	static const char *const lines[] = {
	        "VM a\n",
	        "  memory       256M\n",
	        "  balloon      what the guest frees goes back to the host by itself\n",
	        "  CPUs         2-3,5\n",
	        "  model        host: what the host has of the features that guests may see\n",
	        "  nested       no guests in the guest\n",
	        "  memory from  any NUMA node\n",
	        ("    reject tcp 22, 8000-8080 from 192.0.2.0/24, 2001:db8::1/128, logged  (line "
	         "5)\n"),
	        "    drop   everything else\n",
	        "  panic        the VM ends\n",
	        "  watchdog     none\n",
	        "  limit        50 new connections/s\n",
	        "  scan            alert, quarantine\n",
	        "  beacon          off\n",
	        "  dns_tunnel      alert  (default)\n",
	        "  recorder     none\n",
	};
	char *text BASE_AUTO_FREE = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	parse(VM
	      "isolation: {cpus: \"2-3,5\"}\n"
	      "firewall:\n"
	      "  ingress: [{from: [192.0.2.0/24, 2001:db8::1], proto: tcp, ports: [22, 8000-8080],"
	      " action: reject, log: true}]\n"
	      "  limits: {new_connections: 50/s}\n"
	      "monitor: {scan: {respond: quarantine}, beacon: {enabled: false}}\n");
	policy_explain(out, &policy);
	fclose(out);
	for (size_t i = 0; i < BASE_COUNT(lines); i++)
		ck_assert_msg(strstr(text, lines[i]) != NULL, "no line '%s' in:\n%s", lines[i],
		              text);
}
END_TEST

/* A key that the man page does not have is a key that nobody can find. */
static void check_page(const struct policy_map *map, const char *page)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct policy_key *key = &map->keys[i];
		char item[64];

		snprintf(item, sizeof(item), "\n.It Cm %s :", key->name);
		ck_assert_msg(strstr(page, item) != NULL, "%s of %s is not in cordon-policy.5",
		              key->name, map->what);
		for (const struct policy_word *w = key->words; w && w->word; w++)
			ck_assert_msg(strstr(page, w->word) != NULL, "no word %s", w->word);
		if (key->map)
			check_page(key->map, page);
	}
}

START_TEST(test_man_page_is_complete)
{
	char *page BASE_AUTO_FREE = NULL;
	ssize_t size = policy_read_file(MAN_PAGE, &page);

	ck_assert_int_gt(size, 0);
	page[size - 1] = '\0';
	check_page(&policy_map_policy, page);
	for (size_t i = 0; i < POLICY_CPU_FEATURES_MAX; i++) {
		struct policy_cpu cpu = {0};
		char text[POLICY_CPU_TEXT_MAX];

		cpu.add[i / 8] = (uint8_t)(1u << i % 8);
		if (!policy_cpu_valid(&cpu))
			continue;
		policy_cpu_text(&cpu, text); /* "host,+NAME" */
		ck_assert_msg(strstr(page, text + 6) != NULL, "%s is not in cordon-policy.5",
		              text + 6);
	}
}
END_TEST

START_TEST(test_reference)
{
	char *text BASE_AUTO_FREE = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	policy_reference_print(out);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text,
	                             "  memory: a size such as 512M or 2G, 64M to 1T, a multiple "
	                             "of 2M  (default: 256M)\n"));
	ck_assert_ptr_nonnull(strstr(text, "version: a whole number, 1  (required)\n"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies_forms");
	TCase *forms = tcase_create("forms");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(forms, test_defaults);
	tcase_add_test(forms, test_vm_forms);
	tcase_add_test(forms, test_guard_forms);
	tcase_add_test(forms, test_confidential_forms);
	tcase_add_test(forms, test_life_forms);
	tcase_add_test(forms, test_cpu_forms);
	tcase_add_test(forms, test_console_and_vsock);
	tcase_add_test(forms, test_monitor_forms);
	tcase_add_test(forms, test_units);
	tcase_add_test(forms, test_cidr_contains);
	tcase_add_test(forms, test_ready_made);
	tcase_add_loop_test(forms, test_balloon_forms, 0, 8);
	tcase_add_test(forms, test_explained);
	tcase_add_test(forms, test_man_page_is_complete);
	tcase_add_test(forms, test_reference);
	suite_add_tcase(suite, forms);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
