# A kernel that is not Linux: Debian's memtest86+, by its 64-bit bzImage entry. It finds its processor, its
# memory and its serial port by itself, and goes through the first half of its first test without an error.
# time: 240
# takes: 30
. "$CORDON_TREE/tests/rig/vm.sh"

want cp /boot/memtest86+x64.bin "$VM_DIR/memtest"
cat >"$VM_DIR/memtest.yaml" <<'POLICY'
version: 1
vm:
  name: memtest
  vcpus: 1
  memory: 64M
  kernel: ./memtest
  cmdline: "console=ttyS0,115200 nosmp nobench"
POLICY
at_end vm_gone memtest
want "$CORDON" run --detach "$VM_DIR/memtest.yaml"
# A screen that is drawn over itself: what stands in a place is what was written there last.
drawn() {
	grep -aqE "$1" /var/log/cordon/memtest.serial
}
(wait_for 60 drawn 'Testing') || {
	tail -c 2000 /var/log/cordon/memtest.serial | tr -d '\033'
	fail "memtest86+ did not begin"
}
want drawn 'Memtest86\+ v'
want drawn 'Memory  :   64MB'
wait_for 60 drawn ' 50% #'
want_fails drawn 'Errors: *[1-9]'
