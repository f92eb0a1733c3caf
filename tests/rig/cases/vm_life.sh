# A guest's life by the verbs: run, ps, inspect, console, logs, pause, resume, limit, stop; and the exit
# statuses of what cannot be done.
# time: 400
# takes: 80
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
world_up
at_end world_down
want_status 127 "$CORDON" inspect nobody
want_status 127 "$CORDON" kill nobody
want_status 127 "$CORDON" console nobody
want_status 127 "$CORDON" run "$VM_DIR/absent.yaml"
want_status 125 "$CORDON" frobnicate

vm_start web0
want_match "$("$CORDON" ps)" 'web0 +running +1 +256M +10\.77\.'
want_equal "$(vm_inspect web0 .vmm.state)" running
want_match "$("$CORDON" logs web0)" 'guest: init'
want_status 126 "$CORDON" run --detach "$VM_DIR/web0.yaml"

guest_attach web0
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want "$CORDON" pause web0
want_equal "$(vm_inspect web0 .state)" paused
want_status 125 "$CORDON" pause web0
want "$CORDON" resume web0
want_status 125 "$CORDON" resume web0
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"

# limits of the image's disk and of the NIC, changed while the guest uses them
want_equal "$("$CORDON" limit --format json web0 | jq -c '.limits | map(.device)')" '["disk0","nic0"]'
want "$CORDON" limit --bandwidth 1Mbit --iops 500 --burst 64K web0 nic0
want_match "$("$CORDON" limit web0)" 'nic0 +122\.1K +500 +64K'
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want_match "$("$CORDON" limit --bandwidth none --iops none web0 nic0)" 'nic0 +none +none +-'
want_status 127 "$CORDON" limit --iops 1 web0 nic1
want_status 125 "$CORDON" limit --iops 1x web0 nic0

# flows: the connection is there, with its Community ID
flow=$("$CORDON" flows --format json web0 | jq -c "select(.destination.ip == \"$WORLD_SERVER\" and .destination.port == 8080)" | head -n 1)
want_match "$(json .network.transport .event.outcome .network.community_id <<<"$flow")" \
	'^tcp success 1:[A-Za-z0-9+/]{27}=$'

# capture
"$CORDON" capture web0 -o "$VM_DIR/x.pcapng" --duration 10s --filter 'tcp port 8080' 2>"$VM_DIR/capture.log" &
capture=$!
wait_for 10 test -s "$VM_DIR/x.pcapng"
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want wait $capture
want_match "$(tcpdump -nr "$VM_DIR/x.pcapng" 2>/dev/null)" "> $WORLD_SERVER.8080: Flags \[S\]"
want_status 125 "$CORDON" capture web0 -o "$VM_DIR/y.pcapng" --duration 1s --filter 'tcp prt 80'

# the guest switches itself off: the status says so, and nothing is left
guest_say off >/dev/null || true
guest_detach
wait_for 60 test ! -e /run/cordon/vms/web0
want_equal "$(vm_inspect web0 .reason)" "powered off"
no_leftovers

# in the foreground: the exit status is how the VM ended
policy=$(vm_policy brief)
sed -i 's/guest.script=agent/guest.script=none/' "$policy"
want_status 0 timeout 120 "$CORDON" run --quiet "$policy" </dev/null
no_leftovers

# stop ends a guest that does not listen
vm_start deaf
want "$CORDON" stop --timeout 1 deaf
no_leftovers
