# SPDX-License-Identifier: Apache-2.0
"""Diff snapshots: what is in them, and what becomes of them when merged.

The guest `pages` writes the pages that it is told to, and no others but the few
of its stack and its own data.
"""

import fcntl
import json
import os
import subprocess

import pytest

from conftest import BUILD, Api, Case, runs_linux
from own_disk import REACHES, OwnDisk
from test_snapshot_uffd import asked, end

VOLT = BUILD / "volt"
PAGE = 4096
AREA = 16 << 20  # where the guest's pages begin
LOG = ["--track-dirty-pages"]
RING = ["--track-dirty-pages", "--dirty-ring"]
KVM_CHECK_EXTENSION, CAP_DIRTY_LOG_RING = 0xae03, 192
SPARE = 24       # pages of its own, of the devices and of KVM's clock


def has_ring():
    with open("/dev/kvm", "rb") as kvm:
        return fcntl.ioctl(kvm, KVM_CHECK_EXTENSION, CAP_DIRTY_LOG_RING) > 0


def need_ring(flags=RING):
    """@flags can be used here: without rings, all can."""
    if flags != RING:
        return
    if not has_ring():
        pytest.skip("this host's KVM has no dirty ring")
    if not runs_linux():
        pytest.skip("this host's KVM emulates much of a guest, and overruns "
                    "its dirty ring; the lab runs the same")


def stored(memory):
    """The page numbers that a memory file holds, holes left out."""
    pages, at = set(), 0
    fd = os.open(memory, os.O_RDONLY)
    size = os.fstat(fd).st_size
    try:
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            pages.update(range(at // PAGE, -(-hole // PAGE)))
            at = hole
    finally:
        os.close(fd)
    return pages


def area(first, count):
    return set(range(AREA // PAGE + first, AREA // PAGE + first + count))


def in_area(pages):
    return {page for page in pages if page >= AREA // PAGE}


def start(vmm, folder, *args, restore=None, **fields):
    sock = folder / f"api{len(vmm.started)}.sock"
    if restore:
        argv = [BUILD / "volt-vmm", "--restore", restore]
    else:
        fields = {"memory": 64, **fields}
        argv = Case("pages", "", **fields).argv(BUILD, folder)
        argv.remove("--no-api")
    run = vmm.spawn([*argv, "--api-sock", sock, *args])
    api = Api(sock)
    api.wait()
    if not restore:
        run.wait_for("ready\r\n")
    return run, api


def save(api, folder, kind="Diff"):
    api.set("PUT", "/snapshot/create", {"snapshot_path": f"{folder}/",
                                        "snapshot_type": kind})
    return folder / "memory.snap"


def merge(*folders):
    return subprocess.run([VOLT, "snapshot", "merge", *folders], text=True,
                          capture_output=True, timeout=120, check=False)


def check_clone(vmm, folder, *checks):
    clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore", folder])
    for line in checks:
        asked(clone, line, "right")
    end(clone)


@pytest.mark.parametrize("irqchip, flags", [
    ("split", LOG), ("full", LOG), ("split", RING), ("full", RING)])
def test_a_chain_of_diffs(vmm, tmp_path, irqchip, flags):
    """Each holds what was written since the one before, and no more."""
    need_ring(flags)
    run, api = start(vmm, tmp_path, *flags, irqchip=irqchip)
    asked(run, "w 0 100 1", "wrote")
    base = save(api, tmp_path / "s0", "Full")
    assert area(0, 100) <= stored(base)
    asked(run, "w 10 5 2", "wrote")
    asked(run, "w 300 40 2", "wrote")
    one = stored(save(api, tmp_path / "s1"))
    assert in_area(one) == area(10, 5) | area(300, 40)
    assert len(one) <= 45 + SPARE
    two = stored(save(api, tmp_path / "s2"))
    assert not in_area(two) and len(two) <= SPARE
    asked(run, "w 12 1 3", "wrote")
    three = stored(save(api, tmp_path / "s3"))
    assert in_area(three) == area(12, 1)
    asked(run, "c 10 2 2", "right")
    run.process.kill()
    for diff in ("s1", "s2", "s3"):
        before = tmp_path / f"s{int(diff[1]) - 1}"
        done = merge(before, tmp_path / diff)
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(os.listdir(tmp_path / diff)) == ["memory.snap",
                                                       "state.json"]
    check_clone(vmm, tmp_path / "s3", "c 0 10 1", "c 10 2 2", "c 12 1 3",
                "c 13 2 2", "c 15 85 1", "c 300 40 2", "z 100 200 0")
    check_clone(vmm, tmp_path / "s0", "c 0 100 1", "z 300 40 0")


@pytest.mark.parametrize("flags", [LOG, RING], ids=["log", "ring"])
def test_diffs_of_a_clone(vmm, tmp_path, flags):
    """The first one differs from the snapshot that was loaded."""
    need_ring(flags)
    run, api = start(vmm, tmp_path)
    asked(run, "w 0 100 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    run.process.kill()
    run, api = start(vmm, tmp_path, *flags, restore=tmp_path / "s0")
    assert api.call("GET", "/machine-config")[1]["track_dirty_pages"]
    asked(run, "w 50 10 2", "wrote")
    asked(run, "c 0 50 1", "right")  # reading is not writing
    assert in_area(stored(save(api, tmp_path / "s1"))) == area(50, 10)
    asked(run, "w 60 10 3", "wrote")
    assert in_area(stored(save(api, tmp_path / "s2"))) == area(60, 10)
    run.process.kill()
    assert merge(tmp_path / "s0", tmp_path / "s1").returncode == 0
    assert merge(tmp_path / "s1", tmp_path / "s2").returncode == 0
    check_clone(vmm, tmp_path / "s2", "c 0 50 1", "c 50 10 2", "c 60 10 3",
                "c 70 30 1")


def test_without_tracking_a_diff_goes_back_to_the_load(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    asked(run, "w 0 100 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    run.process.kill()
    run, api = start(vmm, tmp_path, restore=tmp_path / "s0")
    asked(run, "w 50 10 2", "wrote")
    assert in_area(stored(save(api, tmp_path / "s1"))) == area(50, 10)
    asked(run, "w 60 10 3", "wrote")
    assert in_area(stored(save(api, tmp_path / "s2"))) == area(50, 20)
    run.process.kill()
    assert merge(tmp_path / "s0", tmp_path / "s2").returncode == 0
    check_clone(vmm, tmp_path / "s2", "c 0 50 1", "c 50 10 2", "c 60 10 3")


@pytest.mark.parametrize("flags", [LOG, RING, []],
                         ids=["log", "ring", "pagemap"])
def test_how_much_a_diff_would_hold(vmm, tmp_path, flags):
    """Told before, as often as somebody asks; and then it holds that."""
    need_ring(flags)
    tracked = bool(flags)

    def dirty(api):
        code, told = api.call("GET", "/volt/dirty")
        assert code == 200 and told["tracked"] == tracked
        return told

    run, api = start(vmm, tmp_path, *flags)
    assert dirty(api) == {"tracked": tracked, "since": None,
                          "dirty_bytes": None}
    asked(run, "w 0 300 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    run.process.kill()
    run, api = start(vmm, tmp_path, *flags, restore=tmp_path / "s0")
    state = json.loads((tmp_path / "s0/state.json").read_text())
    before = dirty(api)
    assert int(before["since"], 16) == int(state["memory_moment"], 16)
    assert before["dirty_bytes"] < 100 * PAGE
    asked(run, "w 100 200 2", "wrote")
    assert 200 * PAGE <= dirty(api)["dirty_bytes"] < 300 * PAGE
    api.set("PATCH", "/vm", {"state": "Paused"})
    told = dirty(api)
    assert dirty(api) == told
    memory = save(api, tmp_path / "s1")
    assert len(stored(memory)) * PAGE == told["dirty_bytes"]
    now = dirty(api)
    assert now["dirty_bytes"] == (0 if tracked else told["dirty_bytes"])
    assert (now["since"] == told["since"]) != tracked
    run.process.kill()


@pytest.mark.parametrize("ring", [False, True], ids=["log", "ring"])
def test_what_the_balloon_takes_is_zero(vmm, tmp_path, ring):
    """Pages that nobody writes change, and so do the rings of a device."""
    need_ring(RING if ring else LOG)
    case = Case("balloon", "steps touch=4", memory=64,
                devices={"machine-config": {"vcpu_count": 1,
                                            "mem_size_mib": 64,
                                            "track_dirty_pages": True,
                                            "dirty_ring": ring},
                         "balloon": {"amount_mib": 0, "deflate_on_oom": True,
                                     "free_page_hinting": True,
                                     "free_page_reporting": True,
                                     "stats_polling_interval_s": 1}})
    argv = case.argv(BUILD, tmp_path)
    argv[argv.index("--no-api"):argv.index("--no-api") + 1] = [
        "--api-sock", str(tmp_path / "b.sock")]
    run = vmm.spawn(argv)
    api = Api(tmp_path / "b.sock")
    api.wait()
    run.wait_for("step touched\r\n")
    save(api, tmp_path / "s0", "Full")
    run.send("\n")
    run.wait_for("step inflated\r\n")
    save(api, tmp_path / "s1")
    run.process.kill()
    assert merge(tmp_path / "s0", tmp_path / "s1").returncode == 0
    clone = vmm.spawn([BUILD / "volt-vmm", "--restore", tmp_path / "s1"])
    for step in ("deflated", "reported", "to-hint"):
        clone.send("\n")
        clone.wait_for(f"step {step}\r\n")
    assert "FAIL" not in clone.whole.decode()
    assert "inflated-pages-read-zero" in clone.whole.decode()


def test_a_failed_diff_forgets_nothing(vmm, tmp_path):
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    save(api, tmp_path / "s0", "Full")
    asked(run, "w 0 10 1", "wrote")
    status, _ = api.call("PUT", "/snapshot/create", {
        "snapshot_path": str(tmp_path / "none/a"), "snapshot_type": "Diff",
        "mem_file_path": str(tmp_path / "none/b")})
    assert status == 400
    subprocess.run(["prlimit", f"--pid={run.pid}", "--fsize=4096:"],
                   check=True)
    status, answer = api.call("PUT", "/snapshot/create", {
        "snapshot_path": f"{tmp_path}/s1/", "snapshot_type": "Diff"})
    assert status == 400, answer
    subprocess.run(["prlimit", f"--pid={run.pid}", "--fsize=unlimited:"],
                   check=True)
    asked(run, "w 20 10 1", "wrote")
    assert in_area(stored(save(api, tmp_path / "s1"))) == \
        area(0, 10) | area(20, 10)


def test_on_top_of_what_is_there(vmm, tmp_path):
    """Firecracker's way: a diff over the memory file of its base is whole."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 10 1", "wrote")
    save(api, tmp_path / "s", "Full")
    asked(run, "w 5 1 2", "wrote")
    save(api, tmp_path / "s")
    asked(run, "w 6 1 3", "wrote")
    save(api, tmp_path / "s")
    run.process.kill()
    check_clone(vmm, tmp_path / "s", "c 0 5 1", "c 5 1 2", "c 6 1 3",
                "c 7 3 1")


def same(one, other):
    """Are two sparse files equal? Holes are zeros."""
    with open(one, "rb") as a, open(other, "rb") as b:
        for page in sorted(stored(one) | stored(other)):
            a.seek(page * PAGE)
            b.seek(page * PAGE)
            if a.read(PAGE) != b.read(PAGE):
                return False
    return os.path.getsize(one) == os.path.getsize(other)


def test_a_full_ring(vmm, tmp_path):
    """The guest goes on, and nothing it wrote is forgotten.

    A KVM that emulates much at a stretch overruns its rings: then the VM ends,
    and says so; nobody gets a wrong diff.
    """
    if not has_ring():
        pytest.skip("this host's KVM has no dirty ring")
    run, api = start(vmm, tmp_path, *RING)
    save(api, tmp_path / "s0", "Full")
    run.send("w 0 9000 1\n")
    try:
        run.wait_for("wrote")
    except AssertionError:
        result = run.finish()
        assert not runs_linux() and result.code == 165, result
        assert "KVM overran its dirty ring" in result.log, result
        return
    assert area(0, 9000) <= stored(save(api, tmp_path / "s1"))
    run.send("w 0 9000 2\n")
    run.wait_for("wrote")
    assert area(0, 9000) <= stored(save(api, tmp_path / "s2"))
    run.process.kill()
    check_clone(vmm, tmp_path / "s2", "c 0 9000 2")


def test_what_is_no_way_to_track(vmm, tmp_path):
    """A ring without tracking is refused, and changes nothing."""
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", tmp_path / "a"])
    api = Api(tmp_path / "a")
    api.wait()
    before = api.call("GET", "/machine-config")
    assert "dirty_ring" not in before[1]
    body = {"vcpu_count": 1, "mem_size_mib": 64, "dirty_ring": True}
    status, answer = api.call("PUT", "/machine-config", body)
    assert status == 400 and "track_dirty_pages" in answer["fault_message"]
    assert api.call("GET", "/machine-config") == before
    api.set("PUT", "/machine-config", {**body, "track_dirty_pages": True})
    assert api.call("GET", "/machine-config")[1]["dirty_ring"]
    run.process.kill()


@pytest.mark.parametrize("flags", [LOG, RING], ids=["log", "ring"])
def test_h4_a_chain_of_4_gib_byte_by_byte(vmm, tmp_path, flags):
    """H4: memory on both sides of the hole, and a last page that is clean."""
    need_ring(flags)
    run, api = start(vmm, tmp_path, *flags, memory=4096)
    asked(run, "w 0 100 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    for number in (1, 2):
        asked(run, f"w {number * 5} 10 {number + 1}", "wrote")
        api.set("PATCH", "/vm", {"state": "Paused"})
        diff = save(api, tmp_path / f"s{number}")
        assert os.path.getsize(diff) == 4 << 30
        assert (4 << 30) // PAGE - 1 not in stored(diff)
        if number == 2:  # the same moment, whole
            save(api, tmp_path / "whole", "Full")
        api.set("PATCH", "/vm", {"state": "Resumed"})
    run.process.kill()
    for number in (1, 2):
        done = merge(tmp_path / f"s{number - 1}", tmp_path / f"s{number}")
        assert (done.returncode, done.stderr) == (0, "")
    assert same(tmp_path / "s2/memory.snap", tmp_path / "whole/memory.snap")
    # A snapshot onto the memory file that it is read from.
    clone, api = start(vmm, tmp_path, *flags, restore=tmp_path / "s2")
    asked(clone, "c 10 10 3", "right")
    asked(clone, "w 3 1 9", "wrote")
    save(api, tmp_path / "s2", "Full")
    asked(clone, "c 0 3 1", "right")
    clone.process.kill()
    check_clone(vmm, tmp_path / "s2", "c 0 3 1", "c 3 1 9", "c 10 10 3")


def test_a_diff_on_top_of_a_diff(vmm, tmp_path):
    """Is one: both changes, and it needs what the first one needed."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 10 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    asked(run, "w 5 1 2", "wrote")
    save(api, tmp_path / "s1")
    asked(run, "w 6 1 3", "wrote")
    assert in_area(stored(save(api, tmp_path / "s1"))) == area(5, 2)
    run.process.kill()
    check_clone(vmm, tmp_path / "s1", "c 0 5 1", "c 5 1 2", "c 6 1 3")
    assert merge(tmp_path / "s0", tmp_path / "s1").returncode == 0
    check_clone(vmm, tmp_path / "s1", "c 0 5 1", "c 5 1 2", "c 6 1 3",
                "c 7 3 1")


def test_a_diff_on_top_of_another_snapshot_is_refused(vmm, tmp_path):
    """Whatever was written between the two would be missing."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    save(api, tmp_path / "s0", "Full")
    asked(run, "w 5 1 2", "wrote")
    save(api, tmp_path / "s1")
    status, answer = api.call("PUT", "/snapshot/create", {
        "snapshot_path": str(tmp_path / "s0"), "snapshot_type": "Diff"})
    assert status == 400 and "would be a mix" in answer["fault_message"]
    save(api, tmp_path / "s0", "Full")  # a full one may
    run.process.kill()
    check_clone(vmm, tmp_path / "s0", "c 5 1 2")


def test_a_first_diff_does_not_take_what_is_there(vmm, tmp_path):
    """What the guest has never touched is zero, and not another VM's."""
    run, api = start(vmm, tmp_path)
    asked(run, "w 0 100 1", "wrote")
    save(api, tmp_path / "s", "Full")
    run.process.kill()
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 10 2", "wrote")
    save(api, tmp_path / "s")
    run.process.kill()
    check_clone(vmm, tmp_path / "s", "c 0 10 2", "z 10 90 0")


def test_checksums_of_diffs(vmm, tmp_path):
    """What was damaged is not merged; what was merged has a new one."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    for kind, name in (("Full", "s0"), ("Diff", "s1"), ("Diff", "s2")):
        asked(run, f"w {name[1]} 10 1", "wrote")
        api.set("PUT", "/snapshot/create", {
            "snapshot_path": f"{tmp_path}/{name}/", "snapshot_type": kind,
            "memory_checksum": True})
    run.process.kill()

    def verify(name):
        return subprocess.run([VOLT, "snapshot", "inspect", "--verify",
                               tmp_path / name], capture_output=True,
                              check=False).returncode

    assert [verify(name) for name in ("s0", "s1", "s2")] == [0, 0, 0]
    assert merge(tmp_path / "s0", tmp_path / "s1").returncode == 0
    assert verify("s1") == 0
    with open(tmp_path / "s1/memory.snap", "r+b") as memory:
        memory.seek(AREA)
        memory.write(b"x")
    done = merge(tmp_path / "s1", tmp_path / "s2")
    assert done.returncode == 1 and "is damaged" in done.stderr
    assert verify("s2") == 0


@pytest.fixture
def huge_disk():
    """A disk that keeps data and holes by 2 MiB, not by pages."""
    disk = OwnDisk("huge=always", "size=256m", "mode=700")
    if not disk.path:
        pytest.skip(disk.why)
    with open(f"{disk.path}/probe", "wb") as file:
        file.truncate(4 << 20)
        os.pwrite(file.fileno(), b"x", 4096)
        if os.lseek(file.fileno(), 0, os.SEEK_DATA):
            pytest.skip("this kernel's tmpfs has small pages only")
    os.unlink(f"{disk.path}/probe")
    yield disk.path
    disk.close()


def test_a_file_system_with_large_holes_only(vmm, tmp_path, huge_disk):
    """What lies between the pages of a diff would be zero, not as before."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages", *REACHES)
    save(api, tmp_path / "s0", "Full")
    asked(run, "w 0 1 1", "wrote")
    status, answer = api.call("PUT", "/snapshot/create", {
        "snapshot_path": f"{huge_disk}/s1/", "snapshot_type": "Diff"})
    assert status == 400
    assert "does not keep the holes" in answer["fault_message"]
    assert in_area(stored(save(api, tmp_path / "s1"))) == area(0, 1)


def test_merged_by_another_program(vmm, tmp_path):
    """As Firecracker's editor does: the diff's data into a copy of the base."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 10 1", "wrote")
    base = save(api, tmp_path / "s0", "Full")
    asked(run, "w 5 1 2", "wrote")
    diff = save(api, tmp_path / "s1")
    run.process.kill()
    whole = tmp_path / "whole.mem"
    subprocess.run(["cp", base, whole], check=True)
    with open(diff, "rb") as source, open(whole, "r+b") as target:
        for page in stored(diff):
            os.pwrite(target.fileno(),
                      os.pread(source.fileno(), PAGE, page * PAGE),
                      page * PAGE)
    sock = tmp_path / "load.sock"
    clone = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": str(tmp_path / "s1/state.json"), "resume_vm": True,
        "mem_backend": {"backend_type": "File", "backend_path": str(whole)}})
    asked(clone, "c 0 5 1", "right")
    asked(clone, "c 5 1 2", "right")
    end(clone)


def test_a_diff_without_its_base_is_refused(vmm, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    save(api, tmp_path / "s0", "Full")
    save(api, tmp_path / "s1")
    save(api, tmp_path / "s2")
    run.process.kill()
    # Attributes of a file are easily lost.
    for name, kept in (("kept", "-a"), ("copy", "-r")):
        subprocess.run(["cp", kept, tmp_path / "s1", alone / name],
                       check=True)
        result = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                            alone / name]).finish()
        assert result.code == 1
        assert (f"{alone / name}/memory.snap holds only what changed since"
                in result.log)
        assert f"which is not in {alone}: put it there" in result.log
    shown = subprocess.run([VOLT, "snapshot", "inspect", tmp_path / "s1"],
                           text=True, capture_output=True, check=True).stdout
    assert "restored with it" in shown
    for first, second, text in (
            ("s0", "s0", "whole already"), ("s0", "s2", "needs snapshot"),
            ("s9", "s1", "No such file")):
        done = merge(tmp_path / first, tmp_path / second)
        assert done.returncode == 1 and text in done.stderr, done.stderr


def stored_pages(fd):
    """Of the guest's area."""
    at, found = AREA, set()
    while True:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: none behind
            return found
        at = os.lseek(fd, data, os.SEEK_HOLE)
        found.update(range((data - AREA) // PAGE, (at - AREA) // PAGE))


@pytest.mark.parametrize("track", [False, True], ids=["pagemap", "log"])
def test_the_same_bytes_again(vmm, tmp_path, track):
    """What a clone writes as it was is not in its diff; what it changed and
    changed back since its last one is in the next."""
    first, second, third = (tmp_path / name for name in ("s0", "s1", "s2"))
    run, api = start(vmm, tmp_path)
    asked(run, "w 0 600 1", "wrote")
    memory = save(api, first, "Full")
    run.process.kill()
    with open(memory, "rb") as file:
        try:
            os.preadv(file.fileno(), [bytearray(PAGE)], AREA, os.RWF_NOWAIT)
        except OSError as why:
            pytest.skip(f"the file system does not say what is cached: {why}")
    flags = ["--track-dirty-pages"] if track else []
    run, api = start(vmm, tmp_path, *flags, restore=first)
    asked(run, "w 0 600 1", "wrote")
    asked(run, "w 10 3 2", "wrote")
    save(api, second)
    asked(run, "w 10 3 1", "wrote")
    save(api, third)
    run.process.kill()
    for folder, pages in ((second, {10, 11, 12}),
                          (third, {10, 11, 12} if track else set())):
        with open(folder / "memory.snap", "rb") as file:
            assert stored_pages(file.fileno()) == pages, folder
    check_clone(vmm, second, "c 0 10 1", "c 10 3 2", "c 13 587 1")
    check_clone(vmm, third, "c 0 600 1")
