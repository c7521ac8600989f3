#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plays the recordings of Firecracker's API against volt-vmm: see README.md."""

import argparse
import collections
import functools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rules

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
QUIET = 0.2     # nothing came for this long: nothing more is coming
# For an answer that has to come; the lab is 10 to 50 times slower.
PATIENCE = 200 if os.environ.get("VOLT_IN_LAB") else 20


def make_kernel():
    """An ELF for the 64-bit boot protocol that prints dots for ever."""
    load = 0x100000
    code = bytes([
        0x66, 0xba, 0xf8, 0x03,     # mov dx, 0x3f8
        0xb0, 0x2e,                 # mov al, '.'
        0xee,                       # out dx, al
        0xb9, 0x00, 0x00, 0x10, 0,  # mov ecx, 0x100000
        0xff, 0xc9, 0x75, 0xfc,     # dec ecx; jnz
        0xeb, 0xf2,                 # jmp to mov al
    ])
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1,
                       load, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 4096, load, load, len(code),
                          len(code), 4096)
    return (head + segment).ljust(4096, b"\0") + code


def make_files(folder):
    """What the recorded requests refer to by relative names."""
    (folder / "kernel.elf").write_bytes(make_kernel())
    (folder / "initrd.cpio").write_bytes(bytes(512))
    for name, size in (("disk.img", 1 << 20), ("disk2.img", 2 << 20),
                       ("zero.img", 0), ("odd.img", 1000),
                       ("pmem.img", 4 << 20), ("pmem2.img", 2 << 20)):
        (folder / name).write_bytes(bytes(size))


@functools.lru_cache(None)
def own_network():
    """Words before a command that give it a network namespace of its own:
    the recorded taps are made there and go with it."""
    for flags in (["--net"], ["--net", "--user", "--map-root-user"]):
        words = ["unshare", *flags]
        if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return words
    return []


def may_make_taps():
    return bool(own_network()) and os.access("/dev/net/tun", os.W_OK)


class Vmm:
    """One volt-vmm with its API socket in @folder."""

    def __init__(self, binary, folder, flags=()):
        self.socket = folder / "api.sock"
        if self.socket.exists():
            self.socket.unlink()
        self.log = open(folder / "vmm.log", "ab")
        self.process = subprocess.Popen(
            [*own_network(), binary, "--api-sock", "api.sock",
             "--level", "Debug", *flags],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self.connect().close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.005)
        raise RuntimeError(f"volt-vmm did not start: see {self.log.name}")

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        sock.connect(str(self.socket))
        return sock

    def exit_code(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def parse_response(data):
    """(status line, headers in order, body, rest), None while incomplete."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    length = int(dict(headers).get("Content-Length", 0))
    if len(rest) < length:
        return None
    return lines[0], headers, rest[:length].decode(), rest[length:]


def parse_responses(data):
    found = []
    while data:
        response = parse_response(data)
        if response is None:
            break
        found.append(response[:3])
        data = response[3]
    return found


def encode_body(body):
    if body is None:
        return None
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def request(vmm, method, path, body):
    """(status, body text, headers); None when the process is gone."""
    text = encode_body(body)
    data = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    if text is not None:
        data += f"Content-Length: {len(text)}\r\n".encode()
    data += b"\r\n" + (text or b"")
    answer = b""
    try:
        with vmm.connect() as sock:
            sock.sendall(data)
            while parse_response(answer) is None:
                more = sock.recv(65536)
                if not more:
                    return None
                answer += more
    except (ConnectionError, FileNotFoundError):
        return None
    line, headers, body_text, _ = parse_response(answer)
    return int(line.split()[1]), body_text, dict(headers)


class Tally:
    """Rows that match, that wait for a resource, that differ."""

    def __init__(self, name, verbose):
        self.name = name
        self.verbose = verbose
        self.total = self.match = self.better = 0
        self.waiting = collections.Counter()
        self.differing = []

    def add(self, row, same, ours, waits=None):
        self.total += 1
        if same:
            self.match += 1
        elif waits:
            self.waiting[waits] += 1
            if self.verbose:
                print(f"waits for {waits}: {row}\n    ours: {ours}")
        else:
            self.differing.append(row)
            print(f"differs: {row}\n    ours: {ours}")

    def report(self):
        wait = sum(self.waiting.values())
        names = ", ".join(f"{n} {c}" for n, c in self.waiting.most_common())
        print(f"{self.name}: {self.match} of {self.total} match, {wait} wait"
              + (f" ({names})" if names else "")
              + (f", {self.better} of them better" if self.better else "")
              + f", {len(self.differing)} differ")


def play_row(vmm, row):
    """(same, ours) of one recorded request or exit."""
    if "exit" in row:
        code = vmm.exit_code(PATIENCE if row["exit"] is not None else 0.3)
        return code == row["exit"], f"exit code {code}"
    ours = request(vmm, row["method"], row["path"], row["body"])
    if ours is None or row["status"] is None:
        return ours is None and row["status"] is None, ours
    status, body, headers = ours
    newer = rules.NEWER.get((row["scenario"], row.get("step")))
    if newer:
        return status == newer[0], ours
    same = (status == row["status"] and rules.same_body(body, row["response"])
            and (headers.get("Deprecation") == "true")
            == row.get("deprecation", False))
    return same, ours


def api_rows(name):
    with open(HERE / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def play_api(binary, folder, tally, only=None):
    """Every scenario of a recording, each in a process of its own."""
    scenarios = collections.OrderedDict()
    for row in api_rows(tally.name):
        scenarios.setdefault(row["scenario"], []).append(row)
    taps = may_make_taps()
    userfaultfd = os.access("/dev/userfaultfd", os.W_OK)
    for name, rows in scenarios.items():
        if only and name != only:
            continue
        with Vmm(binary, folder, rules.FLAGS.get(name, ())) as vmm:
            for row in rows:
                waits = (rules.waits_for(row) or
                         rules.lacks(row, taps, userfaultfd))
                if "exit" in row and waits:
                    # Nothing ends a process that could not load.
                    tally.add(row, False, "not played", waits)
                    continue
                same, ours = play_row(vmm, row)
                tally.add(row, same, ours, waits)


def exchange(vmm, parts, expected):
    """Send the parts, collect what comes; (bytes, closed by the server)."""
    data, closed = b"", False
    want = max(1, len(parse_responses(expected.encode("latin-1"))))
    with vmm.connect() as sock:
        for i, part in enumerate(parts):
            if i > 0:
                time.sleep(0.02)
            sock.sendall(part.encode("latin-1"))
        end = time.monotonic() + (PATIENCE if expected else QUIET)
        while not closed and time.monotonic() < end:
            if expected and len(parse_responses(data)) >= want:
                end = min(end, time.monotonic() + QUIET)
            sock.settimeout(QUIET)
            try:
                more = sock.recv(65536)
                closed = not more
                data += more
            except socket.timeout:
                pass
            except ConnectionError:
                closed = True
    return data, closed


def same_http(ours, row):
    """The rules for transport: exact bytes, or status and key."""
    theirs = parse_responses(row["receive"].encode("latin-1"))
    mine = parse_responses(ours)
    if not theirs:
        return not mine
    if not mine:
        return False
    if rules.error_of(theirs[0][2]) and "400" in theirs[0][0]:
        return (mine[0][0] == theirs[0][0] and
                rules.error_of(mine[0][2]) is not None)
    if len(mine) != len(theirs):
        return False
    for a, b in zip(mine, theirs):
        names = [h for h in a[1] if h[0] != "Content-Length"]
        if a[0] != b[0] or names != [h for h in b[1]
                                     if h[0] != "Content-Length"]:
            return False
        if [h[0] for h in a[1]] != [h[0] for h in b[1]]:
            return False
        if b[2].startswith('{"'):
            if not rules.same_body(a[2], json.loads(b[2])):
                return False
        elif a[2] != b[2]:
            return False
    return True


def play_crowd(binary, folder, rows, tally):
    """The last two exchanges: the eleventh connection, and room again."""
    with Vmm(binary, folder) as vmm:
        socks = [vmm.connect() for _ in range(10)]
        time.sleep(QUIET)
        data, closed = exchange(vmm, [], rows[0]["receive"])
        tally.add(rows[0]["send"],
                  data.decode("latin-1") == rows[0]["receive"]
                  and closed == rows[0]["closed"], data)
        socks.pop().close()
        time.sleep(QUIET)
        data, closed = exchange(vmm, ["GET /version HTTP/1.1\r\n\r\n"],
                                rows[1]["receive"])
        tally.add(rows[1]["send"], same_http(data, rows[1]), data)
        for sock in socks:
            sock.close()


def play_http(binary, folder, tally):
    """Every exchange of http.jsonl on a connection of its own."""
    with open(HERE / "http.jsonl", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with Vmm(binary, folder) as vmm:
        for row in rows[:-2]:
            data, closed = exchange(vmm, row["send"], row["receive"])
            asked = rules.BETTER.get("".join(row["send"]))
            if asked:
                mine = parse_responses(data)
                same = (len(mine) == 1 and
                        mine[0][0].split()[1] == str(asked[0]) and
                        rules.error_of(mine[0][2]) is not None)
                tally.better += same
            else:
                same = same_http(data, row)
            tally.add(row, same, (data, closed))
    play_crowd(binary, folder, rows[-2:], tally)


def play(binary, verbose=False, scenario=None):
    """All recordings of the API; a tally each."""
    api = Tally("api.jsonl", verbose)
    hotplug = Tally("hotplug.jsonl", verbose)
    http = Tally("http.jsonl", verbose)
    folder = Path(tempfile.mkdtemp(prefix="volt-conformance-"))
    try:
        make_files(folder)
        for tally in (api, hotplug):
            play_api(binary, folder, tally, scenario)
        if not scenario:
            play_http(binary, folder, http)
    finally:
        shutil.rmtree(folder)
    return api, hotplug, http


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true",
                        help="show the rows that wait, too")
    parser.add_argument("--scenario", help="only this one of api.jsonl or hotplug.jsonl")
    args = parser.parse_args()
    build = ROOT / os.environ.get("VOLT_BUILD", "build")
    tallies = play((build / "volt-vmm").resolve(), args.verbose,
                   args.scenario)
    for tally in tallies:
        if tally.total:
            tally.report()
    sys.exit(any(tally.differing for tally in tallies))


if __name__ == "__main__":
    main()
