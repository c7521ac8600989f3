# SPDX-License-Identifier: Apache-2.0
"""What a VM needs it has when its guest starts: no descriptor is made late.

A filter that forbids making them, and a process that has used up all it may
have, both leave such a VM as it was.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api
from test_snapshot_state import config, taps  # noqa: F401 (a fixture)
from vsock_host import connect

# All calls that make a descriptor. Of those that may or may not (ioctl(), a
# message with descriptors) strace shows how they were called.
CALLS = """
    open openat openat2 creat open_by_handle_at open_tree name_to_handle_at
    accept accept4 socket socketpair pipe pipe2 dup dup2 dup3
    eventfd eventfd2 signalfd signalfd4 timerfd_create epoll_create
    epoll_create1 inotify_init inotify_init1 fanotify_init memfd_create
    memfd_secret userfaultfd pidfd_open pidfd_getfd clone3 perf_event_open bpf
    io_uring_setup mq_open fsopen fspick fsmount landlock_create_ruleset
""".split()
# ... and the ioctls: KVM's, userfaultfd's and those of taps and namespaces.
IOCTLS = re.compile(r"KVM_CREATE_VM|KVM_CREATE_VCPU|KVM_CREATE_DEVICE|"
                    r"KVM_GET_STATS_FD|KVM_CREATE_GUEST_MEMFD|"
                    r"USERFAULTFD_IOC_NEW|_IOC\(_IOC_NONE, 0xaa, 0")
LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (\d+)")
MADE = "/proc/{}/fd"


class Watched:
    """A VM whose calls that make descriptors are written down."""

    def __init__(self, vmm, taps, folder, *args):
        self.trace = folder / "trace"
        self.folder = folder
        sock = folder / "api.sock"
        self.run = vmm.spawn([
            *taps.join, "strace", "-D", "-f", "-s", "256", "-o", self.trace,
            "-e", "trace=fcntl,recvmsg,ioctl," + ",".join(
                "?" + name for name in CALLS),
            BUILD / "volt-vmm", "--api-sock", sock, *args])
        self.api = Api(sock)
        self.api.wait()

    def pid(self):
        """volt-vmm's own: nsenter and strace became it."""
        return self.run.pid

    def open(self):
        """{descriptor: what it is}"""
        found = {}
        for fd in os.listdir(MADE.format(self.pid())):
            try:
                found[int(fd)] = os.readlink(f"/proc/{self.pid()}/fd/{fd}")
            except FileNotFoundError:
                pass
        return found

    def lines(self):
        """Of the trace: calls that made a descriptor."""
        made = []
        for line in self.trace.read_text(errors="replace").splitlines():
            if " resumed>" in line:
                line = re.sub(r"<\.\.\. (\w+) resumed>", r"\1(", line)
            match = LINE.match(line)
            if not match:
                continue
            name, args, _ = match.groups()
            if name == "ioctl" and not IOCTLS.search(args):
                continue
            if name == "fcntl" and "F_DUPFD" not in args:
                continue
            if name == "recvmsg" and "SCM_RIGHTS" not in args:
                continue
            made.append(line)
        return made

    def busy(self):
        """A byte to the guest: a request of each kind, in either engine."""
        self.run.send("r")
        self.run.wait_for("ready\r\n")
