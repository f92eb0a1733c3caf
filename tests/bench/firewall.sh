#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a VM more costs the firewall beside up to 5,000, and a packet (firewall.c); what libvirt's clean-traffic takes
# for a NIC, in the same run; how soon the watchdog has the rules back; and what 300 changes of rules under full load
# let through (tests/traffic/firewall_leak.c).
set -eu
here=$(dirname "$0")
build=$here/../../build
figures=$("${BENCH_FIREWALL:-$build/tests/bench/bench_firewall}")
# add NAME VALUE UNIT: one figure more, if there is a value.
add() {
	[ -z "$2" ] || figures="$figures,{\"name\":\"$1\",\"value\":$2,\"unit\":\"$3\"}"
}
add libvirt_clean_traffic_per_nic_ms "$(sh "$here/firewall_libvirt.sh" || true)" ms
watchdog=$(sh "$here/firewall_watchdog.sh" "${BENCH_CORDON:-$build/cordon/cordon}" || true)
add watchdog_restored_ms "$(echo "$watchdog" | cut -d ' ' -f 1)" ms
add watchdog_alerted_ms "$(echo "$watchdog" | cut -d ' ' -f 2)" ms
leak=$("${BENCH_FIREWALL_LEAK:-$build/tests/traffic/traffic_firewall_leak}") || true
echo "$leak" >&2
leaked=$(echo "$leak" | sed -n 's/^.*packets allowed, \([0-9]*\) leaked$/\1/p' | awk '{n += $1} END {print NR ? n : "null"}')
add leaked_packets "$leaked" packets
echo "{\"bench\": \"firewall\", \"figures\": [$figures]}"
