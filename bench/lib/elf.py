# SPDX-License-Identifier: Apache-2.0
"""A kernel of any size, made from a small guest."""

import struct

PHDR = struct.Struct("<IIQQQQQQ")
PT_LOAD, PF_R = 1, 4


def with_segment(elf, gpa, data):
    """The ELF64 with one more loadable segment, page-aligned in the file.

    The program headers move to the end of the file to make room.
    """
    elf = bytearray(elf)
    phoff, = struct.unpack_from("<Q", elf, 32)
    phnum, = struct.unpack_from("<H", elf, 56)
    headers = elf[phoff:phoff + PHDR.size * phnum]
    elf += bytes(-len(elf) % 4096)
    headers += PHDR.pack(PT_LOAD, PF_R, len(elf), gpa, gpa, len(data),
                         len(data), 4096)
    elf += data
    elf += bytes(-len(elf) % 8)
    struct.pack_into("<Q", elf, 32, len(elf))
    struct.pack_into("<H", elf, 56, phnum + 1)
    return bytes(elf + headers)
