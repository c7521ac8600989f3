# SPDX-License-Identifier: Apache-2.0
"""A file system in memory of the tests' own, whatever root they run in.

It is mounted nowhere: a process holds it by a descriptor, and its path goes
through that. So it needs no mount namespace (a root that is not a mount point,
such as that of a chroot, cannot make its mounts private there), nothing that
the host could see is mounted, and it ends with its holder. An ordinary user's
holder is root of a user namespace.

usage of the holder: own_disk.py NAME=VALUE...     (the options of tmpfs)
It prints the path; a line "ro" makes it read-only.
"""
import ctypes
import os
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE, next_line

FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
SET_FLAG, SET_STRING, CREATE, RECONFIGURE = 0, 1, 6, 7


def call(number, *args):
    """A system call, by number: OSError when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def hold(options):
    """The holder's life."""
    context = call(FSOPEN, b"tmpfs", 0)
    for option in options:
        name, value = option.encode().split(b"=")
        call(FSCONFIG, context, SET_STRING, name, value, 0)
    call(FSCONFIG, context, CREATE, None, None, 0)
    mounted = call(FSMOUNT, context, 0, 0)
    print(f"/proc/{os.getpid()}/fd/{mounted}", flush=True)
    for line in sys.stdin:
        if line == "ro\n":
            call(FSCONFIG, context, SET_FLAG, b"ro", None, 0)
            call(FSCONFIG, context, RECONFIGURE, None, None, 0)
        print("done", flush=True)


# Its path goes through another process's /proc, where a locked gate may not
# look: a VM that is to write there has this.
REACHES = ("--sandbox", "off")


class OwnDisk:
    """A file system that exists until close(). Its root is .path, or None
    where the machine permits none: .why says why not."""

    def __init__(self, *options):
        user = [] if os.geteuid() == 0 else [
            "unshare", "--user", "--map-root-user", "--mount"]
        self.holder = subprocess.Popen(
            [*user, "/usr/bin/python3", __file__, *options], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        path = next_line(self.holder).strip()
        self.path = Path(path) if path else None
        if not self.path:
            self.holder.kill()
            said = self.holder.stderr.read().strip().splitlines()
            self.why = ("no file system of one's own: "
                        + (said or ["its holder said nothing"])[-1])

    def make_read_only(self):
        """For everybody, whatever they have open."""
        self.holder.stdin.write("ro\n")
        self.holder.stdin.flush()
        assert next_line(self.holder) == "done\n"

    def close(self):
        """Lets go of it."""
        self.holder.communicate(timeout=PATIENCE)


if __name__ == "__main__":
    hold(sys.argv[1:])
