#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_pool into a folder.

Usage: make_pool_seeds.py FOLDER. Requests, answers, records, answers of VMs.
"""

import json
import sys
from pathlib import Path

FILE = {"dev": 1, "ino": 2, "size": 3, "mtime_ns": 4}
CREATE = {"pool": "p", "kind": "clone", "snapshot": "/s", "memory": "/m",
          "size": 8, "parallel": 2, "rate": 10, "cpu": 50, "memory_mib": 64,
          "queue": 9, "wait_ms": 100, "clock": True, "vmm": ["--sandbox", "strict"]}


def request(**what):
    return b"q" + json.dumps({"v": 1, "tag": 7, **what}).encode()


def answer(**what):
    return b"a" + json.dumps({"v": 1, "tag": 7, **what}).encode()


SEEDS = {
    "create": request(create=CREATE),
    "lease": request(lease={
        "pool": "p", "name": "n", "drives": [{"id": "d", "overlay": "/o"}],
        "networks": [{"id": "n", "tap": "t", "mac": "06:00:00:00:00:01"}],
        "vsock": "/v", "cgroup": "/c", "limits": {"pids": 9}, "wait_ms": 5,
        "api": True, "cid": 17, "tied": True}),
    "lease-shell": request(lease={"pool": "p", "snapshot": "/s",
                                  "memory": "/m", "paused": True}),
    "ls": request(ls={"members": True, "after": "p-1"}),
    "release": request(release={"name": "n"}),
    "resize": request(resize={"pool": "p", "size": 3}),
    "drain": request(drain={"pool": "p"}),
    "metrics": request(metrics={"format": "openmetrics"}),
    "two": request(rm={"pool": "p"}, wait={"name": "n"}),
    "version": b'q{"v":2,"ls":{}}',
    "done": answer(),
    "error": answer(error={"code": "full", "text": "t"}),
    "leased": answer(lease={"id": "i", "name": "n", "pid": 3, "api": "/a",
                            "us": 4}),
    "exit": answer(exit={"known": True, "status": 0, "signal": 9}),
    "listing": answer(ls={"pools": [], "members": [
        {"id": "i", "pool": "p", "state": "ready", "pid": 1, "api": "/a"}],
        "more": True}),
    "member": b"m" + json.dumps({
        "v": 1, "pool": "p", "owner": 0, "pid": 5, "start": 6,
        "state": "leased", "source": {"state": FILE, "memory": FILE},
        "name": "n", "cgroup": "/c", "tied_pid": 0,
        "tied_start": 0}).encode(),
    "pool": b"p" + json.dumps({
        "v": 1, "owner": 0, "gid": 0, "groups": [1, 2], "draining": False,
        "create": CREATE}).encode(),
    "http": b"hHTTP/1.1 400 B\r\nContent-Length: 21\r\n\r\n"
            b'{"fault_message":"x"}',
    "no-content": b"hHTTP/1.1 204 \r\n\r\n",
    "group": b"g4:memory:/a\n0::/b/c\n",
}


def main():
    folder = Path(sys.argv[1]) / "pool"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
