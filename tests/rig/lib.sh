# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh: what a rig case starts with (run-cases reads it in before the case). A case fails at its
# first want that does not hold, or at any command that fails, and the file and line are printed.
set -eu -o pipefail

CORDON=${CORDON_TREE:?}/build/cordon/cordon
export CORDON

# fail WHY…: ends the case as failed.
fail() {
	local depth=1
	while [ "${BASH_SOURCE[$depth]##*/}" = lib.sh ]; do
		depth=$((depth + 1))
	done
	echo "${BASH_SOURCE[$depth]##*/}:${BASH_LINENO[$((depth - 1))]}: $*" >&2
	exit 1
}

# skip WHY…: ends the case as skipped: it cannot be run here. Never for what ought to work.
skip() {
	echo "skip: $*" >&2
	exit 77
}

# part NAME ok|fail|skip [WHY…]: something that the case tests and that is to be counted by its own name. One
# that fails makes the run fail; the case goes on.
part() {
	local name=$1 result=$2
	shift 2
	printf '%s\t%s\t%s\n' "$result" "$name" "$*" >>"${CASE_PARTS:?}"
}

# hostile_parts LOG: each class that the guest of tests/hostile has reported in its serial log is a part of the case; $failures
# says how many failed.
hostile_parts() {
	local _ name result why count=0
	failures=0
	while read -r _ name result why; do
		count=$((count + 1))
		[ "$result" = ok ] || failures=$((failures + 1))
		part "$name" "$result" "$why"
	done < <(tr -d '\r' <"$1" | grep -aE '^hostile: [a-z0-9_]+ (ok|fail:)' | sed 's/fail:/fail/')
	want_equal "$count" "$(sed -n 's/^hostile: \([0-9]*\) classes on.*/\1/p' "$1")" "classes that were reported"
}

# want COMMAND…: it has to succeed. What it prints is the case's to use (and shown if the case fails).
want() {
	"$@" || fail "failed with $?: $*"
}

# want_fails COMMAND…: it has to fail, by itself and not by a signal.
want_fails() {
	local status=0
	"$@" || status=$?
	[ $status != 0 ] || fail "succeeded, and had to fail: $*"
	[ $status -lt 128 ] || fail "was killed ($status), and had to fail by itself: $*"
}

# want_status N COMMAND…: it has to end with exit status N.
want_status() {
	local expected=$1 status=0
	shift
	"$@" || status=$?
	[ $status = "$expected" ] || fail "ended with $status, not $expected: $*"
}

# want_equal FOUND EXPECTED [WHAT]
want_equal() {
	[ "$1" = "$2" ] || fail "${3:-value}: found '$1', expected '$2'"
}

# want_match TEXT REGEX: the extended regular expression has to match somewhere in TEXT.
want_match() {
	[[ $1 =~ $2 ]] || fail "'$2' does not match: $1"
}

# wait_for SECONDS COMMAND…: until the command succeeds. The time is a limit, never a measure. What lasts is looked at less
# and less often, up to once a second: on the rig's one CPU a look takes a quarter of a second from what is waited for.
wait_for() {
	local left=$(($1 * 10)) pause=1
	shift
	while ! "$@" >/dev/null 2>&1; do
		left=$((left - pause))
		[ $left -gt 0 ] || fail "never came to hold: $*"
		sleep $((pause / 10)).$((pause % 10))
		[ $pause = 10 ] || pause=$((pause + 1))
	done
}

# json PATH…: those values of the JSON on its standard input, on one line (json.c). jq takes half a second to start in the
# rig, and is for what paths cannot say.
json() {
	"$CORDON_TREE/build/tests/rig/rig_json" "$@"
}

# at_end COMMAND…: runs when the case ends, however it ends; the last one given runs first.
AT_END=()
at_end() {
	AT_END=("$(printf '%q ' "$@")" "${AT_END[@]}")
}

run_at_end() {
	local status=$? command
	trap - EXIT
	set +e
	for command in "${AT_END[@]}"; do
		eval "$command"
	done
	exit $status
}
trap run_at_end EXIT
trap 'echo "${BASH_SOURCE[0]##*/}:$LINENO: failed: $BASH_COMMAND" >&2' ERR
