#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_agent and fuzz_copy into a folder.

Usage: make_agent_seeds.py FOLDER. What a host says ('h'), and a guest: to a
command ('g'), a copy ('c'), who is attached ('a').
"""

import struct
import sys
from pathlib import Path

(HELLO, SETUP, EXEC, INPUT, INPUT_END, SIGNAL, RESIZE, CLOSE, QUIESCE, RESUME,
 SHUTDOWN, CREDIT, DONE, FAILED, STARTED, OUTPUT, ERRORS, EXIT, COPY, ATTACH,
 ATTACHED) = range(1, 22)


def frame(kind, data=b""):
    return struct.pack("<II", kind, len(data)) + data


def words(*texts):
    return b"".join(t.encode() + b"\0" for t in texts)


HI = frame(HELLO, struct.pack("<IHH", 0x544c4f56, 1, 1))
HI2 = frame(HELLO, struct.pack("<IHH", 0x544c4f56, 2, 2))
RUN = frame(EXEC, struct.pack("<IHHII", 2, 24, 80, 2, 1) +
            words("/", "0:0", "cat", "x", "A=b"))
TTY = frame(EXEC, struct.pack("<IHHII", 3, 24, 80, 1, 0) + words("", "", "sh"))
SEEDS = {
    "host-exec": b"h" + HI + RUN + frame(INPUT, b"data") +
                 frame(SIGNAL, struct.pack("<I", 15)) + frame(INPUT_END),
    "host-tty": b"h" + HI + TTY + frame(RESIZE, struct.pack("<HH", 1, 2)) +
                frame(CLOSE, struct.pack("<I", OUTPUT)),
    "host-credit": b"h" + HI + RUN +
                   frame(CREDIT, struct.pack("<II", OUTPUT, 0)),
    "host-setup": b"h" + HI + frame(
        SETUP, struct.pack("<QII32x", 5, 1, 0) + words("web", "nameserver ::1")),
    "host-quiesce": b"h" + HI + frame(QUIESCE, struct.pack("<I", 9)) +
                    frame(RESUME),
    "host-end": b"h" + HI + frame(SHUTDOWN),
    "host-newer": b"h" + frame(HELLO,
                               struct.pack("<IHH", 0x544c4f56, 8, 9)),
    "host-copy": b"h" + HI2 + frame(COPY, struct.pack("<II", 2, 0) +
                                    words("/x", "name")) +
                 frame(INPUT, b"data") + frame(INPUT_END),
    "host-copy-out": b"h" + HI2 + frame(COPY, struct.pack("<II", 5, 0) +
                                        words("/x", "")),
    "guest-exit": b"g" + HI + frame(STARTED) + frame(OUTPUT, b"out") +
                  frame(ERRORS, b"err") +
                  frame(CREDIT, struct.pack("<II", INPUT, 0)) +
                  frame(EXIT, struct.pack("<III", 1, 42, 0)),
    "guest-killed": b"g" + HI + frame(STARTED) +
                    frame(EXIT, struct.pack("<III", 2, 9, 1)),
    "guest-none": b"g" + HI + frame(EXIT, struct.pack("<III", 3, 2, 0)),
    "guest-failed": b"g" + HI + frame(FAILED, struct.pack("<i", -2) + b"no"),
    "guest-done": b"g" + HI + frame(DONE),
    "guest-copy": b"c" + HI2 + frame(STARTED) + frame(OUTPUT, b"x") +
                  frame(EXIT, struct.pack("<III", 1, 0, 0)),
    "attach": b"b" + HI2 + frame(ATTACH, struct.pack("<IHH", 2, 24, 80)) +
              frame(INPUT, b"typed") + frame(RESIZE, struct.pack("<HH", 1, 2)) +
              frame(SIGNAL, struct.pack("<I", 2)) +
              frame(CREDIT, struct.pack("<II", OUTPUT, 0)) + frame(INPUT_END),
    "attach-close": b"b" + HI2 + frame(ATTACH, struct.pack("<IHH", 0, 0, 0)) +
                    frame(CLOSE, struct.pack("<I", ERRORS)),
    "kill": b"b" + HI + frame(SIGNAL, struct.pack("<I", 9)),
    "holder": b"a" + HI2 + frame(ATTACHED, struct.pack("<I", 3)) +
              frame(OUTPUT, b"x") + frame(EXIT, struct.pack("<III", 1, 0, 0)),
}


def entry(kind, name=b"", size=0):
    return struct.pack("<IIIIqIIQ", kind, 0o755, 0, 0, 5, 0, len(name),
                       size) + name


UP, END = entry(4), entry(5)
TREES = {
    "file": b"\1" + entry(1, size=3) + b"abc" + END,
    "folder": b"\1" + entry(2) + entry(1, b"f", 2) + b"ab" +
              entry(3, b"l", 1) + b"f" + entry(2, b"d") + UP + UP + END,
    "contents": b"\0" + entry(2) + entry(1, b"l", 0) + UP + END,
    "up": b"\0" + entry(2) + UP + UP,
    "name": b"\0" + entry(2) + entry(1, b"../beside", 1) + b"x" + UP + END,
    "through": b"\0" + entry(2) + entry(2, b"l") + UP + UP + END,
}


def main():
    folder = Path(sys.argv[1]) / "agent"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)
    folder = Path(sys.argv[1]) / "copy"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in TREES.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
