#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_pack into a folder.

Usage: make_pack_seeds.py FOLDER. Compressed memory files, right and wrong, by
the zstd command: its version decides on the bytes.
"""

import struct
import subprocess
import sys
from pathlib import Path
PAGE, MEMORY, PER = 4096, 1 << 20, 16
ZERO = 2**32 - 1


def zstd(data, *options):
    return subprocess.run(["zstd", "-qc", *options], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def frame(pages, first=0):
    """Its size is known to zstd only from a file, or by this option."""
    data = b"".join(bytes([first + i + 1]) * PAGE for i in range(pages))
    return zstd(data, f"--stream-size={len(data)}", "--check")


def pack(frames, runs, pages, base=0, hot=0, memory=MEMORY, per=PER):
    """The CRCs are put right by the target."""
    index = b"".join(struct.pack("<I", len(f)) + f[-4:] for f in frames)
    index += b"".join(struct.pack("<III", *run) for run in runs)
    body = b"".join(frames)
    head = struct.pack("<8sIIQQQQQIIIIQQQ", b"voltpak1", per, 0, memory, 1, 2,
                       base, 3, pages, hot, len(runs), 0, 96 + len(body), 0, 0)
    return head + body + index


TWO = [frame(16), frame(2, 16)]
SEEDS = {
    "whole": pack(TWO, [(1, 10, 0), (20, 8, 10), (100, 3, 2)], 18, hot=4),
    "diff": pack(TWO, [(0, 5, ZERO), (5, 18, 0), (200, 56, ZERO)], 18, base=9),
    "empty": pack([], [], 0),
    "overlap": pack(TWO, [(1, 10, 0), (10, 8, 10)], 18),
    "outside": pack(TWO, [(250, 18, 0)], 18),
    "not-stored": pack(TWO, [(0, 18, 1)], 18),
    "bomb": pack([zstd(bytes(1 << 22), f"--stream-size={1 << 22}", "--check")],
                 [(0, 2, 0)], 2),
    "no-checksum": pack([zstd(b"x" * PAGE, f"--stream-size={PAGE}",
                              "--no-check")], [(0, 1, 0)], 1),
    "no-size": pack([zstd(b"x" * PAGE, "--check")], [(0, 1, 0)], 1),
    "other-memory": pack([], [], 0, memory=1 << 21),
    "many-runs": pack(TWO, [(i, 1, i % 18) for i in range(256)], 18),
    "cut": pack(TWO, [(0, 18, 0)], 18)[:-5],
}


def main():
    folder = Path(sys.argv[1]) / "pack"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
