# Debian's stock kernel and Debian's own initrd boot in cordon-vmm, behind its seccomp list: as bzImage, and as the
# PVH ELF inside it in an IGVM file; two processors come up; the serial shell works both ways; power-off and reset end
# the process with the status that says so.
# time: 600
# takes: 100
vmm=$CORDON_TREE/build/vmm/cordon-vmm
start=$CORDON_TREE/build/tests/unit/vmm_start
unpack=$CORDON_TREE/build/tests/unit/vmm_unpack
work=$(mktemp -d)
at_end rm -rf "$work"
want mkfifo "$work/in"
exec 9<>"$work/in"

# boot KERNEL CPUS [CMDLINE]: up to the initrd's shell; $pid is the vmm.
initrd=/cordon-guest/initrd.img
boot() {
	"$start" "$vmm" "$1" "$initrd" 256 --stdio --vcpus "$2" \
		--cmdline "console=ttyS0 quiet nohz=off break=top ${3-}" <"$work/in" >"$work/log" 2>&1 &
	pid=$!
	at_end kill "$pid"
	wait_for 120 grep -q '(initramfs)' "$work/log"
}
# ask LINE ANSWER: types the line and waits for a line that begins with the answer.
ask() {
	echo "$1" >&9
	wait_for 60 grep -qE "^$2" "$work/log"
}
# ended STATUS: the vmm has to end with it.
ended() {
	local status=0
	wait "$pid" || status=$?
	[ $status = "$1" ] || {
		tail -n 20 "$work/log" >&2
		fail "the vmm ended with $status, not $1"
	}
}

boot /cordon-guest/vmlinuz 2
want grep -qE '^Seccomp:	2' "/proc/$pid/status"
want grep -qE '^NoNewPrivs:	1' "/proc/$pid/status"
# The shell's echo and its answer differ, so that the echo is not taken for the answer.
ask 'mount -t proc proc /proc; mount -t sysfs sys /sys' ''
# shellcheck disable=SC2016
ask 'echo cpus-$(grep -c ^processor /proc/cpuinfo)' 'cpus-2'
# shellcheck disable=SC2016
ask 'echo online-$(cat /sys/devices/system/cpu/online)' 'online-0-1'
# shellcheck disable=SC2016
ask 'echo clock-$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)' 'clock-kvm-clock'
# shellcheck disable=SC2016
ask 'echo virt-$(grep -cwE "vmx|svm" /proc/cpuinfo)' 'virt-0'
echo 'poweroff -f' >&9
ended 0

# The PVH ELF inside it (which is what an imported image has, and so what the guests of most cases start from) in an
# IGVM file, with the initrd: that file's registers, its pages, and the command line that the host fills in.
want "$unpack" /cordon-guest/vmlinuz "$work/vmlinux"
want "$CORDON_TREE/tests/rig/igvm" "$work/vmlinux" "$initrd" 256 "$work/guest.igvm"
initrd=- boot "$work/guest.igvm" 2 told=by-the-host
ask 'mount -t proc proc /proc; tr " " "\n" </proc/cmdline | grep told' 'told=by-the-host'
# shellcheck disable=SC2016
ask 'echo cpus-$(grep -c ^processor /proc/cpuinfo)' 'cpus-2'
echo 'reboot -f' >&9
ended 10
