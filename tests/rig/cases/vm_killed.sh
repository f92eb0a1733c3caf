# kill -9 of each part while traffic runs: the network fails closed or keeps its rules, and after the
# VM's end nothing is left.
# time: 600
# takes: 150
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
world_up
at_end world_down

# traffic NAME: the guest asks for the page again and again; true once the world has seen it.
traffic() {
	guest_attach "$1"
	want_equal "$(guest_say flood http://$WORLD_SERVER:8080/)" "flood started"
}

# still_forbidden: what the policy denies is denied, and what it allows goes through.
still_guarded() {
	want_match "$(guest_say http http://$WORLD_FORBIDDEN/)" '^http failed'
	want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
}

echo '-- the vmm'
vm_start v1
traffic v1
kill -9 "$(vm_pid v1 vmm)"
guest_detach
wait_for 10 test ! -e /run/cordon/vms/v1
want_equal "$(vm_inspect v1 .reason)" "killed from outside, perhaps for want of memory"
want_equal "$(jq -r 'select(.host.name == "v1") | "\(.rule.id) \(.cordon.process.role)"' /var/log/cordon/alerts.json)" \
	"process.died vmm"
no_leftovers

echo '-- a device, and the monitor'
vm_start v2
traffic v2
kill -9 "$(vm_pid v2 rng0)"
before=$(pgrep -x cordon-monitor)
kill -9 "$before"
still_guarded
# somebody starts another, and it knows the VM
monitor_is_new() {
	local now
	now=$(pgrep -x cordon-monitor) && [ "$now" != "$before" ] && "$CORDON" flows v2 | grep v2 >/dev/null
}
wait_for 20 monitor_is_new

echo '-- the device of its network'
kill -9 "$(vm_pid v2 net0)"
guest_detach
"$CORDON" kill v2 || true
wait_for 10 test ! -e /run/cordon/vms/v2
no_leftovers

echo '-- cordond'
"$CORDON" daemon 2>"$VM_DIR/cordond.log" &
daemon=$!
wait_for 10 test -S /run/cordon/cordond.sock
vm_start v3
traffic v3
kill -9 $daemon
wait $daemon || true
still_guarded
"$CORDON" daemon 2>>"$VM_DIR/cordond.log" &
daemon=$!
at_end kill "$daemon"
wait_for 10 "$CORDON" ps
want_match "$("$CORDON" ps)" 'v3 +running'
still_guarded

echo '-- cordond again, and then the vmm with nobody watching'
kill -9 $daemon
wait $daemon || true
kill -9 "$(vm_pid v3 vmm)"
guest_detach
wait_for 10 test ! -e /run/cordon/vms/v3
no_leftovers

echo '-- the keeper'
vm_start v4
kill -9 "$(vm_inspect v4 .keeper)"
# its children die with it; the next command that looks removes what is left
wait_for 10 sh -c '! pgrep -x cordon-vmm'
want "$CORDON" doctor
want_status 127 "$CORDON" kill v4
"$CORDON" reap v4
no_leftovers
