# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears of volt-vmm, locked as it is."""

import json
import os
import signal
import socket
import subprocess

import pytest

from conftest import BUILD

GUEST = BUILD / "tests/guest/ticker.elf"


@pytest.fixture
def manager(tmp_path, vmm):
    """NOTIFY_SOCKET's other end; @vmm skips where there is no KVM."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        sock.bind(str(tmp_path / "notify"))
        yield sock


def start(manager, folder, *args, env=None, stdout=None, config=None):
    """A volt-vmm as a unit starts it; @config: False is none."""
    name = manager.getsockname()
    name = "@" + name[1:].decode() if isinstance(name, bytes) else name
    (folder / "vm.json").write_text(json.dumps(config or {
        "boot-source": {"kernel_image_path": str(GUEST),
                        "boot_args": "period=100"},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 32},
        "drives": []}))
    return subprocess.Popen(
        [BUILD / "volt-vmm", *args, *(
            [] if config is False else ["--config-file", folder / "vm.json"])],
        env={**os.environ, "NOTIFY_SOCKET": name, **(env or {})},
        stdin=subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL,
        stderr=open(folder / "log", "wb"))


def heard(manager):
    return manager.recv(4096).decode().splitlines()


def api(sock, method, path, body):
    subprocess.run(["curl", "-sSf", "-X", method, "--unix-socket", sock,
                    f"http://localhost/{path}", "-d", json.dumps(body)],
                   timeout=60, check=True)


RUNNING = "STATUS=Running: 1 CPU, 32 MiB"


@pytest.mark.parametrize("flags", [
    ["--no-api"], ["--api-sock", "SOCK"], ["--no-api", "--isolate"]],
    ids=["no-api", "api", "isolate"])
@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_is_told_of_the_vm(manager, tmp_path, flags, abstract):
    if abstract:
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(60)
        manager.bind(f"\0volt-test-{os.getpid()}-{tmp_path.name}")
    flags = [str(tmp_path / "sock") if x == "SOCK" else x for x in flags]
    vm = start(manager, tmp_path, *flags)
    try:
        first = heard(manager)
        if first[0].startswith("STATUS=") and "namespace" in first[0]:
            pytest.skip(first[0])
        assert first == ["READY=1", RUNNING]
        vm.send_signal(signal.SIGTERM)
        assert heard(manager) == ["STOPPING=1", "STATUS=Ended by signal 15"]
        assert vm.wait(60) == -signal.SIGTERM
    finally:
        vm.kill()
        vm.wait(60)


def test_a_client_starts_it(manager, tmp_path):
    sock = tmp_path / "sock"
    vm = start(manager, tmp_path, "--api-sock", sock, "--sandbox-first",
               config=False)
    try:
        assert heard(manager) == ["STATUS=Waiting for a client of the API"]
        api(sock, "PUT", "machine-config",
            {"vcpu_count": 1, "mem_size_mib": 32})
        api(sock, "PUT", "boot-source", {"kernel_image_path": str(GUEST)})
        api(sock, "PUT", "actions", {"action_type": "InstanceStart"})
        assert heard(manager) == ["READY=1", RUNNING]
        api(sock, "PATCH", "vm", {"state": "Paused"})
        assert heard(manager) == ["STATUS=Paused: 1 CPU, 32 MiB"]
        api(sock, "PATCH", "vm", {"state": "Resumed"})
        assert heard(manager) == [RUNNING]
    finally:
        vm.kill()
        vm.wait(60)


def test_a_vm_that_does_not_start(manager, tmp_path):
    vm = start(manager, tmp_path, "--no-api", config={
        "boot-source": {"kernel_image_path": "/nonexistent"}, "drives": []})
    told = heard(manager)
    assert told[0] == "STOPPING=1"
    assert "The kernel file cannot be opened" in told[1] and len(told) == 2
    assert vm.wait(60) == 1


def test_the_watchdog_hears_of_it(manager, tmp_path):
    vm = start(manager, tmp_path, "--no-api", env={"WATCHDOG_USEC": "200000"})
    try:
        assert heard(manager) == ["READY=1", RUNNING]
        for _ in range(3):
            assert heard(manager) == ["WATCHDOG=1"]
    finally:
        vm.kill()
        vm.wait(60)


def test_nobody_listens(manager, tmp_path):
    """The VM is there all the same, and the log says so."""
    out, ours = socket.socketpair()  # what journald gives a unit
    vm = start(manager, tmp_path, "--no-api", stdout=out,
               env={"NOTIFY_SOCKET": "/nonexistent/notify"})
    out.close()
    try:
        ours.settimeout(60)
        text = b""
        while b"tick 2" not in text:
            data = ours.recv(4096)
            assert data, (tmp_path / "log").read_text()
            text += data
    finally:
        vm.kill()
        vm.wait(60)
    assert "Cannot reach the service manager at NOTIFY_SOCKET=/nonexistent/" \
        "notify: " in (tmp_path / "log").read_text()
