# SPDX-License-Identifier: Apache-2.0
"""What the tests of the API share: a volt-vmm and ways to talk to it."""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import conformance  # noqa: E402


def gate_of(pid):
    """The child of a volt-vmm that serves its API, once it is what it is."""
    end = time.monotonic() + conformance.PATIENCE
    while time.monotonic() < end:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found and Path(f"/proc/{found[0]}/comm").read_text() == "fc_api\n":
            assert len(found) == 1, found
            return int(found[0])
        time.sleep(0.002)
    raise AssertionError(f"process {pid} has no gate")


class Api(conformance.Vmm):
    """A volt-vmm with its API socket and log in @folder."""

    def __init__(self, build, folder, *flags):
        self.folder = folder
        super().__init__(build / "volt-vmm", folder, flags)

    @property
    def pid(self):
        return self.process.pid

    def call(self, method, path, body=None):
        """(status, parsed body or None); fails when the process is gone."""
        answer = conformance.request(self, method, path, body)
        assert answer is not None, self.log_text()[-2000:]
        status, text, _ = answer
        return status, json.loads(text) if text else None

    def ok(self, method, path, body=None):
        """A request that has to succeed; its body."""
        status, answer = self.call(method, path, body)
        assert status == (200 if method == "GET" else 204), answer
        return answer

    def fault(self, method, path, body=None):
        """A request that has to fail; its fault_message."""
        status, answer = self.call(method, path, body)
        assert status == 400, (status, answer)
        assert set(answer) == {"fault_message"}
        return answer["fault_message"]

    def send(self, *parts):
        """Raw bytes on a connection of their own; the connection."""
        sock = self.connect()
        for part in parts:
            sock.sendall(part)
        return sock

    def alive(self):
        """The API answers on a fresh connection."""
        return self.call("GET", "/version")[0] == 200

    def log_text(self):
        return (self.folder / "vmm.log").read_text(errors="replace")

    def halves(self):
        return self.pid, self.gate()

    def rss_kib(self):
        """Of both halves."""
        return sum(int(Path(f"/proc/{pid}/status").read_text()
                       .split("VmRSS:")[1].split()[0])
                   for pid in self.halves())

    def cpu_ticks(self):
        """User and system time of both halves so far, in clock ticks."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
                 for pid in self.halves()]
        return sum(int(x) for stat in stats for x in stat.split()[11:13])

    def gate(self):
        """The PID of the half that serves the API."""
        return gate_of(self.pid)

    def nr_fds(self):
        """Of both halves."""
        return sum(len(os.listdir(f"/proc/{pid}/fd"))
                   for pid in self.halves())

    def idle_fds(self):
        """Descriptors without any client."""
        self.send(b"GET").close()
        before = None
        while before != self.nr_fds():
            before = self.nr_fds()
            time.sleep(0.1)
        return before

    def wait_for_fds(self, number):
        """Closed connections are noticed in a moment, all of them."""
        end = time.monotonic() + conformance.PATIENCE
        while self.nr_fds() != number and time.monotonic() < end:
            time.sleep(0.02)
        assert self.nr_fds() == number


def read_response(sock):
    """One response: (status, body text); None when the server closed."""
    data = b""
    while conformance.parse_response(data) is None:
        try:
            more = sock.recv(65536)
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    line, _, body, rest = conformance.parse_response(data)
    assert not rest, rest
    return int(line.split()[1]), body


def read_response_or_none(sock):
    """One response and whatever follows it, if there is any at all."""
    data = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    except ConnectionError:
        pass
    responses = conformance.parse_responses(data)
    return (int(responses[0][0].split()[1]), responses[0][2]) \
        if responses else None


def put(path, body):
    """The bytes of a PUT request."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"PUT {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(text)}\r\n\r\n").encode() + text
