#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_serve into a folder.

Usage: make_serve_seeds.py FOLDER. Messages of VMMs, working sets.
"""

import json
import struct
import sys
from pathlib import Path

IMAGE = 64 << 20


def message(*regions):
    return b"m" + json.dumps([{
        "base_host_virt_addr": hva, "size": size, "offset": offset,
        "page_size": 4096, "page_size_kib": 4096}
        for hva, size, offset in regions]).encode()


def workset(*pages):
    """The CRC is put right by the target."""
    return (b"wvoltwset" + struct.pack("<QIIQ", 7, len(pages), 0, 0)
            + struct.pack(f"<{len(pages)}I", *pages))


SEEDS = {
    "one": message((1 << 32, IMAGE, 0)),
    "two": message((1 << 32, 4096, 0), (1 << 40, IMAGE - 4096, 4096)),
    "wraps": message((2**64 - 4096, IMAGE, 0)),
    "outside": message((1 << 32, IMAGE, 4096)),
    "half": message((1 << 32, IMAGE // 2, 0)),
    "none": message(),
    "set": workset(5, 1, 9, 2**32 - 1),
    "empty-set": workset(),
    "short-set": workset(1, 2, 3)[:-2],
}


def main():
    folder = Path(sys.argv[1]) / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
