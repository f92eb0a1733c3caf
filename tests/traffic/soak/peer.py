#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
peer: what a torrent client looks like on the wire, for so many seconds: a DHT of many UDP peers on ports of their own, of
whom half are there; TCP to peers, of whom some refuse and some do not answer, and pieces from those that do; all from
one port of its own for UDP.

    usage: peer.py SECONDS
"""
import os
import random
import select
import socket
import struct
import sys
import time


def addresses():
    while True:
        yield (f"198.{random.choice((18, 18, 19))}.{random.randrange(100, 200)}.{random.randrange(1, 255)}",
               random.choice((6881, 6881, 51413, random.randrange(10000, 60000))))


def pieces(place):
    with socket.socket() as peer:
        peer.settimeout(2)
        try:
            peer.connect(place)
            for _ in range(5):
                peer.sendall(b"\x13BitTorrent protocol" + os.urandom(44) + struct.pack(">I", 16384))
                left = 68 + 16384
                while left > 0 and (data := peer.recv(left)):
                    left -= len(data)
        except OSError:
            pass


def main():
    end = time.monotonic() + float(sys.argv[1])
    dht = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dht.bind(("", 6881))
    places = addresses()
    turn = 0
    while time.monotonic() < end:
        turn += 1
        try:
            dht.sendto(b"d1:ad2:id20:" + os.urandom(20) + b"e1:q4:ping1:t2:aa1:y1:qe", next(places))
        except OSError:
            pass
        if turn % 3 == 0:
            host, _ = next(places)
            pieces((host, 51413) if turn % 2 else (host, random.randrange(10000, 60000)))
        while select.select([dht], [], [], 0)[0]:
            try:
                dht.recv(2048)
            except OSError:
                pass
        time.sleep(random.uniform(0.05, 0.4))


main()
