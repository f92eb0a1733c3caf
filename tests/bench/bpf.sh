#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a packet costs at the tap; see bpf.c.
exec "$(dirname "$0")/../../build/tests/bench/bench_bpf"
