#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_elf and fuzz_bzimage into a folder.

Usage: make_boot_seeds.py FOLDER. Small, well-formed kernels: the fuzzer finds
the malformed ones from there.
"""

import pathlib
import struct
import sys

CODE = bytes(range(64))


def elf(segments, entry, notes=b"", control=0, machine=62, bits=2, kind=2):
    """Segments: (paddr, vaddr, data, filesz, memsz)."""
    nr = len(segments) + bool(notes)
    at = 64 + 56 * nr
    headers, body = b"", b""
    for paddr, vaddr, data, filesz, memsz in segments:
        headers += struct.pack("<IIQQQQQQ", 1, 7, at + len(body), vaddr, paddr,
                               filesz, memsz, 0x1000)
        body += data
    if notes:
        headers += struct.pack("<IIQQQQQQ", 4, 4, at + len(body), 0, 0,
                               len(notes), len(notes), 4)
        body += notes
    ident = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, 64,
                               0, 0, 64, 56, nr, 0, 0, 0)
    return head + headers + body + bytes([control])


def note(kind, name, value):
    pad = -len(name) % 4, -len(value) % 4
    return (struct.pack("<III", len(name), len(value), kind) + name
            + bytes(pad[0]) + value + bytes(pad[1]))


def bzimage(cmdline=b"quiet", initrd_kib=0, windows=0, flags=0, cpus=0, sects=1,
            size=1024, version=0x20f, xlf=1, alignment=0x200000, pref=0x400000,
            init_size=0x200000, initrd_max=0x7fffffff):
    image = bytearray((sects + 1) * 512)
    struct.pack_into("<BHIHHHH", image, 0x1f1, sects, 0, size // 16, 0, 0, 0,
                     0xaa55)
    image[0x200:0x202] = b"\xeb\x6a"
    struct.pack_into("<4sH", image, 0x202, b"HdrS", version)
    image[0x211] = 1
    struct.pack_into("<I", image, 0x22c, initrd_max)
    struct.pack_into("<IBBHI", image, 0x230, alignment, 1, 21, xlf, 2047)
    struct.pack_into("<QI", image, 0x258, pref, init_size)
    control = struct.pack("<HHBBBB", len(cmdline), initrd_kib, windows, flags,
                          cpus, 0)
    return control + cmdline + bytes(image) + bytes(min(size, 1024))


def elf_seeds():
    text = (0x100000, 0xffffffff81000000, CODE, 64, 0x2000)
    data = (0x200345, 0xffffffff81100345, CODE, 64, 0x4000)
    pvh = (note(3, b"GNU\0", bytes(20)) + note(6, b"Xen\0", b"linux\0")
           + note(18, b"Xen\0", struct.pack("<Q", 0x100008)))
    mapped = (0x100000 + 64 + 56, 0, CODE, 0x20000, 0x30000)
    return {
        "plain": elf([text, data], 0x100000),
        "virtual-entry": elf([text, data], 0xffffffff81000010, kind=3),
        "pvh": elf([text, data], 0x100000, pvh),
        "pvh-preferred": elf([text], 0x100000, pvh, control=2),
        "linux64-preferred": elf([text], 0x100000, pvh, control=4),
        "mapped": elf([mapped], 0x100080, control=1),
        "arm64": elf([text], 0x100000, machine=183),
        "32-bit": elf([text], 0x100000, bits=1),
        "module": elf([text], 0x100000, kind=1),
        "gzip": b"\x1f\x8b\x08\0",
        "text": b"a text that is long enough to be one\n",
    }


def bzimage_seeds():
    return {
        "plain": bzimage(),
        "initrd": bzimage(b"console=ttyS0 -- single", initrd_kib=200),
        "devices": bzimage(b"a -- b", windows=19, cpus=31),
        "mapped": bzimage(sects=7, size=0x20000, flags=1, initrd_kib=0x8400),
        "full-irqchip": bzimage(flags=2, cpus=3),
        "low-initrd": bzimage(initrd_max=0x3fffff, initrd_kib=64),
        "old": bzimage(version=0x206),
        "32-bit": bzimage(xlf=0),
        "long-cmdline": bzimage(b"x" * 2047, windows=1),
    }


def main():
    top = pathlib.Path(sys.argv[1])
    for name, seeds in ("elf", elf_seeds()), ("bzimage", bzimage_seeds()):
        folder = top / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


main()
