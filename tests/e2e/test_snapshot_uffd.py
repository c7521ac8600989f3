# SPDX-License-Identifier: Apache-2.0
"""Memory that another process serves: a real handler, real guests."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api, Case, long_only
from test_snapshot import snapshot, start

HANDLER = Path(__file__).with_name("uffd_handler.py")
PAGES = 512  # of the guest's area


def need_uffd():
    if not os.access("/dev/userfaultfd", os.W_OK):
        pytest.skip("no /dev/userfaultfd for this user")


@pytest.fixture(autouse=True)
def allowed():
    need_uffd()


class Handler:
    """The handler's process, and what it says."""

    def __init__(self, folder, memory, *limit):
        self.path = str(folder / "uffd.sock")
        self.output = folder / "handler.out"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, HANDLER, self.path, memory,
                 *map(str, limit)], stdout=output)
        self.wait_for("listening")

    def lines(self):
        return self.output.read_text(encoding="ascii").splitlines()

    def wait_for(self, word, seconds=60):
        until = time.monotonic() + seconds
        while word not in self.lines():
            assert self.process.poll() is None and time.monotonic() < until
            time.sleep(0.01)

    def regions(self):
        return json.loads(self.lines()[1])

    def end(self):
        self.process.kill()
        self.process.wait()
        return self.lines()


@pytest.fixture
def handler(tmp_path):
    made = []

    def make(*args):
        made.append(Handler(tmp_path, tmp_path / "s/memory.snap", *args))
        return made[-1]
    yield make
    for one in made:
        one.end()


def load(vmm, folder, handler, **fields):
    """A clone whose memory @handler serves: (run, api, status, answer)."""
    sock = folder / f"load{len(vmm.started)}.sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    body = {"snapshot_path": str(folder / "s/state.json"), "resume_vm": True,
            "mem_backend": {"backend_type": "Uffd",
                            "backend_path": handler.path}, **fields}
    status, answer = api.call("PUT", "/snapshot/load", body)
    return run, api, status, answer


def asked(run, line, answer):
    """One command of the guest `pages`."""
    run.send(line + "\n")
    assert run.wait_for("\n").strip() == answer


@pytest.fixture
def saved(vmm, tmp_path):
    """The guest `pages` in a snapshot, with known pages."""
    run, api = start(vmm, tmp_path, "pages", "", memory=32)
    run.wait_for("ready\r\n")
    asked(run, f"w 0 {PAGES} 7", "wrote")
    assert snapshot(api, tmp_path / "s").returncode == 0
    run.process.kill()


def end(run):
    run.send("q 0 0 0\n")
    run.finish().assert_passed()


def test_a_guest_goes_on_and_finds_its_memory(vmm, tmp_path, saved, handler):
    server = handler()
    run, _, status, answer = load(vmm, tmp_path, server)
    assert status == 204, answer
    (region,) = server.regions()
    assert region["size"] == 32 << 20 and region["offset"] == 0
    assert region["page_size"] == region["page_size_kib"] == 4096
    asked(run, f"c 0 {PAGES} 7", "right")
    asked(run, f"z {PAGES} 64 0", "right")
    asked(run, "w 100 10 8", "wrote")
    asked(run, "c 100 10 8", "right")
    asked(run, f"c 110 {PAGES - 110} 7", "right")
    end(run)
    served = server.end().count("served")
    assert PAGES + 64 <= served < 32 << 20 >> 12  # what was touched, only


def test_a_snapshot_asks_for_the_rest(vmm, tmp_path, saved, handler):
    """A clone that is saved whole takes along what it never touched."""
    server = handler()
    run, api, status, answer = load(vmm, tmp_path, server)
    assert status == 204, answer
    asked(run, "w 3 2 9", "wrote")
    again = tmp_path / "again"
    assert snapshot(api, again).returncode == 0
    end(run)
    clone = vmm.spawn([BUILD / "volt-vmm", "--restore", again])
    asked(clone, "c 3 2 9", "right")
    asked(clone, f"c 5 {PAGES - 5} 7", "right")
    end(clone)


def save_before_the_balloon(vmm, folder):
    """A snapshot of a guest whose balloon takes pages next."""
    case = Case("balloon", "steps touch=4", memory=64,
                devices={"balloon": {"amount_mib": 0, "deflate_on_oom": True,
                                     "free_page_hinting": True,
                                     "free_page_reporting": True,
                                     "stats_polling_interval_s": 1}})
    run, api = vmm.start_api(case)
    run.wait_for("step touched\r\n")
    assert snapshot(api, folder).returncode == 0
    run.process.kill()


def test_pages_that_the_balloon_takes_are_told(vmm, tmp_path, handler):
    """The guest checks that they are zero afterwards, and then its own."""
    save_before_the_balloon(vmm, tmp_path / "s")
    server = handler()
    run, api, status, answer = load(vmm, tmp_path, server)
    assert status == 204, answer
    run.send("\n")
    for step in ("inflated", "deflated", "reported"):
        run.wait_for(f"step {step}\r\n")
        run.send("\n")
    run.wait_for("step to-hint\r\n")
    said = server.end()
    removed = [int(x.split()[1]) for x in said if x.startswith("removed")]
    assert sum(removed) >= 2 * (4 << 20 >> 12)  # inflated, reported
    assert "FAIL" not in run.whole.decode()
    assert "inflated-pages-read-zero" in run.whole.decode()
    assert "reported-pages-read-zero" in run.whole.decode()
    result = run.finish()  # its handler has ended
    assert result.code == 1
    assert "serves the guest's memory is gone" in result.log


def test_a_handler_that_stops_serving(vmm, tmp_path, saved, handler):
    """It lives, but brings no page: the VM can still be ended."""
    server = handler(20)
    run, api, status, answer = load(vmm, tmp_path, server)
    assert status == 204, answer
    run.send(f"c 0 {PAGES} 7\n")
    server.wait_for("stopped")
    assert api.call("GET", "/")[0] == 200
    run.process.terminate()
    assert run.finish().code == -15


@long_only("half a minute")
def test_a_handler_that_never_serves(vmm, tmp_path, saved, handler):
    run, _, status, answer = load(vmm, tmp_path, handler(0))
    assert status == 400
    assert "did not serve the first pages within 30 s" in \
        answer["fault_message"]
    assert run.finish().code == 1


@long_only("half a minute")
def test_a_pause_does_not_wait_for_ever(vmm, tmp_path, saved, handler):
    """A vCPU that waits for its page: out of it by the signal, or an error."""
    server = handler(20)
    run, api, status, answer = load(vmm, tmp_path, server)
    assert status == 204, answer
    run.send(f"c 0 {PAGES} 7\n")
    server.wait_for("stopped")
    status, answer = api.call("PATCH", "/vm", {"state": "Paused"})
    assert status == 204 or \
        "a page of guest memory does not come" in answer["fault_message"]
    assert api.call("GET", "/")[0] == 200


def free_huge_pages():
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(text.split("HugePages_Free:")[1].split()[0])


def test_2_mib_pages(vmm, tmp_path, saved, handler):
    """From a file they are refused; a handler serves them whole."""
    sock = tmp_path / "file.sock"
    vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    status, answer = api.call("PUT", "/snapshot/load", {
        "snapshot_path": str(tmp_path / "s"), "huge_pages": "2M"})
    assert status == 400 and "use a Uffd back end" in answer["fault_message"]
    if free_huge_pages() < 16:
        pytest.skip("this host has not set 16 huge pages aside")
    server = handler()
    run, api, status, answer = load(vmm, tmp_path, server, huge_pages="2M")
    assert status == 204, answer
    (region,) = server.regions()
    assert region["page_size"] == 2 << 20
    asked(run, f"c 0 {PAGES} 7", "right")
    assert api.call("GET", "/machine-config")[1]["huge_pages"] == "2M"
    # And back: saved from such pages, restored with ordinary ones.
    assert snapshot(api, tmp_path / "again").returncode == 0
    end(run)
    clone = vmm.spawn([BUILD / "volt-vmm", "--restore", tmp_path / "again"])
    asked(clone, f"c 0 {PAGES} 7", "right")
    end(clone)
    assert "the guest gets ordinary ones" in clone.log()


def ask_load(vmm, folder, state, path):
    sock = folder / f"load{len(vmm.started)}.sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    return run, api, {"snapshot_path": str(state / "state.json"),
                      "mem_backend": {"backend_type": "Uffd",
                                      "backend_path": str(path)}}


def test_the_handler_is_called_before_drives_are_opened(vmm, tmp_path):
    """Firecracker's order, told by which of two faults is named."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    case = Case("ticker", memory=32, devices={"drives/a": {
        "drive_id": "a", "path_on_host": str(disk), "is_root_device": False}})
    run, api = vmm.start_api(case)
    run.wait_for("tick")
    assert snapshot(api, tmp_path / "s").returncode == 0
    disk.unlink()
    run, api, body = ask_load(vmm, tmp_path, tmp_path / "s", tmp_path / "none")
    status, answer = api.call("PUT", "/snapshot/load", body)
    assert status == 400
    assert answer["fault_message"] == (
        "Load snapshot error: Failed to restore from snapshot: Failed to load "
        "guest memory: Error creating guest memory from uffd: Failed to "
        "connect to UDS Unix stream: No such file or directory (os error 2)")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "handler"))
        listener.listen(1)
        listener.settimeout(60)
        run, api, body = ask_load(vmm, tmp_path, tmp_path / "s",
                                  tmp_path / "handler")
        status, answer = api.call("PUT", "/snapshot/load", body)
        assert status == 400 and str(disk) in answer["fault_message"]
        conn = listener.accept()[0]
        assert conn.recv(100) == b""  # it was there, and nothing came of it


def test_which_refusals_end_the_process(vmm, tmp_path, saved):
    """One that failed on the way does, as Firecracker's; one that was refused
    before does not, and can be repeated."""
    run, api, body = ask_load(vmm, tmp_path, tmp_path / "s", tmp_path / "none")
    api.set("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 32})
    for _ in range(2):
        status, answer = api.call("PUT", "/snapshot/load", body)
        assert status == 400
        assert "not allowed after configuring" in answer["fault_message"]
    status, _ = api.call("PUT", "/snapshot/load", {"snapshot_path": 1})
    assert status == 400
    assert api.call("GET", "/")[1]["state"] == "Not started"
    run, api, body = ask_load(vmm, tmp_path, tmp_path / "s", tmp_path / "none")
    assert api.call("PUT", "/snapshot/load", body)[0] == 400
    assert run.finish().code != 0
