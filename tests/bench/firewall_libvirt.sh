#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What libvirt's clean-traffic filter takes for a NIC: Debian's libvirtd with its nwfilter driver alone, in namespaces
# of its own, whose folders nobody else sees; `virsh nwfilter-binding-create` for each of some taps. Prints the median
# in milliseconds, or on standard error why it cannot run here.
set -eu
taps=5
for program in libvirtd virsh ebtables iptables ip6tables; do
	command -v $program >/dev/null || { echo "libvirt: skipped, $program is missing (Debian's libvirt-daemon," \
		"libvirt-daemon-config-nwfilter, libvirt-clients, ebtables, iptables)" >&2; exit 77; }
done
if [ "${1-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "libvirt: skipped, it needs root" >&2; exit 77; }
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	unshare --net --mount --propagation private sh "$0" inside "$work"
	exit
fi
work=$2
mkdir "$work/run" "$work/lib" "$work/log" "$work/cache" "$work/drivers"
cp -a /etc/libvirt "$work/etc"
cp /usr/lib/*/libvirt/connection-driver/libvirt_driver_nwfilter.so "$work/drivers"
for pair in run:/run/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt etc:/etc/libvirt; do
	mkdir -p "${pair#*:}"
	mount --bind "$work/${pair%%:*}" "${pair#*:}"
done
ip link set lo up
LIBVIRT_DRIVER_DIR=$work/drivers libvirtd >"$work/said" 2>&1 &
daemon=$!
trap 'kill $daemon; wait $daemon || true' EXIT
tries=0
until virsh -q -c nwfilter:///system nwfilter-list >"$work/filters" 2>/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 50 ] || { echo "libvirt: skipped, libvirtd does not come up: $(tail -1 "$work/said")" >&2; exit 77; }
	sleep 0.2
done
i=0
while [ $i -lt $taps ]; do
	ip tuntap add "vnet$i" mode tap
	ip link set "vnet$i" up
	cat >"$work/binding.xml" <<-END
		<filterbinding>
		<owner><name>guest$i</name><uuid>00000000-0000-4000-8000-00000000000$i</uuid></owner>
		<portdev name='vnet$i'/><mac address='02:00:00:00:00:1$i'/>
		<filterref filter='clean-traffic'><parameter name='IP' value='10.77.0.$((i + 2))'/></filterref>
		</filterbinding>
	END
	begin=$(date +%s%N)
	virsh -q -c nwfilter:///system nwfilter-binding-create "$work/binding.xml" >/dev/null
	echo $((($(date +%s%N) - begin) / 1000000)) >>"$work/times"
	i=$((i + 1))
done
sort -n "$work/times" | sed -n "$(((taps + 1) / 2))p"
