#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
How fast captures are read: `cordon analyze` with all its detectors, beside Debian's softflowd, nfpcapd and argus,
which export flows and detect nothing, on the same files (captures.c), one after the other in each of RUNS rounds.
Packets per second of processor time, user and system, of all the process's threads, on one core: what other
work the machine has changes that less than the time that passes. Each is run twice in a row, and the second counts: a
virtual machine hands memory that is free for seconds back to its host, and whoever runs next pays for getting it
again, a page at a time (here .4 s for 190 MiB). Medians. And the memory that ten million flows
take. Needs 2 GiB of room in the temporary folder; missing peers are installed, as root, or left out.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

RUNS = 5
BUILD = os.environ.get("BENCH_BUILD") or os.path.join(os.environ["CORDON_TREE"], "build")
CAPTURES = {"small": 3000000, "mixed": 1500000}
MANY = 10000000
PEERS = {"softflowd": "softflowd", "nfpcapd": "nfdump", "argus": "argus-server"}


def commands(capture, work):
    return {
        "cordon": [f"{BUILD}/monitor/cordon-analyze", "--format", "json", capture],
        "softflowd": ["softflowd", "-r", capture, "-n", "127.0.0.1:9", "-m", "200000", "-v", "9"],
        "nfpcapd": ["nfpcapd", "-r", capture, "-w", work],
        "argus": ["argus", "-r", capture, "-w", f"{work}/argus.out"],
    }


def install():
    missing = [package for program, package in PEERS.items() if not shutil.which(program)]
    if missing and os.geteuid() == 0:
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *missing],
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
    return [program for program in PEERS if shutil.which(program)]


def run(command):
    """Its processor time in seconds, its largest memory in MiB, and the last line that it wrote."""
    core = max(os.sched_getaffinity(0))
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                 preexec_fn=lambda: os.sched_setaffinity(0, [core]))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"offline: {command[0]} ended with status {child.returncode}")
        output.seek(0)
        lines = output.read().splitlines() or [b""]
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines[-1]


def make(work, kind, packets):
    path = f"{work}/{kind}.pcap"
    with open(path, "wb") as file:
        subprocess.run([f"{BUILD}/tests/bench/bench_captures", kind, str(packets)], stdout=file, check=True)
    return path


def compare(work, peers, kind):
    capture, figures = make(work, kind, CAPTURES[kind]), []
    times = {name: [] for name in ["cordon", *peers]}
    with open(capture, "rb") as file:  # into the page cache
        while file.read(1 << 24):
            pass
    for _ in range(RUNS):
        for name in times:
            run(commands(capture, work)[name])
            seconds, _, line = run(commands(capture, work)[name])
            times[name].append(seconds)
            if name == "cordon" and json.loads(line)["packets"] != CAPTURES[kind]:
                sys.exit("offline: analyze has not read every packet")
    os.unlink(capture)
    rate = {name: CAPTURES[kind] / statistics.median(values) / 1e6 for name, values in times.items()}
    best = max(peers, key=lambda name: rate[name], default=None)
    for name, value in rate.items():
        print(f"{kind:6} {name:10} {value:6.2f} Mpps  (median of {RUNS})", flush=True)
    figure = {"name": f"{kind}_mpps", "value": round(rate["cordon"], 2), "unit": "Mpps of one core"}
    if best:
        figure.update(peer=best, peer_value=round(rate[best], 2), ratio=round(rate["cordon"] / rate[best], 2))
    figures.append(figure)
    return figures


def memory(work):
    capture = make(work, "many", MANY)
    seconds, mebibytes, line = run(commands(capture, work)["cordon"])
    os.unlink(capture)
    result = json.loads(line)
    if result["flows"] != MANY:
        sys.exit(f"offline: analyze counted {result['flows']} flows, not {MANY}")
    print(f"many   cordon     {mebibytes:6.0f} MiB, {MANY / seconds / 1e6:.2f} Mpps, "
          f"{result['evicted']} flows evicted")
    return [{"name": "memory_10m_flows", "value": round(mebibytes), "unit": "MiB"},
            {"name": "many_mpps", "value": round(MANY / seconds / 1e6, 2), "unit": "Mpps of one core"}]


def main():
    peers, figures = install(), []
    with tempfile.TemporaryDirectory(prefix="cordon-offline-") as work:
        for kind in CAPTURES:
            figures += compare(work, peers, kind)
        figures += memory(work)
    print(json.dumps({"bench": "offline", "figures": figures}))


main()
