#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a frame costs the host, between a tap and the rings; see net.c. Root, for a tap of its own.
build=$(dirname "$0")/../../build
exec "$build/tests/bench/bench_net" "$build/vmm/devices/cordon-net"
