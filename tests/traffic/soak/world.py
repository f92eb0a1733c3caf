# SPDX-License-Identifier: GPL-2.0-or-later
"""
world: namespaces for real tools, and the monitor behind their links (watch.c). This process is the host; each guest is
a namespace behind a veth pair whose near end plays the tap:

  guest i   10.60.i.2/24, fd60:i::2   host tI 10.60.i.1, fd60:i::1     only it is there on its link
  world     10.200.0.2, by which 198.18.0.0/16 and fd18::/64 are reached: each address of these is there
            198.19.0.0/16 is dark: whatever goes there is dropped
            198.18.250.0/24 answers on each TCP port

A guest is made for one case and has had no traffic before. What it sends is counted by a tcpdump of its tap, with the
case's own filter; an alert counts from when its line stood in the alert log.
"""
import atexit
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

SEVERITY = {21: "low", 47: "medium", 73: "high", 99: "critical"}
MEDIUM = 47


def run(command, check=True, **more):
    return subprocess.run(shlex.split(command) if isinstance(command, str) else command, check=check,
                          stdin=subprocess.DEVNULL, **more)


def inside():
    """Goes on in namespaces of its own, as the host."""
    if os.geteuid() != 0:
        print("skipped: namespaces need root")
        sys.exit(77)
    if os.environ.get("SOAK_INSIDE") != "1":
        os.environ["SOAK_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", "--",
                              sys.executable, *sys.argv])
    run("mount -t tmpfs run /run")
    run("mount -t sysfs sys /sys")


class World:
    def __init__(self, build):
        self.work = tempfile.mkdtemp(prefix="cordon-soak-")
        os.chmod(self.work, 0o755)
        self.build = build
        self.guests = 0
        self.alerts = []
        self.children = []
        self.watch = None
        self.stop = False
        atexit.register(self.end)
        os.environ["CORDON_MONITOR"] = f"{build}/monitor/cordon-monitor"
        run("ip link set lo up")
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                file.write("1")
        run("ip netns add world")
        run("ip link add up0 type veth peer name w0 netns world")
        run("ip addr add 10.200.0.1/24 dev up0")
        run("ip addr add fd20::1/64 dev up0 nodad")
        run("ip link set up0 up")
        run("ip route add 198.18.0.0/15 via 10.200.0.2")
        run("ip -6 route add fd18::/64 via fd20::2")
        for line in ("link set lo up", "link set w0 up", "addr add 10.200.0.2/24 dev w0", "addr add fd20::2/64 dev w0 nodad",
                     "route add default via 10.200.0.1", "-6 route add default via fd20::1",
                     "route add local 198.18.0.0/16 dev lo", "-6 route add local fd18::/64 dev lo",
                     "route add blackhole 198.19.0.0/16"):
            run(f"ip -n world {line}")
        rules = ("table ip answers { chain in { type nat hook prerouting priority -100; "
                 "ip daddr 198.18.250.0/24 meta l4proto tcp redirect to :80; }; }")
        run(["ip", "netns", "exec", "world", "nft", rules])

    def start(self, where, command, **more):
        """A process in a namespace that ends with the world."""
        words = shlex.split(command) if isinstance(command, str) else command
        child = subprocess.Popen(["ip", "netns", "exec", where, *words], stdin=more.pop("stdin", subprocess.DEVNULL),
                                 stdout=more.pop("stdout", subprocess.DEVNULL),
                                 stderr=more.pop("stderr", subprocess.DEVNULL), **more)
        self.children.append(child)
        return child

    def guest(self):
        """A guest's number; before watching(). The monitor calls it vm and that number."""
        self.guests += 1
        i = self.guests
        run(f"ip netns add g{i}")
        run(f"ip link add t{i} type veth peer name eth0 netns g{i}")
        run(f"ip addr add 10.60.{i}.1/24 dev t{i}")
        run(f"ip addr add fd60:{i}::1/64 dev t{i} nodad")
        run(f"ip link set t{i} up")
        for line in ("link set lo up", f"addr add 10.60.{i}.2/24 dev eth0", f"addr add fd60:{i}::2/64 dev eth0 nodad",
                     "link set eth0 up", f"route add default via 10.60.{i}.1", f"-6 route add default via fd60:{i}::1"):
            run(f"ip -n g{i} {line}")
        return i

    def watching(self):
        log = f"{self.work}/alerts"
        command = [f"{self.build}/tests/traffic/watch", log] + [f"t{i}=vm{i}" for i in range(1, self.guests + 1)]
        self.watch = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.watch.stdout.readline()
        if line.strip() != "ready":
            print(line.strip() or "watch did not start", self.watch.stdout.read())
            sys.exit(77 if line.startswith("skipped") else 1)
        threading.Thread(target=self.follow, args=(log,), daemon=True).start()

    def follow(self, log):
        with open(log, encoding="utf-8") as file:
            part = ""
            while not self.stop:
                part += file.readline()
                if part.endswith("\n"):
                    self.alerts.append((time.time(), json.loads(part)))
                    part = ""
                else:
                    time.sleep(0.005)

    def stats(self):
        """The monitor's counters of each guest."""
        self.watch.stdin.write("stats\n")
        self.watch.stdin.flush()
        return [json.loads(self.watch.stdout.readline()) for _ in range(self.guests)]

    def flows(self, i):
        """All that the monitor has of a guest's flows."""
        self.watch.stdin.write(f"flows vm{i}\n")
        self.watch.stdin.flush()
        return [json.loads(line) for line in iter(self.watch.stdout.readline, "\n")]

    def memory(self):
        """What cordon-monitor has had in memory at most, in KiB."""
        with open(f"/proc/{self.watch.pid}/task/{self.watch.pid}/children", encoding="ascii") as file:
            child = file.read().split()[0]
        with open(f"/proc/{child}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))

    def of(self, i):
        return [(when, alert) for when, alert in list(self.alerts) if alert["host"]["name"] == f"vm{i}"]

    def end(self):
        """Ends all that was started, also when this process fails."""
        for child in self.children:
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
        shutil.rmtree(self.work, ignore_errors=True)

    def close(self):
        """True if the monitor ended well."""
        self.end()
        well = True
        if self.watch:
            self.watch.stdin.close()
            sys.stderr.write(self.watch.stdout.read())
            well = self.watch.wait(60) == 0
        self.stop = True
        for i in range(1, self.guests + 1):
            run(f"ip netns del g{i}", check=False)
        run("ip netns del world", check=False)
        return well


class Count:
    """What a guest sends, by a capture of its tap."""

    def __init__(self, world, i, expression):
        self.path = f"{world.work}/{i}.pcap"
        self.child = subprocess.Popen(["tcpdump", "-i", f"t{i}", "-Q", "in", "-s", "64", "-B", "8192", "-U", "-n", "--immediate-mode", "-Z", "root",
                                       "-w", self.path, expression], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)
        self.child.stderr.readline()  # listening
        world.children.append(self.child)

    def times(self):
        time.sleep(1)
        self.child.terminate()
        self.child.communicate()
        times = []
        with open(self.path, "rb") as file:
            file.read(24)
            while len(head := file.read(16)) == 16:
                seconds, micro, captured, _ = struct.unpack("<IIII", head)
                file.read(captured)
                times.append(seconds + micro / 1e6)
        os.unlink(self.path)
        return times
