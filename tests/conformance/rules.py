# SPDX-License-Identifier: Apache-2.0
"""What may differ from the recordings, and why: see README.md."""

import json
import re

# Resources that volt-vmm does not offer yet, by the first token of the path.
WAITING = {}

# Keys of GET /vm/config that such a resource fills.
CONFIG_KEYS = {
    "drives": "drives",
    "network-interfaces": "network-interfaces",
    "vsock": "vsock",
    "entropy": "entropy",
    "balloon": "balloon",
    "mmds-config": "mmds",
    "pmem": "pmem",
    "memory-hotplug": "hotplug",
    "cpu-config": "cpu-config",
}

# Scenarios in which everything rests on a resource.
SCENARIOS = {}

# One row each that rests on a resource which its path does not name.
ROWS = {}

# What a host or its user may lack.
A_TAP = "a tap"
USERFAULTFD = "userfaultfd"

# Up to here a message is Firecracker's, then it is ours.
OWN_WORDS = (
    "Start microvm error: System configuration error: Cannot load kernel due "
    "to invalid memory configuration or invalid kernel image: ",
    "Load snapshot error: Failed to restore from snapshot: Failed to get "
    "snapshot state from file: Failed to load snapshot state from file: ",
    "Load snapshot error: Failed to restore from snapshot: Failed to load "
    "guest memory: Error creating guest memory from file: ",
)

# Flags that a scenario was recorded with.
FLAGS = {
    "identity": ["--id", "my-vm-1"],
    "payload too large": ["--http-api-max-payload-size", "200"],
    "mmds too large": ["--mmds-size-limit", "200"],
}

# Broken HTTP that Firecracker lets pass, misreads or hangs on. The parts that
# were sent, and the one status that is asked of us instead.
BETTER = {
    "GET / HTTP/1.1\nHost: x\n\n":
        (400, "lines that end in a bare LF: Firecracker waits for ever"),
    "GET / HTTP/1.1\r\n: v\r\n\r\n":
        (400, "a header without a name: Firecracker ignores it"),
    "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n":
        (400, "a transfer coding nobody decodes: Firecracker ignores it"),
    "PUT /machine-config HTTP/1.1\r\nContent-Length: 35\r\nContent-Length: 3"
    "\r\n\r\n{\"vcpu_count\":1,\"mem_size_mib\":128}":
        (400, "two lengths: Firecracker believes the last"),
}

# What 1.17.0, which GET /version names, takes and the recorded 1.17.0-dev did
# not know yet: the row, and the status that is asked of us instead.
NEWER = {
    ("drives", 31): (204, "discard came with 1.17.0"),
}

POSITION = re.compile(r" at line \d+ column \d+")
VERSION = re.compile(r"\d+\.\d+\.\d+(-dev)?$")


def without_version(value):
    """The same, with every version that is ours to choose made equal."""
    if isinstance(value, dict):
        return {k: "VERSION" if k in ("vmm_version", "firecracker_version")
                and VERSION.match(str(v)) else without_version(v)
                for k, v in value.items()}
    return value


def contains(ours, theirs):
    """Equal, but that our objects may have more fields."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return all(k in ours and contains(ours[k], v)
                   for k, v in theirs.items())
    if isinstance(theirs, list) and isinstance(ours, list):
        # Devices come in no fixed order from Firecracker.
        def key(x):
            return json.dumps(x, sort_keys=True)
        return len(ours) == len(theirs) and all(
            contains(a, b) for a, b in zip(sorted(ours, key=key),
                                           sorted(theirs, key=key)))
    return type(ours) is type(theirs) and ours == theirs


def same_fault(ours, theirs):
    """Two fault_messages are the same to a client."""
    ours, theirs = POSITION.sub("", ours), POSITION.sub("", theirs)
    for prefix in OWN_WORDS:
        if theirs.startswith(prefix):
            return ours.startswith(prefix) and len(ours) > len(prefix)
    return ours == theirs


def error_of(body):
    """The text of {"error": ...}, which Firecracker does not escape."""
    match = re.match(r'\{ ?"error": ?"(.*)" ?\}$', body, re.DOTALL)
    return match.group(1) if match else None


def same_body(ours, theirs):
    """@ours is text; @theirs a recorded response."""
    if theirs is None:
        return ours == ""
    if isinstance(theirs, str):
        return bool(error_of(theirs)) and bool(error_of(ours))
    try:
        parsed = json.loads(ours)
    except ValueError:
        return False
    if isinstance(theirs, dict) and set(theirs) == {"fault_message"}:
        return (isinstance(parsed, dict) and set(parsed) == set(theirs) and
                same_fault(parsed["fault_message"], theirs["fault_message"]))
    return contains(without_version(parsed), without_version(theirs))


def lacks(row, taps, userfaultfd):
    """What this host or user lacks for a row, or None."""
    path = row.get("path", "")
    if not taps and (path.startswith("/network-interfaces") or
                     (row["scenario"], path) == ("network", "/vm/config")):
        return A_TAP
    if not userfaultfd and row["scenario"] == "load no uffd handler":
        return USERFAULTFD
    return None


def waits_for(row):
    """The resource that a row rests on and that is not there yet, or None."""
    key = (row["scenario"], row.get("step"))
    token = row.get("path", "").lstrip("/").split("/")[0]
    if SCENARIOS.get(row["scenario"]) in WAITING:
        return SCENARIOS[row["scenario"]]
    if token in WAITING:
        return token
    if ROWS.get(key) in WAITING:
        return ROWS[key]
    if row.get("path") == "/vm/config" and isinstance(row["response"], dict):
        for name, resource in CONFIG_KEYS.items():
            if row["response"].get(name) and resource in WAITING:
                return resource
    return None
