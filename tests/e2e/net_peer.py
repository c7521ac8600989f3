# SPDX-License-Identifier: Apache-2.0
"""The host's end of a guest that echoes (tests/guest/netecho.c).

usage: net_peer.py ADDRESS OPERATION...

ping:SIZE and udp:SIZE send and expect the same back; cut:TOTAL:SIZE hands the
kernel TOTAL bytes to cut into datagrams of SIZE as late as it can; flood:N
sends N datagrams that nobody waits for; stop ends the guest. Exit code 0 when
all came back.
"""

import os
import socket
import struct
import sys

PATIENCE = 20
PORT_STOP = 9
UDP_SEGMENT = 103
TRIES = 10  # of a ping, while an interface comes up


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(address, size):
    """ICMP echo until an answer comes."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.settimeout(PATIENCE / TRIES)
    payload = os.urandom(size)
    for number in range(TRIES):
        head = struct.pack("!BBHHH", 8, 0, 0, 77, number)
        head = struct.pack("!BBHHH", 8, 0, checksum(head + payload), 77, number)
        try:
            sock.sendto(head + payload, (address, 0))
            while True:
                packet = sock.recv(65536)
                if packet[20] == 0 and packet[28:] == payload:
                    return
        except OSError:
            pass
    sys.exit(f"no answer to a ping of {size} bytes")


def udp(address, size):
    """Ten datagrams, each back before the next."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect((address, 7))
    for _ in range(10):
        data = os.urandom(size)
        sock.send(data)
        if sock.recv(65536) != data:
            sys.exit(f"other bytes came back of {size}")


def cut(address, total, size):
    """One large send, many datagrams back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.connect((address, 7))
    data, back = os.urandom(total), b""
    sock.send(data)
    while len(back) < total:
        back += sock.recv(65536)
    if back != data:
        sys.exit("other bytes came back of the large send")


def flood(address, count):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.connect((address, 7))
    for _ in range(count):
        try:
            sock.send(b"x" * 1000)
        except OSError:
            pass


def stop(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(b"end", (address, PORT_STOP))


def run(address, *operations):
    for word in operations:
        name, *numbers = word.split(":")
        {"ping": ping, "udp": udp, "cut": cut, "flood": flood,
         "stop": stop}[name](address, *map(int, numbers))


if __name__ == "__main__":
    run(*sys.argv[1:])
