# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guest.sh: speaking to the agent in a guest over its serial console, and looking for what a guest
# leaves behind. Sourced by the demo and by rig cases; CORDON is the command.

# guest_attach NAME: opens the console; what the guest says goes to fd GUEST_OUT, fd GUEST_IN goes to it.
guest_attach() {
	coproc GUEST { exec "$CORDON" console "$1"; }
	# shellcheck disable=SC2153,SC2034  # GUEST is the coprocess
	exec {GUEST_OUT}<&"${GUEST[0]}" {GUEST_IN}>&"${GUEST[1]}"
	GUEST_CHILD=$GUEST_PID # bash unsets its own once the coprocess has ended
}

guest_detach() {
	exec {GUEST_IN}>&- {GUEST_OUT}<&-
	kill "$GUEST_CHILD" 2>/dev/null || true
	wait "$GUEST_CHILD" 2>/dev/null || true
}

# guest_say WORD…: gives the agent one line, and prints its answer without `agent: `. Fails when none
# comes in 60 seconds.
guest_say() {
	local line
	echo "$*" >&"$GUEST_IN"
	while IFS= read -r -t 60 line <&"$GUEST_OUT"; do
		line=${line%$'\r'}
		case $line in
		"agent: ready") ;;
		"agent: "*)
			echo "${line#agent: }"
			return 0
			;;
		esac
	done
	return 1
}

# guest_wait NAME TEXT SECONDS: until the guest's serial log has TEXT. It looks less and less often, up to once a second:
# on the one emulated CPU of the rig a look takes a quarter of a second from the guest.
guest_wait() {
	local left=$(($3 * 10)) pause=1
	until grep -q "$2" "/var/log/cordon/$1.serial" 2>/dev/null; do
		left=$((left - pause))
		[ $left -gt 0 ] || return 1
		sleep $((pause / 10)).$((pause % 10))
		[ $pause = 10 ] || pause=$((pause + 1))
	done
}

# leftovers: prints a line for each thing of cordon's that is still on the host. It runs no more programs than it has to,
# as cases call it again and again.
leftovers() (
	shopt -s nullglob dotglob
	while read -r _ name _; do
		[[ ! $name =~ ^(cn[0-9]+)[:@] ]] || echo "tap ${BASH_REMATCH[1]}"
	done < <(ip -o link show)
	while read -r line; do
		[[ ! $line =~ ^table\ [a-z0-9]*\ cordon ]] || echo "nft $line"
	done < <(nft list tables 2>/dev/null)
	for path in /sys/fs/cgroup/cordon/*/; do
		echo "cgroup $path"
	done
	for path in /sys/fs/bpf/cordon/*; do
		echo "pin $path"
	done
	for path in /run/cordon/{vms,slots,links}/*; do
		echo "registry $path"
	done
	awk '$1 == "Name:" { name = $2 }
		$1 == "Pid:" { pid = $2 }
		$1 == "Uid:" && ($2 >= 1999999990 || name ~ /^cordon-/) { print "process", pid, name }' \
		/proc/[0-9]*/status 2>/dev/null
	return 0
)

# leftovers_settled: gives the last ones a few seconds to go, then prints those that stayed.
leftovers_settled() {
	local tries=25 left
	left=$(leftovers)
	while [ $tries -gt 0 ] && [ -n "$left" ]; do
		tries=$((tries - 1))
		sleep 0.2
		left=$(leftovers)
	done
	printf '%s' "$left"
}
