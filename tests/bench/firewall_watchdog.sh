#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# How long a guest is without its rules when somebody flushes them: cordond watches a guarded tap, in namespaces of this
# bench's own; `nft flush ruleset`, and then the time until the VM's chain is there again, and until the alert is in the
# file. Prints both in milliseconds (medians; each look takes some of them), or why it cannot run here.
#
#   usage: firewall_watchdog.sh CORDON
set -eu
cordon=$1
times=7
if [ "${2-}" != inside ]; then
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || { echo "watchdog: skipped, a tap needs root and /dev/net/tun" >&2; exit 77; }
	exec unshare --net --mount --propagation private sh "$0" "$cordon" inside
fi
mount -t tmpfs run /run
mount -t tmpfs log /var/log
mkdir -p /var/lib/cordon
mount -t tmpfs lib /var/lib/cordon
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf || { echo "watchdog: skipped, there is no bpf file system" >&2; exit 77; }
work=$(mktemp -d)
"$cordon" daemon >"$work/said" 2>&1 &
daemon=$!
trap '"$cordon" unguard tap0 >/dev/null 2>&1 || true; kill $daemon; wait $daemon || true; rm -rf "$work"' EXIT
# within SECONDS COMMAND…: tries until it succeeds, and prints the milliseconds since `begin`.
within() {
	limit=$((begin + $1 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt $limit ] || { echo "watchdog: no success: $*" >&2; cat "$work/said" >&2; exit 1; }
	done
	echo $((($(date +%s%N) - begin) / 1000000))
}
alerted() { [ "$(grep -c firewall.tampered /var/log/cordon/alerts.json)" -ge "$1" ]; }
ip link set lo up
ip tuntap add dev tap0 mode tap
ip addr add 192.0.2.1/24 dev tap0
ip link set tap0 up
cat >"$work/guest.yaml" <<'END'
version: 1
guard:
  name: guest
  mac: "52:54:00:12:34:56"
  addresses: [192.0.2.20]
firewall:
  egress:
    - {to: 198.51.100.10, proto: tcp, ports: [8080]}
END
begin=$(date +%s%N)
within 10 test -S /run/cordon/cordond.sock >/dev/null
"$cordon" guard tap0 "$work/guest.yaml" >"$work/guard" 2>&1 || { cat "$work/guard" >&2; exit 1; }
i=0
while [ $i -lt $times ]; do
	sleep 1
	i=$((i + 1))
	begin=$(date +%s%N)
	nft flush ruleset
	within 10 nft list chain inet cordon vm_guest_egress >>"$work/restored"
	within 10 alerted $i >>"$work/alerted"
done
for what in restored alerted; do
	sort -n "$work/$what" | sed -n "$(((times + 1) / 2))p"
done | tr '\n' ' '
