#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
benign: guests that mean no harm (load.py, peer.py), live through the BPF programs and cordon-monitor for MINUTES (20). Fails
if any of them is in an alert of medium severity or above, or if something that they sent was not seen.

    usage: benign.py BUILD [--minutes N] [--format json]
"""
import json
import os
import subprocess
import sys
import time

from world import MEDIUM, SEVERITY, World, inside

HERE = os.path.dirname(os.path.abspath(__file__))
GUESTS = (
    ("everything", ("browse", "names", "updates", "shell", "clock", "poller", "monitor", "upload")),
    ("desktop", ("browse", "shell", "clock", "updates", "torrent")),
    ("torrent", ("torrent",)),
    ("monitor", ("monitor", "poller", "clock")),
    ("crawler", ("crawler", "clock")),
    ("mail", ("names", "clock", "upload")),
)


def main():
    words = sys.argv[2:]
    minutes = float(words[words.index("--minutes") + 1]) if "--minutes" in words else 20
    inside()
    world = World(os.path.abspath(sys.argv[1]))
    os.makedirs(f"{world.work}/www/apt")
    for name, size in (("small", 4000), ("large", 2000000), ("apt/Packages", 400000)):
        with open(f"{world.work}/www/{name}", "wb") as file:
            file.write(os.urandom(size))
    services = world.start("world", [sys.executable, f"{HERE}/services.py", f"{world.work}/www"], stdout=subprocess.PIPE, text=True)
    services.stdout.readline()
    world.start("world", "dnsmasq -k -C /dev/null --no-resolv --no-hosts -u root --pid-file= --address=/example/198.18.10.1 "
                "--mx-host=bluebird.example,mail.bluebird.example --txt-record=bluebird.example,v=spf1")
    numbers = [world.guest() for _ in GUESTS]
    world.watching()
    end = time.time() + minutes * 60
    loads = []
    for i, (_, roles) in zip(numbers, GUESTS):
        for role in roles:
            script = [f"{HERE}/peer.py"] if role == "torrent" else [f"{HERE}/load.py", role]
            loads.append(world.start(f"g{i}", [sys.executable, *script, str(minutes * 60)], stderr=None))
    time.sleep(max(end - time.time(), 0))
    broken = sum(load.wait(90) != 0 for load in loads)
    time.sleep(10)
    stats = world.stats()
    severe = 0
    for i, (name, _) in zip(numbers, GUESTS):
        one = next(s for s in stats if s["vm"] == f"vm{i}")
        alerts = [alert for _, alert in world.of(i) if alert["cordon"]["stage"] != "end"]
        bad = [alert for alert in alerts if alert["event"]["severity"] >= MEDIUM]
        severe += len(bad)
        print(f"{name:11} {one['packets_out']:8} packets out {one['packets_in']:8} in {one['flows']:7} flows  "
              f"{len(alerts) - len(bad)} low, {len(bad)} of medium or above")
        for alert in alerts:
            print(f"            {SEVERITY[alert['event']['severity']]:8} {alert['rule']['name']:18} {alert['message']}")
    lost = sum(one["events_lost"] + one["payloads_lost"] for one in stats)
    well = world.close()
    print(f"{minutes:g} minutes: {severe} alerts of medium or above, {lost} events lost, {broken} loads ended badly")
    if "json" in words:
        print(json.dumps({"soak": "benign", "minutes": minutes, "severe": severe, "lost": lost, "monitor": stats}))
    return 1 if severe or broken or not well else 0


if __name__ == "__main__":
    sys.exit(main())
