# The sandbox on the stock kernel: the unit tests of isolate, with cgroup v2's controllers for real.
# takes: 15
for name in rules lists spawn failures enter cgroup; do
	want "$CORDON_TREE/build/tests/unit/isolate_$name"
done
# Here the controllers are there, so that no limit may have been given up on.
want_equal "$("$CORDON_TREE/build/tests/unit/isolate_cgroup" | grep -c 'not for this host')" 0
