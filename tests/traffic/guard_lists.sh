#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guard_lists: what the host hands the monitor of its files, on a tap that nobody drives: a list of known bad
# addresses is read again when it changes, and one that is broken is refused at start and said later; what was
# learnt is kept in a file, and one that is broken is put aside.
#
#   usage: guard_lists.sh CORDON
set -eu -o pipefail
cordon=$1

skip() {
	echo "skipped: $*"
	exit 77
}
fail() {
	echo "guard_lists: $*" >&2
	cat "$work"/err /var/log/cordon/* >&2 || true
	exit 1
}

if [ "${GUARD_LISTS_INSIDE-}" != 1 ]; then
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || skip "a tap needs root and /dev/net/tun"
	unshare --net --mount true 2>/dev/null || skip "no namespaces"
	export GUARD_LISTS_INSIDE=1
	exec unshare --net --mount --propagation private -- "${BASH_SOURCE[0]}" "$@"
fi

# Folders of this test's own, where cordon's are.
mount -t tmpfs run /run
mount -t tmpfs log /var/log
mount -t tmpfs lib /var/lib
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf || skip "there is no bpf file system"
work=$(mktemp -d)
trap '"$cordon" unguard tap0 >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
ip link set lo up
ip tuntap add tap0 mode tap
ip addr add 192.0.2.1/24 dev tap0
ip link set tap0 up
list=$work/bad.txt baseline=/var/lib/cordon/baselines/lists.0
cat >"$work/policy.yaml" <<END
version: 1
guard: {name: lists, mac: "52:54:00:12:34:56", addresses: [192.0.2.10]}
monitor: {intel: {lists: [$list]}}
END

guard() { "$cordon" guard tap0 "$work/policy.yaml" >>"$work/err" 2>&1; }
said() { grep -qsF -- "$1" /var/log/cordon/* "$work/err"; }
until_said() {
	for _ in $(seq 300); do
		said "$1" && return
		sleep 0.1
	done
	fail "it did not say: $1"
}

printf 'an.example # comment\nno address\n' >"$list"
! guard || fail "a list with a wrong line was taken"
said "$list:2: 'no address' is no address, no network and no name" || fail "the line was not said"
rm "$list"
! guard || fail "a list that is not there was taken"
printf '# nobody yet\n' >"$list"
guard || fail "it was not guarded"
[ "$(stat -c %a "$baseline")" = 600 ] || fail "the baseline is no file of root's"
printf '\n198.51.100.0/33\n' >"$list"
until_said "stays so: $list:2: '198.51.100.0/33'"
# another file by its name: it asks for that one too
printf '\n\n-\n' >"$work/other"
mv "$work/other" "$list"
until_said "stays so: $list:3: '-'"
printf '198.51.100.0/24\n' >"$list"
"$cordon" unguard tap0 >>"$work/err" 2>&1
for _ in $(seq 300); do
	[ -s "$baseline" ] && break
	sleep 0.1
done
[ -s "$baseline" ] || fail "nothing was kept"
guard || fail "it was not guarded again"
[ ! -e "$baseline.broken" ] || fail "its own baseline was taken for a broken one"
"$cordon" unguard tap0 >>"$work/err" 2>&1
head -c 70000 /dev/zero | tr '\0' x >"$baseline"
guard || fail "a broken baseline kept it from being guarded"
until_said "the baseline $baseline is broken"
[ -e "$baseline.broken" ] || fail "a broken baseline was not put aside"
echo "guard_lists: ok"
