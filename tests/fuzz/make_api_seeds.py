#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the API's fuzz targets into a folder.

Usage: make_api_seeds.py FOLDER. From the recordings and config files. Mend
SCHEMAS after the list of routes with a schema has changed: the first byte of a
fuzz_api seed counts them.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent

# fuzz_api.c counts the routes with a schema in the order of resources.c.
SCHEMAS = ["PUT /logger", "PUT /metrics", "PUT /machine-config",
           "PATCH /machine-config", "PUT /cpu-config", "PUT /boot-source",
           "PUT /serial", "PUT /drives/{id}", "PATCH /drives/{id}",
           "PUT /network-interfaces/{id}", "PATCH /network-interfaces/{id}",
           "PUT /vsock", "PUT /mmds/config", "PUT /entropy", "PUT /balloon",
           "PATCH /balloon", "PATCH /balloon/statistics",
           "PATCH /balloon/hinting/start", "PUT /snapshot/create",
           "PUT /snapshot/load", "PUT /actions", "PATCH /vm",
           "PUT /volt/lease"]
WITH_ID = re.compile("/(drives|network-interfaces)/.*")
METHODS = ["GET", "PUT", "PATCH", "DELETE"]


def store(target, data):
    folder = Path(sys.argv[1]) / target
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(data).hexdigest()[:12]
    (folder / name).write_bytes(data)


def rows(name):
    with open(TESTS / "conformance" / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def answers():
    """What a server may say to src/client: good, cut, too much, no HTTP."""
    body = b'{"fault_message":"No such VM."}'
    length = b"Content-Length: %d\r\n\r\n"
    good = b"HTTP/1.1 400 \r\nServer: Firecracker API\r\n" \
        + length % len(body) + body
    yield good
    yield good[:-1]
    yield good + b"!"
    yield b"HTTP/1.1 204 \r\nConnection: keep-alive\r\n\r\n"
    yield b"HTTP/1.0 200 OK\r\n" + length % 4 + b"true"
    yield b"HTTP/1.1 503 \r\n" + length % (1 << 62)
    yield b"HTTP/1.1 100 Continue\r\n\r\n" + good
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield b"SSH-2.0-OpenSSH_9.2\r\n"


def main():
    for text in answers():
        store("client", b"\x06" + text)
    seen = set()
    for row in rows("api.jsonl"):
        body = row.get("body")
        if "method" not in row:
            continue
        text = "" if body is None else body if isinstance(body, str) else \
            json.dumps(body, separators=(",", ":"))
        text = text.encode()[:400]
        kind = (row["method"], row["path"], row["status"], len(text) // 8)
        if kind in seen:
            continue
        seen.add(kind)
        name = f"{row['method']} " + WITH_ID.sub(r"/\1/{id}", row["path"])
        if name in SCHEMAS and text:
            store("api", bytes([2 * SCHEMAS.index(name) + 1]) + text)
            store("json", text)
        request = row["path"].encode() + (b"\n" + text if text else b"")
        store("api", bytes([2 * METHODS.index(row["method"])]) + request)
    for row in rows("http.jsonl")[:-2]:
        sent = "".join(row["send"]).encode("latin-1")
        store("http", b"\x06" + sent[:1500])
    for path in sorted((TESTS / "e2e" / "config").glob("*.json")):
        store("config_file", path.read_bytes())
        store("json", path.read_bytes())
    for text in (b"[1e400]", b"-0", b'"\\ud83d\\ude00"', b"1e-400",
                 b"[1.5,true,null]", b'{"a":{"b":[]}}', b"1" * 400, b"9\0"):
        store("json", text)


if __name__ == "__main__":
    main()
