#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_filter_file into a folder.

Usage: make_filter_seeds.py FOLDER. Files of --seccomp-filter.
"""

import struct
import sys
from pathlib import Path

ALLOW = (0x06, 0, 0, 0x7fff0000)
TRAP = [(0x20, 0, 0, 0), (0x15, 0, 1, 16), (0x06, 0, 0, 0x30000), ALLOW]


def number(value):
    return struct.pack("<Q", value)


def entry(name, *code):
    return (number(len(name)) + name + number(len(code))
            + b"".join(struct.pack("<HBBI", *line) for line in code))


def whole(*entries):
    return number(len(entries)) + b"".join(entries)


ALL = [entry(name, ALLOW) for name in (b"vmm", b"api", b"vcpu")]
SEEDS = {
    "good": whole(*ALL),
    "case": whole(entry(b"VMM", *TRAP), entry(b"Api"), entry(b"vCPU", ALLOW)),
    "twice": whole(*ALL, entry(b"vmm", *TRAP), entry(b"vmm")),
    "missing": whole(*ALL[:2]),
    "stranger": whole(*ALL, entry(b"thread1", ALLOW), entry(b"\x1b[2J\xff")),
    "long-name": whole(*ALL, entry(b"x" * 300)),
    "trailing": whole(*ALL) + b"more",
    "cut": whole(*ALL)[:-5],
    "empty": b"",
    "half-a-number": b"\x03\x00\x00",
    "many-entries": number(2**64 - 1) + ALL[0],
    "huge-name": number(1) + number(2**64 - 1) + b"vmm",
    "huge-code": number(1) + number(3) + b"vmm" + number(2**61) + b"x" * 8,
    "limit": number(1) + number(3) + b"vmm" + number(100000),
    "over": number(1) + number(3) + b"vmm" + number(100001),
    "nothing": number(0),
}


def main():
    folder = Path(sys.argv[1]) / "filter_file"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
