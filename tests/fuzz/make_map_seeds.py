#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_map into a folder.

Usage: make_map_seeds.py FOLDER. Maps of a diff, right and wrong.
"""

import struct
import sys
from pathlib import Path

PAGES = 4096


def number(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def made(*numbers, nr=None, when=2, zero=0):
    """The CRC is put right by the target."""
    return struct.pack("<8sQQIIQ", b"voltmap1", 1, when,
                       len(numbers) // 2 if nr is None else nr, zero,
                       0) + b"".join(map(number, numbers))


SEEDS = {
    "none": made(),
    "one": made(3, 5),
    "many": made(*[1, 1] * 300),
    "all": made(0, PAGES),
    "touch": made(1, 1, 0, 1),
    "empty": made(1, 0),
    "outside": made(PAGES - 1, 2),
    "overflow": made(1, 2**56 - 1),
    "cut": made(3, 300)[:-1],
    "fewer": made(1, 1, nr=2),
    "more": made(1, 1, 1, 1, nr=1),
    "other-time": made(1, 1, when=3),
    "later": made(1, 1, zero=1),
}


def main():
    folder = Path(sys.argv[1]) / "map"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
