# SPDX-License-Identifier: Apache-2.0
"""The calls that existing Firecracker clients make, in their order and shape.

go-sdk (and with it Ignite, containerd and Nomad), Kata's two runtimes: the
guests are bare-metal ones, the taps are in a namespace of the test's own.
"""

import json
import os
import signal
import time

import pytest

from conftest import BUILD, Api, UnixHttp, need_tun
from netns import Namespace

SECTORS = 8192
MAC = "06:00:ac:10:00:02"


@pytest.fixture
def ns():
    need_tun()
    namespace = Namespace()
    namespace.run("ip", "tuntap", "add", "vt0", "mode", "tap")
    namespace.run("ip", "link", "set", "vt0", "up")
    yield namespace
    namespace.close()


class Sdk(UnixHttp):
    """One keep-alive connection with the headers of Go's HTTP client."""

    def ask(self, method, url, body=None):
        headers = {"User-Agent": "Go-http-client/1.1",
                   "Accept": "application/json", "Accept-Encoding": "gzip"}
        if body is not None:
            body = json.dumps(body) + "\n"
            headers["Content-Type"] = "application/json"
        self.request(method, url, body, headers)
        answer = self.getresponse()
        data = answer.read()
        assert not answer.will_close
        return answer.status, data

    def set(self, method, url, body):
        assert self.ask(method, url, body) == (204, b""), url

    def get(self, url):
        status, data = self.ask("GET", url)
        assert status == 200, data
        return json.loads(data)


def connect(run, sock):
    """GET /machine-config every 10 ms until it answers, as go-sdk does."""
    end = time.monotonic() + 60
    while True:
        client = Sdk(sock)
        try:
            client.get("/machine-config")
            return client
        except (FileNotFoundError, ConnectionRefusedError):
            assert run.process.poll() is None and time.monotonic() < end
            time.sleep(0.01)


def fifo(path):
    """Made and held open as go-sdk does; read only at the end, if at all."""
    os.mkfifo(path)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def start_sdk(vmm, ns, folder, guest="ticker"):
    """A machine as go-sdk's handlers configure it, running."""
    sock = folder / f"sdk{len(vmm.started)}.sock"
    run = vmm.spawn([*ns.join, BUILD / "volt-vmm", "--api-sock", sock])
    client = connect(run, sock)
    (folder / "data").write_bytes(bytes(SECTORS * 512))
    (folder / "stub").write_bytes(b"")
    client.set("PUT", "/logger", {
        "log_path": str(folder / "log.fifo"), "level": "Debug",
        "show_level": True, "show_log_origin": False})
    client.set("PUT", "/metrics", {"metrics_path": str(folder / "m.fifo")})
    client.set("PUT", "/machine-config", {
        "vcpu_count": 1, "mem_size_mib": 128, "smt": False,
        "track_dirty_pages": False, "cpu_template": "None"})
    client.set("PUT", "/boot-source", {
        "kernel_image_path": str(vmm.guest(guest)), "boot_args": "none"})
    for name in ("data", "stub"):
        client.set("PUT", f"/drives/{name}", {
            "drive_id": name, "path_on_host": str(folder / name),
            "is_root_device": False, "is_read_only": False})
    client.set("PUT", "/network-interfaces/1", {
        "iface_id": "1", "host_dev_name": "vt0", "guest_mac": MAC})
    client.set("PUT", "/vsock", {
        "vsock_id": "agent", "guest_cid": 3,
        "uds_path": str(folder / f"v{len(vmm.started)}.sock")})
    assert client.get("/")["state"] == "Not started"
    client.set("PUT", "/actions", {"action_type": "InstanceStart"})
    return run, client


def test_go_sdk(vmm, ns, tmp_path):
    """Configure, start, look, patch, flush, snapshot, load, SIGTERM."""
    fds = [fifo(tmp_path / x) for x in ("log.fifo", "m.fifo")]
    run, client = start_sdk(vmm, ns, tmp_path)
    run.wait_for("tick 2")
    assert client.get("/")["state"] == "Running"
    config = client.get("/vm/config")
    assert [x["drive_id"] for x in config["drives"]] == ["data", "stub"]
    assert "vsock_id" not in config["vsock"]
    assert config["network-interfaces"][0]["guest_mac"] == MAC
    client.set("PATCH", "/drives/stub", {
        "drive_id": "stub", "path_on_host": str(tmp_path / "data")})
    client.set("PATCH", "/network-interfaces/1", {
        "iface_id": "1", "rx_rate_limiter": {
            "bandwidth": {"size": 1000, "refill_time": 100}}})
    client.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    lines = [json.loads(x) for x in os.read(fds[1], 1 << 20).splitlines()]
    last = lines[-1]
    for kind, names in (("block", ("data", "stub")), ("net", ("1",))):
        for key, value in last[kind].items():
            if isinstance(value, int):
                assert value == sum(last[f"{kind}_{n}"][key] for n in names)
    assert sum(x["deprecated_api"]["deprecated_http_api_calls"]
               for x in lines) == 2
    assert b"/boot-source" in os.read(fds[0], 1 << 20)
    files = {"snapshot_path": str(tmp_path / "state"),
             "mem_file_path": str(tmp_path / "mem")}
    client.set("PATCH", "/vm", {"state": "Paused"})
    client.set("PUT", "/snapshot/create", files)
    client.set("PATCH", "/vm", {"state": "Resumed"})
    run.wait_for("tick ")
    run.process.send_signal(signal.SIGTERM)
    assert run.finish().code == -signal.SIGTERM
    (tmp_path / "v1.sock").unlink(missing_ok=True)
    sock = tmp_path / "load.sock"
    run = vmm.spawn([*ns.join, BUILD / "volt-vmm", "--api-sock", sock])
    client = connect(run, sock)
    client.set("PUT", "/snapshot/load", {
        "snapshot_path": files["snapshot_path"], "mem_backend": {
            "backend_type": "File", "backend_path": files["mem_file_path"]},
        "enable_diff_snapshots": False, "resume_vm": True})
    run.wait_for("tick ")
    for fd in fds:
        os.close(fd)


def test_nobody_reads_and_stdin_ends(vmm, ns, tmp_path):
    """FIFOs fill, stdin ends, stdout's reader dies: API and SIGTERM go on."""
    fds = [fifo(tmp_path / x) for x in ("log.fifo", "m.fifo")]
    run, client = start_sdk(vmm, ns, tmp_path)
    run.process.stdin.close()
    run.wait_for("tick 2")
    run.process.stdout.close()
    for _ in range(300):
        client.get("/")
        client.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    client.set("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == -signal.SIGTERM
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT,
                                    signal.SIGTERM, signal.SIGHUP,
                                    signal.SIGABRT, signal.SIGUSR1,
                                    signal.SIGUSR2])
def test_forwarded_signal_ends_it(vmm, ns, tmp_path, number):
    """go-sdk forwards these; each ends the VMM."""
    fds = [fifo(tmp_path / x) for x in ("log.fifo", "m.fifo")]
    run, _ = start_sdk(vmm, ns, tmp_path)
    run.wait_for("tick 1")
    run.process.send_signal(number)
    want = 156 if number == signal.SIGHUP else -number
    assert run.process.wait(60) == want
    for fd in fds:
        os.close(fd)


def placeholders(folder, number):
    (folder / "pool").write_bytes(b"")
    return [{"drive_id": f"drive_{i}", "path_on_host": str(folder / "pool"),
             "is_root_device": False, "is_read_only": False}
            for i in range(number)]


def grow(run, api, folder, name, more):
    """PATCH of a placeholder: the guest sees the new capacity."""
    (folder / "real").write_bytes(b"\x42" * (SECTORS * 512))
    run.wait_for("ready")
    api.set("PATCH", f"/drives/{name}", {
        "drive_id": name, "path_on_host": str(folder / "real"), **more})
    run.finish().assert_passed()


def test_kata_go(vmm, tmp_path):
    """--config-file with eight placeholders, GET /, PATCH of a path."""
    config = tmp_path / "fcConfig.json"
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(vmm.guest("blk")),
                        "boot_args": f"acpi=off pci=off resize={SECTORS}"},
        "drives": placeholders(tmp_path, 8),
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
        "vsock": {"guest_cid": 3, "uds_path": str(tmp_path / "v.sock")}}))
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", tmp_path / "a.sock",
                     "--config-file", config])
    api = Api(tmp_path / "a.sock")
    assert api.wait()[1]["state"] == "Running"
    grow(run, api, tmp_path, "drive_0", {})


def test_kata_runtime_rs(vmm, ns, tmp_path):
    """--no-seccomp, vsock_id root, null guest_mac, null buckets."""
    run = vmm.spawn([*ns.join, BUILD / "volt-vmm", "--no-seccomp",
                     "--api-sock", tmp_path / "a.sock"])
    api = Api(tmp_path / "a.sock")
    api.wait()
    nulls = {"bandwidth": None, "ops": None}
    api.set("PUT", "/boot-source", {
        "kernel_image_path": str(vmm.guest("blk")),
        "boot_args": f"acpi=off pci=off resize={SECTORS}"})
    api.set("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128})
    for body in placeholders(tmp_path, 5):
        api.set("PUT", f"/drives/{body['drive_id']}",
                {**body, "rate_limiter": nulls})
    api.set("PUT", "/network-interfaces/eth0", {
        "iface_id": "eth0", "host_dev_name": "vt0", "guest_mac": None,
        "rx_rate_limiter": nulls, "tx_rate_limiter": nulls})
    api.set("PUT", "/vsock", {"vsock_id": "root", "guest_cid": 3,
                              "uds_path": str(tmp_path / "v.sock")})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    assert api.call("GET", "/")[1]["state"] == "Running"
    grow(run, api, tmp_path, "drive_0", {"rate_limiter": nulls})
