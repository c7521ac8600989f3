#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the device fuzzers into a folder.

Usage: make_dev_seeds.py FOLDER. What well-behaved drivers do, and the few long
ways to a limit that a fuzzer would take long to find.
"""

import pathlib
import struct
import sys

GUEST_WRITE, GUEST_READ, WIDE, STRING, OUTPUT, INPUT = 0, 2, 4, 5, 6, 7
COMMAND, DATA, READ_DATA, STATUS, WIDE_PORT, KEYS = 0, 2, 4, 5, 6, 7
ENTRY, REGISTER, EOI, ACCESS, LINE = 0, 2, 3, 4, 5


def serial_seeds():
    def script(*steps, limit=0):
        return bytes([limit]) + b"".join(bytes(s) for s in steps)

    setup = [(GUEST_WRITE, 3, 0x80), (GUEST_WRITE, 0, 1), (GUEST_WRITE, 1, 0),
             (GUEST_WRITE, 3, 3), (GUEST_WRITE, 2, 7), (GUEST_WRITE, 4, 11)]
    text = [(GUEST_WRITE, 0, c) for c in b"Linux"]
    fill = [(STRING, 2 * i, 255) for i in range(8)]
    return {
        "probe": script(*[(GUEST_READ, r, 0) for r in range(8)],
                        (GUEST_WRITE, 4, 0x1a), (GUEST_READ, 6, 0)),
        "print": script(*setup, *text, (OUTPUT, 255, 0)),
        "interrupts": script(*setup, (GUEST_WRITE, 1, 3), *text,
                             (GUEST_READ, 2, 0), (INPUT, 2, 65),
                             (GUEST_READ, 2, 0), (GUEST_READ, 0, 0),
                             (GUEST_READ, 2, 0)),
        "loop": script((GUEST_WRITE, 4, 0x10), *text, (GUEST_READ, 5, 0),
                       (STRING, 1, 1)),
        "full-output": script(*fill, (OUTPUT, 20, 0), *text, (OUTPUT, 255, 0),
                              (OUTPUT, 255, 0)),
        "full-input": script(*[(INPUT, 255, 7)] * 5, (STRING, 1, 65),
                             (INPUT, 100, 9)),
        "cleared-input": script(*[(INPUT, 255, 7)] * 5, (GUEST_WRITE, 2, 3),
                                (INPUT, 1, 1)),
        "limited": script(*setup, *text, (STRING, 0, 1), limit=0x21),
        "wide": script(*[(WIDE, r, r) for r in range(8)]),
    }


def i8042_seeds():
    def script(*steps):
        return b"".join(bytes(s) for s in steps)

    probe = [(STATUS, 0), (COMMAND, 0xaa), (READ_DATA, 0), (COMMAND, 0x20),
             (READ_DATA, 0), (COMMAND, 0x60), (DATA, 0x65), (COMMAND, 0xab),
             (READ_DATA, 0), (COMMAND, 0xa9), (READ_DATA, 0)]
    keyboard = [(DATA, 0xff), (READ_DATA, 0), (READ_DATA, 0), (DATA, 0xf2),
                (READ_DATA, 0), (READ_DATA, 0), (READ_DATA, 0), (DATA, 0xed),
                (READ_DATA, 0), (DATA, 2), (READ_DATA, 0)]
    return {
        "probe": script(*probe, *keyboard),
        "keys": script(*probe, (KEYS, 0), *[(READ_DATA, 0)] * 5),
        "full": script(*[(KEYS, 0)] * 5, (DATA, 0xee), (COMMAND, 0xaa)),
        "masked": script((COMMAND, 0x60), (DATA, 0x64), (KEYS, 0),
                         (COMMAND, 0x60), (DATA, 0x65), (READ_DATA, 0)),
        "reset": script((COMMAND, 0xfe), (COMMAND, 0xd1), (DATA, 0xfe)),
        "wide": script((WIDE_PORT, 0), (WIDE_PORT | 8, 1), (WIDE_PORT, 5)),
    }


def ioapic_seeds():
    def script(*steps):
        return b"".join(struct.pack("<BBI", *s) for s in steps)

    edge, level, masked = 0x31, 0x8041, 0x18041
    return {
        "edge": script((ENTRY, 9, 1 << 24), (ENTRY, 8, edge), (LINE, 4, 1),
                       (LINE, 4, 0), (LINE, 4, 1)),
        "level": script((ENTRY, 10, level), (LINE, 5, 1), (EOI, 0, 0x41),
                        (LINE, 5, 0), (EOI, 0, 0x41)),
        "masked-in-service": script((ENTRY, 10, level), (LINE, 5, 1),
                                    (ENTRY, 10, masked), (EOI, 0, 0x41),
                                    (ENTRY, 10, level), (EOI, 0, 0x41)),
        "turned-edge": script((ENTRY, 10, level), (LINE, 5, 1),
                              (ENTRY, 10, masked & ~0x8000), (EOI, 0, 0x41)),
        "shared-vector": script((ENTRY, 10, level), (ENTRY, 12, level),
                                (LINE, 5, 1), (LINE, 6, 1), (EOI, 0, 0x41)),
        "registers": script((REGISTER, 0, 0x0f << 24), (REGISTER, 1, 0),
                            (REGISTER, 2, 0), (REGISTER, 0x40, 1),
                            (REGISTER, 255, 1), (LINE, 24, 1)),
        "widths": script(*[(ACCESS | w << 4 | r, off, 7) for w in range(4)
                           for r in (0, 8) for off in (0, 0x10, 0x40)]),
    }


def bus_seeds():
    def add(base, size, deaf=0):
        return struct.pack("<BBQQ", 4 | deaf << 5, 0, base, size)

    def touch(addr, width, read=1):
        return struct.pack("<BBQ", 6 | read, width, addr)

    def near(which, off, width, last=0, read=1):
        return struct.pack("<BBQ", 14 | last << 4 | read, width,
                           which | off + 8 << 8)

    top = (1 << 64) - 1
    return {
        "two": add(0x3f8, 8) + add(0x60, 1, 1) + touch(0x3f8, 1)
               + touch(0x60, 1) + near(0, 0, 2, 1) + near(1, -1, 2),
        "overlap": add(0x1000, 0x1000) + add(0x1fff, 1) + add(0xfff, 2)
                   + add(0x2000, 1) + add(0, top),
        "ends": add(0, 1) + add(top, 1) + add(top, 2) + add(5, 0)
                + touch(top, 1) + touch(top, 2) + touch(0, 8),
        "widths": add(0, 64) + b"".join(touch(0, w) for w in range(17)),
        "full": b"".join(add(i * 16, 16) for i in range(66)),
    }


def ports_seeds():
    def access(port, value=0, width=0, kind=0):
        return struct.pack("<BBHQ", kind, width, port, value)

    def read(port, **more):
        return access(port, kind=1, **more)

    clock = b"".join(access(0x70, i) + read(0x71) for i in range(0x33))
    return {
        "clock": clock + access(0x70, 11) + access(0x71, 6) + clock,
        "ends": access(0x600, 0x34) + access(0x602, 1) + access(0x64, 0xfe)
                + access(0x600, 0x20) + read(0x601),
        "timer": access(0, 123, kind=6) + access(0, 1, kind=6)
                 + access(1, 123, kind=6) + access(0, 123, kind=7),
        "ioapic": access(0, 0x12, kind=2, width=2)
                  + access(16, 0x8041, kind=2, width=2)
                  + read(0x64) + access(0x60, 0xee),
        "all": b"".join(read(p, width=w) for w in range(4)
                        for p in (0x60, 0x64, 0x70, 0x71, 0x3f8, 0x600)),
        "odd": b"".join(access(p, width=w, kind=k) for k in (8, 9, 10, 11)
                        for w in (0, 3, 255) for p in (0x3f8, 0xffff)),
    }


def mem_seeds():
    plug, unplug, unplug_all, state = 0, 1, 2, 3

    def request(mib):
        return struct.pack("<BH", 2, mib)

    def ask(kind, block=0, nr=0):
        return struct.pack("<BBHHB", 6, kind, block, nr, 0)

    return {
        "comes-and-goes": b"\0" + request(260) + ask(plug, 60, 8)
                          + ask(state, 59, 3) + ask(unplug, 62, 4)
                          + ask(plug, 0, 60) + ask(unplug_all),
        "too-much": b"\0" + request(4) + ask(plug, 0, 3) + ask(plug, 0, 2)
                    + request(0) + ask(plug, 4, 1) + ask(unplug, 0, 3),
        "saved": b"\0" + request(512) + ask(plug, 63, 2) + ask(plug, 255, 1)
                 + b"\3\0" + ask(unplug, 64, 1),
        "full": b"\0" + request(512) + b"\x84" + ask(plug, 63, 2)
                + b"\4" + ask(plug, 63, 2),
        "edges": b"\0" + request(512) + ask(plug, 255, 2) + ask(plug, 256, 1)
                 + ask(plug, 65535, 65535) + ask(4, 0, 1),
        "forms": b"\0" + request(512)
                 + bytes([5, 0, 0, 0, 1, 0, 0, 1]) + bytes([0, 0, 1, 24])
                 + bytes([1, 0, 2, 10]),
    }


def pmem_seeds():
    flush = b"\x07\0"

    def odd(kinds, *bufs):
        """A chain of other buffers: kind, page of 128 bytes, bytes."""
        return struct.pack("<BBB", 4, len(bufs) - 1, kinds) + b"".join(
            struct.pack("<BHB", *buf) for buf in bufs)

    return {
        "flushes": b"\0" + flush * 3 + b"\x07\1" + flush,
        "forms": b"\0" + odd(0, (0, 0, 4)) + odd(0, (0, 0, 4), (1, 1, 3))
                 + odd(0, (0, 0, 1), (0, 1, 3), (1, 2, 2), (1, 3, 9)),
        "in-the-file": b"\0" + odd(0, (2, 5, 4), (3, 6, 4))
                       + odd(0, (4, 5, 4), (5, 6, 4))
                       + odd(0, (8, 0, 4), (9, 0, 4)),
        "saved": b"\0" + flush + b"\2\0\0\0" + flush + b"\2\3\1\0" + flush,
        "limited": b"\0" + b"\3\1\1" + flush * 3 + b"\3\0\0" + flush,
        "config": b"\0" + b"\1\0\1\2\3\4" + b"\x09\x0f\1\2\3\4" + flush,
    }


def main():
    top = pathlib.Path(sys.argv[1])
    for name, seeds in (("serial", serial_seeds()), ("i8042", i8042_seeds()),
                        ("ioapic", ioapic_seeds()), ("bus", bus_seeds()),
                        ("ports", ports_seeds()), ("mem", mem_seeds()),
                        ("pmem", pmem_seeds())):
        folder = top / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


main()
