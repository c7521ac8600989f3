# SPDX-License-Identifier: Apache-2.0
"""Drives a Linux guest that reads its VM clock, and its clones, in the lab.

usage: vmclock_linux.py VOLT-VMM KERNEL INITRD

Prints "ok" or "FAIL: why"; see test_linux_vmclock.py.
"""

import base64
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path

from conftest import Api, Running

SECONDS = 240
# Eight bytes each: disruption_marker and vm_generation_counter.
SCRIPT = """\
number() {
	dd if=/dev/vmclock0 bs=8 skip=$1 count=1 2>/dev/null | od -A n -t u8
}
ls -l /dev/vmclock0
while :; do
	echo "clock marker" $(number 2) generation $(number 13) end
	sleep 1
done
"""
LINE = re.compile(r"clock marker (\d+) generation (\d+) end")


def vm(vmm, folder, *args):
    sock = folder / "api.sock"
    sock.unlink(missing_ok=True)
    run = Running([vmm, "--api-sock", sock, *args], folder / "log")
    api = Api(sock)
    api.wait(SECONDS)
    return run, api


def until(run, marker, generation):
    """Wait for a line with these numbers; those before it came from the VM
    that was saved."""
    want = f"clock marker {marker} generation {generation} end"
    end = time.monotonic() + SECONDS
    while True:
        run.wait_for(want, max(1, end - time.monotonic()))
        if LINE.findall(run.whole.decode(errors="replace"))[-1] == (
                str(marker), str(generation)):
            return


def main(vmm, kernel, initrd):
    folder = Path(tempfile.mkdtemp())
    script = base64.b64encode(SCRIPT.encode()).decode()
    run, api = vm(vmm, folder)
    for url, body in (
            ("/machine-config", {"vcpu_count": 1, "mem_size_mib": 256}),
            ("/boot-source",
             {"kernel_image_path": kernel, "initrd_path": initrd,
              "boot_args": "console=ttyS0 reboot=k quiet volt.quiet "
                           f"volt.run={script}"}),
            ("/actions", {"action_type": "InstanceStart"})):
        api.set("PUT", url, body)
    until(run, 0, 0)
    for restores in range(1, 4):
        api.set("PATCH", "/vm", {"state": "Paused"})
        api.set("PUT", "/snapshot/create", {
            "snapshot_path": f"{folder}/s{restores}/"})
        run.process.kill()
        run.finish()
        run, api = vm(vmm, folder, "--restore", folder / f"s{restores}")
        until(run, restores, restores)
    run.process.kill()
    run.finish()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
        print("ok")
    except Exception as error:  # whatever it was, the test has to tell it
        traceback.print_exc()
        print(f"FAIL: {error}")
