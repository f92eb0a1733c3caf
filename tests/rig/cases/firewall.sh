# The firewall on the stock kernel: its traffic between namespaces, what is foretold of it, rules that somebody
# else changes, and the real dnsmasq behind it.
# needs: netns
# time: 600
# takes: 90
for name in batch flow judge life bridge dnsmasq; do
	want "$CORDON_TREE/build/tests/traffic/traffic_firewall_$name"
	echo "$name ($SECONDS s)"
done
# of names, what the kernel does: their sets; of repairs, what it tells of
CK_RUN_CASE=sets want "$CORDON_TREE/build/tests/traffic/traffic_firewall_names"
cd "$(mktemp -d)"
CK_RUN_CASE=changes want "$CORDON_TREE/build/tests/traffic/traffic_cordon_repair"
