# Memory that a guest frees goes back to the host by itself: what its boot has left over, and 100 MiB that it
# used. The balloon takes what the host asks for and gives it again, and the guest's statistics are shown.
# time: 400
# takes: 60
. "$CORDON_TREE/tests/rig/vm.sh"

MIB=1048576

# field NAME…: of `cordon balloon`.
field() {
	"$CORDON" balloon --format json reclaim | json "${@/#/.}"
}
# below FIELD MIB, above FIELD MIB
below() {
	[ "$(field "$1")" -le $(($2 * MIB)) ]
}
above() {
	[ "$(field "$1")" -ge $(($2 * MIB)) ]
}
resident() {
	echo $(($(field resident) / MIB))
}

vm_quick
world_up
at_end world_down
want_status 127 "$CORDON" balloon nobody
policy=$(vm_policy reclaim)
sed -i 's/memory: 256M/memory: 384M/' "$policy"
at_end vm_gone reclaim
want "$CORDON" run --detach "$policy"
want guest_wait reclaim 'agent: ready' 120
want_match "$(vm_processes reclaim)" 'balloon0 '
want_equal "$(field driver)" false
want_match "$("$CORDON" balloon reclaim)" 'no driver for its balloon yet'
booted=$(resident)

guest_attach reclaim
want_equal "$(guest_say module virtio_balloon)" "module ok"
wait_for 60 above reported 1
want_equal "$(field driver reports deflates_on_oom)" "true true true"
# it settles: nothing more is reported in a while
before=-1
until [ "$(field reported)" = "$before" ]; do
	before=$(field reported)
	sleep 5
done
idle=$(resident)
[ "$idle" -lt "$booted" ] || fail "$booted MiB after the boot, and $idle MiB when idle"

want_equal "$(guest_say use 100)" "use ok"
used=$(resident)
[ "$used" -ge $((idle + 90)) ] || fail "$idle MiB when idle, and $used MiB with 100 MiB in use"
want_equal "$(guest_say free)" "free ok"
freed=$(date +%s%N)
wait_for 60 below resident $((idle + 10))
echo "resident: $booted MiB after the boot, $idle MiB idle, $used MiB with 100 MiB in use," \
	"$(resident) MiB $((($(date +%s%N) - freed) / 1000000)) ms after they were freed"

# statistics are fresh, and say about what the guest has
read -r total free age < <(field statistics.total statistics.free statistics.age_ms)
want test "$total" -gt 300000000
want test "$free" -gt 250000000
want test "$age" -lt 60000

# the host asks for a third of it, and gives it back
want_status 125 "$CORDON" balloon --target 385M reclaim
want_status 125 "$CORDON" balloon --target 1M reclaim
want_status 125 "$CORDON" balloon --target 100000001 reclaim
want_equal "$(field target)" $((384 * MIB))
want "$CORDON" balloon --target 256M reclaim
wait_for 60 below actual 256
read -r target inflated free < <(field target inflated statistics.free)
want_equal "$target" $((256 * MIB))
want test "$inflated" -gt 0
want test "$free" -lt 250000000
want "$CORDON" balloon --target 384M reclaim
wait_for 60 above actual 384
want_equal "$(field refused_pages)" 0
want_equal "$(guest_say use 100)" "use ok"
guest_say off >/dev/null || true
guest_detach
wait_for 60 test ! -e /run/cordon/vms/reclaim
no_leftovers
