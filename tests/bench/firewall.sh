#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a VM more costs the firewall, what a packet costs with 5,000 of them (firewall.c), and what 300 changes
# of rules under full load let through (tests/traffic/firewall_leak.c).
set -eu
build=$(dirname "$0")/../../build/tests
figures=$("${BENCH_FIREWALL:-$build/bench/bench_firewall}")
leak=$("${BENCH_FIREWALL_LEAK:-$build/traffic/traffic_firewall_leak}") || true
echo "$leak" >&2
leaked=$(echo "$leak" | sed -n 's/^.*packets allowed, \([0-9]*\) leaked$/\1/p' | awk '{n += $1} END {print NR ? n : "null"}')
echo "{\"bench\": \"firewall\", \"figures\": [$figures,{\"name\":\"leaked_packets\",\"value\":$leaked,\"unit\":\"packets\"}]}"
