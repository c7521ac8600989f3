#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_oci into a folder.

Usage: make_oci_seeds.py FOLDER. Layers, archives and documents, right ones.
"""

import io
import json
import sys
import tarfile
from pathlib import Path

LAYER, TWICE, ARCHIVE, CONFIG, INDEX, MANIFEST = range(6)
DIGEST = "sha256:" + "0123456789abcdef" * 4


def tar(how, *entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=how) as archive:
        for name, kind, link, data, pax in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(data)
            info.pax_headers = pax
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()[:-8192]


ENTRIES = [
    ("d", tarfile.DIRTYPE, "", b"", {}),
    ("d/file", tarfile.REGTYPE, "", b"text", {"mtime": "1.5"}),
    ("d/hard", tarfile.LNKTYPE, "d/file", b"", {}),
    ("link", tarfile.SYMTYPE, "d", b"", {}),
    ("link/through", tarfile.REGTYPE, "", b"x",
     {"SCHILY.xattr.user.a": "b"}),
    ("d/.wh.file", tarfile.REGTYPE, "", b"", {}),
    ("d/.wh..wh..opq", tarfile.REGTYPE, "", b"", {}),
    ("null", tarfile.CHRTYPE, "", b"", {}),
    ("n" * 120, tarfile.REGTYPE, "", b"", {}),
]
SPARSE = ("sparse", tarfile.REGTYPE, "",
          b"2\n0\n2\n9000\n1\n".ljust(512, b"\0") + b"abc",
          {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
           "GNU.sparse.name": "holes", "GNU.sparse.realsize": "10000"})
BLOB = {"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": DIGEST, "size": 1}
SEEDS = {
    "layer-pax": (LAYER, tar(tarfile.PAX_FORMAT, *ENTRIES)),
    "layer-gnu": (LAYER, tar(tarfile.GNU_FORMAT, *ENTRIES)),
    "layer-sparse": (LAYER, tar(tarfile.PAX_FORMAT, SPARSE)),
    "twice": (TWICE, tar(tarfile.PAX_FORMAT, *ENTRIES)),
    "archive": (ARCHIVE, tar(tarfile.USTAR_FORMAT, (
        "index.json", tarfile.REGTYPE, "", b"{}", {}))),
    "config": (CONFIG, json.dumps({
        "architecture": "amd64", "os": "linux", "config": {
            "Cmd": ["a"], "Entrypoint": ["b"], "Env": ["A=b"], "User": "1",
            "WorkingDir": "/", "StopSignal": "9",
            "ExposedPorts": {"80/tcp": {}}},
        "rootfs": {"diff_ids": [DIGEST]}}).encode()),
    "index": (INDEX, json.dumps({"manifests": [{
        **BLOB, "platform": {"os": "linux", "architecture": "amd64"},
        "annotations": {"org.opencontainers.image.ref.name": "a"}}]}).encode()),
    "manifest": (MANIFEST, json.dumps(
        {"config": BLOB, "layers": [BLOB]}).encode()),
    "docker": (MANIFEST, json.dumps([{
        "Config": "a.json", "RepoTags": ["a:b"],
        "Layers": ["l/layer.tar"]}]).encode()),
}

for name, (target, data) in SEEDS.items():
    path = Path(sys.argv[1]) / "oci" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([target]) + data)
