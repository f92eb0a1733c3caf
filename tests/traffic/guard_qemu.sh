#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guard_qemu: a guest that we do not run. QEMU (TCG, so on any machine) boots Debian's kernel on a tap of its own,
# which libvirt's hook has had `cordon guard` take in hand. What its policy allows passes, what it does not is
# dropped, its scan is flagged; it is quarantined, gets another policy, its keeper is killed; `unguard`
# leaves nothing, and neither does the tap's end.
#
#   usage: guard_qemu.sh CORDON HOOK
set -eu -o pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CORDON=$1
hook=$2

skip() {
	echo "skipped: $*"
	exit 77
}
fail() {
	echo "guard_qemu: $*" >&2
	tail -n 30 "$work/console" >&2 || true
	cat "$work"/*.err /var/log/cordon/*.log >&2 || true
	exit 1
}

if [ "${GUARD_QEMU_INSIDE-}" != 1 ]; then
	command -v qemu-system-x86_64 >/dev/null || skip "there is no qemu-system-x86_64"
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || skip "a tap needs root and /dev/net/tun"
	cache=$("$tree/tests/rig/base") || skip "the rig's base image cannot be made here"
	export GUARD_QEMU_INSIDE=1 CORDON_BASE=$cache
	exec unshare --net --mount --propagation private -- "${BASH_SOURCE[0]}" "$@"
fi

# Folders of this test's own, where cordon's are.
mount -t tmpfs run /run
mount -t tmpfs log /var/log
mkdir -p /var/lib/cordon
mount -t tmpfs lib /var/lib/cordon
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf || skip "there is no bpf file system"
work=$(mktemp -d)
export CORDON_GUARD_POLICIES=$work/policies
pids=()
cleanup() {
	"$CORDON" unguard tap0 >/dev/null 2>&1 || true
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
PATH=$PATH:/sbin:/usr/sbin

# The world behind the host: a server that the policy allows, one that it does not, a neighbour without any port.
unshare --net sleep 600 &
world=$!
pids+=("$world")
ip link set lo up
ip link add out0 type veth peer name in0
until ip link set in0 netns "$world" 2>/dev/null; do sleep 0.1; done
ip addr add 198.51.100.1/24 dev out0
ip link set out0 up
ip route add 203.0.113.0/24 via 198.51.100.10
echo 1 >/proc/sys/net/ipv4/ip_forward
in_world() { nsenter --net="/proc/$world/ns/net" -- "$@"; }
in_world ip link set lo up
in_world ip link set in0 up
for address in 198.51.100.10/24 198.51.100.20/24 203.0.113.7/32; do
	in_world ip addr add "$address" dev in0
done
in_world ip route add 192.0.2.0/24 via 198.51.100.1
mkdir "$work/www"
echo hello >"$work/www/index.html"
for server in 198.51.100.10:8080 203.0.113.7:80; do
	(cd "$work/www" && exec nsenter --net="/proc/$world/ns/net" -- \
		python3 -m http.server -b "${server%:*}" "${server#*:}") >/dev/null 2>>"$work/www.err" &
	pids+=($!)
done

# The guest: the rig's tiny one, which does what it is told on its serial port.
cp -a "$CORDON_BASE/guest" "$work/guest"
install -m 755 "$tree/tests/rig/guest/init" "$work/guest/sbin/init"
mkdir -p "$work/guest/cordon" "$work/policies"
cat >"$work/guest/cordon/run-in-guest" <<'END'
#!/bin/sh
nic=$(ls /sys/class/net | grep -vx lo | head -n 1)
ip link set "$nic" up
ip addr add 192.0.2.20/24 dev "$nic"
ip route add default via 192.0.2.1
stty -echo </dev/ttyS0
echo "said: ready" >/dev/ttyS0
while read -r line; do
	eval "$line" >/dev/null 2>&1
	echo "said: $?" >/dev/ttyS0
done </dev/ttyS0
END
chmod 755 "$work/guest/cordon/run-in-guest"
truncate -s 96M "$work/disk.raw"
mke2fs -q -t ext4 -m 0 -d "$work/guest" "$work/disk.raw"
debugfs -R "dump /cordon-guest/initrd.img $work/initrd" "$CORDON_BASE/base.ext4" 2>/dev/null
mkfifo "$work/serial.in" "$work/serial.out"
cat "$work/serial.out" >"$work/console" &
pids+=($!)

# ask COMMAND: runs it in the guest and prints its exit status.
ask() {
	local before tries=600
	before=$(grep -ac '^said: ' "$work/console" || true)
	echo "$1" >"$work/serial.in"
	until [ "$(grep -ac '^said: ' "$work/console" || true)" -gt "$before" ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "the guest did not answer: $1"
		sleep 0.1
	done
	grep -a '^said: ' "$work/console" | tail -n 1 | tr -cd 0-9
}
# Debian's busybox wget has no -T, and dies of one.
fetch() { ask "timeout 4 wget -q -O - http://$1/"; }
allowed=198.51.100.10:8080
forbidden=203.0.113.7:80

# counted RULE: how many packets it has counted.
counted() {
	"$CORDON" firewall show --format json guest |
		python3 -c 'import json, sys
print(sum(r["packets"] for r in json.load(sys.stdin)["rules"] if r["rule"] == sys.argv[1]))' "$1"
}

# left: what of cordon's is still there, but the monitor, which ends by itself, and the tap, which is not cordon's.
left() {
	nft list tables | grep -w cordon || true
	find /run/cordon/vms /run/cordon/slots /run/cordon/links /sys/fs/bpf/cordon -mindepth 1 2>/dev/null || true
	tc filter show dev tap0 ingress 2>/dev/null || true
	for pid in $(pidof cordon-mind cordon-serve); do # of this namespace: another such test may run beside this one
		[ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] || echo "process $pid"
	done
}
nothing_left() {
	local tries=50
	while [ -n "$(left)" ] && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	[ -z "$(left)" ] || fail "after $1 there is still: $(left)"
}

cat >"$work/policies/dom.yaml" <<'END'
version: 1
guard:
  name: guest
  mac: "52:54:00:12:34:56"
  addresses: [192.0.2.20]
firewall:
  egress:
    - {to: 198.51.100.10, proto: tcp, ports: [8080]}
    - {to: 198.51.100.20, proto: tcp}
END
sed '/198.51.100.10/d' "$work/policies/dom.yaml" >"$work/closed.yaml"
cat >"$work/domain.xml" <<'END'
<domain type='qemu' id='1'>
  <name>dom</name>
  <devices>
    <interface type='ethernet'>
      <mac address='52:54:00:12:34:56'/>
      <target dev='tap0' managed='no'/>
    </interface>
  </devices>
</domain>
END

# Its VMM's network, as an administrator makes it; then the hook, then the guest.
ip tuntap add dev tap0 mode tap
ip addr add 192.0.2.1/24 dev tap0
ip link set tap0 up
network() { ip addr show dev tap0 && ip route && ip -6 route; }
before=$(network)
sh "$hook" dom prepare begin - <"$work/domain.xml" || fail "the hook failed before there was a tap"
sh "$hook" dom start begin - <"$work/domain.xml" || fail "the hook did not guard the tap"
sh "$hook" dom started begin - <"$work/domain.xml" || fail "the hook guarded it twice"
cp -r "$work/policies" "$work/others"
! CORDON_GUARD_POLICIES=$work/others sh "$hook" dom started begin - <"$work/domain.xml" 2>"$work/hook.err" ||
	fail "the hook took another policy's guard for its own"
[ "$(network)" = "$before" ] || fail "guarding has changed the tap"
qemu-system-x86_64 -accel tcg -m 256M -display none -no-reboot -nodefaults -serial pipe:"$work/serial" \
	-kernel "$CORDON_BASE/vmlinuz" -initrd "$work/initrd" \
	-append 'root=/dev/vda rw console=ttyS0 quiet panic=-1 guest.network=off' \
	-drive file="$work/disk.raw",format=raw,if=virtio \
	-netdev tap,id=net,ifname=tap0,script=no,downscript=no \
	-device virtio-net-pci,netdev=net,mac=52:54:00:12:34:56 2>"$work/qemu.err" &
qemu=$!
pids+=("$qemu")
for _ in $(seq 1200); do
	! grep -aq '^said: ready' "$work/console" || break
	kill -0 "$qemu" 2>/dev/null || fail "QEMU has ended"
	sleep 0.1
done

[ "$(fetch $allowed)" = 0 ] || fail "what the policy allows did not pass"
[ "$(fetch $forbidden)" != 0 ] || fail "what the policy does not allow has passed"
[ "$(counted 'egress default deny')" -gt 0 ] || fail "and no rule has dropped it"
echo "guard_qemu: egress to $allowed passes, to $forbidden is dropped: $(counted 'egress default deny') packets"

# flagged RULE: the last alert of it, which has a moment to come.
flagged() {
	local tries=100
	until grep -q "\"$1\"" /var/log/cordon/alerts.json; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "there is no alert $1"
		sleep 0.1
	done
	"$CORDON" alerts guest | grep "$1" | tail -n 1
}
denied=$(flagged egress.denied)
[[ $denied = *"the first 203.0.113.7 port 80; no rule allows it"* ]] || fail "it is not said so: $denied"
# A flood: more than a tap may have logged, and yet all of it is counted, to within a thousand.
ask 'ping -q -c 2500 -i 0.002 -W 1 203.0.113.9' >/dev/null
flagged egress.denied >/dev/null
unlogged=$(python3 -c 'import json, sys
print(max(json.loads(a).get("cordon", {}).get("evidence", {}).get("denied_unlogged", 0) for a in open(sys.argv[1])))' \
	/var/log/cordon/alerts.json)
[ "$unlogged" -ge 1023 ] || fail "what was beyond the log is not counted: $unlogged"
"$CORDON" alerts guest | grep egress.denied | tail -n 1 | sed 's/^/guard_qemu: /'

ask 'ip addr add 192.0.2.99/24 dev $nic; ping -c 2 -W 1 -I 192.0.2.99 192.0.2.1; ip addr del 192.0.2.99/24 dev $nic' >/dev/null
[ "$(counted 'spoofed arp ip')" -gt 0 ] || [ "$(counted 'spoofed ipv4 source')" -gt 0 ] ||
	fail "a false address was not dropped"

ask 'for port in $(seq 1 60); do nc -w 1 198.51.100.20 $port </dev/null; done' >/dev/null
echo "guard_qemu: $(flagged scan.vertical)"
"$CORDON" flows guest | grep -q 198.51.100.10 || fail "the flows do not have what it fetched"

# Who minds the tap dies: the rules stand, and another one is there soon.
kill -9 "$("$CORDON" inspect guest | sed -n 's/^  "keeper": \([0-9]*\),$/\1/p')"
[ "$(fetch $forbidden)" != 0 ] || fail "without its keeper, the guest gets out"
"$CORDON" ps | grep -q '^guest *guarded' || fail "there is no new keeper"

"$CORDON" quarantine guest >/dev/null
[ "$(fetch $allowed)" != 0 ] || fail "a quarantine lets it out"
"$CORDON" release guest >/dev/null
[ "$(fetch $allowed)" = 0 ] || fail "the quarantine goes on"
"$CORDON" apply guest "$work/closed.yaml" >/dev/null || fail "another policy was not taken"
[ "$(fetch $allowed)" != 0 ] || fail "the new policy does not hold"
sh "$hook" dom reconnect begin - <"$work/domain.xml" || fail "the hook does not know its guard since another policy was applied"
[ "$(fetch $allowed)" != 0 ] || fail "the hook has put the first policy back"
! "$CORDON" pause guest 2>/dev/null || fail "it could be paused"
"$CORDON" ps | grep -q '^guest *guarded' || fail "it is not guarded any more"

# Without cordon everything passes, so it was cordon that dropped it.
before=$(network)
"$CORDON" unguard tap0 >/dev/null || fail "unguard"
nothing_left "unguard"
[ "$(network)" = "$before" ] || fail "unguard has changed the tap"
[ "$(fetch $forbidden)" = 0 ] || fail "nothing is left, and yet it does not get out"

# A guest that runs is guarded, and then its VMM goes, with the tap.
"$CORDON" guard tap0 "$work/policies/dom.yaml" >/dev/null || fail "guarding a guest that runs"
[ "$(fetch $forbidden)" != 0 ] || fail "guarded again, it gets out"
kill "$qemu"
wait "$qemu" 2>/dev/null || true
ip link del tap0
nothing_left "the tap's end"
"$CORDON" alerts guest | grep -q guard.ended || fail "nobody said that its tap is gone"
"$CORDON" inspect guest | grep -q 'its tap is gone' || fail "inspect does not know why it ended"

# A NIC for which there is no policy keeps its domain from running, and leaves nothing.
ip tuntap add dev tap0 mode tap
sed 's|</devices>|<interface type="ethernet">\n<target dev="tap1"/>\n</interface>\n</devices>|' \
	"$work/domain.xml" >"$work/two.xml"
! sh "$hook" dom start begin - <"$work/two.xml" 2>"$work/hook.err" || fail "a NIC without a policy was let by"
grep -q 'NIC 1 has no policy' "$work/hook.err" || fail "the hook did not say why"
nothing_left "a domain that was refused"
sh "$hook" other start begin - <"$work/two.xml" || fail "a domain without a policy was kept from running"
echo 'guard_qemu: unguard, and the end of the tap, leave nothing'
