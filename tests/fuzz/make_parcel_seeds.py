#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_parcel into a folder.

Usage: make_parcel_seeds.py FOLDER. Exported snapshots, right and wrong.
"""

import struct
import sys
from pathlib import Path

PAGE, RAM = 4096, 16 << 20
STATE, DATA, ZEROS, END = 1, 2, 3, 4


def record(kind, at, length, data=b""):
    """The CRC is put right by the target."""
    return struct.pack("<IIQQQ", kind, 0, at, length, 0) + data


def parcel(*records):
    return b"voltprc1" + record(STATE, RAM, 5, b"state") + b"".join(records)


SEEDS = {
    "whole": parcel(record(DATA, PAGE, PAGE, b"x" * PAGE),
                    record(ZEROS, 4 * PAGE, 2 * PAGE), record(END, 3, 0)),
    "empty": parcel(record(END, 1, 0)),
    "back": parcel(record(ZEROS, PAGE, PAGE), record(ZEROS, 0, PAGE)),
    "outside": parcel(record(ZEROS, RAM, PAGE)),
    "overflow": parcel(record(ZEROS, 2**64 - PAGE, 2 * PAGE)),
    "cut": parcel(record(DATA, 0, PAGE, b"y" * 99)),
    "two-states": parcel(record(STATE, RAM, 5, b"state")),
    "huge-state": b"voltprc1" + record(STATE, RAM, 2**40),
    "behind": parcel(record(END, 1, 0), b"z"),
}


def main():
    folder = Path(sys.argv[1]) / "parcel"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
