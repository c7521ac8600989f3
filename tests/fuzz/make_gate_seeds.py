#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_gate into a folder.

Usage: make_gate_seeds.py FOLDER. What the two halves say to each other in each
of the things that they do together, and some of what they never say.
"""

import pathlib
import re
import struct
import sys

(REQUEST, DESCRIPTOR, DONE, DIALED, NOTE, HANDOVER, LOCKED, ANSWER, NEED, SAVED,
 ABORTED, DIAL) = range(1, 13)
VSOCK, DRIVE, DRIVE_RO, SAVES = 1, 2, 3, 4
ROLES = re.findall(r"^\tPATH_(\w+),", (
    pathlib.Path(__file__).parents[2] / "src/host/path.h").read_text(), re.M)
DISK, DISK_RO, FOLDER, PLACE, PROC_DIR, OVERLAY, OWN_SOCKET = (
    ROLES.index(x) for x in ("DISK", "DISK_RO", "FOLDER", "PLACE", "PROC_DIR",
                             "OVERLAY", "VSOCK"))
IDENTITY = 32 + 8 + 16 + 32 * 16
PATCH, CREATE, DIFF, GET, LEASE = 0, 2, 4, 6, 8
RUNS, WAITS = 0, 1
LINK = 1
PIECE = 16384


def message(kind, serial=0, value=0, rc=0, tail=b"", total=0, at=0, fd=False):
    text = struct.pack("<IIIiQQ", kind, serial, value, rc, total, at) + tail
    return struct.pack("<H", len(text) | (0x8000 if fd else 0)) + text


def lock(tracked=1, how=RUNS):
    base = bytes(IDENTITY) + struct.pack("<QQ", 8192, tracked)
    return (message(HANDOVER, value=SAVES, tail=base) +
            message(HANDOVER, value=VSOCK, tail=bytes(16) + b"v") +
            message(HANDOVER, value=DRIVE, tail=b"a") +
            message(HANDOVER, value=DRIVE_RO, tail=b"b") +
            message(LOCKED, 1, how))


def answer(serial=1, value=204, tail=b""):
    return message(ANSWER, serial, value, tail=tail, total=len(tail))


def save():
    done = bytes(16 + 32 * 16)
    return message(NEED, 1, PLACE) + message(SAVED, 2, tail=done)


def seeds():
    piece = bytes(PIECE)
    return {
        "patch": (PATCH, lock() + message(NEED, 1, DISK) + answer()),
        "patch-roles": (PATCH, lock() + b"".join(
            message(NEED, role + 1, role) for role in range(32)) + answer()),
        "patch-held": (PATCH, lock() + message(NEED, 1, DISK) +
                       message(NEED, 2, PROC_DIR) + answer()),
        "folder": (CREATE, lock() + message(NEED, 1, FOLDER) + answer()),
        "save": (CREATE, lock() + save() + answer()),
        "save-aborted": (CREATE, lock() + message(NEED, 1, PLACE) +
                         message(ABORTED) + answer(value=400, tail=b"{}")),
        "save-forgotten": (CREATE, lock() + message(NEED, 1, PLACE) +
                           answer()),
        "save-twice": (DIFF, lock() + save() + save() + answer()),
        "save-untracked": (DIFF, lock(0) + save() + answer()),
        "long-answer": (GET, answer(value=200, tail=b"") +
                        message(ANSWER, 1, 200, tail=piece,
                                total=2 * PIECE) +
                        message(ANSWER, 1, 200, tail=piece, total=2 * PIECE,
                                at=PIECE)),
        "dial": (GET, lock() + b"".join(
            message(DIAL, value=port) for port in range(20)) + answer()),
        "lease": (LEASE, lock(how=WAITS) + b"".join(
            message(NEED, n, role) for n, role in enumerate(
                (DISK, DISK_RO, OVERLAY, OWN_SOCKET), 2)) +
                  message(LOCKED, 6, RUNS) + message(NEED, 7, DISK) +
                  answer()),
        "lease-roles": (LEASE, lock(how=WAITS) + b"".join(
            message(NEED, role + 2, role | role % 2 << 8)
            for role in range(32)) + answer()),
        "lease-late": (LEASE, lock() + message(NEED, 2, DISK) + answer()),
        "lease-twice": (LEASE, lock(how=WAITS) + message(LOCKED, 2, WAITS)),
        "early": (PATCH, message(NEED, 1, DISK)),
        "late-handover": (PATCH, lock() + message(HANDOVER, value=DRIVE,
                                                  tail=b"c")),
        "with-descriptor": (PATCH, lock() + message(LOCKED, fd=True)),
        "halves": (PATCH, struct.pack("<H", 5) + bytes(5)),
        "link-request": (LINK, message(REQUEST, 1, tail=b"GET /",
                                       total=5) * 2),
        "link-pieces": (LINK, message(REQUEST, 1, tail=piece,
                                      total=PIECE + 3) +
                        message(REQUEST, 1, tail=b"abc", total=PIECE + 3,
                                at=PIECE)),
        "link-dialed": (LINK, message(DIALED, value=7, fd=True) +
                        message(DIALED, value=7, rc=-11) +
                        message(DIALED, value=7)),
        "link-notes": (LINK, b"".join(
            message(NOTE, value=n, rc=-n, tail=b"why") for n in range(8))),
        "link-replies": (LINK, message(DONE, 1, rc=-28, tail=b"full") +
                         message(DESCRIPTOR, 1, fd=True)),
    }


def main():
    folder = pathlib.Path(sys.argv[1]) / "gate"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (first, text) in seeds().items():
        (folder / name).write_bytes(bytes([first]) + text)


if __name__ == "__main__":
    main()
