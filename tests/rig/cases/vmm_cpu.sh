# What a guest is told of its processors and its memory: Debian's kernel with two vCPUs of a named model
# and memory on both sides of the PCI hole; a model that this host cannot give, and more memory than its
# processors can address, end the vmm before the guest begins; bare-metal guests with 64 vCPUs.
# time: 700
# takes: 45
vmm=$CORDON_TREE/build/vmm/cordon-vmm
start=$CORDON_TREE/build/tests/unit/vmm_start
work=$(mktemp -d)
at_end rm -rf "$work"

# refused MEMORY_MIB OPTIONS… : what the vmm says.
refused() {
	local memory=$1
	shift
	want_status 1 "$start" "$vmm" /cordon-guest/vmlinuz - "$memory" --stdio "$@" </dev/null 2>"$work/said"
	cat "$work/said" >&2
}
refused 256 --cpu x86-64-v4
want grep -q 'cannot give the processor x86-64-v4: it lacks avx512f' "$work/said"
refused 256 --cpu host,+avx512vl,+avx512f
want grep -q 'cannot give the processor host: it lacks avx512f, avx512vl' "$work/said"
bits=$(sed -n 's/^address sizes.*: \([0-9]*\) bits physical.*/\1/p' /proc/cpuinfo | head -n 1)
if [ "$bits" -le 40 ]; then
	refused 1048576
	want grep -q "guest memory ends at 0x10040000000; this host's processors have $bits address bits" "$work/said"
fi
refused 256 --numa 7
want grep -q 'cannot be bound to NUMA node 7' "$work/said"

mkfifo "$work/in"
exec 9<>"$work/in"
"$start" "$vmm" /cordon-guest/vmlinuz /cordon-guest/initrd.img 3200 --stdio --vcpus 2 --numa 0 \
	--cpu x86-64-v3,-rdrand --cmdline "console=ttyS0 nohz=off break=top loglevel=4" \
	<"$work/in" >"$work/log" 2>&1 &
vm=$!
# one that ends instead is not waited for
up_or_ended() {
	grep -q '(initramfs)' "$work/log" || ! kill -0 $vm
}
wait_for 150 up_or_ended
at_end kill $vm
at_end tail -n 60 "$work/log"
want grep -q '(initramfs)' "$work/log"
# ask LINE ANSWER: types the line and waits for a line that begins with the answer.
ask() {
	echo "$1" >&9
	wait_for 60 grep -qE "^$2" "$work/log"
}
# flag WORD COUNT: so many processors have it.
flag() {
	ask "echo flag-$1-\$(grep -cw $1 /proc/cpuinfo)" "flag-$1-$2"
}
ask 'mount -t proc proc /proc; mount -t sysfs sys /sys' ''
# shellcheck disable=SC2016
{
	ask 'echo online-$(cat /sys/devices/system/cpu/online)' 'online-0-1'
	ask 'echo cores-$(grep -c "^cpu cores.: 2" /proc/cpuinfo)-$(grep -c "^siblings.: 2" /proc/cpuinfo)' 'cores-2-2'
	ask 'echo ids-$(sed -n "s/^apicid.*: //p" /proc/cpuinfo | tr "\n" ,)' 'ids-0,1,'
	ask 'echo brand-$(sed -n "s/^model name.*: //p" /proc/cpuinfo | sort -u)' 'brand-cordon x86-64-v3'
	ask 'echo bits-$(grep -c "39 bits physical, 48 bits virtual" /proc/cpuinfo)' 'bits-2'
	ask 'echo last-$(cat /sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list)' 'last-0-1'
	ask 'echo first-$(cat /sys/devices/system/cpu/cpu1/cache/index0/shared_cpu_list)' 'first-1'
	ask 'echo high-$(grep -c "^100000000-107ffffff : System RAM" /proc/iomem)' 'high-1'
	ask 'echo hole-$(grep -ciE "^ *[c-f][0-9a-f]{7}-.*System RAM" /proc/iomem)' 'hole-0'
	ask 'echo msr-$(dmesg | grep -c "unchecked MSR")' 'msr-0'
}
# Whether the sizes that KVM gives follow what the guest writes to XCR0; where not, its kernel goes without AVX.
# So it is in the rig, for every vmm: QEMU's emulation of SVM does not intercept XSETBV, and KVM has not heard of it.
echo 'echo xsave-$(dmesg | grep -c "XSAVE consistency problem")' >&9
wait_for 60 grep -qE '^xsave-[01]' "$work/log"
if grep -qE '^xsave-1' "$work/log"; then
	part avx2 skip "the emulator does not intercept XSETBV, so that the kernel drops AVX, as it does under QEMU there"
else
	flag avx2 2
fi
for word in bmi2 x2apic tsc_deadline_timer hypervisor rdtscp; do
	flag $word 2
done
for word in svm vmx avx512f rdrand pku arch_perfmon; do
	flag $word 0
done
echo 'poweroff -f' >&9
status=0
wait $vm || status=$?
want_equal $status 0 "the vmm's exit status"

want "$CORDON_TREE/build/tests/unit/test_vmm_cpus"
