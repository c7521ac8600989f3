# SPDX-License-Identifier: Apache-2.0
"""Files that are memory of the guest: what it stores is in the file, one that
it may only read stays as it is, and a clone goes on with the same file.

A bare-metal guest stores 8 bytes in each page, flushes, and reads them back.
"""

import hashlib
import os
import struct

import pytest

from conftest import BUILD, Api, Case
from test_balloon import ok, refused

PAGE = 4096
MIB = 1 << 20
# No multiple of a page, let alone of 2 MiB.
FILE = 2 * MIB + 5 * PAGE + 100
SIZE = 4 * MIB


def marks(number, size=FILE):
    """A file that the guest has stored @number in."""
    pages = [struct.pack("<Q", off | number).ljust(PAGE, b"\0")
             for off in range(0, size - PAGE + 1, PAGE)]
    return b"".join(pages).ljust(size, b"\0")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def case(path, words="", **more):
    return Case("pmem", f"file={FILE} size={SIZE} {words}".strip(),
                memory=32, devices={"pmem": [
                    {"id": "p", "path_on_host": str(path), **more}]})


def over_api(path, words="", tracked=False, **more):
    """The same, for start_api()."""
    return Case("pmem", f"file={FILE} size={SIZE} {words}".strip(),
                memory=32, devices={
                    "machine-config": {"vcpu_count": 1, "mem_size_mib": 32,
                                       "track_dirty_pages": tracked},
                    "pmem/p": {"id": "p", "path_on_host": str(path), **more}})


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "pmem.img"
    path.write_bytes(bytes(FILE))
    return path


def test_what_is_stored_is_in_the_file(vmm, image):
    vmm.run(case(image)).assert_passed()
    assert image.read_bytes() == marks(2)


def test_a_store_to_a_read_only_file_goes_nowhere(vmm, image):
    image.write_bytes(marks(1))
    before = digest(image)
    result = vmm.run(case(image, "ro", read_only=True))
    result.assert_passed()
    assert "the guest may only read " + str(image) in result.log
    assert digest(image) == before


def test_a_file_that_nobody_may_write_can_be_read(vmm, image):
    """The file is opened to read only, and mapped so."""
    image.write_bytes(marks(1))
    image.chmod(0o400)
    before = digest(image)
    vmm.run(case(image, "ro", read_only=True)).assert_passed()
    assert digest(image) == before


@pytest.mark.parametrize("read_only, words", [
    (False, "root=/dev/pmem1 rw"), (True, "root=/dev/pmem1 ro")])
def test_it_is_the_root_device(vmm, image, tmp_path, read_only, words):
    """By its place among its like, as it may be written."""
    other = tmp_path / "other.img"
    other.write_bytes(bytes(PAGE))
    result = vmm.run(Case("hello", devices={"pmem": [
        {"id": "q", "path_on_host": str(other)},
        {"id": "p", "path_on_host": str(image), "root_device": True,
         "read_only": read_only}]}))
    assert words in result.out


@pytest.mark.parametrize("name, why", [
    ("nope", "Error accessing backing file: No such file or directory "
             "(os error 2)"),
    ("zero.img", "Error backing file size is 0"),
    (".", "Error accessing backing file: Is a directory (os error 21)")])
def test_what_cannot_be_mapped_does_not_start(vmm, tmp_path, name, why):
    """It is taken, as Firecracker does, and the start says why."""
    (tmp_path / "zero.img").write_bytes(b"")
    sock = tmp_path / "a.sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    ok(api, "PUT", "/boot-source", {
        "kernel_image_path": str(BUILD / "tests/guest/hello.elf")})
    ok(api, "PUT", "/pmem/p", {"id": "p", "path_on_host":
                               str(tmp_path / name)})
    assert refused(api, "PUT", "/actions", {"action_type": "InstanceStart"}
                   ).endswith("Unable to create the virtio-pmem device: "
                              + why)
    # What was not there may have come.
    (tmp_path / "good.img").write_bytes(bytes(PAGE))
    ok(api, "PUT", "/pmem/p", {"id": "p", "path_on_host":
                               str(tmp_path / "good.img")})
    ok(api, "PUT", "/actions", {"action_type": "InstanceStart"})
    run.finish()


def waiting(vmm, image, **more):
    run, api = vmm.start_api(over_api(image, "wait", **more))
    run.wait_for("step flushed")
    return run, api


def end(run):
    run.send("\n")
    run.finish().assert_passed()


def test_a_file_has_one_writer(vmm, image):
    run, _ = waiting(vmm, image)
    argv = [BUILD / "volt-vmm", "--no-api", "--lock-drives", "--kernel",
            BUILD / "tests/guest/hello.elf", "--pmem", image]
    second = vmm.spawn(argv)
    second.finish()
    assert f"Pmem pmem0: {image} is in use" in second.log_path.read_text()
    end(run)


def test_a_file_that_is_cut_ends_the_vm_by_its_name(vmm, image):
    run, _ = waiting(vmm, image)
    os.truncate(image, PAGE)
    run.send("\n")
    result = run.finish()
    assert result.code == 149
    assert (f"A file that guest memory is mapped from was truncated while the "
            f"VM ran: {image}") in result.log


def save(api, folder, **how):
    ok(api, "PATCH", "/vm", {"state": "Paused"})
    ok(api, "PUT", "/snapshot/create", {"snapshot_path": f"{folder}/", **how})


def load(vmm, folder, sock, *flags):
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock, *flags])
    api = Api(sock)
    api.wait()
    return run, api, {"snapshot_path": str(folder), "resume_vm": True}


def kill(run):
    run.process.terminate()
    run.finish()


@pytest.mark.parametrize("tracked", [False, True])
def test_a_clone_goes_on_with_the_file(vmm, image, tmp_path, tracked):
    """Its contents are in no snapshot; what a diff has is RAM's alone."""
    run, api = waiting(vmm, image, tracked=tracked)
    ok(api, "PATCH", "/pmem/p", {"id": "p", "rate_limiter": {
        "ops": {"size": 1000, "refill_time": 10}}})
    save(api, tmp_path / "one")
    assert (tmp_path / "one/memory.snap").stat().st_size == 32 * MIB
    kill(run)
    clone, api, body = load(vmm, tmp_path / "one", tmp_path / "c.sock")
    ok(api, "PUT", "/snapshot/load", body)
    save(api, tmp_path / "two", snapshot_type="Diff")
    kill(clone)
    clone, api, body = load(vmm, tmp_path / "two", tmp_path / "d.sock")
    ok(api, "PUT", "/snapshot/load", body)
    clone.send("\n")
    result = clone.finish()
    assert not result.failures() and result.done()[1] == 0
    assert {"kept", "flush-again"} <= set(result.passes())
    assert image.read_bytes() == marks(2)


def test_a_process_that_is_locked_first_has_it_by_the_gate(vmm, image,
                                                           tmp_path):
    """What a request names, and what the snapshot names that one loads."""
    run, api, _ = load(vmm, None, tmp_path / "a.sock", "--sandbox-first")
    ok(api, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 32})
    ok(api, "PUT", "/boot-source", {
        "kernel_image_path": str(BUILD / "tests/guest/pmem.elf"),
        "boot_args": f"file={FILE} size={SIZE} wait"})
    missing = tmp_path / "missing"
    ok(api, "PUT", "/pmem/p", {"id": "p", "path_on_host": str(missing)})
    start = {"action_type": "InstanceStart"}
    assert "No such file or directory (os error 2)" in refused(
        api, "PUT", "/actions", start)
    ok(api, "PUT", "/pmem/p", {"id": "p", "path_on_host": str(image)})
    ok(api, "PUT", "/actions", start)
    run.wait_for("step flushed")
    save(api, tmp_path / "one")
    kill(run)
    clone, api, body = load(vmm, tmp_path / "one", tmp_path / "c.sock",
                            "--sandbox-first")
    ok(api, "PUT", "/snapshot/load", body)
    clone.send("\n")
    assert "flush-again" in clone.finish().passes()
    assert image.read_bytes() == marks(2)


def test_another_file_is_not_restored(vmm, image, tmp_path):
    run, api = waiting(vmm, image)
    save(api, tmp_path / "one")
    kill(run)
    os.truncate(image, FILE + 1)
    clone, api, body = load(vmm, tmp_path / "one", tmp_path / "c.sock")
    assert (f"its file has {FILE + 1} bytes and had {FILE} when the VM was "
            "saved") in refused(api, "PUT", "/snapshot/load", body)
    clone.finish()


def test_what_is_written_to_has_no_copies(vmm, image, tmp_path):
    run, api = waiting(vmm, image)
    save(api, tmp_path / "one")
    kill(run)
    clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                       tmp_path / "one", "--overlay", tmp_path])
    clone.finish()
    said = "Pmem p is written to, and has no copies"
    assert said in clone.log_path.read_text()
    clone, api, body = load(vmm, tmp_path / "one", tmp_path / "l.sock")
    assert said in refused(api, "PUT", "/snapshot/load",
                           {**body, "resume_vm": False, "lease": True})
    clone.finish()


def test_clones_that_only_read_share_it(vmm, image, tmp_path):
    """Also those that wait for a lease."""
    image.write_bytes(marks(1))
    run, api = vmm.start_api(Case("ticker", "period=20", memory=32, devices={
        "pmem/p": {"id": "p", "path_on_host": str(image),
                   "read_only": True}}))
    run.wait_for("tick 1")
    save(api, tmp_path / "one")
    kill(run)
    for name in "cd":
        clone, api, body = load(vmm, tmp_path / "one", tmp_path / name)
        ok(api, "PUT", "/snapshot/load",
           {**body, "resume_vm": False, "lease": True})
        ok(api, "PUT", "/volt/lease", {"resume_vm": True})
        clone.wait_for("tick")


def test_a_limiter_makes_flushes_wait(vmm, image):
    """One in an hour: the second comes when the limit goes."""
    run, api = waiting(vmm, image, rate_limiter={  # an unknown request, too
        "ops": {"size": 2, "refill_time": 3600000}})
    run.send("\n")
    run.wait_for("ok stored-again")
    ok(api, "PATCH", "/pmem/p", {"id": "p", "rate_limiter": {
        "ops": {"size": 0, "refill_time": 0}}})
    run.finish().assert_passed()
    assert image.read_bytes() == marks(2)
