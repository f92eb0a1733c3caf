# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vm.sh: what cases that run guests share: an image, a policy of the case's own, and looking at the
# VM's processes. Source it after lib.sh.
# shellcheck source=tests/demo/world.sh
. "$CORDON_TREE/tests/demo/world.sh"
# shellcheck source=tests/demo/guest.sh
. "$CORDON_TREE/tests/demo/guest.sh"

VM_DIR=$(mktemp -d)
at_end rm -rf "$VM_DIR"

# vm_image: the guest as Debian would boot it.
vm_image() {
	import_with debian-12 initrd.img
}

# vm_quick: the same kernel and disk, with an initrd that only mounts the disk: a guest is up in a third of the time.
vm_quick() {
	import_with quick quick.img
}

import_with() {
	VM_IMAGE=$1
	"$CORDON" image list | grep -x "$1" >/dev/null ||
		want "$CORDON" image import "$1" --kernel /cordon-guest/vmlinuz \
			--initrd "/cordon-guest/$2" --disk /cordon-guest/disk.raw
}

# vm_policy NAME [LINE…]: writes a policy that may talk to the world's server and neighbour, with LINEs
# added at its end, and prints its path.
vm_policy() {
	local name=$1
	shift
	cat >"$VM_DIR/$name.yaml" <<END
version: 1
vm:
  name: $name
  vcpus: 1
  memory: 256M
  kernel: $VM_IMAGE
  cmdline: "quiet nohz=off guest.script=agent"
  nics: [{mode: nat}]
firewall:
  egress:
    - {to: {cidrs: [$WORLD_SERVER/32]}, proto: tcp, ports: [8080]}
    - {to: {cidrs: [$WORLD_NEIGHBOUR/32]}, proto: tcp}
END
	printf '%s\n' "$@" >>"$VM_DIR/$name.yaml"
	echo "$VM_DIR/$name.yaml"
}

# vm_start NAME [LINE…]: starts it detached, waits for its agent and attaches to its console.
vm_start() {
	local policy
	policy=$(vm_policy "$@")
	at_end vm_gone "$1"
	want "$CORDON" run --detach "$policy"
	guest_wait "$1" 'agent: ready' 120 || {
		"$CORDON" logs "$1" | tail -n 30 >&2
		"$CORDON" logs --vmm "$1" | tail -n 30 >&2
		fail "the guest $1 did not come up"
	}
}

vm_gone() {
	"$CORDON" kill "$1" >/dev/null 2>&1 || true
}

# vm_processes NAME: "ROLE PID UID" lines.
vm_processes() {
	"$CORDON" inspect --format json "$1" | jq -r '.processes[] | "\(.role) \(.pid) \(.uid)"'
}

# vm_inspect NAME PATH…: those values of what is known of it.
vm_inspect() {
	"$CORDON" inspect --format json "$1" | json "${@:2}"
}

# vm_pid NAME ROLE
vm_pid() {
	vm_inspect "$1" ".processes[role=$2].pid"
}

# no_leftovers: nothing of cordon's may be on the host.
no_leftovers() {
	local left
	left=$(leftovers_settled)
	[ -z "$left" ] || fail "left behind: $left"
}
