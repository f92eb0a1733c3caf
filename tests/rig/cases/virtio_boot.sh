# Debian's stock kernel on cordon-vmm with cordon-blk, cordon-net and cordon-rng: its root is on a block device,
# packets pass through a tap both ways, random bytes come; drivers are unbound and bound again, interrupts
# and BARs are moved, and a device process is killed while the rest runs on. Every process is in its
# seccomp list throughout.
# time: 600
# takes: 110
work=$(mktemp -d)
at_end rm -rf "$work"
cp --sparse=always /cordon-guest/disk.raw "$work/disk.raw"
want modprobe loop
disk=$(losetup --find --show "$work/disk.raw") # the other cases have files as their disks
at_end losetup -d "$disk"
mkdir "$work/www"
head -c 3000000 /dev/urandom >"$work/www/blob"
blob=$(md5sum <"$work/www/blob" | cut -d' ' -f1)

want ip tuntap add tap-virtio mode tap vnet_hdr
at_end ip link del tap-virtio
want ip addr add 10.9.0.1/24 dev tap-virtio
want ip link set tap-virtio up
python3 -m http.server -b 10.9.0.1 -d "$work/www" 8000 >/dev/null 2>&1 &
at_end kill $!

mkfifo "$work/in"
sleep 600 >"$work/in" & # the guest's standard input stays open
at_end kill $!
"$CORDON_TREE/tests/rig/vm" --vcpus 2 --disk "$disk" --rng --pids "$work/pids" \
	--tap tap-virtio:mac=52:54:00:0a:0b:0c,mtu=1400 \
	"root=/dev/vda rw console=ttyS0 quiet nohz=off reboot=t panic=-1 guest.network=off guest.script=virtio" \
	<"$work/in" >"$work/log" 2>&1 &
vm=$!
at_end cat "$work/log"

has() {
	grep -q -- "$1" "$work/log"
}
pid_of() {
	sed -n "s/^$1 //p" "$work/pids"
}

wait_for 300 has "^virtio: kill\\|vmm ended"
for name in vmm blk net rng; do
	want_equal "$(sed -n 's/^Seccomp:\t//p' "/proc/$(pid_of $name)/status")" 2 "$name's seccomp mode"
done
kill -9 "$(pid_of rng)"
wait_for 10 has 'back end of device rng is given up'
touch "$work/www/killed"
wait_for 60 has "^virtio: done\\|vmm ended"
status=0
wait "$vm" || status=$?
want_equal "$status" 0 "the vmm's exit status"
want has 'vm: blk ended with 0'
want has 'vm: net ended with 0'

want has 'virtio: device 0x0001 vectors 3'
want has 'virtio: device 0x0002 vectors 2'
want has 'virtio: device 0x0004 vectors 2'
want has 'virtio: mac 52:54:00:0a:0b:0c mtu 1400'
want has 'virtio: rng 256'
want has 'virtio: ping first'
want has "virtio: download first $blob"
want has 'virtio: disk same'
want has 'virtio: affinity done'
want_fails has 'virtio: lost'
want has 'virtio: ping second'
want has "virtio: download second $blob"
want has 'virtio: rng after moves 256'
want has "virtio: download third $blob"
want debugfs -R 'stat /written' "$work/disk.raw"
