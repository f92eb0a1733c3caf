# Guests of type sw-protected under the real cordon run, with every device, behind the firewall. The hostile one
# converts pages both ways and wrongly, and has devices use private ones (its classes are parts); meanwhile the host
# looks for what it wrote: the shared mark is found, the private one nowhere. What takes memory from a guest, or
# copies it, is refused by name; there is no core, and nobody of a process's own uid reads it. A stock guest of that
# type does its work.
# needs: private-memory
# time: 900
. "$CORDON_TREE/tests/rig/vm.sh"

missing=$("$CORDON" doctor --format json | jq -r '.[] | select(.check == "sw-protected") | .missing // empty')
[ -z "$missing" ] || skip "$missing: ./dev test --private-memory"
doctor=$(want "$CORDON" doctor)
want_match "$doctor" 'sw-protected guests +for tests: their memory is protected from nothing'
part host_has_it ok

# protected NAME [LINE-OF-VM [LINE]]: a policy of one, as a path.
protected() {
	cat >"$VM_DIR/$1.yaml" <<END
version: 1
vm:
  name: $1
  vcpus: 2
  memory: 64M
  kernel: ./hostile
  ${2-}
confidential: {type: sw-protected}
${3-}
END
	echo "$VM_DIR/$1.yaml"
}
want cp "$CORDON_TREE/build/tests/hostile/hostile" "$VM_DIR/hostile"
want_match "$("$CORDON" check --explain "$(protected explained)")" 'private memory for tests: it PROTECTS FROM NOTHING'

# refused WHAT LINE-OF-VM: there is no start.
refused() {
	want_status 126 "$CORDON" run --detach "$(protected no "$2")" 2>"$VM_DIR/said" </dev/null
	want_match "$(cat "$VM_DIR/said")" "$1"
	no_leftovers
}
refused 'a balloon of a confidential guest, whose pages the host cannot take' 'balloon: true'
refused 'memory_reclaim of a confidential guest, whose pages the host cannot take' 'memory_reclaim: true'
refused 'guests in a confidential guest' 'cpu: {nested: true}'
part refused_by_policy ok

# ---- the hostile one ----

truncate -s 4M "$VM_DIR/disk.raw"
mkdir "$VM_DIR/service"
socat "UNIX-LISTEN:$VM_DIR/service/echo.sock,fork,mode=660,group=cordon" EXEC:cat &
at_end kill $!
wait_for 20 test -S "$VM_DIR/service/echo.sock"
chmod 755 "$VM_DIR"
policy=$(protected hidden "disks: [{path: disk.raw}]
  nics: [{mode: nat}]
  console: virtio
  vsock: {guest_to_host: [{port: 5000, socket: $VM_DIR/service/echo.sock}]}")
serial=/var/log/cordon/hidden.serial
said() {
	grep -qa "^hostile: $1" "$serial"
}
at_end vm_gone hidden
want "$CORDON" run --detach "$policy"
wait_for 120 said 'private_marks ok'
before=$(vm_processes hidden)
echo "$before"
roles=$(awk '$1 !~ /^(dnsmasq|router|dial)/ { print $1 }' <<<"$before" | sort | tr '\n' ' ')
want_match "$roles" '^blk0 console0 net0 rng0 vmm vsock0 '
vmm=$(vm_pid hidden vmm)

# KVM's file of private pages: there, and nobody opens it anew
gmem=
for fd in "/proc/$vmm/fd"/*; do
	[[ $(readlink "$fd") != *kvm-gmem* ]] || gmem=$fd
done
[ -n "$gmem" ] || fail "cordon-vmm has no guest_memfd"
want_fails head -c 1 "$gmem"
part guest_memfd ok

# marks PID…: how often each mark is in the memory of each process, as root reads it, page by page: the kernel's own
# cannot be read, nor one that is being converted.
marks() {
	python3 - "$@" <<'END'
import os, sys
for pid in sys.argv[1:]:
    found = {b"SHARED": 0, b"PRIVATE": 0}
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            for page in range(first, min(last, 1 << 47), 4096):
                try:
                    data = os.pread(memory.fileno(), 4096, page)
                except OSError:
                    continue
                for word in found:
                    found[word] += data.count(b"hostile: a " + word + b" mark")
    print(pid, found[b"SHARED"], found[b"PRIVATE"])
END
}
while read -r pid shared private; do
	role=$(awk -v pid="$pid" '$2 == pid { print $1 }' <<<"$before")
	echo "$role: $shared shared marks, $private private ones"
	[ "$shared" -gt 0 ] || fail "$role has not even the shared mark"
	want_equal "$private" 0 "private marks in $role"
done < <(marks $(awk '$1 !~ /^(dnsmasq|router|dial)/ { print $2 }' <<<"$before"))
part private_page_unseen ok

# peek PID ADDRESS: three ways to read a process's memory, as somebody of its uid and without capabilities.
peek() {
	local uid gid
	uid=$(awk '$1 == "Uid:" { print $2 }' "/proc/$1/status")
	gid=$(awk '$1 == "Gid:" { print $2 }' "/proc/$1/status")
	setpriv --reuid "$uid" --regid "$gid" --clear-groups --bounding-set=-all --inh-caps=-all \
		python3 - "$@" <<'END'
import ctypes, errno, os, sys
pid, address = int(sys.argv[1]), int(sys.argv[2], 16)
libc = ctypes.CDLL(None, use_errno=True)
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(16)
def by_file():
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(address)
        memory.read(16)
def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
def by_call():
    called(libc.process_vm_readv(pid, ctypes.byref(iovec(ctypes.addressof(buffer), 16)), 1,
                                 ctypes.byref(iovec(address, 16)), 1, 0))
def by_trace():
    called(libc.ptrace(16, pid, None, None))
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, None, None)
said = []
for way in by_file, by_call, by_trace:
    try:
        way()
        said.append("read")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
END
}
start_of() {
	awk -F- 'NR == 1 { print $1 }' "/proc/$1/maps"
}
setpriv --reuid 65534 --regid 65534 --clear-groups sleep 600 &
sleeper=$!
at_end kill $sleeper
wait_for 20 grep -q sleep "/proc/$sleeper/comm"
want_equal "$(peek $sleeper "$(start_of $sleeper)")" "read read read" "of one that can be read"
while read -r role pid _; do
	case $role in dnsmasq* | router* | dial*) continue ;; esac
	want_equal "$(peek "$pid" "$(start_of "$pid")")" "EACCES EPERM EPERM" "of $role"
	want_equal "$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$pid/limits")" "0 0" "$role's core"
done <<<"$before"
part memory_unread ok

want_status 125 "$CORDON" balloon hidden --target 32M 2>"$VM_DIR/said"
want_match "$(cat "$VM_DIR/said")" "'hidden' has no balloon: it is a confidential guest, whose pages the host cannot take"
part balloon_refused ok

deadline=$((SECONDS + 600))
until said 'done' || [ ! -e /run/cordon/vms/hidden ] || [ $SECONDS -ge $deadline ]; do
	sleep 1
done
tr -d '\r' <"$serial" | grep -a '^hostile: '
"$CORDON" logs --vmm hidden | tail -n 30
hostile_parts "$serial"
want said 'done'
want_equal "$(vm_processes hidden)" "$before" "the processes"

# Its console is the virtio one: nobody types at the serial port, where it waits two minutes for a byte before it switches off.
wait_for 300 test ! -e /run/cordon/vms/hidden
want_equal "$("$CORDON" inspect --format json hidden | jq -r .reason)" "powered off"
want grep -qaE '[0-9]{3,} requests to convert pages, of which [1-9][0-9]* were refused' /var/log/cordon/hidden.log
no_leftovers
[ $failures = 0 ] || fail "$failures classes failed"

# ---- a stock guest ----

vm_quick
world_up
at_end world_down
vm_start web 'confidential: {type: sw-protected}'
guest_attach web
want_equal "$(guest_say http "http://$WORLD_SERVER:8080/")" "http ok hello"
want_match "$(guest_say http "http://$WORLD_FORBIDDEN:8080/")" '^http failed'
guest_detach
part stock_guest ok

# It dies of a fault, as its code is not what it was: what catches cores, as systemd does, gets a shell's and not its own.
# (No signal from outside would do: it is the first of its own PID namespace.)
pattern=$(cat /proc/sys/kernel/core_pattern)
at_end eval "echo '$pattern' >/proc/sys/kernel/core_pattern"
echo "|/usr/bin/cp /dev/stdin $VM_DIR/core.%p" >/proc/sys/kernel/core_pattern
core_of_a_shell() {
	bash -c 'kill -ABRT $$' &
	local shell=$!
	wait $shell || true
	wait_for 20 test -s "$VM_DIR/core.$shell"
}
core_of_a_shell
vmm=$(vm_pid web vmm)
python3 - "$vmm" <<'END'
import sys
with open(f"/proc/{sys.argv[1]}/maps") as maps, open(f"/proc/{sys.argv[1]}/mem", "wb", 0) as memory:
    for line in maps:
        if " r-xp " in line and "cordon-vmm" in line:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            memory.seek(first)
            memory.write(b"\xcc" * (last - first))
END
"$CORDON" pause web 2>"$VM_DIR/said" || true # that it wakes up
wait_for 60 test ! -e /run/cordon/vms/web
core_of_a_shell
[ ! -e "$VM_DIR/core.$vmm" ] || fail "there is a core of cordon-vmm"
want_match "$("$CORDON" inspect --format json web | jq -r .reason)" 'died by a signal'
part no_core ok
no_leftovers
