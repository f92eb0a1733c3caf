# The vmm drives a back end that is not ours: a guest's root is on qemu-storage-daemon's vhost-user-blk
# export, with two queues, and what it writes is in the image.
# needs: bench
# takes: 35
command -v qemu-storage-daemon >/dev/null || skip "there is no qemu-storage-daemon here"
work=$(mktemp -d)
at_end rm -rf "$work"
cp --sparse=always /cordon-guest/disk.raw "$work/disk.raw"
qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$work/disk.raw" \
	--export "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=$work/socket,writable=on,num-queues=2" &
at_end kill $!
wait_for 20 test -S "$work/socket"

mkfifo "$work/in"
sleep 600 >"$work/in" & # the guest's standard input stays open
at_end kill $!
at_end cat "$work/log"
want_status 0 "$CORDON_TREE/tests/rig/vm" --vcpus 2 --vhost "blk:$work/socket" \
	"root=/dev/vda rw console=ttyS0 quiet nohz=off reboot=t panic=-1 guest.network=off guest.script=disk" \
	<"$work/in" >"$work/log" 2>&1
want grep -q '^disk: queues 2' "$work/log"
want grep -q '^disk: same' "$work/log"
want debugfs -R 'stat /blob' "$work/disk.raw"
