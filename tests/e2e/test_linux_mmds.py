# SPDX-License-Identifier: Apache-2.0
"""The metadata service under Linux's own network, in the lab.

All that a Linux guest said to a real Firecracker (tests/conformance) is said
again, from a stock kernel by mmdsguest.c, and what busybox's wget gets.
"""

import json
import struct
from pathlib import Path

import pytest

from conftest import (BUILD, ROOT, guest_image, guest_kernel, in_lab,
                      long_only, need_lab)

ROWS = ROOT / "tests/conformance/mmds.jsonl"
DOCUMENT = {"latest": {"meta-data": {
    "ami-id": "ami-1", "n": 1, "f": 1.5, "arr": [1, "two"], "bool": True,
    "nul": None, "obj": {"k": "v"}, "sp ace": "v", "multi": "line1\nline2",
    "quote": 'a"b', "empty": "", "eobj": {}, "earr": []},
    "user-data": "hello"}, "top": "t", "uni": "é中"}
SCRIPT = """\
ip link set eth0 up
ip addr add 169.254.0.2/16 dev eth0
echo "wget $(wget -q -O - http://169.254.169.254/latest/user-data)"
exec mmdsguest /lib/volt/rows
"""
LAB = """\
set -eu
ip tuntap add t0 mode tap
ip link set t0 up
exec "$1" --no-api --config-file "$2" --metadata "$3"
"""


def rows_of(version, compat):
    text = b""
    for line in ROWS.read_text().splitlines():
        row = json.loads(line)
        if (row["version"], row["imds_compat"]) == (version, compat):
            sent, got = (row[x].encode("latin-1") for x in ("send", "receive"))
            text += struct.pack("<III", row["token"], len(sent), len(got))
            text += sent + got
    return text


@long_only("four boots of Linux")
@pytest.mark.lab
@pytest.mark.parametrize("version, compat, rows", [
    ("V1", False, 115), ("V2", False, 116), ("V1", True, 115),
    ("V2", True, 116)])
def test_every_exchange(build, tmp_path, version, compat, rows):
    need_lab()
    (tmp_path / "rows").write_bytes(rows_of(version, compat))
    image = guest_image(tmp_path, "mmdsguest", "mmds", SCRIPT,
                        f"lib/volt/rows={tmp_path / 'rows'}")
    files = {"document": DOCUMENT, "config": {
        "boot-source": {
            "kernel_image_path": str(guest_kernel("bzimage")),
            "initrd_path": str(image),
            "boot_args": "console=ttyS0 reboot=k quiet volt.quiet "
                         "volt.end=reboot volt.run=mmds"},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 256},
        "drives": [],
        "network-interfaces": [{"iface_id": "n0", "host_dev_name": "t0"}],
        "mmds-config": {"network_interfaces": ["n0"], "version": version,
                        "imds_compat": compat}}}
    for name, what in files.items():
        (tmp_path / name).write_text(json.dumps(what))
    out, log = in_lab(
        ["unshare", "--net", "sh", "-c", LAB, "lab", BUILD / "volt-vmm",
         tmp_path / "config", tmp_path / "document"], tmp_path, 900)
    assert f"{rows} of {rows} equal" in out, out + log[-3000:]
    if version == "V1":
        assert "wget hello" in out
