#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# receivers: the tests of alert receivers with outages of a minute: rsyslog over UDP, TCP and TLS, nfcapd, and a
# collector of the tests' own over HTTP, HTTPS and IPFIX is killed while alerts or flows come, and so is their courier;
# a minute later it is back, and has everything, each once. One line for each; fails if one fails.
#
#   usage: receivers.sh BUILD
set -eu -o pipefail
build=$1
export CORDON_AWAY=60 CK_TIMEOUT_MULTIPLIER=6

pids=() failed=0
for name in receivers receivers_collector receivers_flows; do
	"$build/tests/unit/test_cordon_$name" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || failed=1
done
exit $failed
