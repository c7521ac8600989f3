# SPDX-License-Identifier: Apache-2.0
"""Drives one Linux guest with vsockguest.c, in the lab; see test_linux_vsock.py.

usage: vsock_linux.py VOLT-VMM KERNEL INITRD MIB CONNECTIONS

Prints "ok NAME" or "FAIL NAME: why" for each case.
"""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import traceback

from vsock_host import connect, echo, listen

SECONDS = 600


class Guest:
    """A VM that runs vsockguest."""

    def __init__(self, vmm, kernel, initrd, calls):
        self.path = tempfile.mkdtemp() + "/v.sock"
        self.listener = listen(self.path, 52)
        self.listener.settimeout(SECONDS)
        self.process = subprocess.Popen(
            [vmm, "--no-api", "--kernel", kernel, "--initrd", initrd,
             "--memory", "256", "--vsock", f"cid=3,path={self.path}",
             "--cmdline", "console=ttyS0 reboot=k quiet volt.quiet "
             f"volt.end=reboot volt.run=vsock volt.calls={calls}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.console = b""
        self.lines = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while data := os.read(self.process.stdout.fileno(), 4096):
            self.console += data
            if b"ready" in self.console:
                self.lines.set()
        self.ended.set()
        self.lines.set()

    def wait(self):
        self.lines.wait(SECONDS)
        assert b"ready" in self.console, self.console[-2000:]

    def connect(self, port=9):
        return connect(self.path, port, SECONDS)


def calls_of_the_guest(guest, socks):
    """Each connection is its own: no byte of another comes back."""
    for number, sock in enumerate(socks):
        sock.settimeout(SECONDS)
        sock.sendall(b"%d." % number * 50)
    for number, sock in enumerate(socks):
        want = b"%d." % number * 50
        got = b""
        while len(got) < len(want):
            got += sock.recv(len(want) - len(got)) or b"end of stream"
        assert got == want, (number, got)
    for sock in socks:
        sock.close()


def clients_of_the_host(guest, count):
    socks = [guest.connect() for _ in range(count)]
    assert all(socks)
    calls_of_the_guest(guest, socks)


def transfer(guest, total):
    sent, got = echo(guest.connect(), total)
    assert got == sent, (sent, got)


def transfer_over_a_call(sock, total):
    sock.settimeout(SECONDS)
    sent, got = echo(sock, total)
    assert got == sent, (sent, got)


def refused(guest):
    assert guest.connect(4711) is None


def the_end(guest):
    guest.connect(1).close()
    guest.process.wait(SECONDS)
    guest.ended.wait(SECONDS)
    assert b"bye" in guest.console
    assert guest.process.returncode == 0, guest.console[-2000:]
    assert not os.path.exists(guest.path)


def case(name, function, *args):
    try:
        function(*args)
        print("ok", name, flush=True)
    except Exception as why:
        traceback.print_exc()
        print(f"FAIL {name}: {why!r}", flush=True)


def main():
    vmm, kernel, initrd, mib, count = sys.argv[1:]
    total, count = int(mib) << 20, int(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    guest = Guest(vmm, kernel, initrd, count + 1)
    socks = [guest.listener.accept()[0] for _ in range(count + 1)]
    guest.wait()
    case("calls", calls_of_the_guest, guest, socks[1:])
    case("call-transfer", transfer_over_a_call, socks[0], total)
    case("transfer", transfer, guest, total)
    case("clients", clients_of_the_host, guest, count)
    case("refused", refused, guest)
    case("end", the_end, guest)
    if guest.process.poll() is None:
        guest.process.kill()


main()
