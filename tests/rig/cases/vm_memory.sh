# Memory and processors as a policy asks for them: guest RAM from reserved huge pages of one NUMA node, near to
# its CPUs, and a processor that may have guests of its own; transparent huge pages for other guests, and the
# host's setting put back after the last. What the host has not is said before anything has started.
# time: 400
# takes: 85
. "$CORDON_TREE/tests/rig/vm.sh"
thp=/sys/kernel/mm/transparent_hugepage/shmem_enabled
pool=/sys/kernel/mm/hugepages/hugepages-2048kB

vm_quick
echo never >$thp
at_end sh -c 'echo 0 >/proc/sys/vm/nr_hugepages'

# policy NAME CPU [LINE…]
policy() {
	local name=$1 cpu=$2
	shift 2
	cat >"$VM_DIR/$name.yaml" <<END
version: 1
vm:
  name: $name
  vcpus: 2
  memory: 256M
  kernel: $VM_IMAGE
  cmdline: "quiet nohz=off guest.network=off guest.script=cpu"
  cpu: $cpu
END
	printf '%s\n' "$@" >>"$VM_DIR/$name.yaml"
	echo "$VM_DIR/$name.yaml"
}

# refused WHAT CPU [LINE…]: the command has to say WHAT, and leave nothing.
refused() {
	local what=$1
	shift
	want_status 126 "$CORDON" run --detach "$(policy no "$@")" 2>"$VM_DIR/said"
	want_match "$(cat "$VM_DIR/said")" "$what"
	no_leftovers
	want_match "$(cat $thp)" '\[never\]'
}
echo 16 >/proc/sys/vm/nr_hugepages
refused 'huge_pages: the guest needs 128 pages of 2 MiB; this host has 16 free' '{}' 'isolation: {huge_pages: 2M}'
refused 'this host has no NUMA node 5 with memory; it has 0' '{}' 'isolation: {numa: 5}'
refused 'cannot give the processor x86-64-v4: it lacks avx512f' '{model: x86-64-v4}'
refused 'cannot give the processor host: it lacks avx512f' '{features: {add: avx512f}}'

echo 140 >/proc/sys/vm/nr_hugepages
want_equal "$(cat $pool/free_hugepages)" 140
at_end vm_gone huge
# the rig has one CPU: cpuset.cpus tells one that was asked for from all that there are
last=$(($(nproc --all) - 1))
want "$CORDON" run --detach "$(policy huge '{nested: true, features: {remove: aes}}' \
	"isolation: {huge_pages: 2M, numa: auto, cpus: \"$last\"}")"
want_match "$(cat $thp)" '\[advise\]'
guest_wait huge 'cpu: done' 200
pid=$(vm_pid huge vmm)
want_equal "$(awk '$1 == "HugetlbPages:" { print $2 }' "/proc/$pid/status")" 262144
want_equal "$(cat $pool/free_hugepages)" 12 "free huge pages"
want grep -q 'bind:0 file=/memfd:guest-memory.*huge' "/proc/$pid/numa_maps"
want_equal "$(cat /sys/fs/cgroup/cordon/huge/cpuset.cpus)" $last
log=$("$CORDON" logs huge)
want_match "$log" 'cpu: svm 2'
want_match "$log" 'cpu: vmx 0'
want_match "$log" 'cpu: aes 0'
want_match "$log" 'cpu: hypervisor 2'
want "$CORDON" kill huge
no_leftovers
want_equal "$(cat $pool/free_hugepages)" 140 "free huge pages"
want_match "$(cat $thp)" '\[never\]'

# a guest of transparent ones; a setting that is the administrator's own stays
at_end vm_gone small
want "$CORDON" run --detach "$(policy small '{model: x86-64-v3}' 'isolation: {numa: 0}')"
guest_wait small 'cpu: done' 200
pid=$(vm_pid small vmm)
want_equal "$(awk '$1 == "HugetlbPages:" { print $2 }' "/proc/$pid/status")" 0
want test "$(awk '/memfd:guest-memory/ { ours = 1 } ours && $1 == "ShmemPmdMapped:" { print $2; exit }' \
	"/proc/$pid/smaps")" -gt 65536
log=$("$CORDON" logs small)
want_match "$log" 'cpu: name cordon x86-64-v3'
want_match "$log" 'cpu: svm 0'
want_equal "$(cat /sys/fs/cgroup/cordon/small/cpuset.cpus.effective)" "$(cat /sys/devices/system/node/node0/cpulist)"
echo within_size >$thp
want "$CORDON" kill small
no_leftovers
want_match "$(cat $thp)" '\[within_size\]'
echo never >$thp
