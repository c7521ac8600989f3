#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the corpus of fuzz_parcel: exported snapshots, right and wrong.

usage: tests/fuzz/make_parcel_seeds.py
"""

import struct
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "corpus/parcel"
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

if __name__ == "__main__":
    for name, data in SEEDS.items():
        (FOLDER / name).write_bytes(data)
