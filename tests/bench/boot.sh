#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# From exec to the line "guest: init" on the serial console, in counted instructions: `cordon run` with
# all of its sandbox, firewall and monitor, beside qemu-system-x86_64 -M microvm. Both have Debian's
# kernel and initrd, 256 MiB, one vCPU, the same command line, and the same four devices (serial port,
# virtio-blk-pci with the same read-only root, virtio-net-pci on a tap, virtio-rng-pci).
# docs/PERFORMANCE.md says what is compared with what, and what that is worth.
# runs: rig icount bench
set -eu -o pipefail
TREE=${CORDON_TREE:?}
# shellcheck source=tests/rig/lib.sh
. "$TREE/tests/rig/lib.sh"
# shellcheck source=tests/rig/vm.sh
. "$TREE/tests/rig/vm.sh"
# The first run also loads modules, so ours is a median. Later ones are the same to within 1 %, as the
# peer's are, so one run of those says as much as many.
RUNS=${BENCH_RUNS:-3}
IMAGE=/var/lib/cordon/images/debian-12
MARK='guest: init'
# nohz=off: the emulator loses wake-ups (tests/rig/README.md), and a guest without a tick never wakes again.
CMDLINE='console=ttyS0 panic=-1 root=/dev/vda ro quiet nohz=off guest.network=off'

until_() {
	python3 "$TREE/tests/bench/until.py" "$@"
}

policy() {
	cat >"$VM_DIR/$1.yaml" <<END_POLICY
version: 1
vm:
  name: $1
  vcpus: 1
  memory: 256M
  kernel: debian-12
  cmdline: "quiet nohz=off guest.network=off"
  nics: [{mode: nat}]
END_POLICY
}

prepare() {
	mount -t debugfs debugfs /sys/kernel/debug
	vm_image >/dev/null
	policy boot
	ip tuntap add tap-qemu mode tap
	ip link set tap-qemu up
}

ours() {
	until_ "$@" --end "$CORDON kill boot" -- "$CORDON" run "$VM_DIR/boot.yaml"
	# With the last guest goes what all of them share: the next one starts from nothing again.
	want_equal "$(leftovers_settled)" ""
}

# qemu MACHINE KERNEL UNTIL-ARGUMENT…
qemu() {
	local machine=$1 kernel=$2
	shift 2
	until_ "$@" -- qemu-system-x86_64 -M "microvm,pcie=on$machine" -accel kvm -cpu host -m 256M -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-kernel "$kernel" -initrd $IMAGE/initrd -append "$CMDLINE" \
		-drive if=none,id=root,format=raw,readonly=on,file=$IMAGE/disk \
		-device virtio-blk-pci,drive=root,romfile= \
		-netdev tap,id=net,ifname=tap-qemu,script=no,downscript=no \
		-device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci,romfile=
}

# times NAME RUNS COMMAND…: so many runs; their results go to $VM_DIR/NAME, and to people.
times() {
	local name=$1 runs=$2 i
	shift 2
	for ((i = 0; i < runs; i++)); do
		"$@" >>"$VM_DIR/$name"
	done
	echo "$name: $(jq -sc '[.[].ms | round]' "$VM_DIR/$name") ms; kvm: $(tail -n1 "$VM_DIR/$name" | jq -c .kvm)" >&2
}

# median NAME FIELD
median() {
	jq -s "[.[] | .$2] | sort | .[length / 2 | floor] * 100 | round / 100" "$VM_DIR/$1"
}

# figure NAME UNIT VALUE [PEER ITS-VALUE]
figure() {
	jq -cn --arg name "$1" --arg unit "$2" --argjson value "$3" --arg peer "${4-}" --argjson theirs "${5-null}" \
		'{name: $name, value: $value, unit: $unit} + if $theirs == null then {} else
		 {peer: $peer, peer_value: $theirs, ratio: ($value / $theirs * 1000 | round / 1000)} end'
}

# The machine type with all that it allows to leave out left out, as its manual advises for speed.
MINIMAL=,pic=off,pit=off,rtc=off
VMM_PID="$CORDON inspect --format json boot | jq '.processes[] | select(.role == \"vmm\").pid'"
prepare
echo "the rig has been up for $(cut -d. -f1 /proc/uptime) s" >&2
times ours "$RUNS" ours --text "$MARK" --pid "$VMM_PID"
times qemu 1 qemu $MINIMAL /cordon-guest/vmlinuz --text "$MARK"
times qemu_elf 1 qemu $MINIMAL $IMAGE/kernel --text "$MARK"
times ours_entry 1 ours --entry
times qemu_entry 1 qemu $MINIMAL /cordon-guest/vmlinuz --entry

{
	figure boot_to_init ms "$(median ours exec_ms)" 'qemu microvm' "$(median qemu ms)"
	figure boot_to_init_same_elf ms "$(median ours exec_ms)" 'qemu microvm, uncompressed kernel' "$(median qemu_elf ms)"
	figure cordon_run_to_init ms "$(median ours ms)" 'qemu microvm' "$(median qemu ms)"
	figure launch_to_first_instruction ms "$(median ours_entry ms)" 'qemu microvm' "$(median qemu_entry ms)"
	figure vm_exits_to_init exits "$(median ours kvm.exits)" 'qemu microvm' "$(median qemu kvm.exits)"
	figure page_faults_to_init exits "$(median ours kvm.pf_taken)" 'qemu microvm' "$(median qemu kvm.pf_taken)"
	figure io_exits_to_init exits "$(median ours 'kvm | .io_exits + .mmio_exits')" \
		'qemu microvm' "$(median qemu 'kvm | .io_exits + .mmio_exits')"
} | jq -cs '{bench: "boot", figures: .}'
