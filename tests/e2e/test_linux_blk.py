# SPDX-License-Identifier: Apache-2.0
"""Debian's stock kernel with its root file system on virtio-blk.

Both engines: data verified past the page cache, fstrim, a drive that grows,
fio with checksums, discards and flushes on a drive of its own, and kill -9 of
the VMM in a load with fsync. In the lab, in one go. make check-long verifies
384 MB instead of 2.4 MB, and 128 MiB by fio instead of 4, and kills both
engines, for some minutes.
"""

import json
import shutil
import subprocess

import pytest

from conftest import BUILD, LONG, ROOT, in_lab, mkfs_ext4, need_lab, said

IMAGE_MIB = 64
ENGINES = ("Sync", "Async")


def make_image(folder):
    """An ext4 file system with busybox and our init, made without root."""
    tree = folder / "tree"
    for name in ("bin", "sbin", "proc", "sys", "dev", "data"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    subprocess.run([ROOT / "tests/initramfs/fio", tree], check=True)
    shutil.copy(ROOT / "tests/e2e/linux_blk.fio", tree / "fio.job")
    shutil.copy(ROOT / "tests/e2e/linux_blk_init", tree / "sbin/init")
    (tree / "sbin/init").chmod(0o755)
    size = 12 * IMAGE_MIB if LONG else IMAGE_MIB
    return mkfs_ext4(tree, folder / "root.ext4", f"{size}M")


@pytest.fixture(scope="module")
def results(build, tmp_path_factory):
    """What lab_blk.py found, by scenario."""
    need_lab()
    folder = tmp_path_factory.mktemp("blk")
    kernel = said(ROOT / "tests/kernel/stock", "--print", "vmlinux")
    initrd = said(ROOT / "tests/initramfs/build", "--modules")
    out, log = in_lab(
        ["python3", ROOT / "tests/e2e/lab_blk.py", BUILD, kernel, initrd,
         make_image(folder), folder, "long" if LONG else "verify"],
        folder, 3000 if LONG else 600)
    print(log)
    found = {}
    for line in out.splitlines():
        if line.startswith("RESULT "):
            result = json.loads(line.removeprefix("RESULT "))
            found[result["name"]] = result
            print(result["name"], result["seconds"], "s")
    return found


def get(results, name):
    assert name in results, f"the lab ended before {name}"
    return results[name]


@pytest.mark.lab
@pytest.mark.parametrize("engine", ENGINES)
def test_root_on_block_device(results, engine):
    found = get(results, f"verify-{engine}")
    text = "\n".join(found["lines"]) + found["log"]
    files = 24 if LONG else 8
    assert "ROOT /dev/vda ext4 rw" in found["lines"], text
    assert "VDA serial rootfs" in found["lines"], text
    assert "VDA ro 0" in found["lines"], text
    assert "VDA queue/write_cache write back" in found["lines"], text
    assert f"VERIFIED {files} of {files}" in found["lines"], text
    assert "TRIMMED" in found["lines"], text
    assert found["code"] == 0, text
    assert "cannot" not in found["log"], text


@pytest.mark.lab
@pytest.mark.parametrize("engine", ENGINES)
def test_fio_verifies(results, engine):
    """Each job read back and found what it wrote; a quarter was discarded."""
    found = get(results, f"verify-{engine}")
    kib = (128 if LONG else 4) * 1024
    jobs = {x[4:].split(";")[0]: x.split(";")[1:]
            for x in found["lines"] if x.startswith("FIO ")}
    assert set(jobs) == {"flush", "sync", "discard", "again"}, found["lines"]
    for name, part in (("flush", 0.5), ("sync", 0.25), ("again", 0.11)):
        error, read, written = (int(x) for x in jobs[name])
        assert error == 0, found["lines"]
        assert read == written >= kib * part
    assert jobs["discard"][0] == "0"
    assert "NOT-ZERO 0" in found["lines"], found["lines"]
    # What was discarded takes no room here: an eighth of the file, or more.
    assert found["fio_sectors"] <= kib * 2 * 7 / 8 + 64


@pytest.mark.lab
@pytest.mark.parametrize("engine", ENGINES)
def test_image_is_clean_after_power_off(results, engine):
    found = get(results, f"verify-{engine}")
    assert found["fsck"] == 0, found["fsck_text"]


@pytest.mark.lab
@pytest.mark.parametrize("engine", ENGINES)
def test_guest_sees_a_drive_grow(results, engine):
    found = get(results, f"verify-{engine}")
    assert found["patched"] == 204
    assert "VDB 0" in found["lines"]
    assert "VDB 2048 volt" in found["lines"], found["lines"]


@pytest.mark.lab
@pytest.mark.parametrize("engine", ENGINES if LONG else ["Async"])
def test_synced_files_survive_kill_9(results, engine):
    """The journal is replayed, nothing needs repair, every file is whole."""
    found = get(results, f"kill-{engine}")
    assert len(found["synced"]) > 5, found["lines"]
    assert found["lost"] == []
    assert found["fsck"] in (0, 1), found["fsck_text"]
    assert found["after"]["fsck"] == 0, found["after"]["fsck_text"]
