# SPDX-License-Identifier: Apache-2.0
"""A client of volt-pool's protocol, and a daemon that a test starts."""

import array
import json
import os
import signal
import socket
import subprocess
import time

from patience import PATIENCE

MESSAGE_MAX = 64 << 10


class Refused(Exception):
    """An answer that is an error: its code, and its text."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['text']}")
        self.code = error["code"]
        self.text = error["text"]


class Leased:
    """A VM that is ours, with the descriptors that came with it."""

    def __init__(self, lease, fds):
        self.id, self.name, self.pid = lease["id"], lease["name"], lease["pid"]
        self.path, self.us = lease["api"], lease["us"]
        self.pidfd = fds[0]
        self.sock = socket.socket(fileno=fds[1]) if len(fds) > 1 else None

    def close(self):
        os.close(self.pidfd)
        if self.sock:
            self.sock.close()


class PoolClient:
    """One connection. Answers come in any order: they are kept by tag."""

    def __init__(self, path, seconds=PATIENCE):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(seconds)
        self.sock.connect(str(path))
        self.tag = 0
        self.came = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, what, **members):
        """A request; its tag."""
        self.tag += 1
        self.sock.sendall(json.dumps(
            {"v": 1, "tag": self.tag, what: members}).encode())
        return self.tag

    def receive(self):
        """The next answer, whichever it is, and its descriptors."""
        text, extra, flags, _ = self.sock.recvmsg(
            MESSAGE_MAX, socket.CMSG_SPACE(8))
        if not text:
            raise ConnectionResetError("the pool has hung up")
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        fds = array.array("i")
        for _, _, data in extra:
            fds.frombytes(data)
        return json.loads(text), list(fds)

    def answer(self, tag):
        while tag not in self.came:
            answer, fds = self.receive()
            self.came[answer["tag"]] = answer, fds
        answer, fds = self.came.pop(tag)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer, fds

    def call(self, what, **members):
        return self.answer(self.send(what, **members))

    def lease(self, pool, **members):
        return self.leased(self.send("lease", pool=pool, **members))

    def leased(self, tag):
        answer, fds = self.answer(tag)
        return Leased(answer["lease"], fds)

    def pools(self):
        return {row["pool"]: row for row in self.call("ls")[0]["ls"]["pools"]}

    def members(self, pool=None):
        rows, after = [], {}
        while True:
            ls = self.call("ls", members=True, **after,
                           **({"pool": pool} if pool else {}))[0]["ls"]
            rows += ls["members"]
            if not ls.get("more"):
                return rows
            after = {"after": rows[-1]["id"]}

    def exit_of(self, name):
        return self.call("wait", name=name)[0]["exit"]

    def metrics(self, form="json"):
        _, fds = self.call("metrics", format=form)
        with os.fdopen(fds[0]) as file:
            text = file.read()
        return json.loads(text) if form == "json" else text

    def until(self, pool, seconds=PATIENCE, **want):
        """Wait until the pool's row has these values."""
        end = time.monotonic() + seconds
        while True:
            row = self.pools()[pool]
            if all(row[key] == value for key, value in want.items()):
                return row
            assert time.monotonic() < end, f"{row}, and not {want}"
            time.sleep(0.005)


class PoolDaemon:
    """A volt-pool with a folder of its own; @wrapper: a command before it."""

    def __init__(self, build, folder, wrapper=(), options=(), **popen):
        self.build, self.folder, self.popen = build, folder, popen
        self.wrapper, self.options = wrapper, options
        self.socket = folder / "pool.sock"
        self.dir = folder / "pool"
        self.log = folder / "pool.log"
        self.process = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, self.build / "volt-pool", "--socket",
                 self.socket, "--dir", self.dir, *self.options],
                stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, **self.popen)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                # One that was killed listens for a moment more, through a
                # child that has not run its program yet.
                with self.client() as client:
                    client.call("ls")
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.002)

    def client(self, seconds=PATIENCE):
        return PoolClient(self.socket, seconds)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()
