#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the block device's fuzzer into a folder.

Usage: make_blk_seeds.py FOLDER. What well-behaved drivers do, with both
engines, and a few bad chains.
"""

import pathlib
import struct
import sys

NEXT, WRITE, INDIRECT = 1, 2, 4
SYNC, ASYNC, RO, FLUSH = 0, 1, 6, 8
IN, OUT, FLUSHES, GET_ID, DISCARD, ZEROES = 0, 1, 2, 3, 4, 6
COMPARE, DRAIN, RESTART = b"\x0f", b"\x0d", b"\x0e"


def start(features=b"\xff\xff\x30", size=4):
    return features + bytes([size])


def small(number):
    """edgy() gives @number, below 64."""
    return bytes([4, number])


def request(kind, sector, sectors=8, fill=0x5a, first=0, number=0, flags=0):
    """One whole request: the header whole, data in one buffer."""
    data = bytes([fill]) + small(first) + small(number) + bytes([flags])
    cuts = struct.pack("<HH", 16, 0xffff)
    return (bytes([0, kind]) + small(sector) + bytes([sectors]) + data + cuts)


def desc(at, gpa, length, flags, following=0):
    return struct.pack("<BBHHBB", 0, at, gpa >> 4, length, flags, following)


def raw(*steps):
    return bytes([11, len(steps)]) + b"".join(steps) + b"\x01" + start()


OFFER = bytes([4])
KICK = bytes([7])


def seeds():
    body = (request(OUT, 3) + request(IN, 3) + request(FLUSHES, 0, 0)
            + request(GET_ID, 0, 1) + COMPARE)
    ranges = (request(DISCARD, 0, 0, first=8, number=16)
              + request(ZEROES, 0, 0, first=33, number=9, flags=1) + COMPARE)
    chain = (desc(0, 0x1000, 16, NEXT, 1), desc(1, 0x2000, 512, NEXT | WRITE, 2),
             desc(2, 0x3000, 1, WRITE), OFFER + b"\x00", KICK)
    for name, how in (("sync", SYNC | FLUSH), ("async", ASYNC | FLUSH),
                      ("ro", RO), ("unsafe", SYNC)):
        yield name, bytes([how]) + start() + body * 2
        yield f"{name}-ranges", bytes([how]) + start() + ranges
        yield f"{name}-raw", bytes([how]) + start() + raw(*chain) + body
        yield f"{name}-loop", (bytes([how]) + start()
                               + raw(desc(0, 0x1000, 16, NEXT, 0),
                                     OFFER + b"\x00", OFFER + b"\x00", KICK))
        yield f"{name}-through", (bytes([how]) + start(b"\x00\x00\x00") + body
                                  + DRAIN + RESTART + start() + body)


def main():
    folder = pathlib.Path(sys.argv[1]) / "blk"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
