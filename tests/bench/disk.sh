#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a disk request costs the host, beside qemu-storage-daemon; see disk.c.
build=$(dirname "$0")/../../build
exec "$build/tests/bench/bench_disk" "$build/vmm/devices/cordon-blk"
