#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_load into a folder.

Usage: make_load_seeds.py FOLDER. Bodies of PUT /snapshot/load in each of their
forms, before a state that names one of everything.
"""

import json
import pathlib
import struct
import sys

STATE = (b'{"crc64":"0000000000000000",\n'
         b'"version":"2.1.0","volt_version":"0","id":"00000000000000aa",\n' +
         json.dumps({
             "memory": {"bytes": 1}, "config": {
                 "serial": {"serial_out_path": "/out"},
                 "drives": [{"drive_id": "a", "path_on_host": "/a"},
                            {"drive_id": "b", "path_on_host": "/b"}],
                 "nets": [{"iface_id": "n", "host_dev_name": "t"}],
                 "vsock": {"guest_cid": 3, "uds_path": "/v"}},
         }).encode()[1:])

BODIES = {
    "folder": {"snapshot_path": "/d"},
    "files": {"snapshot_path": "/s", "mem_backend": {
        "backend_type": "File", "backend_path": "/m"}},
    "old": {"snapshot_path": "/s", "mem_file_path": "/m"},
    "overrides": {
        "snapshot_path": "/d",
        "drive_overrides": [{"drive_id": "x", "path_on_host": "/x"},
                            {"drive_id": "b", "path_on_host": "/y"}],
        "network_overrides": [{"iface_id": "n", "host_dev_name": "u"}],
        "vsock_override": {"uds_path": "/w"}},
    "none": [],
}


def main():
    folder = pathlib.Path(sys.argv[1]) / "load"
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in BODIES.items():
        text = json.dumps(body).encode()
        (folder / name).write_bytes(struct.pack("<H", len(text)) + text +
                                    STATE)


if __name__ == "__main__":
    main()
