/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Broken policies, each with one mistake: refused at its line and column, with words that say what
 * it is. The files are in tests/unit/policies, named as in the table.
 */
#include <check.h>

#include "base/base.h"
#include "policies/policies.h"

static const struct broken {
	const char *file;
	uint32_t line, column, width;
	const char *found, *expected, *hint;
} broken[] = {
        {"any_in_a_list", 7, 18, 3, "\"any\"", "an address or a CIDR such as 10.0.0.0/8",
         "any stands by itself, not in a list"},
        {"colon_without_space", 4, 9, 1, "a ':' that starts a value here",
         "one `key: value` a line, keys of one mapping at one indentation",
         "line 3 goes on here: has its ':' a space after it, and this line the right indentation?"},
        {"crlf", 5, 10, 1, "\"x\"", "a whole number", ""},
        {"egress_is_a_word", 6, 20, 3, "\"any\"", "a list: each item an egress rule", ""},
        {"empty_key", 6, 1, 2, "an empty key in the policy",
         "version, vm, guard, isolation, confidential, firewall, monitor or capture", ""},
        {"guard_beside_vm", 3, 1, 2, "vm beside guard",
         "vm, of a guest that cordon runs, or guard, of one that another VMM does", ""},
        {"guard_confidential", 3, 1, 12, "confidential beside guard",
         "no confidential: its memory is not cordon's", ""},
        {"guard_dns", 3, 12, 3, "dns beside guard",
         "no dns: cordon has no resolver there; a rule allows another one", ""},
        {"guard_isolation", 3, 1, 9, "isolation of a guest that another VMM runs",
         "no isolation beside guard: its processes are not cordon's", ""},
        {"guard_kernel", 6, 3, 6, "the unknown key \"kernel\" in guard",
         "name, groups, mac or addresses", "kernel is a key of vm"},
        {"guard_names", 5, 10, 1, "names, for a guest that does not ask cordon's resolver",
         "cidrs, or an entity", ""},
        {"guard_pause", 4, 19, 1, "pause, of a guest that another VMM runs", "alert or quarantine",
         ""},
        {"guard_without_addresses", 2, 1, 5, "guard without addresses",
         "addresses: the guest's own addresses, at most one of each family", ""},
        {"indented_too_far", 4, 10, 1, "a ':' that starts a value here",
         "one `key: value` a line, keys of one mapping at one indentation",
         "line 3 goes on here: has its ':' a space after it, and this line the right indentation?"},
        {"tab_after_umlaut", 4, 1, 1, "a tab in the indentation", "spaces", ""},
        {"unquoted_colons", 7, 17, 1, "punctuation where a value stands", "a value",
         "an address that begins with ':' has to be in quotes"},
        {"address_as_name", 7, 26, 9, "\"192.0.2.1\"",
         "a full host name such as www.example.org, or all names below one: *.example.org",
         "an address belongs in cidrs"},
        {"alias", 5, 11, 6, "an alias of \"image\"",
         "the value itself: policies have no anchors and no aliases",
         "text that begins with '*' has to be in quotes"},
        {"anchor", 5, 11, 1, "the anchor \"d\"",
         "a plain value: policies have no anchors and no aliases", ""},
        {"balloon_not_a_boolean", 5, 12, 4, "\"128M\"", "true or false", ""},
        {"balloon_of_huge_pages", 5, 19, 4, "memory_reclaim beside huge pages, which are reserved",
         "no huge pages, or no memory_reclaim", ""},
        {"bandwidth_unit", 7, 23, 7, "\"100mbps\"",
         "a bandwidth such as 100Mbit (bits) or 100M (bytes)", "did you mean 100Mbit?"},
        {"boolean_yes", 5, 30, 3, "\"yes\"", "true or false", "did you mean true?"},
        {"bridge_beside_nat", 5, 30, 3, "a bridge for a NIC that joins none",
         "mode: bridge beside it", ""},
        {"bridge_without_name", 5, 17, 6, "mode bridge without a bridge",
         "bridge: the name of the host's bridge", ""},
        {"burst_alone", 5, 47, 2, "a burst without a bandwidth", "a bandwidth beside it", ""},
        {"byte_order_mark", 1, 1, 1, "a byte order mark", "UTF-8 text",
         "save the file as UTF-8 without one"},
        {"capture_ring_small", 5, 17, 3, "\"64K\"", "1M to 4G", ""},
        {"cidr_host_bits", 7, 17, 10, "\"10.1.2.3/8\"", "a network: no bits set past its prefix",
         "did you mean 10.0.0.0/8?"},
        {"cidr_prefix", 7, 17, 11, "\"10.1.2.3/33\"", "a prefix of at most 32", ""},
        {"cidrs_overlap", 10, 11, 11, "\"10.1.0.0/16\"", "networks that do not overlap",
         "it overlaps with 10.0.0.0/8 in line 9"},
        {"colon_in_value", 5, 13, 1, "a ':' that starts a value here",
         "one `key: value` a line, keys of one mapping at one indentation",
         "text that holds \": \" has to be in quotes"},
        {"confidential_abi", 5, 59, 7, "\"1.256\"",
         "a version of the firmware's interface such as 1.55, each number up to 255", ""},
        {"confidential_balloon", 5, 12, 4,
         "a balloon of a confidential guest, whose pages the host cannot take",
         "no balloon, or confidential type: none", ""},
        {"confidential_host_data_hex", 5, 57, 6, "\"00zz\"",
         "at most 32 bytes, each two hexadecimal digits", ""},
        {"confidential_host_data_long", 5, 57, 68, "66 digits",
         "at most 32 bytes, each two hexadecimal digits", ""},
        {"confidential_huge_pages", 6, 25, 2, "huge pages for memory that the host cannot map",
         "none: the kernel chooses its pages itself", ""},
        {"confidential_id_block_alone", 5, 56, 3, "id_block without id_auth",
         "both: `cordon id-block` makes them", ""},
        {"confidential_nested", 5, 17, 4, "guests in a confidential guest",
         "nested: false, or confidential type: none", ""},
        {"confidential_none_with_firmware", 5, 38, 9, "firmware of type none",
         "a type that hides memory from the host", ""},
        {"confidential_protected_with_policy", 5, 44, 1, "policy of type sw-protected",
         "a type that hides memory from the host", ""},
        {"confidential_protected_without_kernel", 2, 1, 2, "vm without kernel",
         "kernel: an imported image, or the path of a kernel", ""},
        {"confidential_reclaim", 5, 19, 4,
         "memory_reclaim of a confidential guest, whose pages the host cannot take",
         "no balloon, or confidential type: none", ""},
        {"confidential_require", 5, 51, 5, "\"false\"",
         "true: a host that cannot give it does not start the guest",
         "a guest without it has type: none"},
        {"confidential_sev_id_block", 5, 52, 3, "id_block of type sev", "type: sev-snp beside it",
         ""},
        {"confidential_sev_smt", 5, 56, 5, "smt of type sev",
         "type: sev-snp, whose policy alone has it", ""},
        {"confidential_tdx_abi", 5, 56, 6, "abi of type tdx",
         "type: sev, sev-es or sev-snp beside it", ""},
        {"confidential_without_firmware", 5, 22, 7, "type sev-snp without a firmware",
         "firmware: what the guest starts with", ""},
        {"confidential_type", 5, 22, 7, "\"sev-spn\"",
         "none, sev, sev-es, sev-snp, tdx or sw-protected", "did you mean sev-snp?"},
        {"console_misspelt", 5, 12, 6, "\"vitrio\"", "serial or virtio", "did you mean virtio?"},
        {"entity_misspelt", 7, 18, 4, "\"wrld\"", "an address or a CIDR such as 10.0.0.0/8",
         "did you mean world?"},
        {"entity_twice", 7, 24, 4, "\"vm:b\" a second time in this rule", "each peer once", ""},
        {"entity_name", 7, 17, 6, "\"vm:B_1\"", "vm:NAME, of at most 31 of a-z, 0-9 and '-'", ""},
        {"metadata_in_ingress", 7, 20, 8, "metadata in an ingress rule",
         "who may reach the guest, and connects", ""},
        {"set_absent", 7, 17, 5, "the set \"x\", which is not there", "a set of firewall.sets", ""},
        {"set_name", 7, 10, 1, "\"A\"", "a set's name: at most 31 of a-z, 0-9 and '-'", ""},
        {"set_empty", 7, 13, 1, "an empty list", "at least one", ""},
        {"service_misspelt", 7, 33, 4, "\"htps\"",
         "services such as [ssh, dns, https]: cordon-policy(5) lists them", "did you mean https?"},
        {"service_twice", 7, 42, 3, "\"dns\" a second time", "each service once", ""},
        {"service_beside_proto", 7, 43, 3, "proto beside service", "either service or proto", ""},
        {"types_of_tcp", 7, 41, 12, "types of what is no ICMP",
         "proto: icmp, icmpv4 or icmpv6 beside types", ""},
        {"type_misspelt", 7, 43, 11, "\"echo-reqest\"",
         "ICMP types such as echo-request or time-exceeded, or a number from 0 to 254",
         "did you mean echo-request?"},
        {"limits_of_a_drop", 7, 44, 1, "limits of a rule that allows nothing",
         "action: allow beside it", ""},
        {"ports_of_gre", 7, 29, 3, "ports of a protocol that is known by its number",
         "proto: tcp or proto: udp beside ports", ""},
        {"routing_header_zero", 7, 21, 1, "\"0\"", "a type from 1 to 255",
         "type 0 was withdrawn, as it multiplies traffic (RFC 5095)"},
        {"service_covered", 7, 44, 1, "a rule that is never reached", "rules that each can match",
         "the rule of line 7 allows all of this before"},
        {"bridge_without_addresses", 5, 17, 6, "mode bridge without addresses",
         "addresses: the guest's own, which alone it may use", ""},
        {"addresses_of_nat", 5, 22, 9, "addresses for a NIC that cordon gives some",
         "mode: bridge beside it", ""},
        {"address_twice", 5, 61, 9, "\"192.0.2.2\"", "at most one address of each family", ""},
        {"address_multicast", 5, 50, 9, "\"ff02::1\"", "the address of one machine", ""},
        {"forward_of_routed", 5, 34, 1,
         "forwards for a NIC whose guest is reached by its own address",
         "mode: nat, or none of them", ""},
        {"forward_closed", 5, 21, 1, "a forward to port 80 that no rule lets through",
         "an ingress rule that allows it", ""},
        {"vsock_cid_reserved", 5, 16, 1, "\"2\"", "auto, or a number from 3 to 4294967294", ""},
        {"vsock_port_range", 5, 31, 10, "\"4294967295\"", "a port from 1 to 4294967294", ""},
        {"vsock_port_twice", 8, 16, 4, "\"5000\"", "each port once", "line 7 has it already"},
        {"vsock_ports_not_a_list", 5, 26, 2, "\"22\"", "a list of ports such as [22, 1024]", ""},
        {"vsock_relative_socket", 5, 48, 8, "\"log.sock\"",
         "the absolute path of a unix socket in a folder, such as /run/web/log.sock", ""},
        {"control_character", 5, 13, 1, "the unprintable character U+001B",
         "text that looks like what it is", ""},
        {"cpu_feature", 5, 26, 7, "\"avx-512\"",
         "features such as [avx2, aes]: cordon-policy(5) lists them", "did you mean avx512f?"},
        {"cpu_feature_both", 5, 38, 3, "aes both added and removed",
         "each feature in one of the two", ""},
        {"cpu_feature_nested", 5, 26, 3, "\"vmx\"",
         "features such as [avx2, aes]: cordon-policy(5) lists them", "it comes with nested: true"},
        {"cpu_feature_twice", 5, 34, 3, "\"avx\" a second time", "each feature once", ""},
        {"cpu_model", 5, 16, 9, "\"x86-64-v1\"", "host, x86-64-v2, x86-64-v3 or x86-64-v4",
         "did you mean x86-64-v2?"},
        {"cpus_overlap", 5, 19, 7, "\"2-4,3\"", "each CPU once", ""},
        {"directive", 1, 1, 1, "a YAML directive", "a policy that begins with its keys", ""},
        {"disk_format", 5, 33, 5, "\"qcow2\"", "raw", ""},
        {"disk_twice", 5, 33, 5, "\"a.raw\"", "a file of its own, or both read_only",
         "the disk of line 5 writes to the same file"},
        {"disk_without_path", 7, 7, 1, "a disk without path",
         "path: the disk's file; a relative path starts at the policy's folder", ""},
        {"disks_not_a_list", 5, 10, 1, "a mapping", "a list: each item a disk",
         "put it in brackets: [{...}], or begin it with `- `"},
        {"duplicate_key", 7, 3, 5, "the key \"vcpus\" a second time", "each key once",
         "it was first set in line 5"},
        {"duration_without_unit", 5, 25, 2, "\"30\"", "a duration such as 30s, 5m or 1h",
         "did you mean 30s?"},
        {"egress_from", 7, 13, 4, "the unknown key \"from\" in an egress rule",
         "to, proto, ports, types, service, action, log or limits", "did you mean to?"},
        {"empty", 1, 1, 1, "an empty policy", "version: 1 and vm: with its name and kernel", ""},
        {"escaped_nul", 5, 12, 6, "a NUL character in a text", "text", ""},
        {"key_in_wrong_place", 5, 1, 6, "the unknown key \"memory\" in the policy",
         "version, vm, guard, isolation, confidential, firewall, monitor or capture",
         "memory is a key of vm"},
        {"key_is_a_list", 5, 3, 1, "a list or a mapping where a key stands", "a key's name", ""},
        {"list_at_top", 1, 1, 1, "a list", "the policy: a mapping of keys to values", ""},
        {"list_given_twice", 6, 3, 4, "the key \"nics\" a second time", "each key once",
         "it was first set in line 5"},
        {"long_line", 7, 251, 11, "\"192.0.2.300\"", "an address or a CIDR such as 10.0.0.0/8", ""},
        {"mac_multicast", 5, 16, 19, "\"01:00:5e:00:00:01\"",
         "the address of one card: not multicast, not zero", ""},
        {"mac_twice", 7, 12, 17, "\"52:54:00:00:00:01\"", "an address of its own",
         "the NIC of line 6 has the same"},
        {"memory_is_a_list", 5, 11, 1, "a list", "a size such as 512M or 2G", ""},
        {"memory_not_a_multiple", 5, 11, 3, "\"65M\"", "64M to 1T, a multiple of 2M", ""},
        {"memory_unit", 5, 11, 5, "\"512MB\"", "a size such as 512M or 2G", "did you mean 512M?"},
        {"memory_without_unit", 5, 11, 3, "\"512\"", "64M to 1T, a multiple of 2M",
         "did you mean 512M?"},
        {"merge_key", 6, 3, 2, "the merge key \"<<\"", "each setting written out where it holds",
         ""},
        {"mode_misspelt", 5, 17, 9, "\"host_only\"", "nat, host-only, routed or bridge",
         "did you mean host-only?"},
        {"name_as_address", 7, 17, 15, "\"www.example.org\"",
         "an address or a CIDR such as 10.0.0.0/8", "write a name as {names: [www.example.org]}"},
        {"name_upper_case", 3, 9, 4, "\"Web0\"",
         "at most 31 of a-z, 0-9 and '-', the first not a '-'", ""},
        {"name_wildcard", 7, 26, 16, "\"*w.example.org\"",
         "a full host name such as www.example.org, or all names below one: *.example.org",
         "a star is the whole first label, and at least two follow it"},
        {"names_in_ingress", 7, 21, 5, "names in an ingress rule", "cidrs",
         "a name can be looked up, but a sender cannot be known by it"},
        {"names_without_dns", 8, 17, 1, "a rule by name where the guest may not ask for names",
         "cidrs, or dns: true", ""},
        {"nic_queues", 5, 30, 1, "\"9\"", "1 to 8", ""},
        {"no_kernel", 2, 1, 2, "vm without kernel",
         "kernel: an imported image, or the path of a kernel", ""},
        {"no_version", 1, 1, 1, "the policy without version", "version: of the policy language",
         ""},
        {"not_utf8", 5, 15, 1, "the byte 0xe9, which is not UTF-8 here", "UTF-8 text", ""},
        {"nothing_after_key", 5, 10, 1, "nothing", "a size such as 512M or 2G", ""},
        {"nul", 5, 13, 1, "the unprintable character U+0000", "text that looks like what it is",
         ""},
        {"number_overflow", 5, 10, 20, "\"99999999999999999999\"", "1 to 64", ""},
        {"numa_auto_without_cpus", 5, 19, 4, "numa: auto without cpus",
         "cpus beside it, or a node's number", ""},
        {"numa_word", 5, 19, 3, "\"any\"", "auto, or a NUMA node's number, 0 to 1023", ""},
        {"octal_number", 5, 10, 2, "\"02\"", "a whole number", ""},
        {"on_panic_misspelt", 5, 13, 6, "\"paused\"", "stop, pause or log", "did you mean pause?"},
        {"on_reset_pause", 5, 13, 5, "\"pause\"", "stop or restart", ""},
        {"watchdog_action_log", 5, 22, 3, "\"log\"", "reset, stop or pause", ""},
        {"watchdog_is_a_word", 5, 13, 5, "\"reset\"", "a watchdog: a mapping of keys to values",
         ""},
        {"other_version", 1, 10, 1, "\"2\"", "1", ""},
        {"peer_missing", 7, 12, 1, "an egress rule without to", "to: what the guest may reach", ""},
        {"port_backwards", 7, 44, 9, "\"8080-8000\"",
         "a port from 1 to 65535, or a range such as 8000-8080",
         "a range goes from the lower port to the higher"},
        {"port_zero", 7, 49, 1, "\"0\"", "a port from 1 to 65535, or a range such as 8000-8080",
         ""},
        {"ports_of_icmp", 7, 32, 4, "proto icmp, which has no ports, with ports",
         "proto: tcp or proto: udp beside ports", ""},
        {"ports_overlap", 7, 56, 4, "\"8080\"", "ports that do not overlap",
         "it overlaps with 8000-8080 in the same rule"},
        {"expect_nobody", 5, 34, 1, "\"0\"", "1 to 10000", ""},
        {"intel_relative", 5, 35, 7, "\"bad.txt\"", "absolute paths such as [/etc/cordon/bad.txt]",
         ""},
        {"intel_twice", 5, 35, 6, "\"/a.txt\"", "each list once", ""},
        {"suppress_rule", 5, 29, 5, "\"scans\"", "a rule such as scan.vertical or brute.*", ""},
        {"suppress_hours", 5, 44, 13, "\"25:00-26:00\"", "hours such as 22:00-04:30", ""},
        {"suppress_peer", 5, 45, 4, "\"web0\"", "a network such as 192.0.2.0/24, or an address",
         ""},
        {"detector_threshold", 5, 25, 5, "the unknown key \"ports\" in brute_force",
         "enabled or respond", "ports is a key of an ingress rule"},
        {"ports_without_proto", 7, 32, 1, "ports without a proto",
         "proto: tcp or proto: udp beside ports", ""},
        {"proto_misspelt", 7, 32, 3, "\"tpc\"",
         "any, tcp, udp, icmp, icmpv4, icmpv6, sctp, gre, esp, or a number from 1 to 255",
         "did you mean tcp?"},
        {"quoted_number", 5, 10, 3, "the text \"2\"", "a whole number", "leave the quotes out"},
        {"rate_without_unit", 7, 29, 2, "\"50\"", "a rate such as 50/s", "did you mean 50/s?"},
        {"response_misspelt", 5, 35, 6, "\"capure\"",
         "alert, capture, throttle, quarantine or pause", "did you mean capture?"},
        {"response_twice", 5, 35, 5, "\"alert\" a second time", "each word once", ""},
        {"reclaim_without_balloon", 4, 22, 4, "memory_reclaim of a VM without a balloon",
         "balloon: true, or no memory_reclaim", ""},
        {"response_without_nic", 6, 19, 10, "a response on the network of a VM that has no NIC",
         "alert or pause, or a NIC in vm.nics", ""},
        {"rule_never_reached", 9, 7, 1, "a rule that is never reached", "rules that each can match",
         "the rule of line 8 allows all of this before"},
        {"second_document", 5, 1, 1, "a second document", "one policy a file", ""},
        {"sink_by_name", 5, 28, 26, "\"udp://siem.example.org:514\"",
         "udp://ADDRESS:PORT, tcp://ADDRESS:PORT or tls://ADDRESS:PORT, the address numeric", ""},
        {"sink_empty", 5, 19, 1, "a sink that goes nowhere",
         "one of file, syslog, http, unix, stdout and ipfix", ""},
        {"sink_format", 5, 61, 6, "format syslog for a sink that is not", "ecs, cef or ocsf", ""},
        {"sink_half_a_pair", 5, 19, 1, "one of certificate and key", "both or neither", ""},
        {"sink_http_address", 5, 26, 28, "\"http://collector.example/x\"",
         "http://ADDRESS:PORT/PATH or https://ADDRESS:PORT/PATH, the address numeric", ""},
        {"sink_relative_file", 5, 26, 11, "\"alerts.json\"",
         "an absolute path such as /var/log/cordon/web0.json", ""},
        {"sink_several", 5, 19, 1, "a sink that is several",
         "one of file, syslog, http, unix, stdout and ipfix", ""},
        {"sink_keep_alone", 5, 59, 1, "keep without rotate", "rotate, or no keep", ""},
        {"sink_rotate_of_syslog", 5, 59, 2, "a key of files for a sink that is none",
         "file, or none of rotate, keep and sync", ""},
        {"sink_stdout", 5, 28, 5, "\"false\"", "true", ""},
        {"sink_flows_format", 5, 59, 3, "a format for a sink of flows", "no format beside ipfix",
         ""},
        {"sink_domain", 5, 50, 1, "a domain for a sink that is not ipfix", "ipfix, or no domain",
         ""},
        {"sink_tls_of_none", 5, 56, 7, "a key of TLS for a sink without TLS",
         "tls:// or https://, or none of ca, certificate, key and peer", ""},
        {"sink_tls_without_ca", 5, 19, 1, "a sink with TLS and without ca",
         "ca, to know the receiver by", ""},
        {"sink_token_of_syslog", 5, 59, 7, "a token for a sink that is not http",
         "http, or no token", ""},
        {"tab", 3, 1, 1, "a tab in the indentation", "spaces", ""},
        {"tag", 5, 10, 1, "the tag \"int\"", "a plain value: the key decides its type", ""},
        {"text_override", 5, 14, 1, "the unprintable character U+202E",
         "text that looks like what it is", ""},
        {"too_deep", 5, 24, 1, "a list or mapping at depth 17",
         "at most 16 of them inside each other", ""},
        {"too_many_nics", 5, 26, 1, "more than 4 entries in nics", "at most 4", ""},
        {"unclosed_bracket", 6, 1, 1, "the end of the file inside a list in brackets", "`,` or `]`",
         "it began in line 5"},
        {"unclosed_quote", 6, 1, 1, "the end of the file inside a quoted text", "the closing quote",
         "it began in line 5"},
        {"unknown_key", 5, 3, 4, "the unknown key \"vcpu\" in vm",
         "name, groups, vcpus, cpu, memory, balloon, memory_reclaim, kernel, initrd, cmdline, "
         "disks, nics, "
         "vhost_user, on_panic, "
         "on_reset, watchdog, console or vsock",
         "did you mean vcpus?"},
        {"unknown_top_key", 5, 1, 7, "the unknown key \"firewal\" in the policy",
         "version, vm, guard, isolation, confidential, firewall, monitor or capture",
         "did you mean firewall?"},
        {"vcpus_out_of_range", 5, 10, 2, "\"65\"", "1 to 64", ""},
        {"vhost_fs_without_tag", 5, 45, 2, "an fs without a tag",
         "tag: the name that the guest mounts it by", ""},
        {"vhost_net_filtered", 5, 45, 3, "a net that no firewall sees",
         "unfiltered: true beside it, or a nic instead", ""},
        {"vhost_socket", 5, 25, 8, "\"run/sock\"",
         "an absolute path of at most 107 bytes, such as /run/virtiofsd/web0.sock", ""},
        {"vhost_tag_of_blk", 5, 45, 3, "tag or queues of what is no fs",
         "type: fs, or neither of them", ""},
        {"vm_is_text", 2, 5, 4, "\"web0\"", "vm: a mapping of keys to values", ""},
};

static struct policy policy;
static struct policy_errors errors;

static int parse_file(const char *name)
{
	char path[512];
	char *text BASE_AUTO_FREE = NULL;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/%s.yaml", BROKEN_DIR, name);
	size = policy_read_file(path, &text);
	ck_assert_msg(size > 0, "%s: %zd", path, size);
	return policy_parse(text, (size_t)size, &policy, &errors);
}

START_TEST(test_refused_right_there)
{
	const struct broken *want = &broken[_i];
	const struct policy_error *got = &errors.list[0];

	ck_assert_msg(parse_file(want->file) == -EINVAL, "%s was not refused", want->file);
	ck_assert_msg(errors.count == 1, "%s: %zu errors", want->file, errors.count);
	ck_assert_msg(got->line == want->line && got->column == want->column &&
	                      got->width == want->width,
	              "%s: at %u:%u, %u wide", want->file, got->line, got->column, got->width);
	ck_assert_str_eq(got->found, want->found);
	ck_assert_str_eq(got->expected, want->expected);
	ck_assert_str_eq(got->hint, want->hint);
}
END_TEST

static const char many[] = "version: 1\n"
                           "vm:\n"
                           "  name: Web\n"
                           "  memry: 512M\n"
                           "firewall:\n"
                           "  ingress: [{from: any, proto: tpc}]\n"
                           "  egress:\n"
                           "    - {to: 10.0.0.1/8}\n"
                           "capture: {ring: 1}\n";

START_TEST(test_all_errors_in_one_run)
{
	static const struct {
		uint32_t line, column;
	} places[] = {{2, 1}, {3, 9}, {4, 3}, {6, 32}, {8, 12}, {9, 17}};

	ck_assert_int_eq(policy_parse(many, strlen(many), &policy, &errors), -EINVAL);
	ck_assert_uint_eq(errors.count, BASE_COUNT(places));
	for (size_t i = 0; i < BASE_COUNT(places); i++) {
		ck_assert_uint_eq(errors.list[i].line, places[i].line);
		ck_assert_uint_eq(errors.list[i].column, places[i].column);
	}
	ck_assert(!errors.more);
	ck_assert_str_eq(policy.vm.name, "");
}
END_TEST

START_TEST(test_more_errors_than_kept)
{
	char *text BASE_AUTO_FREE = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("version: 1\nvm: {name: a, kernel: k, nics: [{}]}\nfirewall:\n  egress:\n", out);
	for (int i = 0; i < 100; i++)
		fputs("    - {to: nowhere}\n", out);
	fclose(out);
	ck_assert_int_eq(policy_parse(text, size, &policy, &errors), -EINVAL);
	ck_assert_uint_eq(errors.count, POLICY_ERRORS_MAX);
	ck_assert(errors.more);
	ck_assert_uint_eq(errors.list[0].line, 5);
	ck_assert_uint_eq(errors.list[POLICY_ERRORS_MAX - 1].line, 5 + POLICY_ERRORS_MAX - 1);
}
END_TEST

START_TEST(test_printed)
{
	char *text BASE_AUTO_FREE = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(parse_file("memory_unit"), -EINVAL);
	policy_errors_print(out, "web.yaml", &errors);
	fclose(out);
	ck_assert_str_eq(text,
	                 "web.yaml:5:11: error: found \"512MB\", expected a size such as 512M "
	                 "or 2G\n"
	                 "    5 |   memory: 512MB\n"
	                 "      |           ^~~~~\n"
	                 "      = did you mean 512M?\n");
}
END_TEST

/* The caret of an error far to the right stands under it in the window that is shown. */
START_TEST(test_long_line)
{
	const struct policy_error *error = &errors.list[0];

	ck_assert_int_eq(parse_file("long_line"), -EINVAL);
	ck_assert_uint_eq(error->column, 251);
	ck_assert_int_eq(strncmp(error->source + error->caret, "192.0.2.300", 11), 0);
}
END_TEST

START_TEST(test_json)
{
	char *text BASE_AUTO_FREE = NULL;

	ck_assert_int_eq(parse_file("not_utf8"), -EINVAL);
	text = policy_errors_json("a \"b\".yaml", &errors);
	ck_assert_str_eq(text,
	                 "[{\"file\":\"a \\\"b\\\".yaml\",\"line\":5,\"column\":15,\"width\":1,"
	                 "\"found\":\"the byte 0xe9, which is not UTF-8 here\","
	                 "\"expected\":\"UTF-8 text\",\"hint\":\"\","
	                 "\"source\":\"  cmdline: caf?\"}]");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies_broken");
	TCase *refused = tcase_create("refused");
	TCase *report = tcase_create("report");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(refused, test_refused_right_there, 0, BASE_COUNT(broken));
	tcase_add_test(report, test_all_errors_in_one_run);
	tcase_add_test(report, test_more_errors_than_kept);
	tcase_add_test(report, test_printed);
	tcase_add_test(report, test_long_line);
	tcase_add_test(report, test_json);
	suite_add_tcase(suite, refused);
	suite_add_tcase(suite, report);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
