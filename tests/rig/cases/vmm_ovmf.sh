# Debian's OVMF starts in cordon-vmm at the reset vector, finds its memory, its tables, Debian's kernel and initrd by
# fw_cfg, and starts them; the kernel finds EFI, the tables where OVMF put them, and the way to switch itself off.
# time: 420
# takes: 25
vmm=$CORDON_TREE/build/vmm/cordon-vmm
start=$CORDON_TREE/build/tests/unit/vmm_start
image=/usr/share/ovmf/OVMF.fd
period=/sys/module/kvm/parameters/min_timer_period_us
[ -e "$image" ] || skip "there is no $image (Debian's package ovmf)"
work=$(mktemp -d)
at_end rm -rf "$work"
want mkfifo "$work/in"
exec 9<>"$work/in" 8<"$image"

# The emulator ends where a guest writes CR8 while an interrupt waits for it, as OVMF's handlers do at their end; so
# OVMF's timer, which would tick each 10 ms, is not to tick within its handler.
if [ -w "$period" ]; then
	before=$(cat "$period")
	at_end sh -c "echo $before >$period"
	echo 500000 >"$period"
fi

"$start" "$vmm" /cordon-guest/vmlinuz /cordon-guest/initrd.img 256 --stdio --firmware 8 \
	--cmdline "console=ttyS0 quiet nohz=off break=top told=by-fw-cfg" <"$work/in" >"$work/log" 2>&1 &
pid=$!
at_end kill "$pid"
wait_for 240 grep -q '(initramfs)' "$work/log"
want grep -qE '^Seccomp:	2' "/proc/$pid/status"

# ask LINE ANSWER: types the line and waits for a line that begins with the answer.
ask() {
	echo "$1" >&9
	wait_for 60 grep -qE "^$2" "$work/log"
}
ask 'mount -t proc proc /proc; mount -t sysfs sys /sys; tr " " "\n" </proc/cmdline | grep told' 'told=by-fw-cfg'
# shellcheck disable=SC2016
ask 'echo efi-$(cat /sys/firmware/efi/fw_platform_size)' 'efi-64'
# shellcheck disable=SC2016
ask 'echo tables-$(ls /sys/firmware/acpi/tables | grep -cE "^(APIC|DSDT|FACP|MCFG)$")' 'tables-4'
# shellcheck disable=SC2016
ask 'echo bridge-$(cat /sys/bus/pci/devices/0000:00:00.0/device)' 'bridge-0x1237'
echo 'poweroff -f' >&9
status=0
wait "$pid" || status=$?
want_equal "$status" 0 "the vmm's exit status"
