#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the socket device's fuzzers into a folder.

Usage: make_vsock_seeds.py FOLDER. Scripts of fuzz_vsock.c (see its step()) and
streams of fuzz_vsock_host.c.
"""

import pathlib
import sys

RX = bytes([3, 0x80, 7])
READ = bytes([4, 1])
ACCEPT = bytes([6])
REQUEST, RESPONSE, RST, SHUTDOWN, RW, UPDATE, ASK = range(1, 8)


def packet(op, guest=1, host=2, length=0, flags=0, credit=5):
    """A packet of the guest in one chain; ports are 50 + the number."""
    return bytes([0, op, guest, host, 0, credit, 0, flags, length, 0, 0])


def call(port=1):
    return bytes([5, port, 0])


def host(act, fd=0, *rest):
    return bytes([7, act, fd, *rest])


WRITE, RECV, SHUT, CLOSE = range(4)

SCRIPTS = {
    "guest": RX + packet(REQUEST) + ACCEPT + packet(RW, length=3) + READ
    + host(WRITE, 0, 20, 1) + READ + packet(SHUTDOWN, flags=3) + READ,
    "flood": RX + packet(REQUEST) + ACCEPT + packet(RW, length=5) * 6
    + host(RECV, 0, 5) + READ + packet(RW, length=5) + packet(ASK) + READ,
    "host": RX + call() + READ + host(WRITE, 0, 3) + READ
    + host(SHUT, 0, 1) + READ + packet(RST, host=0x80),
    "half": RX + packet(REQUEST) + ACCEPT + host(SHUT, 0, 1) + READ
    + packet(RW, length=2) + host(CLOSE) + READ + bytes([9]) + READ,
    "starved": packet(REQUEST) + ACCEPT + host(WRITE, 0, 5) + RX + READ
    + packet(UPDATE, credit=2) + RX + READ,
    "restart": RX + packet(REQUEST) + call() + bytes([11, 1, 0]) + RX
    + packet(REQUEST) + READ + bytes([10, 0, 0, 3]) + READ,
}

STREAMS = {
    "plain": b"\x00CONNECT 52\n",
    "bytewise": b"\x01connect 4294967295\nbehind it",
    "spaces": b"\x03CONNECT \t 1 \r\nx",
    "long": b"\x00" + b"C" * 40,
    "late": b"\x05" + b" " * 28 + b"\nCONNECT 1\n",
    "large": b"\x00CONNECT 4294967296\n",
}

if __name__ == "__main__":
    for target, seeds in (("vsock", SCRIPTS), ("vsock_host", STREAMS)):
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)
