# SPDX-License-Identifier: Apache-2.0
"""KVM's own counters of one VM: also the exits that never leave the kernel.

They are in debugfs, for root, as long as the VM exists. A VM exists as long as
somebody has its descriptor: we take one, and count to the end of its VMM.
"""

import atexit
import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

# What KVM counts of a VM, by what it is called in a table. "other" is the rest
# of the exits: MSRs, CPUID, faults of nested paging and what a host has more.
EXITS = {"port": "io_exits", "MMIO": "mmio_exits", "HLT": "halt_exits",
         "interrupt": "irq_exits", "window": "irq_window_exits"}
PAGES = {"faults": "pf_fixed", "4 KiB": "pages_4k", "2 MiB": "pages_2m"}
INJECTED = "irq_injections"

PIDFD_GETFD = 438
libc = ctypes.CDLL(None, use_errno=True)


def mount():
    """The folder of the VMs, mounted for this run if need be; or None."""
    usual = Path("/sys/kernel/debug/kvm")
    if os.geteuid() != 0 or usual.is_dir():
        return usual if os.geteuid() == 0 else None
    folder = tempfile.mkdtemp()
    argv = ["mount", "-t", "debugfs", "none", folder]
    works = subprocess.run(argv, stderr=subprocess.DEVNULL,
                           check=False).returncode == 0

    def clean():
        if works:
            subprocess.run(["umount", folder], check=False)
        os.rmdir(folder)

    atexit.register(clean)
    return Path(folder) / "kvm" if works else None


class Vm:
    """The VM of a VMM that has just been started, found while it lives."""

    def __init__(self, vmm, folder):
        self.fd = self.folder = None
        while self.fd is None and vmm.poll() is None:
            for number in kvm_fds(vmm.pid):
                self.hold(vmm.pid, number, folder)

    def hold(self, pid, number, folder):
        pidfd = os.pidfd_open(pid)
        fd = libc.syscall(PIDFD_GETFD, pidfd, number, 0)
        os.close(pidfd)
        if fd >= 0:
            self.fd = fd
            self.folder = folder / f"{pid}-{number}"

    def count(self, name="exits"):
        """None: the VMM was gone too soon, or the host locks its debugfs."""
        try:
            return int((self.folder / name).read_text()) if self.fd else None
        except OSError:
            return None

    def all_counts(self):
        """EXITS, PAGES, interrupts and the sum of all exits, as they stand; or
        None."""
        found = {name: self.count(name) for name in
                 ("exits", INJECTED, *EXITS.values(), *PAGES.values())}
        return None if None in found.values() else found

    def close(self):
        if self.fd is not None:
            os.close(self.fd)


def kvm_fds(pid):
    try:
        return [int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir()
                if os.readlink(link) == "anon_inode:kvm-vm"]
    except OSError:
        return []
