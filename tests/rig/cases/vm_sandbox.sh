# Every process of two running VMs is in its role: its seccomp list, no capability, no new privileges,
# a uid of its own, an empty root, an empty network, and only its role's fds. One of them knows a server by name
# only, which is closed until it has asked.
# time: 400
# takes: 90
. "$CORDON_TREE/tests/rig/vm.sh"

vm_quick
world_up
at_end world_down
ip netns exec $WORLD busybox httpd -f -p $WORLD_FORBIDDEN:8080 -h "$WORLD_WWW" &
at_end kill $!
ip netns exec $WORLD dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv \
	--no-hosts --host-record=www.example.org,$WORLD_FORBIDDEN,60 --listen-address=$WORLD_SERVER \
	--bind-interfaces &
at_end kill $!
echo "nameserver $WORLD_SERVER" >/etc/resolv.conf
vm_start one '    - {to: {names: ["*.example.org"]}, proto: tcp, ports: [8080]}'
vm_start two

# look PID: puts the fields of its status into S, of each the first word.
declare -A S
look() {
	local field value
	S=()
	while read -r field value _; do
		S[${field%:}]=$value
	done <"/proc/$1/status"
}

# fds_of PID: what each fd is, without numbers of inodes.
fds_of() {
	find "/proc/$1/fd" -type l -printf '%l\n' | sed 's/\[[0-9]*\]//; s/ (deleted)//' | sort -u
}

uids=
for vm in one two; do
	while read -r role pid uid; do
		echo "$vm $role: pid $pid uid $uid"
		look "$pid"
		want_equal "${S[Seccomp]}" 2 "$vm $role Seccomp"
		want_equal "${S[NoNewPrivs]}" 1 "$vm $role NoNewPrivs"
		case $role in
		sets*) capability=0000000000001000 ;; # to change sets of addresses, and nothing of a guest to read
		*) capability=0000000000000000 ;;
		esac
		for set in CapInh CapPrm CapEff CapBnd CapAmb; do
			want_equal "${S[$set]}" $capability "$vm $role $set"
		done
		want_equal "${S[Uid]}" "$uid" "$vm $role uid"
		want_equal "${S[Groups]}" "" "$vm $role groups"
		uids+="$uid"$'\n'
		case $role in
		dnsmasq*)
			# a program of Debian's: it sees its own files, read-only, and the VM's tap
			want_fails ls "/proc/$pid/root/etc/shadow"
			;;
		names*)
			want_equal "$(ls -A "/proc/$pid/root/")" "" "$vm $role root"
			;;
		*)
			want_equal "$(ls -A "/proc/$pid/root/")" "" "$vm $role root"
			want_equal "$(tail -n +3 "/proc/$pid/net/dev" | awk '{ print $1 }')" "lo:" "$vm $role network"
			;;
		esac
		case $role in
		vmm) allowed='^(/dev/null|/dev/kvm|/memfd:(guest-memory|inflight)|anon_inode:kvm-v[mc].*|anon_inode:\[?(eventfd|eventpoll|signalfd|timerfd)\]?|socket:|/run/cordon/vms/[a-z]*/last|/var/log/cordon/.*)$' ;;
		net*) allowed='^(/dev/null|/dev/net/tun|/run/cordon/vms/[a-z]*/limits|/memfd:guest-memory|anon_inode:\[?(eventfd|eventpoll|timerfd)\]?|socket:|/var/log/cordon/.*)$' ;;
		blk*) allowed='^(/dev/null|/.*/disk|/run/cordon/vms/[a-z]*/limits|/memfd:(guest-memory|inflight)|anon_inode:\[?(eventfd|eventpoll|timerfd|io_uring)\]?|socket:|/var/log/cordon/.*)$' ;;
		rng*) allowed='^(/dev/null|/memfd:guest-memory|anon_inode:\[?(eventfd|eventpoll|timerfd)\]?|socket:|/var/log/cordon/.*)$' ;;
		balloon*) allowed='^(/dev/null|/memfd:guest-memory|anon_inode:\[?(eventfd|eventpoll|timerfd)\]?|socket:|/var/log/cordon/.*)$' ;;
		dnsmasq*) allowed='.' ;;
		router*) allowed='^(/dev/null|socket:|/var/log/cordon/.*)$' ;;
		names*) allowed='^(/dev/null|/run/cordon/vms/[a-z]*/names|anon_inode:\[?eventpoll\]?|socket:|/var/log/cordon/.*)$' ;;
		sets*) allowed='^(/dev/null|/run/cordon/firewall.lock|socket:|/var/log/cordon/.*)$' ;;
		*) fail "an unknown role: $role" ;;
		esac
		surplus=$(fds_of "$pid" | grep -Ev "$allowed" || true)
		want_equal "$surplus" "" "$vm $role fds"
	done < <(vm_processes $vm)
done
want_equal "$(printf '%s' "$uids" | sort | uniq -d)" "" "uids used twice"

monitor=$(pgrep -x cordon-monitor)
look "$monitor"
want_equal "${S[Seccomp]}" 2 "monitor Seccomp"
want_equal "${S[NoNewPrivs]}" 1 "monitor NoNewPrivs"
want_equal "${S[CapEff]}" 0000000000000000 "monitor CapEff"
want_equal "$(ls -A "/proc/$monitor/root/")" "" "monitor root"

# one guest does not reach the other: neither's policy allows it
guest_attach one
two_ip=$("$CORDON" ps --format json | jq -r '.[] | select(.name == "two") | .nics[0].ip4')
want_equal "$(guest_say ping "$two_ip")" "ping failed" "one pings two"

# by name: closed, then open just after the answer, and who says so; who answers is started again when it dies
server=http://$WORLD_FORBIDDEN:8080/
explain() {
	"$CORDON" firewall explain --packet "tcp guest > $WORLD_FORBIDDEN:8080" one
}
want_match "$(guest_say http $server)" '^http failed'
want_fails explain
want_equal "$(guest_say name www.example.org)" "name $WORLD_FORBIDDEN"
want_equal "$(guest_say http $server)" "http ok hello" "by name"
want_match "$("$CORDON" firewall show one)" "[*]\\.example\\.org +$WORLD_FORBIDDEN +[0-9]+s"
want explain
sets=$(vm_pid one sets0)
kill -9 "$(vm_pid one names0)"
wait_for 20 grep -q 'names0.*it was started again' /var/log/cordon/alerts.json
[ "$(vm_pid one sets0)" != "$sets" ] || fail "cordon-sets was not started again"
want_equal "$(guest_say name www.example.org)" "name $WORLD_FORBIDDEN"
want_equal "$(guest_say http $server)" "http ok hello" "by name, again"
guest_detach

want "$CORDON" kill one
want "$CORDON" kill two
no_leftovers
