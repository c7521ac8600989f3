#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_list into a folder.

Usage: make_list_seeds.py FOLDER. Scripts that fill a folder with snapshots.
"""

import sys
from pathlib import Path

RIGHT = 2  # take_state(): as it was encoded


def snapshot(moment, needs, label=None, size=1, state=bytes([RIGHT])):
    """A directory; label: id, moment and base of its memory."""
    return bytes([0, moment, *(label or (0, 0, 0)), needs, 0]) + state + bytes(
        [1, size, 1 if label else 0])


def export(moment, needs):
    return bytes([2, moment, needs, 0, RIGHT])


def file(data):
    return bytes([3]) + len(data).to_bytes(2, "little") + data


SEEDS = {
    "chain": snapshot(1, 0) + snapshot(2, 1) + snapshot(3, 2),
    "labels": snapshot(1, 0, (1, 1, 0)) + snapshot(2, 1, (2, 2, 1)),
    "other-label": snapshot(1, 0, (5, 4, 3)) + snapshot(2, 4),
    "circle": snapshot(1, 2) + snapshot(2, 1) + snapshot(3, 3),
    "missing": snapshot(3, 2) + snapshot(4, 3),
    "sizes": snapshot(1, 0, size=2) + snapshot(2, 1),
    "twice": snapshot(1, 0) + snapshot(2, 1) + snapshot(2, 0) + snapshot(3, 2),
    "exports": snapshot(1, 0) + export(2, 1) + export(3, 0),
    "changed": snapshot(1, 0, state=bytes([0, 40, 0, 65])),
    "bytes": snapshot(1, 0, state=bytes([1, 4, 0]) + b"{\"a\""),
    "files": file(b"voltprc1" + bytes(31)) + file(b"{\"crc64\":\"x") +
    file(b"text"),
}


def main():
    folder = Path(sys.argv[1]) / "list"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
