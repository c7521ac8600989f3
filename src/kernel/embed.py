#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A file as a C array.

usage: embed.py NAME FILE HEADER
"""

import sys
from pathlib import Path

name, source, header = sys.argv[1:]
data = Path(source).read_bytes()
lines = [", ".join(f"0x{byte:02x}" for byte in data[at:at + 12])
         for at in range(0, len(data), 12)]
Path(header).write_text(
    f"static const unsigned char {name}[] = {{\n"
    + ",\n".join(lines) + "\n};\n", encoding="ascii")
