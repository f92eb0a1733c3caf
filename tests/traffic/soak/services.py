# SPDX-License-Identifier: GPL-2.0-or-later
"""
services: what listens in the world: one process for all of it. HTTP (80) serves the folder given and takes uploads;
FTP (21) refuses each login; SSH's port (22) greets and echoes; NTP (123) answers; UDP 6881 and TCP 51413 are
torrent-like peers.
"""
import http.server
import os
import socket
import socketserver
import struct
import sys
import threading
import time


class Http(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_PUT(self):
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Ftp(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 ready\r\n")
        tries = 0
        while tries < 3 and (line := self.rfile.readline(512)):
            word = line[:4].upper()
            if word == b"USER":
                self.wfile.write(b"331 password?\r\n")
            elif word == b"PASS":
                tries += 1
                time.sleep(0.05)
                self.wfile.write(b"530 wrong\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"500 what?\r\n")


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Peer(socketserver.BaseRequestHandler):
    """Takes a handshake, and gives as much as is asked for."""

    def handle(self):
        while len(data := self.request.recv(68)) == 68:
            self.request.sendall(data + os.urandom(struct.unpack(">I", data[-4:])[0] & 0xffff))


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def datagrams(port, answer):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # who is asked is who answers: any address of the world's
    server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    server.bind(("", port))
    while True:
        data, control, _, peer = server.recvmsg(2048, 256)
        try:
            server.sendmsg([answer(data)], control, 0, peer)
        except OSError:
            pass


def time_of_day(data):
    return b"\x24\x02\x06\xe9" + bytes(20) + data[40:48] + struct.pack(">II", int(time.time()) + 2208988800, 0) * 2


def main():
    os.chdir(sys.argv[1])
    for port, handler in ((80, Http), (21, Ftp), (22, Echo), (51413, Peer)):
        threading.Thread(target=Server(("", port), handler).serve_forever, daemon=True).start()
    threading.Thread(target=datagrams, args=(123, time_of_day), daemon=True).start()
    threading.Thread(target=datagrams, args=(6881, lambda data: data + bytes(40)), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main()
