#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What cordon-vmm costs this host before the guest's first instruction: processor time of all its threads from
its exec until it says that it is ready (options, guest memory, KVM's VM, kernel, initrd and tables, vCPUs,
seccomp list; VMM_START is all that is left then). Natively, with Debian's kernel (an ELF, as `cordon image
import` makes it) and initrd, and with a guest of a few bytes. The median of RUNS; time of this machine, so
a busy one says more. Needs root, /dev/kvm, and the rig's base image for Debian's files.
"""
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

RUNS = 21
MEMORY = 256 << 20
F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4
MESSAGE = struct.Struct("=IIiIQQQ16s")  # struct vmm_message
VMM_QUIT, VMM_QUERY, VMM_STATE, VMM_READY = 5, 6, 100, 1
TREE = os.environ["CORDON_TREE"]
BUILD = os.path.join(TREE, "build")
THP = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"


def debian(work):
    """Debian's kernel as an ELF, and its initrd, from the rig's base image."""
    cache = subprocess.run([f"{TREE}/tests/rig/base"], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    kernel, initrd = f"{work}/vmlinux", f"{work}/initrd"
    subprocess.run([f"{BUILD}/tests/unit/vmm_unpack", f"{cache}/vmlinuz", kernel], check=True)
    subprocess.run(["debugfs", "-R", f"dump /cordon-guest/initrd.img {initrd}", f"{cache}/base.ext4"],
                   check=True, stderr=subprocess.DEVNULL, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    return kernel, initrd


def tiny(work):
    """An ELF whose PVH entry is a HLT at 1 MiB."""
    note = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", 0x100000)
    offset = 64 + 2 * 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0x100000, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, offset + len(note), 0x100000, 0x100000, 1, 1, 1)
    notes = struct.pack("<IIQQQQQQ", 4, 4, offset, 0, 0, len(note), len(note), 4)
    path = f"{work}/tiny"
    with open(path, "wb") as file:
        file.write(header + load + notes + note + b"\xf4")
    return path, None


def cpu_ns(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def guest_memory():
    fd = os.memfd_create("guest-memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, MEMORY)
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    return fd


def ready(path, process):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(path)
    client.send(MESSAGE.pack(VMM_QUERY, 0, 0, 0, 0, 0, 0, b""))
    verb, state = struct.unpack_from("=II", client.recv(4096))
    if (verb, state) != (VMM_STATE, VMM_READY):
        sys.exit(f"start: the vmm answered {verb}, {state} (it ended with {process.poll()})")
    return client


def run(work, kernel, initrd):
    path = f"{work}/control"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(1)
    fds = {"kvm": os.open("/dev/kvm", os.O_RDWR), "memfd": guest_memory(),
           "kernel": os.open(kernel, os.O_RDONLY), "control": listener.fileno()}
    if initrd:
        fds["initrd"] = os.open(initrd, os.O_RDONLY)
    command = [f"{BUILD}/vmm/cordon-vmm", "--memory", str(MEMORY)]
    for name, fd in fds.items():
        command += [f"--{name}", str(fd)]
    started = time.monotonic()
    process = subprocess.Popen(command, pass_fds=list(fds.values()), stderr=subprocess.DEVNULL)
    client = ready(path, process)
    wall = time.monotonic() - started
    cpu = cpu_ns(process.pid)
    client.send(MESSAGE.pack(VMM_QUIT, 0, 0, 0, 0, 0, 0, b""))
    process.wait()
    for fd in fds.values():
        if fd != listener.fileno():
            os.close(fd)
    listener.close()
    os.unlink(path)
    return cpu / 1e6, wall * 1e3


def median(values):
    return round(sorted(values)[len(values) // 2], 2)


class HugePages:
    """Transparent huge pages for memfds that ask, as cordon sets it while guests run; then what was."""
    def __enter__(self):
        with open(THP) as file:
            self.was = re.search(r"\[(.*)\]", file.read()).group(1)
        if self.was == "never":
            self.set("advise")

    def __exit__(self, *_):
        if self.was == "never":
            self.set("never")

    @staticmethod
    def set(word):
        with open(THP, "w") as file:
            file.write(word)


def main():
    figures = []
    with HugePages(), tempfile.TemporaryDirectory() as work:
        for name, files in (("start_cpu_ms", debian(work)), ("start_cpu_tiny_ms", tiny(work))):
            results = [run(work, *files) for _ in range(RUNS)]
            cpu = [result[0] for result in results]
            print(f"{name}: {min(cpu):.2f} to {max(cpu):.2f}; wall {median([r[1] for r in results])}", file=sys.stderr)
            figures.append({"name": name, "value": median(cpu), "unit": "ms"})
            figures.append({"name": name + "_least", "value": round(min(cpu), 2), "unit": "ms"})
    print(json.dumps({"bench": "start", "figures": figures}))


main()
