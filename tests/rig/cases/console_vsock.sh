# One guest with a virtio console and a vsock: people attach, type, resize, detach and come back; 10 MiB go
# through sockets both ways, each echoed; `cordon attest gate` refuses a guest whose report is not about it; ports that
# the policy does not name are refused, both ways; the processes behind it are in their roles.
# time: 400
# takes: 60
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
vm=chatty
work=$(mktemp -d)
at_end rm -rf "$work"
chmod 755 "$work"

# the guest's disk, with its script and what it needs
cat >"$work/run-in-guest" <<'END'
#!/bin/sh
insmod /cordon/virtio_console.ko
modprobe vmw_vsock_virtio_transport
while [ ! -e /dev/hvc0 ]; do sleep 0.1; done
stty -F /dev/hvc0 -echo
head -c 10485760 /dev/vda >/tmp/blob
/cordon/vsock_pipe listen 1024 cat &
exec </dev/hvc0 >/dev/hvc0 2>&1
echo "said: ready"
while read -r verb word; do
	case $verb in
	size) echo "said: size $(stty size)" ;;
	echo) echo "said: $word" ;;
	fill) seq 1 300 ;;
	send)
		/cordon/vsock_pipe connect 5000 sh -c 'cat /tmp/blob & head -c 10485760 >/tmp/back'
		cmp /tmp/blob /tmp/back && echo "said: same bytes" || echo "said: other bytes"
		rm /tmp/back
		;;
	gate)
		/cordon/vsock_pipe connect 7000 sh -c 'head -c 80 >/tmp/hello; cat /cordon/evidence; head -c 2 >/tmp/answer'
		echo "said: $(head -c 13 /tmp/hello) answered $(tr '\001' 1 </tmp/answer)"
		;;
	denied) echo "said: $(/cordon/vsock_pipe connect "$word" cat 2>&1)" ;;
	off) exit 0 ;;
	esac
done
END
chmod 755 "$work/run-in-guest"
# a published report: true, and about nothing that a gate of today has asked
python3 - "$CORDON_TREE/tests/attest/report_milan.hex" >"$work/evidence" <<'END'
import sys
report = bytes.fromhex(open(sys.argv[1]).read())
sys.stdout.buffer.write(len(report).to_bytes(4, "little") + bytes(range(32)) + report)
END
cp --sparse=always /cordon-guest/disk.raw "$work/disk.raw"
want debugfs -w "$work/disk.raw" -f - >/dev/null 2>"$work/debugfs.log" <<END
cd /cordon
write $work/run-in-guest run-in-guest
write $CORDON_TREE/build/tests/unit/vsock_pipe vsock_pipe
write $work/evidence evidence
write $(modinfo -n virtio_console) virtio_console.ko
END

# the host's echo service: a socket that the group cordon may connect to
mkdir "$work/service"
socat "UNIX-LISTEN:$work/service/echo.sock,fork,mode=660,group=cordon" EXEC:cat &
at_end kill $!
wait_for 20 test -S "$work/service/echo.sock"

# what the gate has; its folder gives the socket that group
mkdir "$work/certs"
cp "$CORDON_TREE"/tests/attest/{vcek_milan.der,cert_chain_milan} "$work/certs"
chgrp cordon "$work/service"
chmod g+s "$work/service"
echo "a secret" >"$work/secret"

cat >"$work/$vm.yaml" <<END
version: 1
vm:
  name: $vm
  vcpus: 1
  memory: 256M
  kernel: $VM_IMAGE
  cmdline: "quiet nohz=off guest.network=off"
  disks: [{path: $work/disk.raw}]
  console: virtio
  vsock:
    guest_to_host:
      - {port: 5000, socket: $work/service/echo.sock}
      - {port: 7000, socket: $work/service/gate.sock}
    host_to_guest: [1024, 1025]
END

# a socket that the group cannot write to is an error at the start
chmod 600 "$work/service/echo.sock"
want_status 126 "$CORDON" run --detach "$work/$vm.yaml" 2>"$work/said"
want_match "$(cat "$work/said")" 'echo.sock is not writable for the group cordon'
no_leftovers
chmod 660 "$work/service/echo.sock"

"$CORDON" attest gate --secret "$work/secret" --listen "$work/service/gate.sock" --certs "$work/certs" \
	--type sev-snp --at 2025-01-01 --measurement "$(printf '%096d' 0)" >"$work/gate" 2>&1 &
gate=$!
at_end eval "kill $gate 2>/dev/null || true"
wait_for 20 test -S "$work/service/gate.sock"

at_end vm_gone $vm
want "$CORDON" run --detach "$work/$vm.yaml"
console=/var/log/cordon/$vm.console
said() {
	grep -q "said: $1" "$console"
}
(wait_for 120 said ready) || {
	"$CORDON" logs $vm | tail -n 30 >&2
	"$CORDON" logs --vmm $vm | tail -n 30 >&2
	fail "the guest did not come up"
}

# every process is in its role
for role in console0 vsock0 dial0; do
	pid=$(vm_pid $vm $role)
	want_equal "$(sed -n 's/^Seccomp:\t//p' "/proc/$pid/status")" 2 "$role Seccomp"
	want_equal "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")" 1 "$role NoNewPrivs"
	want_equal "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")" 0000000000000000 "$role CapBnd"
	case $role in
	# what it may connect to is all that it sees
	dial0)
		want_equal "$(cd "/proc/$pid/root" && find . ! -type d | sort)" \
			".$work/service/echo.sock"$'\n'".$work/service/gate.sock" "$role root"
		;;
	*) want_equal "$(ls -A "/proc/$pid/root/")" "" "$role root" ;;
	esac
done

echo "the guest is up ($SECONDS s)"
# people: a terminal of 30 rows and 100 columns, made larger while it is attached
cat >"$work/person" <<'END'
import fcntl, os, pty, select, struct, sys, termios, time

def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

class Person:
    def __init__(self, rows, columns):
        self.heard = b""
        ready, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.read(ready, 1)
            os.execvp(sys.argv[1], [sys.argv[1], "console", sys.argv[2]])
        resize(self.fd, rows, columns)
        os.write(go, b"x")

    def hear(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.heard.replace(b"\r", b""):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return False
            try:
                self.heard += os.read(self.fd, 4096)
            except OSError:
                return False
        return True

    def ask(self, line, answer, tries=1):
        for _ in range(tries):
            self.heard = b""
            os.write(self.fd, line + b"\n")
            if self.hear(answer, 60 if tries == 1 else 3):
                return
        sys.exit(f"{line!r} was not answered by {answer!r} but by {self.heard[-400:]!r}")

    def leave(self):
        os.write(self.fd, b"\x1d")
        _, status = os.waitpid(self.pid, 0)
        if status:
            sys.exit(f"cordon console ended with {status}")

one = Person(30, 100)
if not one.hear(b"said: ready"):
    sys.exit("who attaches does not see the last lines")
one.ask(b"echo one", b"said: one")
one.ask(b"size", b"said: size 30 100", 20)
resize(one.fd, 41, 132)
one.ask(b"size", b"said: size 41 132", 20)
one.ask(b"fill", b"\n299\n300\n")
if b"not shown" in one.heard or b"\n150\r" not in one.heard:
    sys.exit("output was lost")
one.leave()
two = Person(24, 80)
if not two.hear(b"\n299\n300\n"):
    sys.exit("who comes back does not see the last lines")
two.ask(b"size", b"said: size 24 80", 20)
two.leave()
END
want timeout 200 python3 "$work/person" "$CORDON" $vm
want_match "$("$CORDON" logs --console $vm | head -n 400)" 'said: size 41 132'

echo "a person was there ($SECONDS s)"
# tell WORD…: types a line
tell() {
	echo "$*" | socat -u - "UNIX-CONNECT:/run/cordon/vms/$vm/console.sock"
}
# 10 MiB from the guest to the host and back
tell send
wait_for 120 said '.* bytes'
want said 'same bytes'

echo "10 MiB out and back ($SECONDS s)"
# 10 MiB from the host to the guest and back; then what the host may not reach, and what nobody serves
cat >"$work/echo" <<'END'
import os, socket, sys, threading

def connect(line):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(sys.argv[1])
    s.sendall(line)
    return s, s.makefile("rb")

blob = os.urandom(10 << 20)
s, file = connect(b"CONNECT 1024\n")
answer = file.readline()
if not answer.startswith(b"OK "):
    sys.exit(f"the guest's port 1024 answered {answer!r}")

def send():
    s.sendall(blob)
    s.shutdown(socket.SHUT_WR)

threading.Thread(target=send).start()
back = file.read()
if back != blob:
    sys.exit(f"{len(back)} bytes came back, and not those that were sent")
for port in (b"1023", b"1025", b"1024"):
    if connect(b"CONNECT " + port + b"\n")[1].readline() != b"":
        sys.exit(f"port {port} is there")
END
want timeout 200 python3 "$work/echo" /run/cordon/vms/$vm/vsock.sock

echo "10 MiB in and back ($SECONDS s)"
# the gate tells the guest that it is refused, and nothing else; why is said on the host
tell gate
wait_for 30 said 'cordon-gate-1 answered 1'
want_match "$(cat "$work/gate")" '^refused: .*; report-data: '
want_match "$(cat "$work/gate")" '; measurement: '
# a port that is not in the policy
tell denied 5001
wait_for 30 said 'connect: Connection reset by peer'
want_match "$("$CORDON" logs --vmm $vm)" "the guest may not connect to the host's port 5001"
want_match "$("$CORDON" logs --vmm $vm)" "the host may not connect to the guest's port 1023"

# a service that is gone, and then one whose connections are refused for good, with cordon-dial gone
kill -9 "$(vm_pid $vm dial0)"
tell denied 5000
wait_for 30 eval "[ \$(grep -c 'said: connect: ' $console) = 2 ]"
want_equal "$(vm_inspect $vm .state)" running
tell off
wait_for 60 test ! -e /run/cordon/vms/$vm
kill "$gate"
wait "$gate" || true
no_leftovers
