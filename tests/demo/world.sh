# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# world.sh: the network outside the guest: a namespace with a web server and a neighbour, on addresses
# that documentation owns (RFC 5737). Sourced by the demo and by rig cases.
WORLD=cordon-world
WORLD_SERVER=198.51.100.10    # answers HTTP on 8080
WORLD_NEIGHBOUR=198.51.100.20 # has no open port
WORLD_FORBIDDEN=203.0.113.7   # routed, and no policy allows it

world_up() {
	world_down
	ip netns add $WORLD
	ip link add cw-host type veth peer name cw-world netns $WORLD
	ip addr add 198.51.100.1/24 dev cw-host
	ip link set cw-host up
	ip route add $WORLD_FORBIDDEN/32 dev cw-host
	ip -n $WORLD link set lo up
	ip -n $WORLD link set cw-world up
	ip -n $WORLD addr add $WORLD_SERVER/24 dev cw-world
	ip -n $WORLD addr add $WORLD_NEIGHBOUR/24 dev cw-world
	ip -n $WORLD addr add $WORLD_FORBIDDEN/32 dev cw-world
	ip -n $WORLD route add default via 198.51.100.1
	WORLD_WWW=$(mktemp -d)
	echo hello >"$WORLD_WWW/index.html"
	ip netns exec $WORLD busybox httpd -f -p $WORLD_SERVER:8080 -h "$WORLD_WWW" &
	WORLD_HTTPD=$!
}

world_down() {
	if [ -n "${WORLD_HTTPD-}" ]; then
		kill "$WORLD_HTTPD" 2>/dev/null || true
		wait "$WORLD_HTTPD" 2>/dev/null || true
		rm -rf "$WORLD_WWW"
	fi
	WORLD_HTTPD=
	ip netns del $WORLD 2>/dev/null || true
	ip link del cw-host 2>/dev/null || true
}
