# SPDX-License-Identifier: Apache-2.0
"""PUT /volt/lease: a restored VM that waits is given what is its user's own."""

import json
import os
import re
import socket

import pytest

from apiclient import gate_of
from conftest import BUILD, Api, looks_into
from test_gate import until
from test_sandbox import needs_landlock
from test_snapshot import snapshot, start
from test_snapshot_state import config, taps  # noqa: F401

VMM = BUILD / "volt-vmm"
MIB = 1 << 20
MAC = "06:00:ac:10:00:02"
WAYS = [pytest.param((), id="locked-by-the-load"),
        pytest.param(("--sandbox-first",), id="locked-first",
                     marks=needs_landlock),
        pytest.param(("--sandbox", "off"), id="not-locked")]


class Clone:
    """A VM of the snapshot that waits for its lease."""

    def __init__(self, vmm, folder, join, snap, *flags, load=None):
        sock = folder / f"lease{len(vmm.started)}.sock"
        self.run = vmm.spawn([*join, VMM, "--api-sock", sock, "--level",
                              "Info", *flags])
        self.api = Api(sock)
        self.api.wait()
        self.api.set("PUT", "/snapshot/load", {
            "snapshot_path": f"{snap}/",
            **({"lease": True} if load is None else load)})

    def lease(self, **body):
        self.api.set("PUT", "/volt/lease", body)

    def refused(self, **body):
        status, answer = self.api.call("PUT", "/volt/lease", body)
        assert status == 400, answer
        return answer["fault_message"]

    def resume(self):
        return self.api.call("PATCH", "/vm", {"state": "Resumed"})

    def config(self):
        return self.api.call("GET", "/vm/config")[1]

    def identity(self):
        """What its devices say: address, CID, sectors, changes of each."""
        self.run.send("i")
        self.run.wait_for("mac ")
        self.run.wait_for("\n")
        words = self.run.whole.decode().rsplit("mac ", 1)[1].split()
        mac = ":".join(f"{int(x, 16):02x}" for x in words[0].split(":"))
        return {"mac": mac, "cid": int(words[2]),
                "sectors": int(words[4]),
                "changed": [int(word) for word in words[6:9]],
                "genid": words[10], "random": words[12]}

    def end(self):
        self.run.send("x")
        result = self.run.finish()
        assert result.code == 0 and not result.failures(), result.out
        assert "ok block-read" in result.lines()


@pytest.fixture
def saved(vmm, taps, tmp_path):  # noqa: F811
    """A snapshot of a VM with every device, which has ended."""
    path = config(vmm, tmp_path, "split")
    body = json.loads(path.read_text())
    (tmp_path / "ro.img").write_bytes(os.urandom(MIB))
    body["drives"][1]["path_on_host"] = str(tmp_path / "ro.img")
    path.write_text(json.dumps(body))
    sock = tmp_path / "first.sock"
    run = vmm.spawn([*taps.join, VMM, "--api-sock", sock,
                     "--config-file", path])
    run.wait_for("ready\r\n")
    api = Api(sock)
    done = snapshot(api, tmp_path / "s")
    assert done.returncode == 0, done.stderr
    run.process.terminate()
    run.finish()
    return tmp_path / "s"


@pytest.fixture
def clone(vmm, taps, tmp_path, saved):  # noqa: F811
    return lambda *flags, **more: Clone(vmm, tmp_path, taps.join, saved,
                                        *flags, **more)


def tap(taps, name):  # noqa: F811
    taps.run("ip", "tuntap", "add", name, "mode", "tap")
    taps.run("ip", "link", "set", name, "up")


def whole(tmp_path, number, **more):
    """A lease that names everything, of files that are there."""
    path = tmp_path / f"own{number}.img"
    path.write_bytes(bytes(2 * MIB))
    return {"id": f"tenant-{number}",
            "drives": [{"drive_id": "a", "path_on_host": str(path)}],
            "network_interfaces": [{"iface_id": "n0",
                                    "host_dev_name": f"vt{number}"}],
            "vsock": {"uds_path": str(tmp_path / f"v{number}.sock")}, **more}


@pytest.mark.parametrize("flags", WAYS)
def test_clones_wait_and_get_what_is_theirs(taps, tmp_path, clone,  # noqa: F811
                                            flags):
    """Three of one snapshot at once, none of which has its tap or socket."""
    clones = [clone(*flags) for _ in range(3)]
    assert not (tmp_path / "v.sock").exists()
    for number, one in enumerate(clones, 1):
        tap(taps, f"vt{number}")
        lease = whole(tmp_path, number, resume_vm=True)
        net = lease["network_interfaces"][0]
        net["guest_mac"] = f"06:00:ac:10:00:1{number}"
        net["tx_rate_limiter"] = {"ops": {"size": 77, "refill_time": 100}}
        lease["drives"][0]["rate_limiter"] = {
            "bandwidth": {"size": 1 << 29, "refill_time": 100}}
        lease["vsock"]["guest_cid"] = 100 + number
        one.lease(**lease)
    for number, one in enumerate(clones, 1):
        told = one.api.call("GET", "/")[1]
        assert (told["id"], told["state"]) == (f"tenant-{number}", "Running")
        assert f"[tenant-{number}:" in one.run.log()
        now = one.config()
        assert now["drives"][0]["path_on_host"].endswith(f"own{number}.img")
        assert now["drives"][0]["rate_limiter"]["bandwidth"]["size"] == 1 << 29
        net = now["network-interfaces"][0]
        assert net["host_dev_name"] == f"vt{number}"
        assert net["tx_rate_limiter"]["ops"]["size"] == 77
        assert now["vsock"] == {"guest_cid": 100 + number, "uds_path": str(
            tmp_path / f"v{number}.sock")}
        assert (tmp_path / f"v{number}.sock").is_socket()
        assert taps.run("cat", f"/sys/class/net/vt{number}/carrier",
                        ok=False).stdout.strip() in ("1", "")
        seen = one.identity()
        assert seen["mac"] == f"06:00:ac:10:00:1{number}"
        assert seen["cid"] == 100 + number
        assert seen["sectors"] == 2 * MIB // 512
        assert all(changes > 0 for changes in seen["changed"])
    for number, one in enumerate(clones, 1):
        one.end()
        assert not (tmp_path / f"v{number}.sock").exists()


@pytest.mark.parametrize("flags", WAYS)
def test_a_clone_without_pending_things(taps, tmp_path, clone,  # noqa: F811
                                        flags):
    """Loaded on the snapshot's own; a lease replaces what it names."""
    one = clone(*flags, load={"resume_vm": False})
    assert (tmp_path / "v.sock").is_socket()
    tap(taps, "vt7")
    one.lease(**whole(tmp_path, 7))
    assert not (tmp_path / "v.sock").exists()
    assert (tmp_path / "v7.sock").is_socket()
    assert one.api.call("GET", "/")[1]["state"] == "Paused"
    assert one.resume()[0] == 204
    seen = one.identity()
    assert seen["mac"] == MAC and seen["cid"] == 42
    one.end()
    # And one that names nothing but a name.
    two = clone(*flags, load={"resume_vm": False})
    two.lease(id="only-a-name", resume_vm=True)
    assert two.api.call("GET", "/")[1]["id"] == "only-a-name"
    two.end()


def test_ten_clones_of_one_drive_are_ten_files(taps, tmp_path,  # noqa: F811
                                               clone):
    """Each has a copy; the image is what it was, and nothing is left."""
    image = (tmp_path / "disk.img").read_bytes()
    over = tmp_path / "over"
    over.mkdir()
    clones = [clone() for _ in range(10)]
    for number, one in enumerate(clones, 1):
        tap(taps, f"vt{number}")
        lease = whole(tmp_path, number, resume_vm=True)
        lease["drives"] = [{"drive_id": "a", "overlay": str(over)}]
        one.lease(**lease)
        assert "Drive a is a private copy of" in one.run.log()
    files = set()
    for one in clones:
        for fd in os.listdir(f"/proc/{one.run.pid}/fd"):
            link = os.readlink(f"/proc/{one.run.pid}/fd/{fd}")
            if link.startswith(f"{over}/"):
                files.add(os.stat(f"/proc/{one.run.pid}/fd/{fd}").st_ino)
    assert len(files) == 10
    for one in clones:
        one.end()
    assert (tmp_path / "disk.img").read_bytes() == image
    assert os.listdir(over) == []


def test_clones_are_not_alike(taps, tmp_path, clone):  # noqa: F811
    """What two of them must not share: generation ID, random numbers."""
    seen = []
    for number in (1, 2, 3):
        one = clone()
        tap(taps, f"vt{number}")
        one.lease(**whole(tmp_path, number, resume_vm=True))
        seen.append(one.identity())
        one.end()
    for what in ("genid", "random"):
        assert len({who[what] for who in seen}) == 3, seen
        assert "0" not in {who[what] for who in seen}


def test_two_leases_of_one_file_are_refused(taps, tmp_path,  # noqa: F811
                                            clone):
    """Also without --lock-drives; and the image itself has one user."""
    one, two = clone(), clone()
    for number in (1, 2):
        tap(taps, f"vt{number}")
    one.lease(**whole(tmp_path, 1, resume_vm=True))
    lease = whole(tmp_path, 2)
    lease["drives"][0]["path_on_host"] = str(tmp_path / "own1.img")
    said = two.refused(**lease)
    assert "own1.img is in use" in said
    assert "give each VM a copy of its own" in said
    lease["drives"][0]["path_on_host"] = str(tmp_path / "disk.img")
    three = clone()
    assert "disk.img is in use" in two.refused(**lease)
    three.run.process.kill()
    three.run.finish()
    two.lease(**lease, resume_vm=True)  # nobody else has it now
    one.end()
    two.end()


def test_who_asks_wrongly_changes_nothing(vmm, taps, tmp_path,  # noqa: F811
                                          clone):
    """Each refusal is one sentence; afterwards the lease is given."""
    one = clone()
    tap(taps, "vt1")
    right = whole(tmp_path, 1)
    over = {"drive_id": "a", "overlay": str(tmp_path)}
    limit = {"ops": {"size": 1, "refill_time": 1}}
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "odd").write_bytes(b"x" * 700)
    before = one.config()
    for change, sentence in (
            ({"drives": [{"drive_id": "z", "path_on_host": "/x"}]},
             "The microVM has no drive z"),
            ({"drives": right["drives"] * 2}, "The drive a is given twice"),
            ({"drives": [over, {"drive_id": "b", "overlay": "/tmp"}]},
             "Drive b is read only: leave `overlay` out"),
            ({"drives": []}, "Drive a has no file of its own yet"),
            ({"drives": [{"drive_id": "a", "rate_limiter": limit}]},
             "Drive a has no file of its own yet"),
            ({"drives": [{"drive_id": "a", "path_on_host": "/nonexistent"}]},
             "The drive a: "),
            ({"drives": [{"drive_id": "a", "overlay": "/nonexistent"}]},
             "The drive a: "),
            ({"drives": [{"drive_id": "a",
                          "path_on_host": str(tmp_path / "empty")}]},
             "empty for drive a is empty"),
            ({"drives": [{"drive_id": "a",
                          "path_on_host": str(tmp_path / "odd")}]},
             "has 700 bytes"),
            ({"network_interfaces": []}, "Interface n0 has no tap yet"),
            ({"network_interfaces": [{"iface_id": "n1"}]},
             "The microVM has no interface n1"),
            ({"network_interfaces": right["network_interfaces"] * 2},
             "The interface n0 is given twice"),
            ({"network_interfaces": [{"iface_id": "n0", "host_dev_name":
                                      "a-name-that-is-too-long"}]},
             "The interface n0: "),
            ({"network_interfaces": [{"iface_id": "n0", "host_dev_name": "vt1",
                                      "guest_mac": "x"}]}, "MAC address"),
            ({"vsock": None}, "The socket device has no path yet"),
            ({"vsock": {"guest_cid": 5}}, "The socket device has no path yet"),
            ({"vsock": {"uds_path": "v1", "guest_cid": 2}}, "is 3 or more"),
            ({"vsock": {"uds_path": "v1", "guest_cid": 0}}, "is 3 or more"),
            ({"vsock": {"uds_path": str(tmp_path / "disk.img")}},
             "Lease error: "),
            ({"id": "no good"}, "Invalid instance ID"),
            ({"id": "x" * 65}, "Invalid instance ID"),
            ({"more": 1}, "unknown field `more`")):
        said = one.refused(**{**right, **change})
        assert sentence in said, said
        assert "\n" not in said
    assert one.config() == before
    assert not (tmp_path / "v1").exists()
    # What waits for it is told, too, to who lets it run before.
    status, answer = one.resume()
    assert status == 400
    assert "Drive a has no file of its own yet: PUT /volt/lease" in answer[
        "fault_message"]
    one.lease(**right)
    assert "was leased already" in one.refused(**right)
    assert one.resume()[0] == 204
    assert "was leased already" in one.refused(id="again")
    one.end()


def test_only_who_waits_is_leased(vmm, tmp_path, saved, clone):
    """Not before the load, not one that runs, not one that has run."""
    sock = tmp_path / "none.sock"
    vmm.spawn([VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    status, answer = api.call("PUT", "/volt/lease", {"id": "x"})
    assert status == 400 and "before starting" in answer["fault_message"]
    status, answer = api.call("PUT", "/snapshot/load", {
        "snapshot_path": f"{saved}/", "lease": True, "resume_vm": True})
    assert status == 400
    assert "`lease` and `resume_vm` do not go together" in answer[
        "fault_message"]
    one = clone(load={"resume_vm": True})
    for _ in range(2):
        assert "has not run since, can be leased" in one.refused(id="x")
        one.api.set("PATCH", "/vm", {"state": "Paused"})
    one.api.set("PATCH", "/vm", {"state": "Resumed"})
    one.end()


def test_a_clone_that_waits_was_in_kvm_and_not_in_its_guest(vmm, tmp_path):
    """KVM sets up a vCPU's first entry ahead; this guest's first instructions
    would tell that it is a clone."""
    run, api = start(vmm, tmp_path, guest="remark", cmdline="")
    run.wait_for(".")
    assert snapshot(api, tmp_path / "s").returncode == 0
    run.process.kill()
    trace = tmp_path / "trace"
    sock = tmp_path / "clone.sock"
    run = vmm.spawn(["strace", "-D", "-f", "-o", trace, "-e", "trace=ioctl",
                     VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/snapshot/load",
            {"snapshot_path": f"{tmp_path}/s/", "lease": True})
    entered = until(lambda: re.findall(r"KVM_RUN, .*= (.*)",
                                            trace.read_text()))
    assert len(entered) == 1 and "EINTR" in entered[0]
    assert run.read_some(0.1) is None and not run.seen
    api.set("PUT", "/volt/lease", {"id": "mine", "resume_vm": True})
    run.wait_for("@")


@looks_into
@needs_landlock
@pytest.mark.parametrize("flags", [(), ("--sandbox-first",)])
def test_the_gate_keeps_its_calls_until_the_guest_runs(taps,  # noqa: F811
                                                       tmp_path, clone, flags):
    """A filter more from the resume on, and a Landlock domain."""
    one = clone(*flags)
    gate = gate_of(one.run.pid)

    def filters():
        with open(f"/proc/{gate}/status", encoding="ascii") as text:
            return int(text.read().split("Seccomp_filters:")[1].split()[0])
    before = filters()
    tap(taps, "vt1")
    one.lease(**whole(tmp_path, 1))
    assert filters() == before
    one.resume()
    one.identity()
    assert until(lambda: filters() == before + 1)
    one.end()


@needs_landlock
def test_a_lease_within_allow(taps, tmp_path, clone):  # noqa: F811
    """Files are narrowed, taps and sockets are not."""
    inside = tmp_path / "in"
    inside.mkdir()
    one = clone("--allow", inside)
    tap(taps, "vt1")
    lease = whole(tmp_path, 1)
    assert "Outside of what --allow permits" in one.refused(**lease)
    os.rename(tmp_path / "own1.img", inside / "own1.img")
    lease["drives"][0]["path_on_host"] = str(inside / "own1.img")
    one.lease(**lease, resume_vm=True)
    one.identity()
    assert "Outside of what --allow permits" in one.api.call(
        "PATCH", "/drives/a", {"drive_id": "a", "path_on_host":
                               str(tmp_path / "ro.img")})[1]["fault_message"]
    one.end()


def test_its_socket_works(taps, tmp_path, clone):  # noqa: F811
    """A client reaches the listener of the lease, as a user of it."""
    one = clone()
    tap(taps, "vt1")
    one.lease(**whole(tmp_path, 1, resume_vm=True))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.connect(str(tmp_path / "v1.sock"))
    one.end()
