#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
tools: real tools (cases.py) in namespaces, live through the BPF programs and cordon-monitor, and a table of what was found of
each: the rule, the severity, how many of the tool's packets and how many seconds it took from the first of them, and
how long after the 30th the alert was in the log. Fails if one was not found with its family, or a benign one was
found with medium or above; never for a time.

    usage: tools.py BUILD [--long] [--format json] [NAME…]
"""
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time

from cases import CASES
from world import MEDIUM, SEVERITY, Count, World, inside, run

HERE = os.path.dirname(os.path.abspath(__file__))
WAIT, TOOL_MAX = 45, 420  # seconds: for an alert after the tool's end, for a tool


class Tools:
    def __init__(self, world, cases):
        self.world = world
        self.results = {}
        self.numbers = {case["name"]: world.guest() for case in cases}
        self.files()
        services = world.start("world", [sys.executable, f"{HERE}/services.py", f"{world.work}/www"],
                               stdout=subprocess.PIPE, text=True)
        services.stdout.readline()
        world.start("world", "iodined -f -c -P secret -l 198.18.0.53 10.99.0.1 t.example.org")
        world.start("world", "ptunnel")

    def files(self):
        work = self.world.work
        www = f"{work}/www"
        os.makedirs(f"{www}/apt")
        for name, size in (("small", 2000), ("large", 2000000)):
            with open(f"{www}/{name}", "wb") as file:
                file.write(os.urandom(size))
        with open(f"{work}/words", "w", encoding="ascii") as file:
            file.writelines(f"word{i}\n" for i in range(100))
        with open(f"{www}/apt/Packages", "w", encoding="ascii") as file:
            file.writelines(f"Package: p{i}\nVersion: 1\nArchitecture: all\nFilename: p{i}.deb\nSize: 1\n\n" for i in range(2000))
        with open(f"{work}/sources.list", "w", encoding="ascii") as file:
            file.write("deb [trusted=yes] http://198.18.0.80/apt ./\n")
        for folder in ("lists/partial", "cache/archives/partial", "state"):
            os.makedirs(f"{work}/apt/{folder}")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        run(f"git init -q --bare {www}/repository.git", **quiet)
        run(f"git clone -q {www}/repository.git {work}/one", check=False, **quiet)
        run(f"git -C {work}/one -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m one", **quiet)
        run(f"git -C {work}/one push -q origin HEAD", **quiet)
        run(f"git -C {www}/repository.git update-server-info", **quiet)

    def command(self, case, text):
        i = self.numbers[case["name"]]
        with open(f"/sys/class/net/t{i}/address", encoding="ascii") as file:
            mac = file.read().strip()
        apt = (f"-o Dir::Etc::sourcelist={self.world.work}/sources.list -o Dir::Etc::sourceparts=- "
               f"-o Dir::State::lists={self.world.work}/apt/lists -o Dir::Cache={self.world.work}/apt/cache "
               f"-o Dir::State={self.world.work}/apt/state -o APT::Sandbox::User=root")
        return shlex.split(text.format(
            net=f"198.18.{i}.0/24", dark=f"198.19.{i}.0/24", on=f"198.18.{i}.7", off=f"198.19.{i}.7", ip=f"10.60.{i}.2",
            gateway=f"10.60.{i}.1", mac=mac, link=f"10.60.{i}.0/24", work=self.world.work, peer=f"{HERE}/peer.py", apt=apt))

    def drive(self, case):
        where = f"g{self.numbers[case['name']]}"
        with open(f"{self.world.work}/{where}.out", "w+", encoding="utf-8", errors="replace") as out:
            tool = self.world.start(where, self.command(case, case["command"]), stdout=out, stderr=out)
            if "after" in case:
                time.sleep(6)
                after = self.world.start(where, self.command(case, case["after"]), stdout=out, stderr=out)
                after.wait(TOOL_MAX)
                tool.terminate()
            tool.wait(TOOL_MAX * 13 if case.get("long") else TOOL_MAX)
            out.seek(0)
            return tool.returncode if "after" not in case else after.returncode, out.read()[-600:]

    def found(self, case):
        """The first alert of the family that is severe enough, and others of medium or above."""
        alerts = [(when, alert) for when, alert in self.world.of(self.numbers[case["name"]]) if alert["cordon"]["stage"] != "end"]
        severe = [(when, alert) for when, alert in alerts if alert["event"]["severity"] >= MEDIUM]
        family = case["family"] + "."
        mine = [(when, alert) for when, alert in severe if alert["rule"]["name"].startswith(family)]
        others = {alert["rule"]["name"] for _, alert in severe if not case["family"] or
                  not alert["rule"]["name"].startswith(family)}
        return (mine[0] if mine and case["family"] else None), sorted(others)

    def case(self, case):
        count = Count(self.world, self.numbers[case["name"]], case["probes"])
        try:
            status, said = self.drive(case)
        except subprocess.TimeoutExpired:
            status, said = -1, "it did not end"
        end = time.time() + (WAIT if case["family"] else 6)
        while time.time() < end and not self.found(case)[0]:
            time.sleep(0.1)
        found, others = self.found(case)
        times = count.times()
        result = {"tool": case["name"], "family": case["family"] or "none", "sent": len(times), "others": others}
        if found:
            when, alert = found
            result.update(rule=alert["rule"]["name"], severity=SEVERITY[alert["event"]["severity"]],
                          packets=sum(t <= when for t in times), seconds=round(when - times[0], 2) if times else None,
                          message=alert["message"])
            if len(times) >= 30:
                result["after_30th"] = round(when - times[29], 2) if when > times[29] else "before"
        result["ok"] = bool(found) if case["family"] else not others and status == 0
        if not result["ok"]:
            result["said"] = f"status {status}: {said}"
        self.results[case["name"]] = result
        self.show(result)

    @staticmethod
    def show(result):
        def cell(key):
            return str(result.get(key, "-"))
        print(f"{'ok  ' if result['ok'] else 'FAIL'} {result['tool']:17} {result['family']:6} {cell('rule'):16} "
              f"{cell('severity'):8} {cell('packets'):>7} {cell('seconds'):>8} {cell('after_30th'):>8} {result['sent']:>7}  "
              f"{' '.join(result['others'])}", flush=True)
        if not result["ok"]:
            print(result["said"], file=sys.stderr, flush=True)


def main():
    words = sys.argv[2:]
    wanted = [word for word in words if not word.startswith("--") and word != "json"]
    cases = [case for case in CASES if (case["name"] in wanted if wanted else "--long" in words or not case.get("long"))]
    if not cases or len(wanted) > len(cases):
        sys.exit(f"soak: one of these is no case: {' '.join(wanted)}; there are {' '.join(c['name'] for c in CASES)}")
    inside()
    missing = {case["command"].split()[0] for case in cases if not shutil.which(case["command"].split()[0])}
    world = World(os.path.abspath(sys.argv[1]))
    tools = Tools(world, cases)
    world.watching()
    print(f"     {'tool':17} {'family':6} {'rule':16} {'severity':8} {'packets':>7} {'seconds':>8} {'aft.30th':>8} {'sent':>7}  others")
    slow = [threading.Thread(target=tools.case, args=(case,)) for case in cases if case.get("slow")]
    for thread in slow:
        thread.start()
    for case in cases:
        if not case.get("slow"):
            tools.case(case)
    for thread in slow:
        thread.join()
    stats = world.stats()
    well = world.close()
    failed = [case["name"] for case in cases if not tools.results.get(case["name"], {}).get("ok")]
    if "json" in words:
        print(json.dumps({"soak": "traffic", "results": list(tools.results.values()), "monitor": stats}))
    print(f"{len(cases) - len(failed)} of {len(cases)} as they should be"
          f"{'; not: ' + ' '.join(failed) if failed else ''}; missing tools: {' '.join(sorted(missing)) or 'none'}; "
          f"events lost: {sum(one['events_lost'] + one['payloads_lost'] for one in stats)}")
    return 1 if failed or not well else 0


if __name__ == "__main__":
    sys.exit(main())
