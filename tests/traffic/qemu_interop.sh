#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# qemu_interop: a front end that we did not write. QEMU (TCG, so on any machine) boots Debian's own kernel
# and initrd with its root on cordon-blk, its network on cordon-net and its entropy from cordon-rng, each
# in its seccomp list. The guest reads and writes its disk, fetches a file over TCP and sends it back.
#
#   usage: qemu_interop.sh DIRECTORY-OF-PROGRAMS [ARGUMENT-OF-EACH...]
set -eu -o pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=$1
shift
extra=("$@")

skip() {
	echo "skipped: $*"
	exit 77
}
fail() {
	echo "qemu_interop: $*" >&2
	tail -n 30 "$work/console" >&2 || true
	cat "$work"/*.err >&2 || true
	exit 1
}

if [ "${QEMU_INTEROP_INSIDE-}" != 1 ]; then
	command -v qemu-system-x86_64 >/dev/null || skip "there is no qemu-system-x86_64"
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || skip "a tap needs root and /dev/net/tun"
	cache=$("$tree/tests/rig/base") || skip "the rig's base image cannot be made here"
	export QEMU_INTEROP_INSIDE=1 CORDON_BASE=$cache
	exec unshare --net --mount -- "${BASH_SOURCE[0]}" "$programs" "${extra[@]}"
fi

work=$(mktemp -d)
pids=()
cleanup() {
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
PATH=$PATH:/sbin:/usr/sbin

# The guest's disk: the rig's tiny guest, with what it has to do here.
cp -a "$CORDON_BASE/guest" "$work/guest"
install -m 755 "$tree/tests/rig/guest/init" "$work/guest/sbin/init"
mkdir -p "$work/guest/cordon" "$work/www"
cat >"$work/guest/cordon/run-in-guest" <<'END'
#!/bin/sh
nic=$(ls /sys/class/net | grep -vx lo | head -n 1)
ip link set "$nic" up
ip addr add 10.77.0.2/24 dev "$nic"
echo "seen: disk $(cat /sys/block/vda/serial) mtu $(cat "/sys/class/net/$nic/mtu")"
wget -q -O /root/file http://10.77.0.1:8077/file
sync
echo 3 >/proc/sys/vm/drop_caches
echo "seen: file $(md5sum </root/file | cut -c1-32)"
nc 10.77.0.1 8078 </root/file
modprobe virtio-rng
echo "seen: rng $(cat /sys/class/misc/hw_random/rng_current) $(dd if=/dev/hwrng bs=512 count=4 iflag=fullblock 2>/dev/null | wc -c)"
END
chmod 755 "$work/guest/cordon/run-in-guest"
truncate -s 96M "$work/disk.raw"
mke2fs -q -t ext4 -m 0 -d "$work/guest" "$work/disk.raw"
debugfs -R "dump /cordon-guest/initrd.img $work/initrd" "$CORDON_BASE/base.ext4" 2>/dev/null
head -c 3000000 /dev/urandom >"$work/www/file"
sum=$(md5sum <"$work/www/file" | cut -c1-32)

# The host's side: a tap as the launcher makes it, and a server behind it.
cat >"$work/tap.py" <<'END'
import fcntl, os, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"tap0", 0x0002 | 0x1000 | 0x4000))
fcntl.ioctl(tap, 0x400454D8, struct.pack("i", 12))
os.set_inheritable(tap, True)
os.execv(sys.argv[1], sys.argv[1:] + ["--tap", str(tap)])
END
ip link set lo up
python3 "$work/tap.py" "$programs/cordon-net" --socket "$work/net.socket" --mac 02:00:00:00:00:77 \
	"${extra[@]}" 2>"$work/net.err" &
pids+=($!)
net=$!
"$programs/cordon-blk" --socket "$work/blk.socket" --disk 5 --serial interop "${extra[@]}" \
	5<>"$work/disk.raw" 2>"$work/blk.err" &
pids+=($!)
blk=$!
"$programs/cordon-rng" --socket "$work/rng.socket" "${extra[@]}" 2>"$work/rng.err" &
pids+=($!)
rng=$!
for _ in $(seq 100); do
	[ -S "$work/net.socket" ] && [ -S "$work/blk.socket" ] && [ -S "$work/rng.socket" ] && break
	sleep 0.1
done
ip addr add 10.77.0.1/24 dev tap0 || fail "cordon-net has made no tap"
ip link set tap0 up
(cd "$work/www" && exec python3 -m http.server -b 10.77.0.1 8077) >/dev/null 2>"$work/www.err" &
pids+=($!)
python3 -c '
import socket, sys
s = socket.create_server(("10.77.0.1", 8078))
c, _ = s.accept()
with open(sys.argv[1], "wb") as f:
    while part := c.recv(65536):
        f.write(part)
' "$work/back" 2>"$work/back.err" &
pids+=($!)

# vectors=0: with MSI-X, vhost-user and TCG together QEMU 7.2's network device follows a null pointer.
timeout 240 qemu-system-x86_64 -accel tcg -M q35,memory-backend=mem -m 256M -display none -no-reboot \
	-nodefaults -serial file:"$work/console" -object memory-backend-memfd,id=mem,size=256M,share=on \
	-kernel "$CORDON_BASE/vmlinuz" -initrd "$work/initrd" \
	-append 'root=/dev/vda rw console=ttyS0 quiet panic=-1 guest.network=off' \
	-chardev socket,id=blk,path="$work/blk.socket" -device vhost-user-blk-pci,chardev=blk,num-queues=1 \
	-chardev socket,id=net,path="$work/net.socket" -netdev vhost-user,id=net,chardev=net \
	-device virtio-net-pci,netdev=net,mac=02:00:00:00:00:77,vectors=0 \
	-chardev socket,id=rng,path="$work/rng.socket" -device vhost-user-rng-pci,chardev=rng \
	2>"$work/qemu.err" || fail "QEMU ended with $?"

# Each device ends by itself, and well, when its front end has gone.
for pid in "$net" "$blk" "$rng"; do
	wait "$pid" || fail "a device ended with $?"
done
grep -a '^seen:' "$work/console" || fail "the guest said nothing"
grep -qa '^seen: disk interop mtu 1500' "$work/console" || fail "the disk's serial, or the mtu"
grep -qa "^seen: file $sum" "$work/console" || fail "the file that the guest fetched is not $sum"
grep -qa '^seen: rng virtio_rng.0 2048' "$work/console" || fail "no random bytes"
[ "$(md5sum <"$work/back" | cut -c1-32)" = "$sum" ] || fail "the file that came back is not $sum"
debugfs -R "dump /root/file $work/on-disk" "$work/disk.raw" 2>/dev/null
[ "$(md5sum <"$work/on-disk" | cut -c1-32)" = "$sum" ] || fail "the file on the disk is not $sum"
e2fsck -fn "$work/disk.raw" >"$work/fsck.err" 2>&1 || fail "the file system has errors"
echo 'qemu_interop: root, network and entropy by vhost-user in QEMU: all bytes are the same'
