#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the corpus of fuzz_serve: messages of VMMs, working sets.

usage: tests/fuzz/make_serve_seeds.py
"""

import json
import struct
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "corpus/serve"
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

if __name__ == "__main__":
    for name, data in SEEDS.items():
        (FOLDER / name).write_bytes(data)
