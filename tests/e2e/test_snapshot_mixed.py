# SPDX-License-Identifier: Apache-2.0
"""Whose memory is it? Diffs, copies and swaps of two VMs' snapshots.

Each case ends in the right memory or in a sentence that names the file.
"""

import os
import shutil
import subprocess

import pytest

from conftest import BUILD
from test_snapshot_diff import (AREA, VOLT, area, asked, check_clone,
                                in_area, merge, save, start, stored)
from test_snapshot_uffd import end


def bare(path):
    """What cp, tar and scp leave of a file: no attributes."""
    copy = path.with_name("bare")
    shutil.copyfile(path, copy)  # with other holes, too
    os.replace(copy, path)


def bare_diff(path):
    """The same, with its holes: cp does so by itself."""
    copy = path.with_name("bare")
    subprocess.run(["cp", "--sparse=auto", path, copy], check=True)
    os.replace(copy, path)


def swap(one, other):
    middle = one.with_name("swapped")
    os.rename(one, middle)
    os.rename(other, one)
    os.rename(middle, other)


def two_clones(vmm, folder, *args, lines=("w 50 10 2", "w 60 10 3")):
    """A base, and two VMs that went on from it."""
    run, api = start(vmm, folder)
    asked(run, "w 0 100 1", "wrote")
    save(api, folder / "base", "Full")
    end(run)
    clones = []
    for line in lines:
        clones.append(start(vmm, folder, *args, restore=folder / "base"))
        asked(clones[-1][0], line, "wrote")
    return clones


def refused(vmm, folder, text):
    """By a restore, and by inspect."""
    result = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                        folder]).finish()
    assert result.code == 1 and text in result.log, result.log
    shown = subprocess.run([VOLT, "snapshot", "inspect", folder], text=True,
                           capture_output=True, check=False)
    assert shown.returncode == 1 and text in shown.stdout, shown.stdout


def try_diff(api, state, memory=None):
    body = {"snapshot_path": str(state), "snapshot_type": "Diff"}
    if memory:
        body["mem_file_path"] = str(memory)
        api.set("PATCH", "/vm", {"state": "Paused"})
    status, answer = api.call("PUT", "/snapshot/create", body)
    return status, (answer or {}).get("fault_message", "")


@pytest.mark.parametrize("lost", [False, True])
def test_two_clones_write_a_diff_to_one_directory(vmm, tmp_path, lost):
    """The second is no part of the first, with or without its label."""
    (one, first), (_, second) = two_clones(vmm, tmp_path)
    save(first, tmp_path / "d")
    if lost:
        bare_diff(tmp_path / "d/memory.snap")
    status, why = try_diff(second, tmp_path / "d")
    assert status == 400 and "would be a mix" in why, why
    # Its own it may replace.
    asked(one, "w 90 1 4", "wrote")
    assert in_area(stored(save(first, tmp_path / "d"))) == \
        area(50, 10) | area(90, 1)
    assert merge(tmp_path / "base", tmp_path / "d").returncode == 0
    check_clone(vmm, tmp_path / "d", "c 50 10 2", "c 60 10 1", "c 90 1 4")


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("track", [(), ("--track-dirty-pages",)])
def test_a_diff_onto_an_unrelated_snapshot(vmm, tmp_path, track, lost):
    other, api = start(vmm, tmp_path)
    asked(other, "w 0 100 9", "wrote")
    save(api, tmp_path / "other", "Full")
    end(other)
    if lost:
        bare(tmp_path / "other/memory.snap")
    (_, api), _ = two_clones(vmm, tmp_path, *track)
    status, why = try_diff(api, tmp_path / "other")
    assert status == 400 and "would be a mix" in why, why
    check_clone(vmm, tmp_path / "other", "c 0 100 9")


@pytest.mark.parametrize("content", ["other", "half", "short", "zeros"])
def test_a_memory_file_without_a_label_is_not_believed(vmm, tmp_path, content):
    (_, api), _ = two_clones(vmm, tmp_path)
    memory = tmp_path / "x.mem"
    shutil.copyfile(tmp_path / "base/memory.snap", memory)
    size = os.stat(memory).st_size
    if content == "other":
        memory.write_bytes(os.urandom(1 << 20))
        os.truncate(memory, size)
    else:
        os.truncate(memory, 0 if content == "zeros" else size // 4)
        if content != "short":
            os.truncate(memory, size)
    before = memory.read_bytes()
    status, why = try_diff(api, tmp_path / "x.state", memory)
    assert status == 400 and "cannot be told" in why, why
    assert memory.read_bytes() == before
    assert not (tmp_path / "x.state").exists()


@pytest.mark.parametrize("track", [(), ("--track-dirty-pages",)])
@pytest.mark.parametrize("sparse", ["auto", "always", "never"])
def test_firecrackers_copy_of_the_base(vmm, tmp_path, track, sparse):
    """Copy the base, write the diff onto the copy: it is whole."""
    (run, api), _ = two_clones(vmm, tmp_path, *track)
    memory, state = tmp_path / "x.mem", tmp_path / "x.state"
    subprocess.run(["cp", f"--sparse={sparse}", tmp_path / "base/memory.snap",
                    memory], check=True)
    assert try_diff(api, state, memory) == (204, "")
    end_paused(run, api)
    folder = tmp_path / "whole"
    folder.mkdir()
    os.rename(state, folder / "state.json")
    os.rename(memory, folder / "memory.snap")
    check_clone(vmm, folder, "c 0 50 1", "c 50 10 2", "c 60 40 1")
    check_clone(vmm, tmp_path / "base", "c 0 100 1")


def end_paused(run, api):
    api.set("PATCH", "/vm", {"state": "Resumed"})
    end(run)


@pytest.mark.parametrize("track", [(), ("--track-dirty-pages",)])
def test_firecrackers_diffs_over_the_base(vmm, tmp_path, track):
    """Onto the very files it runs from, again and again; then a full one."""
    (run, api), _ = two_clones(vmm, tmp_path, *track)
    save(api, tmp_path / "base")
    asked(run, "w 70 1 4", "wrote")
    save(api, tmp_path / "base")
    check_clone(vmm, tmp_path / "base", "c 0 50 1", "c 50 10 2", "c 70 1 4")
    asked(run, "w 71 1 5", "wrote")
    save(api, tmp_path / "base", "Full")
    asked(run, "w 72 1 6", "wrote")
    save(api, tmp_path / "base")
    check_clone(vmm, tmp_path / "base", "c 0 50 1", "c 70 1 4", "c 71 1 5",
                "c 72 1 6")


def test_of_two_clones_each_memory_has_one_state(vmm, tmp_path):
    """Swapped, with labels and without; and right again."""
    (_, first), (_, second) = two_clones(vmm, tmp_path)
    one = save(first, tmp_path / "one", "Full")
    two = save(second, tmp_path / "two", "Full")
    swap(one, two)
    refused(vmm, tmp_path / "one", "of another snapshot")
    bare(one)
    bare(two)
    refused(vmm, tmp_path / "one", "of another snapshot")
    refused(vmm, tmp_path / "two", "of another snapshot")
    swap(one, two)
    check_clone(vmm, tmp_path / "one", "c 50 10 2", "c 60 10 1")
    check_clone(vmm, tmp_path / "two", "c 50 10 1", "c 60 10 3")


def test_moments_of_one_vm(vmm, tmp_path):
    """A memory copied over another, whose label stays on the file."""
    run, api = start(vmm, tmp_path)
    asked(run, "w 0 100 1", "wrote")
    one = save(api, tmp_path / "one", "Full")
    asked(run, "w 50 1 2", "wrote")
    two = save(api, tmp_path / "two", "Full")
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    refused(vmm, tmp_path / "one", "of another snapshot")
    one.write_bytes(first)
    two.write_bytes(first)
    refused(vmm, tmp_path / "two", "of another snapshot")
    check_clone(vmm, tmp_path / "one", "c 0 100 1")


@pytest.mark.parametrize("how", [
    ["cp", "-r"], ["cp", "-a"], ["cp", "-r", "--sparse=always"],
    ["cp", "-r", "--sparse=never"],
    ["sh", "-c", "mkdir $2 && tar -C $1 -cf - . | tar -C $2 -xf -", "sh"],
    ["sh", "-c", "mkdir $2 && tar -C $1 -cSf - . | tar -C $2 -xf -", "sh"]])
def test_copies_are_as_good(vmm, tmp_path, how):
    run, api = start(vmm, tmp_path)
    asked(run, "w 0 100 1", "wrote")
    save(api, tmp_path / "s", "Full")
    subprocess.run([*how, tmp_path / "s", tmp_path / "t"], check=True)
    shown = subprocess.run([VOLT, "snapshot", "inspect", tmp_path / "t"],
                           check=False)
    assert shown.returncode == 0
    check_clone(vmm, tmp_path / "t", "c 0 100 1", "z 100 50 0")


@pytest.mark.parametrize("sparse", ["always", "never"])
def test_a_diff_that_lost_its_holes(vmm, tmp_path, sparse):
    """Or got some: what the guest made zero would come back, or the reverse."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 100 1", "wrote")
    asked(run, "w 200 1 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    asked(run, "w 50 5 2", "wrote")
    diff = save(api, tmp_path / "s1")
    if sparse == "always":  # a page that became zero
        with open(diff, "r+b") as memory:
            fallocate_hole(memory.fileno(), min(stored(diff) & area(50, 5)))
        copy = diff
    else:
        copy = diff.with_name("copy")
        subprocess.run(["cp", "--sparse=never", diff, copy], check=True)
        os.replace(copy, diff)
    done = merge(tmp_path / "s0", tmp_path / "s1")
    assert done.returncode == 1
    assert "memory.snap" in done.stderr
    if sparse == "never":
        assert "without its holes" in done.stderr
    refused(vmm, tmp_path / "s1", "memory.snap")


def fallocate_hole(fd, page):
    subprocess.run(["fallocate", "-p", "-o", str(page * 4096), "-l", "4096",
                    f"/proc/self/fd/{fd}"], check=True, pass_fds=[fd])


def test_a_base_that_was_changed_is_not_merged(vmm, tmp_path):
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 100 1", "wrote")
    base = save(api, tmp_path / "s0", "Full")
    asked(run, "w 50 5 2", "wrote")
    save(api, tmp_path / "s1")
    os.truncate(base, AREA + 10 * 4096)
    os.truncate(base, 64 << 20)
    done = merge(tmp_path / "s0", tmp_path / "s1")
    assert done.returncode == 1 and "s0/memory.snap" in done.stderr


def test_after_a_kill_the_diff_finds_the_memory_of_the_state(vmm, tmp_path):
    """memory.snap of A, memory.snap.<B> and the state of B."""
    (_, first), (two, second) = two_clones(vmm, tmp_path,
                                           "--track-dirty-pages")
    folder = tmp_path / "s"
    save(first, folder, "Full")
    a = (folder / "memory.snap").read_bytes()
    save(second, folder, "Full")
    state = (folder / "state.json").read_text()
    ident = state.split('"id":"')[1][:16]
    os.rename(folder / "memory.snap", folder / f"memory.snap.{ident}")
    (folder / "memory.snap").write_bytes(a)
    asked(two, "w 0 1 8", "wrote")
    save(second, folder)
    check_clone(vmm, folder, "c 0 1 8", "c 50 10 1", "c 60 10 3")


@pytest.mark.parametrize("spelling", ["{0}//f", "{0}/./f", "{0}/l/f",
                                      "{0}/l/../{1}/f"])
def test_two_spellings_of_one_file(vmm, tmp_path, spelling):
    run, api = start(vmm, tmp_path)
    (tmp_path / "l").symlink_to(tmp_path)
    api.set("PATCH", "/vm", {"state": "Paused"})
    (tmp_path / "f").write_text("old")
    status, answer = api.call("PUT", "/snapshot/create", {
        "snapshot_path": str(tmp_path / "f"),
        "mem_file_path": spelling.format(tmp_path, tmp_path.name)})
    assert status == 400 and "same file" in answer["fault_message"]
    assert (tmp_path / "f").read_text() == "old"
    api.set("PATCH", "/vm", {"state": "Resumed"})
    end(run)


def test_a_failed_save_leaves_no_directory(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    subprocess.run(["prlimit", f"--pid={run.pid}", "--fsize=65536:"],
                   check=True)
    status, _ = api.call("PUT", "/snapshot/create",
                         {"snapshot_path": f"{tmp_path}/new/"})
    assert status == 400 and not (tmp_path / "new").exists()
    done = subprocess.run([BUILD / "volt-vmm", "--api-sock", api.path,
                           "--snapshot", tmp_path / "new"],
                          capture_output=True, check=False)
    assert done.returncode == 1 and not (tmp_path / "new").exists()
    asked(run, "w 0 1 1", "wrote")


def test_control_characters_do_not_reach_the_terminal(vmm, tmp_path):
    """Of a state whose CRC is right and whose strings are not."""
    run, api = start(vmm, tmp_path)
    save(api, tmp_path / "s", "Full")
    end(run)
    state = tmp_path / "s/state.json"
    text = state.read_text()
    kernel = '"kernel":"'
    at = text.index(kernel) + len(kernel)
    state.write_text(text[:at] + "\\u001b]0;x\\u0007\\u009b" + text[at:])
    done = subprocess.run([VOLT, "snapshot", "inspect", tmp_path / "s"],
                          capture_output=True, check=False)
    assert b"\\x1b]0;x\\x07\\xc2\\x9b" in done.stdout
    assert not set(done.stdout) & set(b"\x1b\x07\x9b")
    state.write_text(text.replace('"serial"', '"\\u001b[2Jx"', 1))
    for argv in ([VOLT, "snapshot", "inspect", tmp_path / "s"],
                 [BUILD / "volt-vmm", "--no-api", "--restore", tmp_path / "s"]):
        done = subprocess.run(argv, capture_output=True, check=False,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        assert b"\x1b" not in done.stdout + done.stderr
