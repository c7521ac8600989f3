# SPDX-License-Identifier: Apache-2.0
"""A bare-metal guest whose network card is at a stream socket."""

import os
import socket
import struct
import subprocess
import threading

import pytest

from conftest import BUILD, PATIENCE, Api

MAC = "06:00:ac:10:00:02"
GUEST_MAC = bytes.fromhex(MAC.replace(":", ""))
OUR_MAC = bytes.fromhex("020000000001")
GUEST = "10.0.0.2"
STOP = 9
MERGE = 1 << 15


def total(data):
    words = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    return ~words & 0xFFFF


def datagram(port, data, sender="10.0.0.1"):
    """An Ethernet frame with UDP to the guest."""
    udp = struct.pack("!HHHH", 7000, port, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17,
                       0, socket.inet_aton(sender), socket.inet_aton(GUEST))
    head = head[:10] + struct.pack("!H", total(head)) + head[12:]
    return GUEST_MAC + OUR_MAC + b"\x08\x00" + head + udp


class Peer:
    """The other end, which listens at a path."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        self.sock = None

    def accept(self):
        self.sock = self.listener.accept()[0]
        self.sock.settimeout(PATIENCE)

    def send(self, frame):
        self.sock.sendall(struct.pack("!I", len(frame)) + frame)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            assert more, "the VM has closed the socket"
            data += more
        return data

    def receive(self):
        return self.exactly(struct.unpack("!I", self.exactly(4))[0])

    def echo(self, data, **fields):
        """The guest sends it back."""
        self.send(datagram(1000, data, **fields))
        while True:
            frame = self.receive()
            if frame[12:14] == b"\x08\x00" and frame[23] == 17:
                assert frame[:12] == OUR_MAC + GUEST_MAC
                assert frame[42:] == data
                return

    def stop(self):
        self.send(datagram(STOP, b"stop"))

    def close(self):
        for sock in (self.sock, self.listener):
            if sock:
                sock.close()


@pytest.fixture
def peer(tmp_path):
    peer = Peer(tmp_path / "frames")
    yield peer
    peer.close()


def start(vmm, peer, *words, more="", flags=()):
    run = vmm.spawn([BUILD / "volt-vmm", "--no-api", *flags,
                     "--kernel", vmm.guest("netecho"),
                     "--cmdline", " ".join(words) or "none",
                     "--net", f"socket={peer.path},mac={MAC}{more}"])
    peer.accept()
    run.wait_for("listening")
    return run


@pytest.mark.parametrize("words", [
    ("features=0", "buffer=9100"), (f"features={MERGE}",), ("irq",)],
    ids=["plain", "merge", "irq"])
def test_echo(vmm, peer, words):
    run = start(vmm, peer, *words, more=",mtu=9000")
    for size in (1, 18, 1472, 8900):
        peer.echo(os.urandom(size))
    peer.stop()
    result = run.finish()
    result.assert_passed()
    # No offload was negotiated.
    assert "segments 0" in result.out or "large 0" in result.out, result.out


def test_a_peer_that_does_not_read(vmm, peer):
    """What it does not take waits, in order, and none is lost."""
    run = start(vmm, peer, more=",mtu=9000")
    data = [struct.pack("!I", i) + bytes(7996) for i in range(200)]
    writer = threading.Thread(
        target=lambda: [peer.send(datagram(1000, x)) for x in data])
    writer.start()
    writer.join(0.5)  # by now both directions may stand still
    seen = []
    while not seen or seen[-1] != 199:
        frame = peer.receive()
        if frame[23] == 17:
            seen.append(struct.unpack("!I", frame[42:46])[0])
    writer.join(PATIENCE)
    assert seen == sorted(seen)
    peer.stop()
    run.finish().assert_passed()


@pytest.mark.parametrize("last", [
    struct.pack("!I", 0), struct.pack("!I", 65551), b"\xff" * 4096,
    struct.pack("!I", 64) + b"half a frame", b""],
    ids=["zero", "too-long", "noise", "cut-off", "gone"])
def test_a_peer_that_lies_or_goes(vmm, peer, tmp_path, last):
    """The link goes down; the VM does not."""
    log = tmp_path / "log"
    sock = tmp_path / "api"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock, "--log-path", log,
                     "--level", "Info", "--kernel", vmm.guest("netecho"),
                     "--cmdline", "none",
                     "--net", f"socket={peer.path},mac={MAC}"])
    peer.accept()
    run.wait_for("listening")
    peer.echo(b"first")
    peer.sock.sendall(last)
    peer.sock.shutdown(socket.SHUT_WR)
    while peer.sock.recv(4096):
        pass
    status, answer = Api(sock).call("GET", "/")
    assert status == 200 and answer["state"] == "Running"
    assert "the guest's link is down" in log.read_text()
    run.process.kill()


def test_egress(vmm, peer, tmp_path):
    """An answer to an address that the guest may not reach stays inside."""
    metrics = tmp_path / "metrics"
    run = start(vmm, peer,
                more=",egress=-127.0.0.0/8 -169.254.0.0/16 -10.0.0.7",
                flags=("--metrics-path", metrics))
    for sender in ("169.254.169.254", "127.0.0.1", "10.0.0.7"):
        peer.send(datagram(1000, b"no", sender=sender))
    peer.echo(b"yes", sender="10.0.0.8")
    peer.stop()
    run.finish().assert_passed()
    assert '"tx_denied_count":3' in metrics.read_text()


def test_a_descriptor_that_was_left(vmm):
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    peer = Peer.__new__(Peer)
    peer.sock = ours
    ours.settimeout(PATIENCE)
    process = subprocess.Popen(
        [BUILD / "volt-vmm", "--no-api", "--kernel", vmm.guest("netecho"),
         "--cmdline", "none",
         "--net", f"socket=/dev/fd/{theirs.fileno()},mac={MAC}"],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE)
    try:
        theirs.close()
        while b"listening" not in process.stdout.readline():
            pass
        peer.echo(b"hello")
        peer.stop()
        assert process.wait(PATIENCE) == 0
        # Nobody else has kept it.
        assert ours.recv(1) == b""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        ours.close()


def api_vmm(vmm, name):
    sock = vmm.folder / name
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    return run, api


def test_snapshot(vmm, peer, tmp_path):
    """A guest goes on in another process, at another socket; its rules go
    along."""
    run, api = api_vmm(vmm, "first")
    api.set("PUT", "/boot-source",
            {"kernel_image_path": str(vmm.guest("netecho")),
             "boot_args": "none"})
    api.set("PUT", "/network-interfaces/n0",
            {"iface_id": "n0", "host_dev_name": peer.path, "guest_mac": MAC,
             "egress": "-10.0.0.7"})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    peer.accept()
    run.wait_for("listening")
    peer.echo(b"one")
    api.set("PATCH", "/vm", {"state": "Paused"})
    files = {"snapshot_path": str(vmm.folder / "state"),
             "mem_file_path": str(vmm.folder / "memory")}
    api.set("PUT", "/snapshot/create", files)
    api.set("PATCH", "/vm", {"state": "Resumed"})
    peer.echo(b"two")
    run.process.kill()
    run.process.wait()
    other = Peer(tmp_path / "other")
    try:
        run, api = api_vmm(vmm, "second")
        api.set("PUT", "/snapshot/load",
                {**files, "resume_vm": True, "network_overrides": [
                    {"iface_id": "n0", "host_dev_name": other.path}]})
        other.accept()
        other.send(datagram(1000, b"no", sender="10.0.0.7"))
        other.echo(b"three")
        net = api.call("GET", "/vm/config")[1]["network-interfaces"][0]
        assert net["egress"] == "-10.0.0.7"
        assert net["host_dev_name"] == other.path
        other.stop()
        assert "ok stopped-by-the-host" in run.finish().lines()
    finally:
        other.close()


def test_a_descriptor_is_not_restored(vmm, tmp_path):
    """Its number means something else in another process."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [BUILD / "volt-vmm", "--api-sock", tmp_path / "api", "--kernel",
         vmm.guest("netecho"), "--cmdline", "none", "--net",
         f"socket=/dev/fd/{theirs.fileno()},mac={MAC}"],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE)
    try:
        api = Api(tmp_path / "api")
        api.wait()
        while b"listening" not in process.stdout.readline():
            pass
        api.set("PATCH", "/vm", {"state": "Paused"})
        (tmp_path / "snap").mkdir()
        api.set("PUT", "/snapshot/create",
                {"snapshot_path": f"{tmp_path}/snap/"})
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        ours.close()
        theirs.close()
    result = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                        tmp_path / "snap"]).finish()
    assert result.code != 0
    assert "a restore has to name another socket" in result.log, result.log


@pytest.mark.parametrize("net, says", [
    ("socket={none}", "No such file"),
    ("socket={file}", "Connection refused"),
    ("socket=/dev/fd/99", "no connected stream socket"),
    ("socket=/dev/fd/0", "no connected stream socket"),
    ("socket={path},vhost", "vhost needs a tap"),
    ("socket={path},egress=127.0.0.1", "is no rule"),
    ("tap=vt0,egress=-127.0.0.1", "firewall")])
def test_refused(vmm, peer, tmp_path, net, says):
    (tmp_path / "file").touch()
    net = net.format(none=tmp_path / "none", file=tmp_path / "file",
                     path=peer.path)
    result = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--kernel",
                        vmm.guest("netecho"), "--net", net]).finish()
    assert result.code == 1 and says in result.log, result.log


def test_no_metadata_service(vmm, peer):
    _, api = api_vmm(vmm, "api")
    api.set("PUT", "/boot-source",
            {"kernel_image_path": str(vmm.guest("netecho"))})
    api.set("PUT", "/network-interfaces/n0",
            {"iface_id": "n0", "host_dev_name": peer.path})
    api.set("PUT", "/mmds/config", {"network_interfaces": ["n0"]})
    status, answer = api.call("PUT", "/actions",
                              {"action_type": "InstanceStart"})
    assert status == 400
    assert "metadata service do not go together" in answer["fault_message"]
