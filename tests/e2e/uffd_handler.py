# SPDX-License-Identifier: Apache-2.0
"""A handler that serves a snapshot's memory by userfaultfd, as users write it.

    uffd_handler.py SOCKET MEMORY [LIMIT]

It listens on SOCKET, takes Firecracker's message (the regions as JSON, the
descriptor by SCM_RIGHTS) and serves pages of the file MEMORY; zeros where the
VMM has told that it took pages away. It tells what it does, a line each. From
LIMIT pages on it serves nothing any more, but lives.
"""

import ctypes
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys

EVENT_PAGEFAULT, EVENT_REMOVE = 0x12, 0x15
COPY = 3 << 30 | 40 << 16 | 0xaa << 8 | 0x03  # UFFDIO_COPY
MESSAGE = struct.Struct("=B7xQQQ")


class Memory:
    """The file, and what is no longer as it says."""

    def __init__(self, path, regions):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.regions = regions
        self.page = regions[0]["page_size"]
        self.zero_map = mmap.mmap(-1, self.page)
        self.zeros = ctypes.addressof(
            ctypes.c_char.from_buffer(self.zero_map))
        self.removed = set()

    def remove(self, start, end):
        self.removed.update(range(start, end, self.page))

    def source(self, page):
        """Where the contents of the page at @page are here."""
        if page in self.removed:
            return self.zeros
        for region in self.regions:
            off = page - region["base_host_virt_addr"]
            if 0 <= off < region["size"]:
                return self.base + region["offset"] + off
        raise ValueError(f"{page:#x} is not the guest's memory")


def copy(uffd, page, source, size):
    """False: pages are being removed, so look at the events first."""
    try:
        fcntl.ioctl(uffd, COPY, bytearray(struct.pack(
            "=QQQQq", page, source, size, 0, 0)))
    except FileExistsError:
        pass  # another fault brought it
    except BlockingIOError:
        return False
    return True


def serve(uffd, memory, limit):
    """Until the VMM has gone."""
    waiting, served = [], 0
    while True:
        if not waiting:
            select.select([uffd], [], [])
        try:
            data = os.read(uffd, MESSAGE.size * 16)
        except BlockingIOError:
            data = b""
        for event, first, second, _ in MESSAGE.iter_unpack(data):
            if event == EVENT_PAGEFAULT:  # its flags, its address
                waiting.append(second & -memory.page)
            else:  # its start, its end
                assert event == EVENT_REMOVE, event
                memory.remove(first, second)
                print(f"removed {(second - first) // memory.page}",
                      flush=True)
        while waiting:
            if served == limit:
                print("stopped", flush=True)
                signal.pause()
            page = waiting[0]
            if not copy(uffd, page, memory.source(page), memory.page):
                break
            memory.removed.discard(page)
            waiting.pop(0)
            served += 1
            print("served", flush=True)


def main():
    path, memory = sys.argv[1:3]
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else None
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    print("listening", flush=True)
    connection = listener.accept()[0]
    text, fds, _, _ = socket.recv_fds(connection, 65536, 4)
    regions = json.loads(text)
    print(json.dumps(regions), flush=True)
    assert len(fds) == 1, fds
    serve(fds[0], Memory(memory, regions), limit)


if __name__ == "__main__":
    main()
