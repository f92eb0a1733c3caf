# SPDX-License-Identifier: GPL-2.0-or-later
"""
until: starts COMMAND, waits until a line of its output has TEXT (or until KVM first enters a guest), and
prints one JSON object of what that took: {"ms", "exec_ms", "kvm": {…}}. Then runs END and takes COMMAND
down. For benches in the rig; time is CLOCK_MONOTONIC, which counts instructions there under --icount.

  usage: python3 until.py (--text TEXT | --entry) [--pid COMMAND] [--end COMMAND] -- COMMAND…
  --text TEXT     the line that ends the measure
  --entry         the first KVM entry of any vCPU ends it: the guest's first instruction
  --pid COMMAND   prints, when asked after the line came, the pid whose exec is the start of "exec_ms"
  --end COMMAND   takes the VM down, before COMMAND gets SIGKILL
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

TRACE = "/sys/kernel/tracing"
KVM = "/sys/kernel/debug/kvm"  # sums over all VMs: there is to be one


def trace(path, text):
    with open(f"{TRACE}/{path}", "w") as file:
        file.write(text)


def trace_on(event):
    trace("tracing_on", "0")
    trace("trace", "")
    trace("trace_clock", "mono")
    trace(f"events/{event}/enable", "1")
    trace("tracing_on", "1")


def trace_off(event):
    trace(f"events/{event}/enable", "0")


def trace_time(line):
    """Nanoseconds of one line of the trace: "NAME-PID [CPU] FLAGS SECONDS.MICROSECONDS: EVENT: …"."""
    seconds, micros = re.search(r" (\d+)\.(\d{6}): ", line).groups()
    return int(seconds) * 10**9 + int(micros) * 1000


def kvm_counters():
    counters = {}
    for name in os.listdir(KVM):
        path = f"{KVM}/{name}"
        if os.path.isfile(path):
            with open(path) as file:
                text = file.read().strip()
            if text.isdigit() and text != "0":
                counters[name] = int(text)
    return counters


def wait_for_text(process, text):
    seen = b""
    while True:
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            sys.exit(f"until: it ended before it said '{text}'; its last words:\n"
                     + seen.decode(errors="replace")[-2000:])
        seen += chunk
        if text.encode() in seen:
            return time.monotonic_ns()


def exec_time(pid):
    with open(f"{TRACE}/trace") as file:
        for line in file:
            if f" pid={pid} " in line:
                return trace_time(line)
    sys.exit(f"until: no exec of process {pid} was seen")


def entry_time():
    with open(f"{TRACE}/trace_pipe") as file:
        return trace_time(file.readline())


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--text")
    parser.add_argument("--entry", action="store_true")
    parser.add_argument("--pid")
    parser.add_argument("--end")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main():
    args = arguments()
    event = "kvm/kvm_entry" if args.entry else "sched/sched_process_exec"
    trace_on(event)
    started = time.monotonic_ns()
    # Its input stays open: at its end a console would be closed.
    process = subprocess.Popen(args.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    result = {}
    if args.entry:
        ended = entry_time()
    else:
        ended = wait_for_text(process, args.text)
        result["kvm"] = kvm_counters()
    trace_off(event)
    result["ms"] = (ended - started) / 1e6
    if args.pid:
        pid = subprocess.run(args.pid, shell=True, check=True, stdout=subprocess.PIPE).stdout
        result["exec_ms"] = (ended - exec_time(int(pid))) / 1e6
    if args.end:
        subprocess.run(args.end, shell=True, stdout=subprocess.DEVNULL)
    process.kill()
    process.wait()
    print(json.dumps(result))


main()
