# A guest of our own that is wrong on purpose (tests/hostile) runs under the real cordon run, with every
# device. Each class of wrong input is a part of this case. Throughout, the vmm and the device processes are
# the same ones, none grows, the log stays short, the kernel has nothing to say, and what the guest may not
# write is as it was.
# time: 600
# takes: 110
. "$CORDON_TREE/tests/rig/vm.sh"

RSS_MORE=2048    # KiB that a process may have gained
FDS_MORE=12      # a ring has two while it runs, and the first look may find none; a leak would be one a reset
LOG_LINES=400    # in the VM's log

want cp "$CORDON_TREE/build/tests/hostile/hostile" "$VM_DIR/hostile"
truncate -s 4M "$VM_DIR/disk.raw"
printf 'what the guest may not touch' | dd of="$VM_DIR/disk.raw" conv=notrunc status=none
cat >"$VM_DIR/hostile.yaml" <<'POLICY'
version: 1
vm:
  name: hostile
  vcpus: 2
  memory: 64M
  kernel: ./hostile
  disks: [{path: disk.raw}]
  nics: [{mode: nat}]
POLICY

serial=/var/log/cordon/hostile.serial
said() {
	grep -qa "^hostile: $1" "$serial"
}
# devices: "ROLE PID" of the processes that read what the guest writes.
devices() {
	vm_processes hostile | awk '$1 !~ /^(dnsmasq|router)/ { print $1, $2 }'
}
# usage: "ROLE KIB FDS", private memory and open files of each.
usage() {
	local role pid
	while read -r role pid; do
		echo "$role $(awk '$1 == "RssAnon:" { print $2 }' "/proc/$pid/status") $(ls "/proc/$pid/fd" | wc -l)"
	done < <(devices)
}
# complaints: what the kernel has said that a guest may not make it say.
complaints() {
	dmesg | grep -E 'WARNING|BUG:|Oops|general protection|segfault|Call Trace|hung task|rcu:.*stall' || true
}

complaints_before=$(complaints)
at_end vm_gone hostile
want "$CORDON" run --detach "$VM_DIR/hostile.yaml"
wait_for 60 said '[0-9]* classes on'
before=$(devices)
usage_before=$(usage)
echo "$before"

# Every device that there is has a driver in the guest.
found=$(sed -n 's/^hostile: [0-9]* classes on \([0-9]*\) devices.*/\1/p' "$serial")
want_equal "$found" "$(grep -vc '^vmm ' <<<"$before")" "devices that the guest found"

# Looking costs the emulated host time that the guest needs: once a second is enough.
deadline=$((SECONDS + 480))
until said 'done' || [ ! -e /run/cordon/vms/hostile ] || [ $SECONDS -ge $deadline ]; do
	sleep 1
done
tr -d '\r' <"$serial" | grep -a '^hostile: '
"$CORDON" logs --vmm hostile | tail -n 50

hostile_parts "$serial"
want said 'done'

want_equal "$(devices)" "$before" "the processes"
while read -r role rss fds; do
	read -r rss_was fds_were < <(awk -v role="$role" '$1 == role { print $2, $3 }' <<<"$usage_before")
	echo "$role: $rss_was KiB, $fds_were fds before; $rss KiB, $fds fds after"
	[ "$rss" -le $((rss_was + RSS_MORE)) ] || fail "$role has grown from $rss_was to $rss KiB"
	[ "$fds" -le $((fds_were + FDS_MORE)) ] || fail "$role has $fds fds, and had $fds_were"
done < <(usage)
lines=$("$CORDON" logs --vmm hostile | wc -l)
[ "$lines" -le $LOG_LINES ] || fail "the log has $lines lines"
want_equal "$(vm_inspect hostile .state)" running

# A byte, and it switches itself off, as ACPI has it.
guest_attach hostile
echo >&"$GUEST_IN"
wait_for 60 test ! -e /run/cordon/vms/hostile
guest_detach
want_equal "$(vm_inspect hostile .reason)" "powered off"

want_equal "$(complaints)" "$complaints_before" "what the kernel says"
want_equal "$(stat -c %s "$VM_DIR/disk.raw")" $((4 << 20)) "the disk's size"
no_leftovers
[ $failures = 0 ] || fail "$failures classes failed"
