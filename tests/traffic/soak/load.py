#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
load: what guests do that mean no harm, each for so many seconds:

  browse   pages: the names looked up, then a handful of objects from each of several servers
  names    a mail server's lookups: MX and TXT, block lists by reversed address, some names that do not exist
  updates  a package manager's: an index and some larger files every few minutes
  shell    one connection to port 22 that stays, with keys pressed now and then
  clock    NTP to four servers every 64 seconds
  poller   one small HTTP request each minute, to the second
  monitor  20 hosts: a ping of each every 30 seconds, and their web servers asked every minute
  crawler  a page from each of hundreds of hosts, one of ten of which is not there
  upload   a photograph or two every few minutes

    usage: load.py ROLE SECONDS
"""
import http.client
import os
import random
import socket
import struct
import subprocess
import sys
import time

RESOLVER = ("198.18.0.53", 53)
WORDS = ("www", "mail", "cdn", "static", "images", "api", "login", "news", "shop", "fonts", "maps", "video", "blog", "docs")
DOMAINS = [f"{a}{b}.example" for a in ("blue", "green", "north", "river", "stone", "cloud") for b in ("bird", "field", "works", "media")]
END = time.monotonic() + float(sys.argv[2])


def lookup(name, kind=1):
    query = struct.pack(">HHHHHH", random.getrandbits(16), 0x100, 1, 0, 0, 0)
    query += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        try:
            client.sendto(query, RESOLVER)
            client.recv(2048)
        except OSError:
            pass


def fetch(host, path="/small", count=1):
    try:
        server = http.client.HTTPConnection(host, 80, timeout=5)
        for _ in range(count):
            server.request("GET", path)
            server.getresponse().read()
        server.close()
    except OSError:
        pass


def browse():
    for _ in range(random.randrange(3, 9)):
        lookup(f"{random.choice(WORDS)}.{random.choice(DOMAINS)}")
        fetch(f"198.18.10.{random.randrange(1, 60)}", count=random.randrange(1, 8))
    return random.uniform(2, 20)


def names():
    address = ".".join(str(random.randrange(1, 255)) for _ in range(4))
    domain = random.choice(DOMAINS)
    lookup(domain, 15)
    lookup(domain, 16)
    for bl in ("zen.spamhaus.example", "bl.spamcop.example", "b.barracuda.example"):
        lookup(f"{address}.{bl}")
    if random.random() < 0.2:
        lookup(f"{random.choice(WORDS)}{random.randrange(100)}.invalid")
    return random.uniform(0.5, 5)


def updates():
    fetch("198.18.0.80", "/apt/Packages")
    fetch("198.18.0.80", "/large", random.randrange(1, 12))
    return random.uniform(60, 200)


def shell():
    with socket.create_connection(("198.18.0.22", 22)) as server:
        while time.monotonic() < END:
            server.sendall(os.urandom(random.randrange(36, 80)))
            server.recv(4096)
            time.sleep(random.choice((0.2, 0.3, 1, 3, 20)))
    return 1


def clock():
    for i in range(4):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.sendto(b"\x23" + bytes(39) + os.urandom(8), (f"198.18.1.{i + 1}", 123))
            try:
                client.recv(100)
            except OSError:
                pass
    return 64


def poller():
    fetch("198.18.0.90")
    return 60 - time.time() % 60


TURN = [0]


def monitor():
    for i in range(20):
        subprocess.run(["ping", "-q", "-c", "1", "-W", "1", f"198.18.2.{i + 1}"], stdout=subprocess.DEVNULL, check=False)
        if TURN[0] % 2 == 0:
            fetch(f"198.18.2.{i + 1}")
    TURN[0] += 1
    return 30 - time.time() % 30


def crawler():
    lookup(f"{random.choice(WORDS)}.{random.choice(DOMAINS)}")
    fetch(f"198.{18 + (random.random() < 0.1)}.{random.randrange(20, 40)}.{random.randrange(1, 255)}", count=random.randrange(1, 4))
    return random.uniform(0.05, 0.5)


def upload():
    try:
        server = http.client.HTTPConnection("198.18.0.95", 80, timeout=60)
        server.request("PUT", "/photograph", os.urandom(random.randrange(200000, 4000000)))
        server.getresponse().read()
        server.close()
    except OSError:
        pass
    return random.uniform(100, 300)


def main():
    turn = {"browse": browse, "names": names, "updates": updates, "shell": shell, "clock": clock, "poller": poller,
            "monitor": monitor, "crawler": crawler, "upload": upload}[sys.argv[1]]
    while time.monotonic() < END:
        time.sleep(min(turn(), max(END - time.monotonic(), 0)))


main()
