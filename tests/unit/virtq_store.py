#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""V11: the used index goes to the guest by one 16-bit store.

usage: virtq_store.py LIBVIRTIO.A

In the machine code of virtq_publish(): exactly one store to offset 2 of the
used ring, 16 bits wide. On x86 any plain store has release order.
"""

import re
import subprocess
import sys

code = subprocess.run(
    ["objdump", "-d", "--no-show-raw-insn", "--disassemble=virtq_publish",
     sys.argv[1]], check=True, text=True, capture_output=True).stdout
REGISTER = r"%(?:[abcd]x|[sd]i|[sb]p|r(?:8|9|1[0-5])w)"
stores = re.findall(r"mov[wlq]?\s+(\S+),0x2\((%\w+)\)", code)
if len(stores) != 1 or not re.fullmatch(REGISTER, stores[0][0]):
    sys.exit(f"not one 16-bit store: {stores}\n{code}")
