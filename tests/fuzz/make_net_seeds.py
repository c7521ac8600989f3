#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the network device's fuzzers into a folder.

Usage: make_net_seeds.py FOLDER. What well-behaved drivers do.
"""

import pathlib
import struct
import sys

NEXT, WRITE, INDIRECT = 1, 2, 4
PAUSE, RESUME, START, KICK = b"\x0c", b"\x0d", b"\x0e", b"\x0f"
ALL = bytes([0xff, 0xff, 0xff, 0x1f])
PLAIN = bytes(4)
MERGE = bytes([0x00, 0x80, 0x00, 0x08])


def start(features, size=5):
    return features + bytes([size])


def desc(at, gpa, length, flags, following=0):
    return struct.pack("<BBHHBB", 0, at, gpa >> 4, length, flags, following)


def fill(gpa, data):
    return struct.pack("<BHB", 6, gpa >> 4, len(data)) + data


def offer_tx(head):
    return bytes([9, head])


def offer_rx(head):
    return bytes([5, head])


def inject(length, flags=0, gso=0):
    return struct.pack("<BHBB", 9, length, flags, gso)


def header(flags=0, gso=0, hdr_len=0, size=0, begin=0, offset=0):
    return struct.pack("<BBHHHHH", flags, gso, hdr_len, size, begin, offset, 0)


FRAME = b"\xff" * 6 + bytes.fromhex("060000000001") + b"\x08\x00"


def tx_seeds():
    one = desc(0, 0x1000, 112, 0) + offer_tx(0) + KICK
    two = (desc(0, 0x1000, 12, NEXT, 1) + desc(1, 0x2000, 1500, 0)
           + offer_tx(0) + KICK)
    table = (struct.pack("<QIHH", 0x1000, 12, NEXT, 1)
             + struct.pack("<QIHH", 0x2000, 60, 0, 0))
    seeds = {
        "one-buffer": start(PLAIN) + one,
        "two-buffers": start(PLAIN) + two * 3,
        "indirect": (start(ALL) + fill(0x3000, table)
                     + desc(2, 0x3000, 32, INDIRECT) + offer_tx(2) + KICK),
        "paused": start(PLAIN) + PAUSE + one + RESUME + KICK,
        "restart": start(PLAIN) + one + START + start(ALL) + one,
        "writable": start(PLAIN) + desc(0, 0x1000, 112, WRITE)
        + offer_tx(0) + KICK,
        "large": start(PLAIN) + desc(0, 0x1000, 65535, 0) + offer_tx(0) + KICK,
    }
    for name, hdr in {"csum": header(1, begin=34, offset=16),
                      "tso4": header(1, 1, 54, 1448, 34, 16),
                      "tso6": header(1, 4, 74, 1428, 54, 16),
                      "ecn": header(1, 0x81, 54, 1448, 34, 16),
                      "ufo": header(1, 3, 42, 1472, 34, 6),
                      "uso": header(1, 5, 42, 1472, 34, 6)}.items():
        seeds[name] = start(ALL) + fill(0x1000, hdr + FRAME) + one
    return seeds


def rx_seeds():
    one = desc(0, 0x1000, 2048, WRITE) + offer_rx(0)
    many = b"".join(desc(i, 0x1000 + i * 0x800, 1536, WRITE) + offer_rx(i)
                    for i in range(48))
    return {
        "one-buffer": start(PLAIN) + one + KICK + inject(101) + KICK,
        "waiting": start(PLAIN) + inject(101) + inject(61) + one + KICK,
        "merged": start(MERGE) + many + KICK + inject(9000) + inject(1401)
        + KICK,
        "too-long": start(PLAIN) + one + KICK + inject(4000) + KICK,
        "gso": start(ALL, 6) + many + KICK + inject(60000, 1, 1) + KICK,
        "drained": start(MERGE) + many + KICK + PAUSE + inject(101) + RESUME
        + KICK,
        "limited": start(MERGE) + many + bytes([11, 1]) + KICK + inject(101)
        + inject(101) + KICK + PAUSE + RESUME + KICK,
        "readable": start(PLAIN) + desc(0, 0x1000, 2048, 0) + offer_rx(0)
        + KICK + one + inject(61) + KICK,
        "restart": start(PLAIN) + one + KICK + START + start(MERGE) + many
        + inject(61) + KICK,
    }


def stream_seeds():
    rules = b"+10.0.2.3@53 -10.0.2.0/24 -127.0.0.0/8".ljust(40)
    kick = b"\x0f"

    def offer():
        return struct.pack("<BHB", 4, 0x100, 255)

    def peer(length):
        return bytes([7, 1, length])

    def raw(data):
        return bytes([7, 0, len(data)]) + data

    def send(*to, port=80, proto=6):
        # The address is 30 bytes into the frame, the port 36.
        changes = [(23 - 12, proto), (36 - 12, port >> 8), (37 - 12, port & 255)]
        changes += [(30 - 12 + i, x) for i, x in enumerate(to)]
        return (struct.pack("<BBHB", 0, 60, 0x800, len(changes))
                + bytes(x for pair in changes for x in pair))

    begin = rules + start(MERGE)
    return {
        "frame": begin + offer() + kick + peer(60) + kick,
        "pieces": begin + offer() * 4 + kick + raw(b"\0\0\0\x3c") + kick
        + raw(bytes(30)) + kick + raw(bytes(30)) + kick,
        "lie": begin + offer() + kick + raw(b"\xff" * 8) + kick + peer(60)
        + kick,
        "short": begin + offer() + kick + peer(13) + kick,
        "gone": begin + offer() + send(1, 2, 3, 4) + kick + bytes([13, 1])
        + kick + send(1, 2, 3, 4) + kick,
        "deaf": begin + bytes([13, 0]) + send(1, 2, 3, 4) + kick,
        "egress": begin + send(10, 0, 2, 3, port=53, proto=17)
        + send(10, 0, 2, 3) + send(127, 0, 0, 1) + send(8, 8, 8, 8) + kick,
        "no-rules": b"x".ljust(40) + start(PLAIN) + send(127, 0, 0, 1) + kick,
        "restart": begin + raw(b"\0\0\0\x3c") + kick + b"\x0c" + start(PLAIN)
        + offer() + raw(bytes(60)) + kick,
        "paused": begin + offer() + kick + b"\x0a" + peer(60) + b"\x0b" + kick,
    }


def main():
    for target, seeds in (("net_tx", tx_seeds()), ("net_rx", rx_seeds()),
                          ("net_stream", stream_seeds())):
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)


main()
