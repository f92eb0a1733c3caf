# The spoofing and evasion suite from a real guest: every frame that must not pass is counted by its rule and
# arrives nowhere, and every honest twin arrives in the world.
# time: 300
# takes: 25
. "$CORDON_TREE/tests/rig/vm.sh"

SEND=$CORDON_TREE/build/tests/traffic/evasion_send
vm_quick
world_up
at_end world_down
ip -6 addr add 2001:db8:9::1/64 dev cw-host nodad
ip -n $WORLD -6 addr add 2001:db8:9::10/64 dev cw-world nodad

# the policy allows everything, so that only the anti-spoofing stands between the guest and the world
policy=$(vm_policy evader)
sed -i '/egress:/,$d' "$policy"
cat >>"$policy" <<END
  routing_headers: [253]
  egress:
    - {to: [224.0.0.251, 'ff02::fb'], service: mdns}
    - {to: any}
END
at_end vm_gone evader
want "$CORDON" run --detach "$policy"
guest_wait evader 'agent: ready' 120 || fail "the guest did not come up"
guest_attach evader

read -r tap own4 gateway4 own6 < <(vm_inspect evader .nics[0].tap .nics[0].ip4 .nics[0].gateway4 .nics[0].ip6)
ip netns exec $WORLD tcpdump -q -n -U -i cw-world -Q in -w "$VM_DIR/world.pcap" udp or ip6 or ip 2>/dev/null &
capture=$!
at_end kill $capture
wait_for 20 test -s "$VM_DIR/world.pcap"

# count INTO: the packets that each of the VM's counters has seen, by its name, into the array INTO
count() {
	local -n into=$1
	local packets what
	while IFS=$'\t' read -r packets what; do
		into[$what]=$((${into[$what]-0} + packets))
	done < <("$CORDON" firewall show --format json evader |
		jq -r '.. | objects | select(.packets?) | .packets as $n | [.rule?, .what?] | unique[] | strings | "\($n)\t\(.)"')
}
declare -A before=() after=()
"$SEND" --list >"$VM_DIR/rows"
count before

rows=$(wc -l <"$VM_DIR/rows")
want_equal "$(guest_say evasion "$(cat /sys/class/net/"$tap"/address)" "$own4" "$gateway4" $WORLD_SERVER \
	"$own6" "${own6%2}1" 2001:db8:9::10)" "evasion $rows of $rows sent"

# every twin for the world arrived: its text is in one packet each
good=$(awk -F '\t' '$2 == "world"' "$VM_DIR/rows" | wc -l)
arrived() { [ "$(grep -a -o cordon-suite-good "$VM_DIR/world.pcap" | wc -l)" -ge "$good" ]; }
wait_for 20 arrived
want_equal "$(grep -a -o cordon-suite-bad "$VM_DIR/world.pcap" | wc -l)" 0 "bad frames in the world"

# and every bad frame was counted, by the rule that is there for it
count after
cut -f 1 "$VM_DIR/rows" | grep -vx -e - | sort | uniq -c >"$VM_DIR/expected"
while read -r expected counter; do
	found=$((${after[$counter]-0} - ${before[$counter]-0}))
	if [ "$found" -ge "$expected" ]; then
		part "evasion: $counter" ok
	else
		part "evasion: $counter" fail "$found of $expected were counted"
	fi
done <"$VM_DIR/expected"
guest_detach
want "$CORDON" kill evader
no_leftovers
