#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guard_bridge: `cordon guard` on a tap that is, or becomes, a port of a bridge. The guest is a network namespace, and its
# VMM a relay of frames. A tap that is moved is guarded by the rules that fit where it is, or closed where there
# are none, and opened when there are again; that is so through a flood of news about interfaces too. Of two guards of
# one tap there is one.
#
# What passes on a bridge needs the kernel's connection tracking there (nf_conntrack_bridge): without it, guarding a port
# is refused, and what would be seen on one is skipped.
#
#   usage: guard_bridge.sh CORDON
set -eu -o pipefail
export CORDON=$1

skip() {
	echo "skipped: $*"
	exit 77
}
fail() {
	echo "guard_bridge: $*" >&2
	cat "$work"/*.err /var/log/cordon/*.log /var/log/cordon/monitor.messages >&2 || true
	exit 1
}

if [ "${GUARD_BRIDGE_INSIDE-}" != 1 ]; then
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || skip "a tap needs root and /dev/net/tun"
	command -v python3 >/dev/null || skip "there is no python3"
	GUARD_BRIDGE_INSIDE=1 exec unshare --net --mount --propagation private -- "${BASH_SOURCE[0]}" "$@"
fi
mount -t tmpfs run /run
mount -t tmpfs log /var/log
mkdir -p /var/lib/cordon
mount -t tmpfs lib /var/lib/cordon
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf || skip "there is no bpf file system"
work=$(mktemp -d)
pids=()
cleanup() {
	"$CORDON" unguard tap0 >/dev/null 2>&1 || true
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
PATH=$PATH:/sbin:/usr/sbin

# until COMMAND...: half a minute for it to succeed.
until_true() {
	local tries=300
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# A namespace each for the guest and for the world; the guest's end of the wire is a tap too, and its VMM joins the two.
unshare --net sleep 600 &
guest=$!
unshare --net sleep 600 &
world=$!
pids+=("$guest" "$world")
in_guest() { nsenter --net="/proc/$guest/ns/net" -- "$@"; }
in_world() { nsenter --net="/proc/$world/ns/net" -- "$@"; }
own=$(readlink /proc/self/ns/net)
is_apart() { [ "$(readlink "/proc/$1/ns/net")" != "$own" ]; }
until_true is_apart "$guest" && until_true is_apart "$world" || fail "there are no namespaces"
cat >"$work/vmm.py" <<'END_OF_VMM'
import ctypes, fcntl, os, select, struct, sys

def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
    return fd

host = tap("tap0")
ctypes.CDLL(None, use_errno=True).setns(os.open("/proc/%s/ns/net" % sys.argv[1], os.O_RDONLY), 0)
guest = tap("eth0")
other = {host: guest, guest: host}
print("ready", flush=True)
while True:
    for fd in select.select(list(other), [], [])[0]:
        try:
            os.write(other[fd], os.read(fd, 65536))
        except OSError:
            pass  # one of the two is down
END_OF_VMM
ip tuntap add dev tap0 mode tap
python3 "$work/vmm.py" "$guest" >"$work/vmm" 2>"$work/vmm.err" &
pids+=($!)
until_true grep -q ready "$work/vmm" || fail "the relay did not start"
in_guest ip link set lo up
in_guest ip link set eth0 address 52:54:00:12:34:56 up
in_guest ip addr add 192.0.2.20/24 dev eth0
in_guest ip route add default via 192.0.2.1
ip link set lo up
ip link add br0 type bridge
ip addr add 192.0.2.1/24 dev tap0
ip link set tap0 up
ip link set br0 up
ip link add out0 type veth peer name in0 netns "$world"
ip addr add 198.51.100.1/24 dev out0
ip link set out0 up
echo 1 >/proc/sys/net/ipv4/ip_forward
in_world ip link set in0 up
in_world ip addr add 198.51.100.10/24 dev in0
in_world ip route add 192.0.2.0/24 via 198.51.100.1

cat >"$work/web.yaml" <<'END_OF_POLICY'
version: 1
guard: {name: web, mac: "52:54:00:12:34:56", addresses: [192.0.2.20]}
firewall:
  egress:
    - {to: 198.51.100.10, proto: icmp}
END_OF_POLICY
sed 's/name: web/name: twin/' "$work/web.yaml" >"$work/twin.yaml"
reaches() { in_guest ping -q -c 1 -W 2 "$1" >/dev/null 2>&1; }
state() { "$CORDON" inspect --format json web | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'; }
is_state() { [ "$(state)" = "$1" ]; }
is_up() { ip -o link show tap0 | grep -q '[<,]UP[,>]'; }
is_down() { ! is_up; }
alerts() { "$CORDON" alerts web | grep -c "$1" || true; }
until_true reaches 198.51.100.10 || fail "the guest does not reach the world before it is guarded"

# Two at once, again and again: never both, and what is left says which.
for round in 1 2 3 4 5; do
	"$CORDON" guard tap0 "$work/web.yaml" >/dev/null 2>"$work/web.err" &
	first=$!
	"$CORDON" guard tap0 "$work/twin.yaml" >/dev/null 2>"$work/twin.err" &
	second=$!
	won=0
	! wait $first || won=$((won + 1))
	! wait $second || won=$((won + 1))
	there=$("$CORDON" ps | grep -c guarded || true)
	[ $won -le 1 ] && [ "$there" = "$won" ] || fail "round $round: $won guards of one tap, $there are there"
	grep -q 'is the tap of' "$work/web.err" "$work/twin.err" || fail "nobody said that the tap is taken"
	[ $won = 0 ] || "$CORDON" unguard tap0 >/dev/null
done
echo "guard_bridge: two at once: never both"

"$CORDON" guard tap0 "$work/web.yaml" >/dev/null || fail "guarding a tap that is no port"
reaches 198.51.100.10 || fail "what the policy allows did not pass"
! reaches 198.51.100.1 || fail "what it does not allow has passed"
"$CORDON" firewall explain --packet 'icmp guest > 198.51.100.10' web | grep -q 'egress\[0\]' || fail "explain, beside a bridge"

# News without end, more than the keeper's socket holds; and then the tap is moved.
for i in $(seq 1 60); do
	ip link add "flood$i" type veth peer name "doolf$i"
done
for round in 1 2 3 4 5 6; do
	for i in $(seq 1 60); do echo "link set flood$i mtu $((1400 + round))"; done | ip -batch -
done
rules_fit=true
ip link set tap0 master br0
ip addr flush dev tap0
if until_true is_state closed; then
	rules_fit=false
	is_down || fail "a closed tap is up"
	[ "$(alerts guard.changed)" -ge 1 ] || fail "no alert says that it was closed"
	"$CORDON" ps | grep -q '^web *closed' || fail "ps does not say that it is closed"
	echo "guard_bridge: without rules that fit, the tap is closed, and said to be"
	ip link set tap0 nomaster
	until_true is_state guarded || fail "off the bridge, it was not opened again"
	is_up || fail "an opened tap is down"
	ip addr add 192.0.2.1/24 dev tap0
	until_true reaches 198.51.100.10 || fail "off the bridge again, what the policy allows does not pass"
	! reaches 198.51.100.1 || fail "off the bridge again, what it does not allow has passed"
	echo "guard_bridge: where they fit again, it is opened"
fi
for i in $(seq 1 60); do echo "link del flood$i"; done | ip -batch -
"$CORDON" unguard web >/dev/null || fail "unguard"
ip link set tap0 master br0
ip addr flush dev tap0
[ -n "$(ip -4 -o addr show dev br0)" ] || ip addr add 192.0.2.1/24 dev br0
ip link set tap0 up

if ! $rules_fit; then
	! "$CORDON" guard tap0 "$work/web.yaml" >/dev/null 2>"$work/port.err" || fail "guarded without rules that fit"
	grep -q 'nf_conntrack_bridge' "$work/port.err" || fail "it did not say what is missing: $(cat "$work/port.err")"
	is_up || fail "a tap that could not be guarded was closed"
	[ -z "$(nft list tables | grep cordon)" ] || fail "a guard that was refused has left tables"
	echo "skipped: what passes on a port: this kernel lacks nf_conntrack_bridge"
	echo "guard_bridge: a port is refused, and says why"
	exit 0
fi
"$CORDON" guard tap0 "$work/web.yaml" >/dev/null || fail "guarding a port of a bridge"
until_true reaches 198.51.100.10 || fail "on a bridge, what the policy allows did not pass"
! reaches 198.51.100.1 || fail "on a bridge, what it does not allow has passed"
"$CORDON" firewall explain --packet 'icmp guest > 198.51.100.10' web | grep -q 'egress\[0\]' || fail "explain, on a bridge"
"$CORDON" unguard tap0 >/dev/null
[ -z "$(nft list tables | grep cordon)" ] || fail "unguard has left tables"
echo "guard_bridge: a port of a bridge is guarded"
