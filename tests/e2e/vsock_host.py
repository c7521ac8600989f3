# SPDX-License-Identifier: Apache-2.0
"""The host's side of a VM's socket device: Unix sockets, as users make them."""

import hashlib
import random
import resource
import socket
import threading

BLOCK = 1 << 20


def allow_descriptors(count):
    """Raise this process's limit (and that of VMMs it starts)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def connect(path, port, seconds=60):
    """A connection to @port of the guest; None when it is refused."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(seconds)
    sock.connect(str(path))
    line = b""
    try:
        sock.sendall(f"CONNECT {port}\n".encode())
        while not line.endswith(b"\n"):
            byte = sock.recv(1)
            if not byte:
                raise ConnectionResetError
            line += byte
    except (BrokenPipeError, ConnectionResetError):
        sock.close()
        return None
    assert line.startswith(b"OK "), line
    assert int(line[3:]) >= 1 << 30
    return sock


def listen(path, port, backlog=1024):
    """Where the guest's connections to @port of the host arrive."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.bind(f"{path}_{port}")
    sock.listen(backlog)
    return sock


def blocks(total, seed):
    """@total pseudo-random bytes in blocks that all differ."""
    base = random.Random(seed).randbytes(BLOCK)
    for number in range(0, total, BLOCK):
        block = number.to_bytes(8, "big") + base[8:]
        yield block[:total - number]


def receive_all(sock):
    """(bytes, SHA-256) until the end of the stream."""
    seen, digest = 0, hashlib.sha256()
    while data := sock.recv(BLOCK):
        seen += len(data)
        digest.update(data)
    return seen, digest.hexdigest()


def echo(sock, total, seed=1):
    """Send, and read what comes back: both as (bytes, SHA-256)."""
    digest = hashlib.sha256()

    def send():
        for block in blocks(total, seed):
            digest.update(block)
            sock.sendall(block)
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    got = receive_all(sock)
    thread.join(60)
    return (total, digest.hexdigest()), got
