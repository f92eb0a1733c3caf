# Private memory for real, on a KVM with VMs of the type KVM_X86_SW_PROTECTED_VM: tests/hostile as a guest of
# cordon-vmm converts pages both ways and wrongly, has devices use private pages and rings, and takes them
# away while devices use them. Each class is a part of this case. All processes are in their seccomp lists,
# and stay; what needs shared memory is refused.
# needs: private-memory
# time: 600
work=$(mktemp -d)
at_end rm -rf "$work"
build=$CORDON_TREE/build

status=0
"$build/tests/unit/test_vmm_private_kvm" >"$work/unit" 2>&1 || status=$?
[ $status != 77 ] || skip "$(sed -n 's/^skipped: //p' "$work/unit"): ./dev test --private-memory"
cat "$work/unit"
want_equal $status 0 "small guests with private memory"
part small_guests ok

# A guest in an IGVM file, with private memory.
want "$build/tests/unit/test_vmm_igvm" >"$work/igvm"
want grep -q '^private memory: too' "$work/igvm"
part igvm_file ok

vm=("$CORDON_TREE/tests/rig/vm" --kernel "$build/tests/hostile/hostile" --initrd /etc/hostname --memory 64
	--private sw-protected)

# What takes memory from a guest, and back ends that know nothing of shared pages.
want_fails "${vm[@]}" --rng --balloon test=none >"$work/balloon" 2>&1 </dev/null
want grep -q 'device balloon is refused: the guest has private memory' "$work/balloon"
part balloon_refused ok

truncate -s 4M "$work/disk.raw"
mkfifo "$work/in"
sleep 590 >"$work/in" & # the guest's serial port stays open
at_end kill $!
"${vm[@]}" --vcpus 2 --rng --disk "$work/disk.raw" --console --vsock 3 --pids "$work/pids" quiet \
	<"$work/in" >"$work/log" 2>&1 &
pid=$!
at_end cat "$work/log"
wait_for 500 grep -qa '^hostile: done\|vmm ended' "$work/log"

while read -r name process; do
	[ -d "/proc/$process" ] || fail "$name has ended"
	want_equal "$(awk '$1 == "Seccomp:" { print $2 }' "/proc/$process/status")" 2 "$name's filter"
done <"$work/pids"
echo >"$work/in"
want_status 0 wait $pid
want grep -qa 'ended: powered off' "$work/log"
want grep -qaE '[0-9]{3,} requests to convert pages, of which [1-9][0-9]* were refused' "$work/log"

hostile_parts "$work/log"
[ $failures = 0 ] || fail "$failures classes failed"
