#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a packet costs at the tap; see bpf.c.
bench=$(dirname "$0")/../../build/tests/bench/bench_bpf
exec unshare -n sh -c 'ip link add bench0 type veth peer name bench1 && exec "$0"' "${BENCH_BPF:-$bench}"
