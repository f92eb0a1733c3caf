# A refused policy starts nothing, and says where it is wrong; a policy that asks for what this host or
# version cannot give is refused too.
# time: 120
# takes: 10
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
policy=$(vm_policy bad "surprise: 1")
want_status 126 "$CORDON" run --detach "$policy" 2>"$VM_DIR/said"
want_match "$(cat "$VM_DIR/said")" 'bad.yaml:[0-9]+:1'
no_leftovers

for line in 'confidential: {type: sev-snp, firmware: ./OVMF.fd}' 'isolation: {huge_pages: 2M}'; do
	policy=$(vm_policy bad "$line")
	want_status 126 "$CORDON" run --detach "$policy" 2>"$VM_DIR/said"
	cat "$VM_DIR/said"
	no_leftovers
done

# no such image, no such disk
policy=$(vm_policy bad)
sed -i 's/kernel: quick/kernel: no-such-image/' "$policy"
want_status 127 "$CORDON" run --detach "$policy"
no_leftovers
policy=$(vm_policy bad)
sed -i 's/^  nics:/  disks: [{path: absent.raw}]\n  nics:/' "$policy"
want_status 127 "$CORDON" run --detach "$policy"
no_leftovers
