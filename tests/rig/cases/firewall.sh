# The firewall on the stock kernel: its traffic between namespaces, and the real dnsmasq behind it.
# needs: netns
# time: 600
for name in flow life bridge dnsmasq; do
	want "$CORDON_TREE/build/tests/traffic/traffic_firewall_$name"
done
