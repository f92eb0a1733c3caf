#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
flood: one guest opens a million flows (flood.c) while another makes flows that are known one by one (known.py), live through the BPF
programs and cordon-monitor; a third has made the same flows before, in peace. Fails if one of the known flows is missing,
or has ended in another way than it did, if the other guest's alerts are of other rules than in peace, if anything
of it was lost, or if the flood itself is not found or what it has lost is not counted; never for a time.

    usage: flood.py BUILD [--flows N] [--format json]
"""
import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time

from world import MEDIUM, SEVERITY, World, inside

HERE = os.path.dirname(os.path.abspath(__file__))
MILLION, FLOOD_MAX, TIME_MAX = 1000000, 1 << 30, 600
ROOM = 16384  # flows that a VM's table has room for
OUTCOMES = {"page": "closed", "question": "answered", "refused": "refused", "login": "closed"}
LOST = ("evicted", "contended", "events_lost", "payloads_lost")


def community_id(flow):
    """Version 1, seed 0."""
    proto = {"tcp": 6, "udp": 17}[flow["proto"]]
    ends = sorted((socket.inet_aton(address), port) for address, port in (flow["source"], flow["destination"]))
    (one, one_port), (two, two_port) = ends
    data = struct.pack(">H", 0) + one + two + struct.pack(">BBHH", proto, 0, one_port, two_port)
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()


class Known:
    """A guest that runs known.py, and what the monitor has of it."""

    def __init__(self, world, i):
        self.world, self.i = world, i
        self.begins, self.flows = {}, []
        self.path = f"{world.work}/known{i}"
        with open(self.path, "w", encoding="ascii") as out:
            self.child = world.start(f"g{i}", [sys.executable, f"{HERE}/known.py", f"10.60.{i}.2"], stdout=out, stderr=None)

    def read(self):
        """True if known.py ended well."""
        with open(self.path, encoding="ascii") as file:
            for line in map(json.loads, file):
                if "begins" in line:
                    self.begins[line["begins"]] = line["at"]
                else:
                    self.flows.append(line)
        return self.child.returncode == 0

    def missing(self):
        """Those that the monitor does not have, and those that it has in another state."""
        seen = {}
        for flow in self.world.flows(self.i):
            seen.setdefault(flow["network"].get("community_id"), []).append(flow["cordon"]["outcome"])
        lost = [flow for flow in self.flows if community_id(flow) not in seen]
        other = [flow for flow in self.flows if seen.get(community_id(flow), [OUTCOMES[flow["kind"]]]) != [OUTCOMES[flow["kind"]]]]
        for flow in (lost + other)[:5]:
            print(f"    {flow['proto']} {flow['source']} {flow['destination']}: {seen.get(community_id(flow), 'missing')}")
        return len(lost), len(other)

    def alerts(self):
        """The first alert of medium or above of each rule: how long it took from the first flow of its kind."""
        found = {}
        for when, alert in self.world.of(self.i):
            if alert["event"]["severity"] >= MEDIUM and alert["cordon"]["stage"] != "end":
                rule = alert["rule"]["name"]
                begin = self.begins["login" if rule.startswith("brute.") else "refused"]
                found.setdefault(rule, (round(when - begin, 2), SEVERITY[alert["event"]["severity"]], alert["message"]))
        return found


def peace(world, i):
    known = Known(world, i)
    known.child.wait(TIME_MAX)
    return known


def stats_of(world, i):
    return next(one for one in world.stats() if one["vm"] == f"vm{i}")


def flooded(world, i, other, flows):
    """The known flows of guest i under the flood of another, which lasts until it has opened so many."""
    with open(f"/sys/class/net/t{other}/address", encoding="ascii") as file:
        mac = file.read().strip()
    flood = world.start(f"g{other}", [f"{world.build}/tests/traffic/flood", "eth0", mac, f"10.60.{other}.2", str(FLOOD_MAX)],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    known = Known(world, i)
    end = time.time() + TIME_MAX
    begin, during = time.time(), 0
    while time.time() < end and (known.child.poll() is None or stats_of(world, other)["flows"] < flows):
        if known.child.poll() is None:
            during = stats_of(world, other)["flows"]
        time.sleep(0.5)
    sent, seconds = flood.communicate()[0].split()
    return known, int(sent), float(seconds), during, begin


def show(alerts):
    for rule, (after, severity, message) in sorted(alerts.items()):
        print(f"    {rule:16} {severity:8} after {after:6.2f} s  {message}")


def report(name, known, stats):
    """Prints what became of the known flows; True if all are there."""
    well = known.read()
    missing, other = known.missing()
    alerts = known.alerts()
    lost = {word: stats[word] for word in LOST}
    print(f"{name}: {len(known.flows)} known flows, {missing} missing, {other} ended otherwise; "
          f"{', '.join(f'{word} {count}' for word, count in lost.items())}")
    show(alerts)
    return well and not missing and not other and not any(lost.values()), alerts


def main():
    words = sys.argv[2:]
    flows = int(words[words.index("--flows") + 1]) if "--flows" in words else MILLION
    inside()
    world = World(os.path.abspath(sys.argv[1]))
    os.makedirs(f"{world.work}/www")
    with open(f"{world.work}/www/small", "wb") as file:
        file.write(os.urandom(2000))
    services = world.start("world", [sys.executable, f"{HERE}/services.py", f"{world.work}/www"], stdout=subprocess.PIPE, text=True)
    services.stdout.readline()
    calm, other, flooder = (world.guest() for _ in range(3))
    world.watching()
    first = peace(world, calm)
    second, sent, seconds, during, begin = flooded(world, other, flooder, flows)
    time.sleep(10)  # what is late is not lost
    stats = {i: stats_of(world, i) for i in (calm, other, flooder)}
    whole, usual = report("in peace", first, stats[calm])
    whole_too, found = report("under the flood", second, stats[other])
    mine = stats[flooder]
    named = {}
    for when, alert in world.of(flooder):
        if alert["event"]["severity"] >= MEDIUM and alert["cordon"]["stage"] != "end":
            after = named.get(alert["rule"]["name"], (round(when - begin, 2),))[0]  # the first; and what it has come to
            named[alert["rule"]["name"]] = (after, SEVERITY[alert["event"]["severity"]], alert["message"])
    memory = world.memory()
    print(f"the flood: {sent} frames in {seconds:.1f} s, {mine['flows']} flows ({during} of them while the other guest was at work); "
          f"{', '.join(f'{word} {mine[word]}' for word in LOST)}")
    show(named)
    print(f"cordon-monitor took {memory} KiB at most")
    bad = []
    if not whole or not whole_too:
        bad.append("not all known flows are there")
    if not usual or set(usual) != set(found):
        bad.append(f"found {sorted(found)}, and in peace {sorted(usual)}")
    if mine["flows"] < flows or not named or (flows > ROOM and mine["evicted"] == 0):
        bad.append("the flood is not what it should be")
    if not world.close():
        bad.append("the monitor did not end well")
    if "json" in words:
        print(json.dumps({"soak": "flood", "sent": sent, "seconds": seconds, "memory_kib": memory, "usual": usual, "found": found,
                          "flood": named, "bad": bad, "monitor": list(stats.values())}))
    print("; ".join(bad) or "complete: each flow, each detection")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
