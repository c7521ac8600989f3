# SPDX-License-Identifier: Apache-2.0
"""volt snapshot ls and tree: what is there, what is missing, nothing else."""

import json
import os
import shutil

import pytest

from test_snapshot_chain import a_chain, done, refused, volt
from test_snapshot_diff import merge

DEEP = 3
USER = 65534


def rows(folder):
    result = volt("ls", "--json", folder)
    done(result)
    return {row["name"]: row
            for row in map(json.loads, result.stdout.splitlines())}


def chains(folder):
    return {name: row["chain"] for name, row in rows(folder).items()}


def files(folder):
    return sorted((str(x), x.lstat().st_mtime_ns)
                  for x in folder.rglob("*"))


def names(tree):
    return [line.split("  ")[0] if line[0] not in " |`" else
            line[:line.index(", ")].rsplit("  ", 1)[0]
            for line in tree.splitlines()]


def test_a_chain_and_what_is_missing(vmm, tmp_path):
    """As a restore finds it: whole, exported, merged, with a gap, damaged."""
    store = tmp_path / "store"
    store.mkdir()
    assert rows(store) == {}
    a_chain(vmm, store, DEEP)
    done(volt("export", store / "s1", store / "sent"))
    before = files(store)
    found = rows(store)
    assert {name: (x["kind"], x["base"], x["chain"]) for name, x
            in found.items()} == {
        "s0": ("full", None, "whole"), "s1": ("diff", "s0", "whole"),
        "s2": ("diff", "s1", "whole"), "s3": ("diff", "s2", "whole"),
        "sent": ("export", "s0", "whole")}
    assert {x["memory_bytes"] for x in found.values()} == {64 << 20}
    assert 0 < found["s3"]["stored_bytes"] < found["s0"]["stored_bytes"]
    tree = volt("tree", store)
    done(tree)
    assert names(tree.stdout) == ["s0", "|- s1", "|  `- s2", "|     `- s3",
                                  "`- sent"], tree.stdout
    assert files(store) == before  # no lock, nothing touched

    text = (store / "s1/state.json").read_bytes()
    (store / "s1/state.json").write_bytes(text.replace(b"serial", b"Serial"))
    found = rows(store)
    # A chain takes the memory by its label, whatever the state says.
    assert found["s1"]["chain"] == "damaged" and "CRC" in found["s1"]["error"]
    assert found["s3"]["chain"] == "whole"
    with open(store / "s1/memory.snap", "r+b") as memory:
        memory.truncate(1 << 20)
    assert rows(store)["s3"]["chain"] != "whole"
    refused(vmm, store / "s3", "s2/memory.snap")
    shutil.rmtree(store / "s1")
    assert chains(store) == {"s0": "whole", "s2": "missing", "s3": "missing",
                             "sent": "whole"}
    assert rows(store)["s3"]["missing_id"] == found["s1"]["id"]
    tree = volt("tree", store)
    done(tree)
    assert names(tree.stdout) == ["s0", "`- sent", "s2", "`- s3"]
    assert f"{found['s1']['id']}, which s2 is a diff of, is missing" \
        in tree.stdout
    done(volt("import", store / "sent", store / "back"))
    done(merge(store / "back", store / "s2"))
    assert set(chains(store).values()) == {"whole"}
    assert rows(store)["s2"]["base"] == "s0"


@pytest.mark.parametrize("form", ["ls", "tree"])
def test_a_hostile_folder(tmp_path, form):
    """Whatever lies there is skipped or named; nothing waits, nothing moves."""
    for name in ("fifo", "links", "empty", "state-dir", "state-fifo"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "fifo/state.json")
    os.mkfifo(tmp_path / "pipe")
    os.symlink("state.json", tmp_path / "links/state.json")
    os.symlink("loop", tmp_path / "loop")
    (tmp_path / "state-dir/state.json").mkdir()
    os.symlink("/dev/zero", tmp_path / "zero")
    (tmp_path / "cut").write_bytes(b"voltprc1" + bytes(31))
    (tmp_path / "huge").write_bytes(
        b"voltprc1" + (1).to_bytes(8, "little") + b"\xff" * 24)
    (tmp_path / "text").write_bytes(b"not a snapshot")
    odd = tmp_path / os.fsdecode(b"a\x1b[2J\nb\xff")
    odd.mkdir()
    (odd / "state.json").write_bytes(
        b'{"crc64":"0000000000000000",\n"version":"2.1.0","volt_version":'
        b'"\x1b]0;x\x07","id":"0000000000000001",\n')
    before = files(tmp_path)
    result = volt(form, tmp_path)
    done(result)
    assert not set(result.stdout) & {"\x1b", "\x07", "\r"}
    lines = result.stdout.splitlines()[form == "ls":]
    assert [line.split()[0] for line in lines] == [
        "a\\x1b[2J\\nb\\xff", "cut", "fifo", "huge", "links", "state-dir"]
    assert files(tmp_path) == before


def test_one_that_is_a_snapshot_itself(tmp_path):
    (tmp_path / "state.json").write_text("{")
    result = volt("ls", tmp_path)
    assert result.returncode == 1 and "is a snapshot itself" in result.stderr


def test_a_base_of_another_user(vmm, tmp_path):
    """Is named as a restore would name it, not taken."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    a_chain(vmm, tmp_path, 1)
    os.chown(tmp_path / "s0/memory.snap", USER, USER)
    assert chains(tmp_path) == {"s0": "whole", "s1": "base-of-another-user"}
    refused(vmm, tmp_path / "s1", "belongs to another user")
