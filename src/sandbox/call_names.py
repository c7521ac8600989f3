#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Print the names of all system calls as one C string, by number.

usage: call_names.py COMPILER...

Each name ends with a NUL, a number that has no call is an empty name: so the
list is plain read-only data, where an array of pointers would be relocated at
every start of a VM.
"""

import re
import subprocess
import sys

text = subprocess.run(
    [*sys.argv[1:], "-E", "-dM", "-include", "asm/unistd_64.h", "-x", "c",
     "/dev/null"], check=True, stdout=subprocess.PIPE, text=True).stdout
calls = {int(nr): name for name, nr in
         re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}
print("static const char call_names[] =")
for number in range(max(calls) + 1):
    print(f'\t"{calls.get(number, "")}\\0"')
print("\t;")
