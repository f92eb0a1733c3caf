#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What an idle guest of 256 MiB costs its host beside its own RAM: the private bytes (Private_Clean,
# Private_Dirty and Private_Hugetlb of /proc/PID/smaps, and of page tables VmPTE) of every process that
# is there because the guest is, next to those of a qemu-system-x86_64 -M microvm with the same devices.
# The monitor is one for the whole host, so it is a figure of its own.
# runs: rig bench
set -eu -o pipefail
TREE=${CORDON_TREE:?}
# shellcheck source=tests/rig/lib.sh
. "$TREE/tests/rig/lib.sh"
# shellcheck source=tests/rig/vm.sh
. "$TREE/tests/rig/vm.sh"
IMAGE=/var/lib/cordon/images/debian-12
QEMU_LOG=$VM_DIR/qemu.log

# private PID: its private bytes. Guest RAM is left out: the memfd by its name, and of QEMU's anonymous
# memory the one mapping that is as large as the guest's RAM.
private() {
	awk '/^[0-9a-f]+-[0-9a-f]+ / {
			split($1, ends, "-")
			ram = $0 ~ /memfd:guest-memory/ || strtonum("0x" ends[2]) - strtonum("0x" ends[1]) == 268435456
		}
		/^Private_(Clean|Dirty|Hugetlb):/ && !ram { kib += $2 }
		END { print kib * 1024 }' "/proc/$1/smaps"
}

# tables PID: bytes of its page tables, those that map guest RAM included.
tables() {
	awk '$1 == "VmPTE:" { print $2 * 1024 }' "/proc/$1/status"
}

# sum PID…
sum() {
	local pid total=0
	for pid; do
		total=$((total + $(private "$pid")))
	done
	echo $total
}

figure() {
	jq -cn --arg name "$1" --argjson value "$2" --arg peer "${3-}" --argjson theirs "${4-null}" \
		'{name: $name, value: $value, unit: "bytes"} + if $theirs == null then {} else
		 {peer: $peer, peer_value: $theirs, ratio: ($value / $theirs * 1000 | round / 1000)} end'
}

start_qemu() {
	ip tuntap add tap-qemu mode tap
	ip link set tap-qemu up
	qemu-system-x86_64 -M microvm,pcie=on,pic=off,pit=off,rtc=off -accel kvm -cpu host -m 256M -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial "file:$QEMU_LOG" \
		-kernel /cordon-guest/vmlinuz -initrd $IMAGE/initrd \
		-append 'console=ttyS0 panic=-1 root=/dev/vda ro quiet guest.network=off' \
		-drive if=none,id=root,format=raw,readonly=on,file=$IMAGE/disk \
		-device virtio-blk-pci,drive=root,romfile= \
		-netdev tap,id=net,ifname=tap-qemu,script=no,downscript=no \
		-device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci,romfile= </dev/null >&2 &
	QEMU=$!
	at_end kill $QEMU
	wait_for 300 grep -q 'guest: shell' "$QEMU_LOG"
}

start_ours() {
	cat >"$VM_DIR/idle.yaml" <<END_POLICY
version: 1
vm:
  name: idle
  vcpus: 1
  memory: 256M
  kernel: debian-12
  cmdline: "quiet guest.network=off"
  nics: [{mode: nat}]
END_POLICY
	at_end vm_gone idle
	want "$CORDON" run --detach "$VM_DIR/idle.yaml" >&2
	guest_wait idle 'guest: shell' 300
}

vm_image >&2
start_ours
sleep 5 # idle: what udev and the shell had to do is done
inspected=$("$CORDON" inspect --format json idle)
declare -A pid
while read -r role number; do
	pid[$role]=$number
done < <(jq -r '(.processes[] | "\(.role) \(.pid)"), "keeper \(.keeper)"' <<<"$inspected")
# Without a daemon, `cordon run --detach` leaves a process that serves what this guest's alerts ask.
server=$(pgrep -x cordon-serve || true)
[ -z "$server" ] || pid[serve]=$server
ours=$(sum "${pid[@]}")
tables=0
for each in "${pid[@]}"; do
	tables=$((tables + $(tables "$each")))
done
parts=$(for role in "${!pid[@]}"; do figure "private_bytes_$role" "$(private "${pid[$role]}")"; done)
monitor=$(private "$(pgrep -x cordon-monitor)")
"$CORDON" kill idle >&2

start_qemu
sleep 5
{
	figure private_bytes_idle "$ours" 'qemu microvm' "$(private $QEMU)"
	figure page_table_bytes "$tables" 'qemu microvm' "$(tables $QEMU)"
	echo "$parts"
	figure private_bytes_monitor_of_host "$monitor"
} | jq -cs '{bench: "memory", figures: .}'
