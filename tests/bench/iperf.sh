#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# TCP between a guest and its host, both ways, by iperf3, in counted instructions: a guest of `cordon run`
# with its sandbox, firewall and monitor, beside one of qemu-system-x86_64 -M microvm whose virtio-net-pci is
# served by QEMU itself (there is no vhost-net) and whose tap nobody guards; and between them the same vmm and
# devices of ours on a tap that nobody guards either, so that the device and what guards it can be told apart.
# Kernel, initrd, disk and MTU are the same. One CPU runs all of it: guest, device, host, iperf3 at both ends.
# runs: rig icount bench
set -eu -o pipefail
TREE=${CORDON_TREE:?}
# shellcheck source=tests/rig/lib.sh
. "$TREE/tests/rig/lib.sh"
# shellcheck source=tests/rig/vm.sh
. "$TREE/tests/rig/vm.sh"
IMAGE=/var/lib/cordon/images/debian-12
BYTES=${BENCH_BYTES:-16M}
DISK=$VM_DIR/iperf.raw
# nohz=off: as in boot.sh.
SCRIPT="quiet nohz=off guest.network=off guest.script=iperf guest.bytes=$BYTES"

# The guest's disk, with iperf3 and what it is linked with.
disk_make() {
	local file
	cp --sparse=always /cordon-guest/disk.raw "$DISK"
	{
		echo "write $(command -v iperf3) /bin/iperf3"
		ldd "$(command -v iperf3)" | awk '$3 ~ /^\// { print $3 }' | while read -r file; do
			echo "write $(realpath "$file") /lib/x86_64-linux-gnu/${file##*/}"
		done
	} >"$VM_DIR/debugfs"
	debugfs -w -f "$VM_DIR/debugfs" "$DISK" >"$VM_DIR/debugfs.log" 2>&1
}

policy() {
	cat >"$VM_DIR/iperf.yaml" <<END_POLICY
version: 1
vm:
  name: iperf
  vcpus: 1
  memory: 256M
  kernel: debian-12
  cmdline: "$SCRIPT guest.address=10.77.0.6/30 guest.peer=10.77.0.5"
  disks: [{path: $DISK, read_only: true}]
  nics: [{mode: host-only}]
firewall:
  egress: [{to: {cidrs: [10.77.0.5/32]}, proto: tcp, ports: [5201]}]
END_POLICY
}

ours() {
	"$CORDON" run "$VM_DIR/iperf.yaml" </dev/null
}

# Without cordon: no firewall, no monitor, and no sandbox but each device's own process.
device() {
	"$TREE/tests/rig/vm" --kernel $IMAGE/kernel --initrd $IMAGE/initrd --disk "$DISK:read-only" --tap tap-ours --rng \
		"console=ttyS0 panic=-1 root=/dev/vda ro $SCRIPT guest.address=10.79.0.2/30 guest.peer=10.79.0.1" </dev/null
}

qemu() {
	qemu-system-x86_64 -M microvm,pcie=on,pic=off,pit=off,rtc=off -accel kvm -cpu host -m 256M -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-kernel $IMAGE/kernel -initrd $IMAGE/initrd \
		-append "console=ttyS0 panic=-1 root=/dev/vda ro $SCRIPT guest.address=10.78.0.2/30 guest.peer=10.78.0.1" \
		-drive "if=none,id=root,format=raw,readonly=on,file=$DISK" \
		-device virtio-blk-pci,drive=root,romfile= \
		-netdev tap,id=net,ifname=tap-qemu,script=no,downscript=no \
		-device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci,romfile= </dev/null
}

# measure NAME: runs it, with a server for each way; the servers' words go to $VM_DIR/NAME-to and -from.
measure() {
	local vm way
	"$1" >"$VM_DIR/$1.console" 2>&1 &
	vm=$!
	for way in to from; do
		timeout 300 iperf3 -s -1 -J >"$VM_DIR/$1-$way" || {
			tail -n 20 "$VM_DIR/$1.console" >&2
			fail "$1: the guest did not come, or stayed away"
		}
	done
	wait $vm || true
	echo "$1: to the host $(mbit "$1" to) Mbit/s, from it $(mbit "$1" from) Mbit/s" >&2
}

mbit() {
	jq ".end.sum_${3-$([ "$2" = to ] && echo received || echo sent)}.bits_per_second / 1e4 | round / 100" "$VM_DIR/$1-$2"
}

# figure NAME WHOSE WAY
figure() {
	jq -cn --arg name "$1" --argjson value "$(mbit "$2" "$3")" --argjson theirs "$(mbit qemu "$3")" \
		'{name: $name, value: $value, unit: "Mbit/s", peer: "qemu microvm", peer_value: $theirs,
		  ratio: ($value / $theirs * 1000 | round / 1000)}'
}

vm_image >/dev/null
disk_make
policy
# bare_tap NAME ADDRESS
bare_tap() {
	ip tuntap add "$1" mode tap vnet_hdr
	ip addr add "$2" dev "$1"
	ip link set "$1" up
}
bare_tap tap-qemu 10.78.0.1/30
bare_tap tap-ours 10.79.0.1/30
measure ours
measure device
measure qemu
{
	figure tcp_guest_to_host ours to
	figure tcp_host_to_guest ours from
	figure device_guest_to_host device to
	figure device_host_to_guest device from
} | jq -cs '{bench: "iperf", figures: .}'
