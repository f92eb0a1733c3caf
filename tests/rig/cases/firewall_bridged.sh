# A real guest on a bridge that the host has: what its policy allows passes and the rest does not, another policy is
# applied while it runs, and rules that somebody flushes are back before it notices.
# time: 300
# takes: 45
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
world_up
at_end world_down

# The world is on the guest's own network: its veth is a port of the bridge, and a server there gives the guest its address.
ip addr flush dev cw-host
ip link add br0 type bridge
at_end ip link del br0
ip link set cw-host master br0
ip addr add 198.51.100.1/24 dev br0
ip link set br0 up
ip netns exec $WORLD dnsmasq --keep-in-foreground --port=0 --conf-file=/dev/null --leasefile-ro --pid-file= \
	--dhcp-range=198.51.100.77,198.51.100.77,255.255.255.0 --dhcp-option=3 --interface=cw-world --bind-interfaces &
dhcp=$!
at_end kill $dhcp

policy=$(vm_policy bridged)
sed -i "s|nics:.*|nics: [{mode: bridge, bridge: br0, mac: '52:54:00:00:00:77', addresses: 198.51.100.77}]|" "$policy"
sed "/8080/d" "$policy" >"$VM_DIR/closed.yaml"
"$CORDON" daemon 2>"$VM_DIR/cordond.log" &
cordond=$!
at_end kill $cordond
wait_for 10 test -S /run/cordon/cordond.sock
at_end vm_gone bridged
want "$CORDON" run --detach "$policy"
guest_wait bridged 'agent: ready' 120 || fail "the guest did not come up"
guest_attach bridged
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want_match "$(guest_say http http://198.51.100.1/)" '^http failed'
part "bridge: what the policy allows passes" ok

# Another policy, and back.
want "$CORDON" apply bridged "$VM_DIR/closed.yaml"
want_match "$(guest_say http http://$WORLD_SERVER:8080/)" '^http failed'
want "$CORDON" apply bridged "$policy"
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
part "apply: the rules of a guest that runs" ok

# Somebody flushes everything: the tap is closed, the rules are loaded again, and an alert says so.
date +%s%N >"$VM_DIR/flushed"
nft flush ruleset
# The list is longer than a pipe's first reading: grep -q would end before nft has written it, and nft by a signal.
restored() { nft list table bridge cordon 2>/dev/null | grep vm_bridged_egress >/dev/null; }
wait_for 20 restored
echo "the rules were back after $((($(date +%s%N) - $(cat "$VM_DIR/flushed")) / 1000000)) ms"
tampered() { jq -e 'select(.rule.id == "firewall.tampered" and .host.name == "bridged")' /var/log/cordon/alerts.json >/dev/null; }
wait_for 20 tampered
up() { ip -br link show master br0 | grep -q '^cn[0-9]* *U'; }
wait_for 20 up
want_equal "$(guest_say http http://$WORLD_SERVER:8080/)" "http ok hello"
want_match "$(guest_say http http://198.51.100.1/)" '^http failed'
part "watchdog: flushed rules are back under a guest that runs" ok

guest_detach
want "$CORDON" kill bridged
no_leftovers
