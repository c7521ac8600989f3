# SPDX-License-Identifier: Apache-2.0
"""What a lease of a pool brings its VM: drives, limiters, taps, the vsock."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, Api
from patience import PATIENCE
from poolclient import PoolDaemon
from test_lease import MIB, saved, tap  # noqa: F401
from test_pool import make, processes, refused, until
from test_snapshot_state import taps  # noqa: F401

BYTES = {"bandwidth": {"size": 1 << 29, "refill_time": 100}}
FRAMES = {"ops": {"size": 77, "one_time_burst": 5, "refill_time": 100}}


@pytest.fixture
def client(taps):  # noqa: F811
    """Of a daemon where the taps are."""
    folder = Path(tempfile.mkdtemp(prefix="volt-pool-", dir="/tmp"))
    daemon = PoolDaemon(BUILD, folder, taps.join)
    try:
        with daemon.client() as one:
            yield one
    finally:
        daemon.kill()
        for pid in processes(folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not processes(folder))
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["clone", "shell"])
def test_all_of_it_in_one_lease(client, taps, tmp_path, saved,  # noqa: F811
                                kind):
    """Of a shell as of a clone, and each has what is its own."""
    make(client, saved, kind=kind)
    for number in (1, 2):
        tap(taps, f"vt{number}")
        image = tmp_path / f"own{number}.img"
        image.write_bytes(bytes(2 * MIB))
        client.until("web", ready=2)
        lease = client.lease(
            "web", name=f"tenant-{number}",
            drives=[{"id": "a", "path": str(image), "rate_limiter": BYTES}],
            networks=[{"id": "n0", "tap": f"vt{number}",
                       "mac": f"06:00:ac:10:00:1{number}",
                       "tx_rate_limiter": FRAMES}],
            vsock=str(tmp_path / f"v{number}.sock"), cid=100 + number)
        api = Api(lease.path)
        told = api.call("GET", "/")[1]
        assert (told["id"], told["state"]) == (f"tenant-{number}", "Running")
        now = api.call("GET", "/vm/config")[1]
        assert now["drives"][0]["path_on_host"] == str(image)
        limits = now["drives"][0]["rate_limiter"]
        assert limits["bandwidth"]["size"] == 1 << 29
        net = now["network-interfaces"][0]
        assert (net["host_dev_name"], net["guest_mac"]) == (
            f"vt{number}", f"06:00:ac:10:00:1{number}")
        assert net["tx_rate_limiter"]["ops"] == FRAMES["ops"]
        # What it does not name is the snapshot's.
        assert limits["ops"]["size"] == 1000
        assert net["rx_rate_limiter"]["ops"]["size"] == 1000
        assert now["vsock"] == {"guest_cid": 100 + number, "uds_path": str(
            tmp_path / f"v{number}.sock")}
        assert (tmp_path / f"v{number}.sock").is_socket()
        lease.close()


def test_ten_of_one_drive(client, taps, tmp_path, saved):  # noqa: F811
    """A private copy each; without one, or a file, there is no lease."""
    make(client, saved, size=4)
    whole = {"drives": [{"id": "a", "overlay": str(tmp_path)}],
             "networks": [{"id": "n0", "tap": "vt0"}],
             "vsock": str(tmp_path / "v.sock")}
    for missing in whole:
        refused("failed", lambda: client.lease(
            "web", **{k: v for k, v in whole.items() if k != missing}))
        client.until("web", ready=4)
    seen = set()
    for number in range(10):
        tap(taps, f"vc{number}")
        lease = client.lease("web", **{
            **whole, "networks": [{"id": "n0", "tap": f"vc{number}"}],
            "vsock": str(tmp_path / f"vc{number}.sock")})
        files = {}
        for link in Path(f"/proc/{lease.pid}/fd").iterdir():
            there = link.stat()
            if os.readlink(link).startswith(f"{tmp_path}/"):
                files[there.st_dev, there.st_ino] = os.readlink(link)
        copies = {k for k, v in files.items() if v.endswith(" (deleted)")}
        assert len(copies) == 1 and not copies & seen, files
        seen |= copies
        lease.close()


@pytest.mark.parametrize("kind", ["clone", "shell"])
def test_a_working_set_is_asked_for(client, taps, tmp_path,  # noqa: F811
                                    saved, kind):  # noqa: F811
    """By the VM that restores it: of clones before anybody leases one."""
    (saved / "working-set").write_bytes(bytes(64))
    make(client, saved, kind=kind, size=1, vmm=["--level", "Info"])
    member, = client.members()
    log = Path(member["api"]).with_name("log")
    if kind == "shell":
        lease = client.lease("web", networks=[{"id": "n0", "tap": "vt0"}],
                             drives=[{"id": "a", "overlay": str(tmp_path)}],
                             vsock=str(tmp_path / "w.sock"))
        lease.close()
    until(lambda: "working-set is no working set" in log.read_text())


def test_a_compressed_snapshot_is_refused(client, saved):  # noqa: F811
    """What would serve it is a process of each clone; ls says what is wrong."""
    subprocess.run([BUILD / "volt", "snapshot", "compress", saved], check=True,
                   capture_output=True, timeout=PATIENCE)
    client.call("create", pool="web", kind="clone", snapshot=str(saved), size=1)
    until(lambda: "compressed" in client.pools()["web"].get("trouble", ""))
    client.call("rm", pool="web")
