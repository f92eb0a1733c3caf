# A block device that the host uses is no disk that a guest may write: a policy that names one is refused by a
# sentence, before anything of the guest is there.
# time: 120
work=$(mktemp -d)
at_end rm -rf "$work"
truncate -s 64M "$work/image"
want mkfs.ext4 -q "$work/image"
want modprobe loop
loop=$(losetup --find --show "$work/image")
at_end losetup -d "$loop"
mkdir "$work/mounted"
want mount "$loop" "$work/mounted"
at_end umount "$work/mounted"
cat >"$work/policy.yaml" <<END
version: 1
vm: {name: inuse, memory: 64M, kernel: /cordon-guest/vmlinuz, disks: [{path: $loop}]}
END
status=0
said=$("$CORDON" run --detach "$work/policy.yaml" 2>&1) || status=$?
echo "$said"
want_equal "$status" 126
want_match "$said" "$loop is in use by the host: it is mounted, or a part of something else"
want test ! -e /run/cordon/vms/inuse
