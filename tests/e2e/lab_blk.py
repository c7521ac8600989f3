#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Linux on virtio-blk, in the lab or where KVM runs Linux: test_linux_blk.py.

usage: lab_blk.py BUILD KERNEL INITRD IMAGE FOLDER WORK

Prints one line of JSON for each scenario: what the guest said, and what
e2fsck and debugfs find in the image after it.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PATIENCE = 1500 if "long" in sys.argv else 240
FIO_MIB = {"verify": 4, "long": 128}
SYNCED_ENOUGH = 5


class Http(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Guest:
    """One VM with the image as its root; a line of its console at a time."""

    def __init__(self, build, kernel, initrd, drives, folder, cmdline):
        self.lines = []
        self.socket = str(folder / "api.sock")
        self.log = folder / "vmm.log"
        config = folder / "vm.json"
        config.write_text(json.dumps({
            "boot-source": {"kernel_image_path": kernel, "initrd_path": initrd,
                            "boot_args": cmdline},
            "machine-config": {"vcpu_count": 1, "mem_size_mib": 192},
            "drives": drives}))
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        with open(self.log, "wb") as log:
            self.vmm = subprocess.Popen(
                [f"{build}/volt-vmm", "--api-sock", self.socket,
                 "--config-file", config], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log)

    def read_until(self, wanted):
        """Lines up to the one that begins so, or the console's end."""
        guard = threading.Timer(PATIENCE, self.vmm.kill)
        guard.start()
        try:
            for line in self.vmm.stdout:
                self.lines.append(line.decode(errors="replace").strip())
                if wanted and self.lines[-1].startswith(wanted):
                    return True
            return False
        finally:
            guard.cancel()

    def patch(self, body):
        conn = Http(self.socket)
        conn.request("PATCH", f"/drives/{body['drive_id']}", json.dumps(body))
        return conn.getresponse().status

    def said(self, word):
        return [x for x in self.lines if x.startswith(word + " ")]


def drive(name, path, engine, root=False):
    return {"drive_id": name, "path_on_host": str(path), "io_engine": engine,
            "is_root_device": root, "cache_type": "Writeback"}


def check_image(image, fix):
    run = subprocess.run(["e2fsck", "-fy" if fix else "-fn", image],
                         capture_output=True, text=True, check=False)
    return {"fsck": run.returncode, "fsck_text": run.stdout[-1500:]}


def verify(args, image, engine, work):
    """A clean life: data verified, trimmed, a drive that grows, power-off.

    fio's drive is in memory: there, unlike in a shared folder, holes can be
    punched.
    """
    folder = image.parent
    (folder / "empty").write_bytes(b"")
    (folder / "grown").write_bytes(b"volt" * 256 * 1024)
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as disk:
        for _ in range(FIO_MIB[work]):
            disk.write(b"volt" * 256 * 1024)
        disk.flush()
        guest = Guest(*args, [drive("rootfs", image, engine, True),
                              drive("extra", folder / "empty", engine),
                              drive("fio", disk.name, engine)], folder,
                      f"console=ttyS0 quiet reboot=k panic=1 volt.quiet "
                      f"volt.root volt.work={work}")
        patched = None
        if guest.read_until("WAITING"):
            patched = guest.patch({"drive_id": "extra",
                                   "path_on_host": str(folder / "grown")})
        guest.read_until(None)
        return {"code": guest.vmm.wait(), "lines": guest.lines[-40:],
                "patched": patched, "log": guest.log.read_text()[-2000:],
                "fio_sectors": os.stat(disk.name).st_blocks,
                **check_image(image, fix=False)}


def is_whole(image, number):
    """File /data/f<number> as the guest had synced it."""
    data = subprocess.run(
        ["debugfs", "-R", f"cat /data/f{number}", image],
        capture_output=True, check=False).stdout
    line = f"volt f{number} block data\n".encode()
    return data == (line * (20000 // len(line) + 1))[:20000]


def kill(args, image, engine):
    """kill -9 in a load with fsync; what was acknowledged is there."""
    guest = Guest(*args, [drive("rootfs", image, engine, True)], image.parent,
                  "console=ttyS0 quiet reboot=k panic=1 volt.quiet volt.root "
                  "volt.work=fsync")
    guest.read_until(f"SYNCED {SYNCED_ENOUGH}")
    os.kill(guest.vmm.pid, signal.SIGKILL)
    guest.read_until(None)
    guest.vmm.wait()
    found = check_image(image, fix=True)
    synced = [int(x.split()[1]) for x in guest.said("SYNCED")]
    return {"lines": guest.lines[-20:], "synced": synced,
            "lost": [n for n in synced if not is_whole(image, n)],
            "log": guest.log.read_text()[-2000:], **found,
            "after": check_image(image, fix=False)}


def main():
    build, kernel, initrd, image, folder, work = sys.argv[1:]
    folder = Path(folder)
    args = (build, kernel, initrd)
    for engine in ("Sync", "Async"):
        for name in ("verify", "kill"):
            if (name, engine, work) == ("kill", "Sync", "verify"):
                continue
            place = folder / f"{name}-{engine}"
            place.mkdir()
            mine = place / "root.ext4"
            shutil.copy(image, mine)
            start = time.monotonic()
            if name == "verify":
                result = verify(args, mine, engine, work)
            else:
                result = kill(args, mine, engine)
            result["seconds"] = round(time.monotonic() - start, 1)
            print("RESULT " + json.dumps({"name": f"{name}-{engine}",
                                          **result}), flush=True)
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
