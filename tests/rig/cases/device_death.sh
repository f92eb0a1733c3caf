# kill -9 of device processes of one running guest: its disk and its NIC are started again in place, under
# writes that are synced and under traffic, its entropy source is lost, the guest lives on, and each death is an
# alert. A device that dies too often is not started again. Afterwards nothing is left.
# time: 600
# takes: 50
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
world_up
at_end world_down
cp --sparse=always /cordon-guest/disk.raw "$VM_DIR/disk.raw"

state() { # state ROLE: what inspect says of it
	vm_inspect d1 ".processes[role=$1].state" ".processes[role=$1].restarts"
}
alert() { # alert ROLE: how many alerts there are of its deaths
	jq -r "select(.host.name == \"d1\" and .cordon.process.role == \"$1\") | .rule.name" /var/log/cordon/alerts.json 2>/dev/null | wc -l
}
is() { # is EXPECTED COMMAND…: for wait_for
	local expected=$1
	shift
	[ "$("$@")" = "$expected" ]
}

vm_policy d1 >/dev/null
sed -i 's,^  nics: .*,&\n  disks: [{path: disk.raw}],' "$VM_DIR/d1.yaml"
at_end vm_gone d1
want "$CORDON" run --detach "$VM_DIR/d1.yaml"
guest_wait d1 'agent: ready' 120 || {
	"$CORDON" logs d1 | tail -n 30 >&2
	"$CORDON" logs --vmm d1 | tail -n 30 >&2
	fail "the guest did not come up"
}
guest_attach d1

echo '-- its disk, under writes'
want_equal "$(guest_say write start)" "write started"
for round in 1 2; do
	pid=$(vm_pid d1 blk0)
	kill -9 "$pid"
	wait_for 30 is "running $round" state blk0
	[ "$(vm_pid d1 blk0)" != "$pid" ] || fail "the process is the same"
	want_match "$(guest_say write more)" '^write ok'
done
want_match "$(guest_say write check)" '^write same'
want_equal "$(alert blk0)" 2

echo '-- its NIC, under traffic'
want_equal "$(guest_say flood http://$WORLD_SERVER:8080/)" "flood started"
tap=$(ip -o link show | grep -o 'cn[0-9]*' | head -n 1)
kill -9 "$(vm_pid d1 net0)"
wait_for 30 is "running 1" state net0
want_equal "$(ip -o link show | grep -o 'cn[0-9]*' | head -n 1)" "$tap" "the tap"
want_match "$(guest_say http http://$WORLD_FORBIDDEN/)" '^http failed'
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want_equal "$(alert net0)" 1

echo '-- its entropy source'
kill -9 "$(vm_pid d1 rng0)"
wait_for 30 is "lost 0" state rng0
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want_equal "$(alert rng0)" 1

echo '-- again and again'
for round in 2 3; do
	kill -9 "$(vm_pid d1 net0)"
	wait_for 30 is "running $round" state net0
done
at_end "$CORDON" logs --vmm d1
kill -9 "$(vm_pid d1 net0)"
wait_for 30 is "lost 3" state net0
want_match "$("$CORDON" ps)" 'd1 +running'
want_match "$("$CORDON" logs --vmm d1)" 'net0 .*has died too often'

guest_detach
want "$CORDON" kill d1
no_leftovers
