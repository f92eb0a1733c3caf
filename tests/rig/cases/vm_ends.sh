# How a guest's run ends, and what comes of it: its panic, its resets, its watchdog and the operator's
# reset do what the policy says; the log and `cordon inspect` say why; a guest that is started again has
# its addresses, its quarantine and a new generation id. The small guests of the unit tests, and their
# reports with registers, run on this KVM too.
# time: 600
# takes: 70
. "$CORDON_TREE/tests/rig/vm.sh"

# What cannot be run ends with its registers in the log, on hardware-style KVM as well.
want "$CORDON_TREE/build/tests/unit/test_vmm_guest"
want "$CORDON_TREE/build/tests/unit/test_vmm_igvm"

vm_quick
world_up
at_end world_down

# boots NAME N: until the guest's agent has been ready N times.
boots() {
	[ "$(grep -c 'agent: ready' "/var/log/cordon/$1.serial")" -ge "$2" ]
}
# again N: the guest is up for the Nth time, and its agent is attached. One reset came before the first.
again() {
	wait_for 120 boots web0 "$1"
	want_equal "$(vm_inspect web0 .restarts)" "$1"
	want_equal "$(vm_inspect web0 .state)" running
	guest_attach web0
}
logged() {
	want grep -q "$1" /var/log/cordon/web0.log
}

policy=$(vm_policy web0)
sed -i 's/^  nics:/  on_reset: restart\n  on_panic: pause\n  watchdog: {action: reset}\n&/' "$policy"
at_end vm_gone web0
want "$CORDON" run --detach "$policy"
want "$CORDON" reset web0
logged 'reset by the operator'
again 1
address=$(vm_inspect web0 .nics[0].ip4)
want_equal "$(guest_say board)" \
	'board panic=1 watchdog=wdat_wdt bootstatus=0 generation=CRDN0001'
generation=$(guest_say generation 0xdf000)
want_match "$generation" '^generation [0-9a-f]{32}$'
want_match "$generation" '[1-9a-f]'
kvm_fds() {
	find "/proc/$(vm_pid web0 vmm)/fd" -lname '*/kvm' | wc -l
}
want_equal "$(kvm_fds)" 0 "open /dev/kvm"

echo '-- a reset, and the network that it had'
want "$CORDON" quarantine web0
want_equal "$(guest_say reset triple)" resetting
guest_detach
again 2
logged 'triple fault, by which it resets itself'
want_equal "$(vm_inspect web0 .nics[0].ip4)" "$address"
want_equal "$(vm_inspect web0 .quarantined)" true
want_match "$(guest_say http http://$WORLD_SERVER:8080/)" '^http failed'
want "$CORDON" release web0
[ "$(guest_say generation 0xdf000)" != "$generation" ] || fail 'the generation id is the old one'

echo '-- a guest that hangs'
want_equal "$(guest_say hang)" hanging
guest_detach
again 3
logged 'has not reloaded its watchdog for 2000 ms'
want_match "$(guest_say board)" 'watchdog=wdat_wdt bootstatus=32 '
want_equal "$(vm_inspect web0 .nics[0].ip4)" "$address"
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"

echo '-- a panic'
want_equal "$(guest_say panic)" panicking
guest_detach
paused() {
	[ "$(vm_inspect web0 .state)" = paused ]
}
wait_for 30 paused
want_equal "$(vm_inspect web0 .paused_by)" 'guest panic'
want_equal "$(vm_inspect web0 .vmm.panics)" 1
logged "the guest's kernel has panicked"
want "$CORDON" stop web0 # it cannot be asked: ended at once
no_leftovers
want_equal "$(vm_inspect web0 .state .reason .exit .restarts)" 'ended killed 137 3'
logged "'web0' has ended: killed (exit status 137) at 20"

echo '-- a panic, by default'
policy=$(vm_policy brief)
sed -i 's/guest.script=agent/guest.network=off guest.script=panic/' "$policy"
want_status 13 timeout 200 "$CORDON" run --quiet "$policy" </dev/null
no_leftovers
want_equal "$(vm_inspect brief .state .reason .exit .panics)" 'ended guest panic 13 1'
[ "$(vm_inspect brief .exits)" -gt 1000 ] || fail "no counters: $("$CORDON" inspect brief)"
want grep -q "ended: guest panic" "$(vm_inspect brief .log)"
