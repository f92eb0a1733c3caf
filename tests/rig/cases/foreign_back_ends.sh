# Back ends that are not ours, by policy: a guest's root is on qemu-storage-daemon's vhost-user-blk export, and
# what it writes is in the image. A socket that is not there is refused at the start, in one sentence. A back end
# that is killed takes its device along, and nothing else.
# needs: bench
# time: 400
# takes: 35
. "$CORDON_TREE/tests/rig/vm.sh"
command -v qemu-storage-daemon >/dev/null || skip "there is no qemu-storage-daemon here"

vm_quick
cp --sparse=always /cordon-guest/disk.raw "$VM_DIR/disk.raw"
cat >"$VM_DIR/foreign.yaml" <<END
version: 1
vm:
  name: foreign
  memory: 256M
  kernel: $VM_IMAGE
  cmdline: "quiet nohz=off guest.network=off guest.script=agent"
  vhost_user: [{socket: $VM_DIR/socket, type: blk}]
END
at_end vm_gone foreign

echo '-- nobody listens'
said=$("$CORDON" run --detach "$VM_DIR/foreign.yaml" 2>&1) && fail "it was started"
want_match "$said" "policy line 7: no vhost-user back end listens at $VM_DIR/socket"
no_leftovers

echo '-- a root of somebody else'
qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$VM_DIR/disk.raw" \
	--export "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=$VM_DIR/socket,writable=on" &
daemon=$!
at_end kill $daemon
wait_for 20 test -S "$VM_DIR/socket"
want "$CORDON" run --detach "$VM_DIR/foreign.yaml"
guest_wait foreign 'agent: ready' 120 || fail "the guest did not come up: $("$CORDON" logs --vmm foreign | tail -n 5)"
guest_attach foreign
want_equal "$(guest_say write start)" "write started"
want_match "$(guest_say write more)" '^write ok'
want_match "$(guest_say write check)" '^write same'
want debugfs -R 'stat /written/1' "$VM_DIR/disk.raw"

echo '-- and its end'
kill -9 $daemon
wait_for 10 sh -c "'$CORDON' logs --vmm foreign | grep -q 'back end of device vhost0 is given up'"
want_match "$("$CORDON" ps)" 'foreign +running'
guest_detach
want "$CORDON" kill foreign
no_leftovers
