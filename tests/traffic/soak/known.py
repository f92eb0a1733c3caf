#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
known: a guest whose flows are known one by one: 1,000 fetches of a page, 500 questions for the time, 300 ports of a host that
refuses, and 60 times three logins that are refused. What is lost on the way is sent again, as TCP does. It prints
a JSON object for each flow, with how it has to have ended, and one with the time at the first of each kind.

    usage: known.py OWN-ADDRESS
"""
import json
import socket
import sys
import time

OWN = sys.argv[1]
PATIENCE = 30  # seconds


def say(kind, number, port, peer, proto="tcp"):
    if number == 0:
        print(json.dumps({"begins": kind, "at": time.time()}))
    print(json.dumps({"kind": kind, "proto": proto, "source": (OWN, port), "destination": peer}), flush=True)


def tcp(port, peer):
    """A connection, or None where it is refused."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.settimeout(PATIENCE)
    client.bind((OWN, port))
    try:
        client.connect(peer)
    except ConnectionRefusedError:
        client.close()
        return None
    return client


def page(number):
    peer = (f"198.18.20.{number % 50 + 1}", 80)
    say("page", number, 20000 + number, peer)
    with tcp(20000 + number, peer) as client:
        client.sendall(b"GET /small HTTP/1.1\r\nHost: known.example\r\nConnection: close\r\n\r\n")
        while client.recv(65536):
            pass


def question(number):
    peer = (f"198.18.30.{number % 20 + 1}", 123)
    say("question", number, 30000 + number, peer, "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((OWN, 30000 + number))
        client.settimeout(1)
        for _ in range(PATIENCE):
            client.sendto(b"\x23" + bytes(47), peer)
            try:
                client.recv(2048)
                return
            except socket.timeout:
                pass


def refused(number):
    peer = ("198.18.77.7", 1000 + number)
    say("refused", number, 40000 + number, peer)
    if tcp(40000 + number, peer):
        sys.exit(f"known: {peer} is open")


def login(number):
    peer = ("198.18.88.7", 21)
    say("login", number, 45000 + number, peer)
    with tcp(45000 + number, peer) as client, client.makefile("rb") as lines:
        lines.readline()
        for attempt in range(3):
            client.sendall(b"USER root\r\n")
            lines.readline()
            client.sendall(b"PASS %d\r\n" % (number * 3 + attempt))
            lines.readline()


def main():
    for number in range(1000):
        page(number)
        if number % 2 == 0:
            question(number // 2)
    for number in range(300):
        refused(number)
    for number in range(60):
        login(number)


main()
