# A whole Debian, from debootstrap's raw disk: its own cloud kernel and initrd boot to multi-user, its
# network comes by DHCP and goes through the firewall, over two pairs of queues for its two vCPUs, what it writes to its
# disk is on the disk, and it switches itself off. The disk is a block device of the host.
# needs: debian
# time: 900
# takes: 140
. "$CORDON_TREE/tests/rig/vm.sh"

# block SERIAL: the device whose disk has that serial number.
block() {
	local file
	for file in /sys/block/vd*/serial; do
		[ "$(cat "$file")" != "$1" ] || basename "${file%/serial}"
	done
}
disk=/dev/$(block debian)
[ -b "$disk" ] || skip "there is no Debian disk: making one needs root (see tests/rig/base)"

# What the guest does once it is up. It is Debian's, but for this.
mkdir "$VM_DIR/disk"
want mount "$disk" "$VM_DIR/disk"
at_end umount -q "$VM_DIR/disk"
cp "$VM_DIR"/disk/boot/vmlinuz-* "$VM_DIR/vmlinuz"
cp "$VM_DIR"/disk/boot/initrd.img-* "$VM_DIR/initrd.img"
cat >"$VM_DIR/disk/usr/local/sbin/check" <<END_CHECK
#!/bin/bash
# A getty takes the serial line from whoever has it open: each line opens it anew.
say() {
	echo "check: \$*" >/dev/console
}
until systemctl -q is-active multi-user.target && ip -4 route | grep -q ^default; do sleep 1; done
say target "\$(systemctl is-active multi-user.target)"
# by an advertisement and DHCPv6, of systemd-networkd's own accord
for try in {1..40}; do
	[ -z "\$(ip -6 -o addr show scope global -tentative)" ] || break
	sleep 1
done
say ipv6 "\$(ip -6 -o addr show scope global | awk '{ print \$4 }')" "\$(ip -6 route show default | wc -l)"
say failed "\$(systemctl list-units --failed --quiet --no-legend | wc -l)"
exec 3<>/dev/tcp/$WORLD_SERVER/8080
printf 'GET / HTTP/1.0\r\n\r\n' >&3
say http "\$(tail -n 1 <&3)"
# each CPU sends by its own queue, and the tap answers by the queue that a flow came from
for cpu in 0 1 0 1 0 1; do
	taskset -c \$cpu bash -c "exec 3<>/dev/tcp/$WORLD_SERVER/8080 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3" >/dev/null
done
say queues "\$(ls -d /sys/class/net/e*/queues/rx-* | wc -l)" \
	"\$(awk '/virtio[0-9]+-input\.[01]\$/ && \$2 + \$3 > 0 { n++ } END { print n + 0 }' /proc/interrupts)"
dd if=/dev/urandom of=/var/blob bs=1M count=16 status=none
sync
echo 3 >/proc/sys/vm/drop_caches
say blob "\$(sha256sum </var/blob | cut -c1-64)"
systemctl poweroff
END_CHECK
chmod 755 "$VM_DIR/disk/usr/local/sbin/check"
cat >"$VM_DIR/disk/etc/systemd/system/check.service" <<'END_UNIT'
[Service]
ExecStart=/usr/local/sbin/check
[Install]
WantedBy=multi-user.target
END_UNIT
ln -s ../check.service "$VM_DIR/disk/etc/systemd/system/multi-user.target.wants/check.service"
want umount "$VM_DIR/disk"

world_up
at_end world_down
want "$CORDON" image import debian-disk --kernel "$VM_DIR/vmlinuz" --initrd "$VM_DIR/initrd.img"
at_end "$CORDON" image remove debian-disk
cat >"$VM_DIR/debian.yaml" <<END_POLICY
version: 1
vm:
  name: debian
  vcpus: 2
  memory: 512M
  kernel: debian-disk
  cmdline: "nohz=off"
  disks: [{path: $disk}]
  nics: [{mode: nat, queues: 2}]
firewall:
  egress:
    - {to: {cidrs: [$WORLD_SERVER/32]}, proto: tcp, ports: [8080]}
END_POLICY
at_end vm_gone debian
timeout 800 "$CORDON" run --quiet "$VM_DIR/debian.yaml" </dev/null || {
	"$CORDON" logs debian | tail -n 20
	fail "the guest did not switch itself off"
}
said=$("$CORDON" logs debian | tr -d '\r' | grep -oE 'check: (target|ipv6|failed|http|queues|blob) .*' || true)
want mount -o ro "$disk" "$VM_DIR/disk"
want_equal "$(sed -E 's,^(check: ipv6 )fd[0-9a-f:]+/128 ,\1one ,' <<<"$said")" "check: target active
check: ipv6 one 1
check: failed 0
check: http hello
check: queues 2 2
check: blob $(sha256sum <"$VM_DIR/disk/var/blob" | cut -c1-64)"
no_leftovers
