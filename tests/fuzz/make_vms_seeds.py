#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_vms into a folder.

Usage: make_vms_seeds.py FOLDER. Records of VMs in the background, lines of
their logs.
"""

import json
import sys
from pathlib import Path

RECORD = {"format": 1, "name": "web", "image": "debian:12",
          "command": "sh -c \"x\n\"", "ports": "53/udp 80/tcp",
          "created": 1795745085770, "started": 1795745085771,
          "ended": 1795745086915, "holder": 4711, "stop_signal": 15,
          "code": 143, "died": False, "remove": False, "terminal": True}
SEEDS = {
    "record": json.dumps(RECORD).encode(),
    "plain": json.dumps({k: v for k, v in RECORD.items() if k not in
                         ("image", "command", "ports")}).encode(),
    "name": json.dumps({**RECORD, "name": "../up"}).encode(),
    "numbers": json.dumps({**RECORD, "holder": 2**64, "code": -1}).encode(),
    "line": b"2026-11-27T01:45:00.123Z stdout F text \xff\0",
    "part": b"2026-11-27T01:45:00.123Z volt P ",
    "no-line": b"2026-11-27T01:45:00.123Z stdin F x",
    "empty": b"",
}

if __name__ == "__main__":
    folder = Path(sys.argv[1]) / "vms"
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in SEEDS.items():
        (folder / seed).write_bytes(data)
