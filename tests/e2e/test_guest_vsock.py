# SPDX-License-Identifier: Apache-2.0
"""The socket device with a bare-metal guest, and real sockets on the host."""

import json
import socket
import subprocess

import pytest

from conftest import BUILD, Api, Case, long_only
from vsock_host import allow_descriptors, connect, echo, listen

QUIT = 1


class Guest:
    """tests/guest/vsock.c with its socket."""

    def __init__(self, vmm, folder, cmdline="", **fields):
        allow_descriptors(4096)
        self.path = folder / "v.sock"
        device = {"guest_cid": 7, "uds_path": str(self.path)}
        self.run = vmm.start("vsock", f"cid=7 {cmdline}".strip(),
                             devices={"vsock": device}, **fields)

    def wait(self):
        self.run.wait_for("ready")
        return self

    def connect(self, port=9):
        return connect(self.path, port)

    def finish(self):
        """The guest ends by itself, all its checks passed."""
        self.connect(QUIT).close()
        result = self.run.finish()
        result.assert_passed()
        return result


@pytest.fixture
def guest(vmm, tmp_path):
    return Guest(vmm, tmp_path).wait()


def test_both_ways(guest):
    sent, got = echo(guest.connect(), 64 << 20)
    assert got == sent
    guest.finish()


@long_only("1 GiB")
def test_one_gibibyte_both_ways(guest):
    sent, got = echo(guest.connect(), 1 << 30)
    assert got == sent
    guest.finish()


def test_odd_sizes(guest):
    for total in (0, 1, 43, 4095, 4096, 65535, 65536, 65537, 1000003):
        sent, got = echo(guest.connect(), total, seed=total)
        assert got == sent
    guest.finish()


def test_a_thousand_clients_of_the_host(guest):
    socks = [guest.connect(port) for port in range(1000, 2000)]
    for number, sock in enumerate(socks):
        sock.sendall(b"%d." % number)
    for number, sock in enumerate(socks):
        want = b"%d." % number
        assert sock.recv(len(want), socket.MSG_WAITALL) == want
    for sock in socks:
        sock.close()
    guest.finish()


def test_the_1024th_is_refused(guest):
    socks = [guest.connect() for _ in range(1023)]
    assert all(socks)
    assert guest.connect() is None
    socks.pop().close()
    while not (sock := guest.connect()):
        pass  # the guest has to see the end first
    socks.append(sock)
    for sock in socks:
        sock.close()
    while not (sock := guest.connect(QUIT)):
        pass
    guest.run.finish().assert_passed()


def test_a_thousand_connections_of_the_guest(vmm, tmp_path):
    listener = listen(tmp_path / "v.sock", 52, backlog=16)
    guest = Guest(vmm, tmp_path, "connect=1000")
    socks = [listener.accept()[0] for _ in range(1000)]
    guest.wait()
    for number, sock in enumerate(socks):
        sock.settimeout(60)
        sock.sendall(b"%d." % number * 100)
    for number, sock in enumerate(socks):
        want = b"%d." % number * 100
        assert sock.recv(len(want), socket.MSG_WAITALL) == want
    for sock in socks:
        sock.close()
    guest.finish()


def test_hostile_guest(vmm, tmp_path):
    """Every broken packet and ring, and after them a driver that works."""
    guest = Guest(vmm, tmp_path, "hostile=1").wait()
    sent, got = echo(guest.connect(), 1 << 20)
    assert got == sent
    result = guest.finish()
    assert result.log.count("malformed packet") <= 10


def test_half_close_and_metrics(vmm, tmp_path):
    metrics = tmp_path / "metrics"
    guest = Guest(vmm, tmp_path, extra=("--metrics-path", str(metrics))).wait()
    sock = guest.connect()
    sock.sendall(b"half")
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(100) == b"half"
    assert sock.recv(100) == b""
    guest.finish()
    lines = [json.loads(x)["vsock"] for x in metrics.read_text().splitlines()]
    total = {key: sum(x[key] for x in lines) for key in lines[0]}
    assert total["rx_bytes_count"] == total["tx_bytes_count"] == 4
    assert total["conns_added"] == total["conns_removed"] == 2
    assert total["tx_flush_fails"] == total["rx_read_fails"] == 0


def test_pause_and_resume(vmm, tmp_path):
    path = tmp_path / "v.sock"
    case = Case("vsock", "cid=3",
                devices={"vsock": {"guest_cid": 3, "uds_path": str(path)}})
    run, api = vmm.start_api(case)
    run.wait_for("ready")
    client = connect(path, 9)
    api.set("PATCH", "/vm", {"state": "Paused"})
    client.sendall(b"while paused")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)
    api.set("PATCH", "/vm", {"state": "Resumed"})
    client.settimeout(60)
    assert client.recv(100) == b"while paused"
    client.close()


def test_snapshot(vmm, tmp_path):
    """A clone's guest learns that its connections are gone, and serves new
    ones at a path of its own; the VM that was saved keeps its connections."""
    path, clone_path = tmp_path / "v.sock", tmp_path / "clone.sock"
    case = Case("vsock", "cid=3",
                devices={"vsock": {"guest_cid": 3, "uds_path": str(path)}})
    run, api = vmm.start_api(case)
    run.wait_for("ready")
    client = connect(path, 9)
    files = {"snapshot_path": str(tmp_path / "state"),
             "mem_file_path": str(tmp_path / "mem")}
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", files)
    api.set("PATCH", "/vm", {"state": "Resumed"})
    client.sendall(b"still here")
    assert client.recv(100) == b"still here"
    sock = tmp_path / "clone-api.sock"
    clone = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    clone_api = Api(sock)
    clone_api.wait()
    clone_api.set("PUT", "/snapshot/load", {
        "snapshot_path": files["snapshot_path"], "resume_vm": True,
        "mem_backend": {"backend_type": "File",
                        "backend_path": files["mem_file_path"]},
        "vsock_override": {"uds_path": str(clone_path)}})
    clone.wait_for("ok transport-reset")
    sent, got = echo(connect(clone_path, 9), 1 << 20)
    assert got == sent
    assert clone_api.call("GET", "/vm/config")[1]["vsock"] == {
        "guest_cid": 3, "uds_path": str(clone_path)}
    client.close()


def ask(path, port):
    """A client that has sent its line and not yet read the answer."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(str(path))
    sock.sendall(b"CONNECT %d\n" % port)
    return sock


def answer(sock):
    """The host's port in "OK <port>"."""
    line = b""
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        assert byte, f"cut after {line!r}"
        line += byte
    return int(line[3:])


def test_clients_of_a_restored_vm(vmm, tmp_path):
    """Nobody who connects before the resume or with it is cut, and no port of
    the VM that was saved is used again."""
    path, clone_path = tmp_path / "v.sock", tmp_path / "clone.sock"
    case = Case("vsock", "cid=3",
                devices={"vsock": {"guest_cid": 3, "uds_path": str(path)}})
    run, api = vmm.start_api(case)
    run.wait_for("ready")
    held = [ask(path, 9) for _ in range(3)]
    ports = [answer(sock) for sock in held]
    files = {"snapshot_path": str(tmp_path / "state"),
             "mem_file_path": str(tmp_path / "mem")}
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", files)
    sock = tmp_path / "clone-api.sock"
    clone = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    clone_api = Api(sock)
    clone_api.wait()
    clone_api.set("PUT", "/snapshot/load", {
        "snapshot_path": files["snapshot_path"], "resume_vm": False,
        "mem_backend": {"backend_type": "File",
                        "backend_path": files["mem_file_path"]},
        "vsock_override": {"uds_path": str(clone_path)}})
    clients = [ask(clone_path, 9) for _ in range(8)]
    clone_api.set("PATCH", "/vm", {"state": "Resumed"})
    clients += [ask(clone_path, 9) for _ in range(8)]
    for number, client in enumerate(clients):
        assert answer(client) > max(ports)
        client.sendall(b"client %d" % number)
        want = b"client %d" % number
        assert client.recv(len(want), socket.MSG_WAITALL) == want
    clone.wait_for("ok transport-reset")
    for one in held + clients:
        one.close()


def test_an_empty_path_for_a_clone(vmm, tmp_path):
    """Over the API and by flag: no abstract socket."""
    path = tmp_path / "v.sock"
    case = Case("vsock", "cid=3",
                devices={"vsock": {"guest_cid": 3, "uds_path": str(path)}})
    run, api = vmm.start_api(case)
    run.wait_for("ready")
    folder = str(tmp_path / "snap") + "/"
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {"snapshot_path": folder})
    sock = tmp_path / "clone-api.sock"
    vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    clone_api = Api(sock)
    clone_api.wait()
    status, answer = clone_api.call("PUT", "/snapshot/load", {
        "snapshot_path": folder, "vsock_override": {"uds_path": ""}})
    assert status == 400
    assert "the path is empty" in answer["fault_message"]
    by_flag = subprocess.run(
        [BUILD / "volt-vmm", "--restore", folder, "--vsock", ""], text=True,
        capture_output=True, check=False)
    assert by_flag.returncode == 1
    assert "the path is empty" in by_flag.stderr


def test_the_file_goes_with_its_vm(guest):
    assert guest.path.is_socket()
    guest.finish()
    assert not guest.path.exists()


def test_a_file_of_somebody_else_stays(guest):
    guest.path.unlink()
    guest.path.write_text("mine")
    guest.run.process.terminate()
    guest.run.finish()
    assert guest.path.read_text() == "mine"
