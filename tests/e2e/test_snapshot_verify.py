# SPDX-License-Identifier: Apache-2.0
"""volt snapshot verify: all that was changed is found, and named.

Some four seconds.
"""

import os
import shutil
import subprocess

from conftest import BUILD
from test_snapshot_chain import LIMIT, a_chain, done, volt
from test_snapshot_diff import AREA, PAGE, asked, start


def verified(place, code, *words):
    """What it says on standard error."""
    result = volt("verify", *(place if isinstance(place, tuple) else [place]))
    assert result.returncode == code, result
    for word in words:
        assert str(word) in result.stdout + result.stderr, (word, result)
    return result.stderr


def summed_chain(vmm, folder):
    """s0 and a diff s1, both with a CRC of their memory."""
    run, api = start(vmm, folder, "--track-dirty-pages")
    for i, kind in enumerate(("Full", "Diff")):
        asked(run, f"w {300 * i} 400 {i + 1}", "wrote")
        api.set("PUT", "/snapshot/create", {
            "snapshot_path": f"{folder}/s{i}/", "snapshot_type": kind,
            "memory_checksum": True})
    run.process.kill()


def flip(memory, page):
    """A byte of the guest's area; the file looks as it did."""
    stat = os.stat(memory)
    with open(memory, "r+b") as file:
        file.seek(AREA + page * PAGE + 9)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    os.utime(memory, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def files(folder):
    return sorted((str(x), x.lstat().st_mtime_ns) for x in folder.rglob("*"))


def test_with_checksums(vmm, tmp_path):
    """A byte anywhere: in the memory, a base's, a state, an export."""
    store = tmp_path / "store"
    store.mkdir()
    summed_chain(vmm, store)
    done(volt("export", store / "s1", tmp_path / "sent"))
    before = files(store)
    for place, nr in ((store / "s0", 1), (store / "s1", 1), (store, 2),
                      (tmp_path / "sent", 1)):
        verified(place, 0, f"{place}: {nr} snapshot")
    verified((store / "s1/state.json", store / "s1/memory.snap"), 0)
    assert files(store) == before  # no lock, nothing touched

    # A whole one has a CRC of its own, of all the memory.
    done(volt("export", "--whole", store / "s1", tmp_path / "all"))
    done(volt("import", tmp_path / "all", tmp_path / "alone"))
    verified(tmp_path / "alone", 0, "1 snapshot right")

    flip(store / "s1/memory.snap", 310)
    result = volt("export", "--whole", store / "s1", tmp_path / "bad")
    assert result.returncode == 1 and "CRC-64" in result.stderr, result
    assert not (tmp_path / "bad").exists()
    flip(store / "s1/memory.snap", 310)
    flip(store / "s0/memory.snap", 177)
    for place in (store, store / "s0", store / "s1"):
        said = verified(place, 1, f"{store}/s0/memory.snap is damaged: its "
                        "CRC-64 is ")
        assert said.count("\n") == 1, said
    flip(store / "s0/memory.snap", 177)
    verified(store, 0)
    text = (store / "s1/state.json").read_bytes()
    (store / "s1/state.json").write_bytes(text.replace(b"serial", b"Serial"))
    verified(store, 1, f"{store}/s1/state.json: The state is damaged")
    (store / "s1/state.json").write_bytes(text)
    sent = (tmp_path / "sent").read_bytes()
    for bad in (sent[:-1], sent[:len(sent) // 2],
                sent[:-100] + bytes([sent[-100] ^ 1]) + sent[-99:]):
        (tmp_path / "sent").write_bytes(bad)
        verified(tmp_path / "sent", 1, f"{tmp_path}/sent: record ")
    shutil.rmtree(store / "s0")
    verified(store / "s1", 1, f"{store}/s1/memory.snap holds only what "
             "changed since")


def test_without_checksums(vmm, tmp_path):
    """Memory is read, and nobody says that it was proved."""
    store = tmp_path / "store"
    store.mkdir()
    a_chain(vmm, store, 3)
    verified(store / "s3", 2, "4 memory files without a CRC")
    verified(store, 2, "4 snapshots right", "4 memory files without a CRC")
    # A copy that lost the labels, one of whose files changed: each snapshot
    # above it says why, not that it is not there.
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", "--sparse=auto", store, copy], check=True)
    verified(copy, 2)
    with open(copy / "s1/memory.snap", "r+b") as memory:
        memory.seek(AREA + 5000 * PAGE)
        memory.write(b"x" * PAGE)
    said = verified(copy, 1)
    assert said.count(f"{copy}/s1/memory.snap was copied without its holes") \
        == 3, said
    # Where the label still counts the pages of the proof are read here.
    with open(store / "s1/memory.snap", "r+b") as memory:
        stat = os.fstat(memory.fileno())
        memory.seek(AREA + 5000 * PAGE)
        memory.write(b"x" * PAGE)
        memory.flush()
        os.utime(memory.fileno(), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    verified(store / "s3", 1, f"{store}/s1/memory.snap: is damaged: its holes")


def test_what_is_none(tmp_path):
    verified(tmp_path, 1, f"there is no snapshot in {tmp_path}")
    verified(tmp_path / "none", 1, "No such file")
    (tmp_path / "text").write_text("some text")
    verified(tmp_path / "text", 1, "no exported snapshot")
    os.mkfifo(tmp_path / "pipe")
    verified(tmp_path / "pipe", 1, "pipe")


def test_progress(vmm, tmp_path):
    """What takes more than a second is told while it lasts."""
    run, api = start(vmm, tmp_path)
    api.set("PUT", "/snapshot/create", {"snapshot_path": f"{tmp_path}/s/"})
    run.process.kill()
    # Each read takes a while, as of a slow disk.
    result = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=preadv2", "-e",
         "inject=preadv2:delay_enter=150000", BUILD / "volt", "snapshot",
         "verify", tmp_path / "s"],
        text=True, capture_output=True, timeout=LIMIT, check=False)
    assert result.returncode == 2, result
    assert "MiB read, in " in result.stderr, result
