# Two guests at once, one with the longest name, all NICs and all disks that a policy may have: each has
# its own network, no uid or tap is shared, and the end of one is not felt by the other.
# time: 400
# takes: 50
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
world_up
at_end world_down

long=many-0123456789-0123456789-0123
disks="{path: $VM_DIR/root.raw}"
want cp --sparse=always /cordon-guest/disk.raw "$VM_DIR/root.raw"
for i in 1 2 3 4 5 6 7; do
	truncate -s 1M "$VM_DIR/$i.raw"
	disks="$disks, {path: $i.raw}" # relative to the policy's folder
done
policy=$(vm_policy "$long")
sed -i "s|nics: .*|nics: [{mode: nat}, {mode: nat}, {mode: routed}, {mode: host-only}]\n  disks: [$disks]|" "$policy"
at_end vm_gone "$long"
want "$CORDON" run --detach "$policy"
vm_start b
guest_wait "$long" 'guest: init' 120 || fail "the guest with everything did not come up"
want_equal "$("$CORDON" ps --format json | jq length)" 2

# 8 disks, 4 NICs with a dnsmasq each, rng, balloon, router and vmm; of the other, 7 with its image's disk; no uid twice
both=$(vm_processes "$long" && vm_processes b)
want_equal "$(wc -l <<<"$both")" $((8 + 4 + 4 + 4 + 7))
want_equal "$(cut -d' ' -f3 <<<"$both" | sort -u | wc -l)" 27
want_equal "$(ip -o link show | grep -c ' cn[0-9]')" 5

# a disk that one writes is nobody else's
policy=$(vm_policy c)
sed -i "s|nics: .*|disks: [{path: $VM_DIR/root.raw}]|" "$policy"
want_status 126 "$CORDON" run --detach "$policy"
want_equal "$("$CORDON" ps --format json | jq length)" 2

guest_attach b
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want "$CORDON" kill "$long"
wait_for 10 test ! -e "/run/cordon/vms/$long"
want_equal "$(ip -o link show | grep -c ' cn[0-9]')" 1
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
guest_detach
want "$CORDON" kill b
no_leftovers
