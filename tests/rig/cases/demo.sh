# The demo as a program reads it: every step holds, and the last line is its JSON.
# time: 400
# takes: 80
out=$(mktemp -d)
at_end rm -rf "$out"
CORDON_OUT=$out want "$CORDON_TREE/tests/demo/run" --format json >"$out/stdout" || {
	cat "$out/stdout"
	fail "the demo failed"
}
json=$(tail -n 1 "$out/stdout")
for key in allowed denied spoofed quarantined; do
	want_equal "$(jq ".$key" <<<"$json")" true "$key"
done
want_equal "$(jq -c .leftovers <<<"$json")" '[]' leftovers
want_match "$(jq -r '.alerts[0].threat.technique.id[0]' <<<"$json")" '^T1046$'
want_equal "$(jq '.boot_ms > 0' <<<"$json")" true boot_ms
want test -s "$out/demo.pcapng"
