# SPDX-License-Identifier: Apache-2.0
"""A guest process in the hands of its guest, before a real, locked gate.

Root takes the guest process's end of the wire (pidfd_getfd) and says on it what
no Volt says. The gate ends, and with it the other half; it has opened nothing
that no client named. tests/unit/test_gate.c and the fuzz target go further.
"""

import ctypes
import os
import socket
import struct

import pytest

from apiclient import gate_of
from conftest import Case, looks_into
from test_gate import is_gone, until

PIDFD_GETFD = 438
# enum wire_kind of src/gate/wire.h
REQUEST, DESCRIPTOR = 1, 2
HANDOVER, LOCKED, ANSWER, NEED, SAVED, ABORTED, DIAL = range(6, 13)
OPENS = {"open", "openat", "openat2", "connect", "socket"}

pytestmark = looks_into


def head(kind, serial=1, value=0, rc=0, total=0, at=0):
    return struct.pack("<IIIiQQ", kind, serial, value, rc, total, at)


HOSTILE = {
    "nothing": b"\0",
    "half a head": head(NEED)[:20],
    "no kind": head(0),
    "an unknown kind": head(13),
    "the gate's own kind": head(REQUEST, total=5) + b"GET /",
    "a descriptor's kind": head(DESCRIPTOR),
    "a need that no request has": head(NEED, value=2),
    "a role that is none": head(NEED, value=0xffffffff),
    "an answer to nothing": head(ANSWER, value=200, total=2) + b"{}",
    "an answer without an end": head(ANSWER, value=200, total=1 << 62) + b"{",
    "a piece beyond its text": head(ANSWER, value=200, total=2, at=9) + b"{}",
    "a second lock": head(LOCKED),
    "a handover after the lock": head(HANDOVER, value=2) + b"../etc/passwd",
    "a socket device after the lock":
        head(HANDOVER, value=1) + bytes(16) + b"/run/x",
    "saved, and no snapshot begun": head(SAVED),
    "aborted, and no snapshot begun": head(ABORTED),
    "a dial without a socket device": head(DIAL, value=22),
    "longer than a message": head(NEED) + b"x" * 17000,
}


def wire_of(pid):
    """Of all sockets of @pid the one of records."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket"):
                continue
            fd = libc.syscall(PIDFD_GETFD, pidfd, int(number), 0)
            assert fd >= 0, os.strerror(ctypes.get_errno())
            sock = socket.socket(fileno=fd)
            if sock.type == socket.SOCK_SEQPACKET:
                return sock
            sock.close()
    finally:
        os.close(pidfd)
    raise AssertionError("no wire")


@pytest.mark.parametrize("said", [*HOSTILE, "a descriptor"])
def test_what_no_volt_says_ends_both(vmm, tmp_path, said):
    trace, disk = tmp_path / "trace", tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    spawn = vmm.spawn
    vmm.spawn = lambda argv: spawn(["strace", "-D", "-f", "-o", trace, "-e",
                                    "trace=" + ",".join(OPENS), *argv])
    run, _ = vmm.start_api(Case("ticker", "period=10", devices={
        "drives/a": {"drive_id": "a", "is_root_device": False,
                     "path_on_host": str(disk)}}))
    run.wait_for("tick 3")
    gate = gate_of(run.pid)
    before = len(trace.read_text().splitlines())
    with wire_of(run.pid) as wire:
        if said in HOSTILE:
            wire.send(HOSTILE[said])
        else:
            with disk.open() as file:
                socket.send_fds(wire, [head(NEED)], [file.fileno()])
    assert until(lambda: is_gone(gate) and is_gone(run.pid))
    assert run.finish().code == 1
    calls = [line.split(maxsplit=1) for line in
             trace.read_text().splitlines()[before:]]
    assert [call for pid, call in calls if int(pid) == gate
            and call.split("(")[0] in OPENS] == []
