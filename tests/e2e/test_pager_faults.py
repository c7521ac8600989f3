# SPDX-License-Identifier: Apache-2.0
"""What becomes of a VM whose volt-pager is killed, stalls, has no memory or
reads a file that is cut: it goes on with the right bytes, or it ends by name.

VOLT_TEST_LONG=1: killed at each system call. Else at some: five seconds.
"""

import collections
import os
import re
import signal
import subprocess

import pytest

from conftest import BUILD, Api
from test_pager import PAGER, clone_of, pager  # noqa: F401
from test_snapshot_chain import LIMIT, a_chain
from test_snapshot_diff import asked, end
from test_snapshot_killed import some
from test_snapshot_pack import compress
from test_snapshot_uffd import need_uffd

GONE = "serves the guest's memory is gone"


def judged(clone, written, name):
    """True: all of its bytes are right, and it comes to its end. False: it
    ended before, by name, and no byte was wrong."""
    try:
        clone.send("".join(f"{line}\n" for line in written.checks(name)))
        clone.send("q 0 0 0\n")
    except BrokenPipeError:
        pass
    result = clone.finish()
    assert "wrong" not in result.out, result
    if result.code != 1:
        result.assert_passed()
        assert result.out.count("right") == len(list(written.checks(name)))
        return True
    # While it lived; while it was spoken to; before.
    assert any(words in result.log for words in (
        GONE, "userfaultfd to its handler", "UDS Unix stream")), result
    return False


def test_one_that_stalls(vmm, tmp_path, pager):  # noqa: F811
    """Who needs a page waits; the API does not, and nothing is lost."""
    written = a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0")
    server = pager(tmp_path / "s0")
    sock = tmp_path / "api"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock, "--restore",
                     tmp_path / "s0", "--uffd", server.sock])
    api = Api(sock)
    api.wait()
    first, *rest = written.checks("s0")
    asked(run, "c 0 1 1", "right")
    server.process.send_signal(signal.SIGSTOP)
    run.send(f"{first}\n")
    assert run.read_some(0.5) is None  # nobody answers
    assert api.call("GET", "/")[1]["state"] == "Running"
    told = api.call("GET", "/volt/memory")[1]["pager"]
    assert told["private_bytes"] > 0
    server.process.send_signal(signal.SIGCONT)
    assert run.wait_for("\n").strip() == "right"
    for line in rest:
        asked(run, line, "right")
    end(run)
    server.end()


def test_the_end_while_it_stalls(vmm, tmp_path, pager):  # noqa: F811
    """SIGTERM ends a VM whose vCPU waits for a page."""
    a_chain(vmm, tmp_path, 1)
    server = pager(tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    asked(clone, "c 0 1 1", "right")
    server.process.send_signal(signal.SIGSTOP)
    clone.send("c 300 50 1\n")
    assert clone.read_some(0.5) is None
    clone.process.terminate()
    assert clone.finish().code == -signal.SIGTERM
    server.process.send_signal(signal.SIGCONT)
    server.end()


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "packed"])
def test_a_file_that_is_cut(vmm, tmp_path, pager, packed):  # noqa: F811
    """While it is served: the pager says which one."""
    written = a_chain(vmm, tmp_path, 1)
    if packed:
        compress(tmp_path / "s0", "--frame", "64")
    server = pager(tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    asked(clone, "c 0 1 1", "right")
    memory = tmp_path / "s0/memory.snap"
    os.truncate(memory, memory.stat().st_size // 8)
    assert not judged(clone, written, "s0")
    assert server.process.wait(LIMIT) == 1
    assert "s0/memory.snap" in server.text()


def test_little_memory(vmm, tmp_path):
    """Whatever it may have: it says so, or serves what is right."""
    need_uffd()
    written = a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0", "--frame", "2048")
    outcomes = collections.Counter()
    for number, mib in enumerate((4, 6, 7, 8, 9, 10, 12, 14, 16, 24, 64)):
        sock = tmp_path / f"sock{number}"
        with subprocess.Popen(
                ["prlimit", f"--as={mib << 20}", PAGER, "--background", sock,
                 tmp_path / "s1"], stderr=subprocess.PIPE, text=True) as server:
            said = server.communicate(timeout=LIMIT)[1] \
                if server.wait(LIMIT) else ""
        if server.returncode != 0:
            # The loader's words, where not even the program has room.
            assert "emory" in said or "cannot" in said, said
            outcomes["refused"] += 1
            continue
        clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                           tmp_path / "s1", "--uffd", sock])
        outcomes[judged(clone, written, "s1")] += 1
    assert outcomes["refused"] and outcomes[True], outcomes


def calls_of(trace):
    """(name, n) of each call since the socket is there."""
    seen, found, begun = collections.Counter(), [], False
    for name, rest in re.findall(r"^\d+ +(\w+)\((.*)", trace, re.M):
        seen[name] += 1
        begun = begun or name == "listen"
        if begun:
            found.append((name, seen[name]))
    return found


def test_killed_at_every_call(vmm, tmp_path):
    need_uffd()
    written = a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0", "--frame", "64")
    trace = tmp_path / "trace"
    outcomes = collections.Counter()

    def serve(*inject):
        """Under strace, whose death is that of a pager that was killed."""
        (tmp_path / "pager.sock").unlink(missing_ok=True)
        with open(tmp_path / "said", "wb") as said:
            server = subprocess.Popen(
                ["strace", "-f", "-o", trace, *inject, PAGER,
                 tmp_path / "pager.sock", tmp_path / "s1"], stderr=said)
        try:
            while not (tmp_path / "pager.sock").exists():
                if server.poll() is not None:
                    return None
            clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                               tmp_path / "s1", "--uffd",
                               tmp_path / "pager.sock"])
            good = judged(clone, written, "s1")
            server.wait(LIMIT)
            vmm.forget_ended()
            return good
        finally:
            server.kill()
            server.wait(LIMIT)

    assert serve() is True
    calls = calls_of(trace.read_text())
    assert len(calls) > 40
    for name, number in some(calls):
        outcomes[serve("-e", f"inject={name}:signal=KILL:when={number}")] += 1
    assert outcomes[False] > 5, outcomes
