# SPDX-License-Identifier: Apache-2.0
"""Each system call of volt-vmm has its reason (tests/syscalls)."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import BUILD, LONG, ROOT

HERE = ROOT / "tests/syscalls"
sys.path.insert(0, str(HERE))

import filters  # noqa: E402
import reasons as why  # noqa: E402
import trace as tracing  # noqa: E402

TRACE = """\
7<volt-vmm> execve("/volt-vmm", [...], 0x7ffe3ea9 /* 43 vars */) = 0
7<firecracker> open("/dev/kvm", O_RDWR|O_LARGEFILE|O_CLOEXEC) = 3</dev/kvm<char 10:232>>
7<firecracker> fcntl(3</dev/kvm<char 10:232>>, F_SETFD, FD_CLOEXEC) = 0
8<firecracker> prctl(PR_SET_NAME, ""...) = 0
8<fc_vcpu 0> ioctl(9<anon_inode:kvm-vcpu:0>, KVM_RUN <unfinished ...>
7<firecracker> recvfrom(5<UNIX-STREAM:[1->2,"/a, b)"]>,  <unfinished ...>
8<fc_vcpu 0> <... ioctl resumed>, 0)    = 0
7<firecracker> <... recvfrom resumed>"GET /x, (", 100, MSG_DONTWAIT, NULL, NULL) = 9
7<firecracker> ioctl(6</proc/7/pagemap>, _IOC(_IOC_READ|_IOC_WRITE, 0x66, 0x10, 0x60), 0x7ffd) = 1
8<fc_vcpu 0> tgkill(7, 8, SIGRT_3) = 0
8<fc_vcpu 0> exit(0) = ?
8<fc_vcpu 0> +++ exited with 0 +++
"""


def test_a_trace_is_read():
    calls = tracing.read(TRACE.splitlines(), 7, "musl")
    assert {tuple(key): calls.kinds.get(key, set()) for key in calls.count} == {
        ("start", "vmm", "open(O_RDWR|O_CLOEXEC)"): set(),
        ("start", "vmm", "fcntl(F_SETFD, FD_CLOEXEC)"): {"/dev/kvm"},
        ("start", "vcpu", "prctl(PR_SET_NAME)"): set(),
        ("run", "vcpu", "ioctl(KVM_RUN)"): {"vCPU"},
        ("run", "vmm", "recvfrom(MSG_DONTWAIT)"): {"Unix socket"},
        ("run", "vmm", "ioctl(PAGEMAP_SCAN)"): {"/proc/N/pagemap"},
        ("run", "vcpu", "tgkill(SIGRTMIN)"): set(),
        ("run", "vcpu", "exit()"): set(),
    }


KILLED = """\
7<firecracker> ioctl(9<anon_inode:kvm-vcpu:0>, KVM_RUN, 0) = 0
9<fc_api> epoll_pwait2(5<anon_inode:[eventpoll]>, [], 1, NULL, NULL, 0) = 0
9<fc_api> recvmsg(3<UNIX:[1->2]>, {...}, MSG_DONTWAIT|MSG_CMSG_CLOEXEC) = 4
9<fc_api> recvmsg(3<UNIX:[1->2]>,  <unfinished ...>
7<firecracker> sendmsg(4<UNIX:[2->1]>,  <unfinished ...>
7<firecracker> <... sendmsg resumed> <unfinished ...>) = ?
9<fc_api> <... recvmsg resumed> <unfinished ...>) = ?
9<fc_api> +++ killed by SIGKILL +++
7<firecracker> exit_group(0) = ?
7<firecracker> +++ exited with 0 +++
"""


@pytest.mark.parametrize("lines", (
    KILLED.splitlines(),
    [line for line in KILLED.splitlines() if "resumed" not in line],
    KILLED.replace(" <unfinished ...>\n", " <unfinished ...>) = ?\n")
    .splitlines()))
def test_a_call_that_a_thread_was_killed_in(lines):
    calls = tracing.read(lines, 7, "musl")
    assert set(map(tuple, calls.count)) == {
        ("run", "vmm", "ioctl(KVM_RUN)"),
        ("run", "gate", "epoll_pwait2()"),
        ("run", "gate", "recvmsg(MSG_DONTWAIT|MSG_CMSG_CLOEXEC)"),
        ("run", "vmm", "sendmsg()"),  # seen in no other way
        ("run", "vmm", "exit_group()"),
    }


def test_what_is_missing_is_found():
    lines = why.parse("vmm run | read() | one\n"
                      "vmm start run musl | a(X)/b(X) c() | two\n"
                      "vcpu run rare | d() | three\n")
    seen = {tracing.Key("run", "vmm", "read()"),
            tracing.Key("run", "vmm", "b(X)"),
            tracing.Key("run", "vmm", "c()"),
            tracing.Key("start", "vmm", "c()"),
            tracing.Key("start", "vmm", "b()"),  # cut off
            tracing.Key("run", "vcpu", "read()")}
    assert why.without(lines, seen, "musl") == [("run", "vcpu", "read()")]
    assert ("run", "vmm", "c()") in why.without(lines, seen, "glibc")
    assert [(x.why, key) for x, key in why.stale(lines, seen, "musl")] == [
        ("two", ("start", "vmm", "a(X)"))]
    assert not why.stale(lines, seen, "glibc")
    for bad in ("vmm run | read()", "vmm | read() | no phase",
                "vmm run | read | no call", "vmm run often | read() | a word"):
        with pytest.raises(ValueError):
            why.parse(bad)


def test_the_table_has_the_reasons():
    """table.md and reasons.txt go together; nothing stands there twice."""
    lines = why.load()
    rows = [re.split(r"(?<!\\) ?\| ?", line)[1:-1]
            for line in why.TABLE.read_text(encoding="utf-8").splitlines()[2:]]
    keys = {}
    for phase, thread, call, libcs, _, _, reason in rows:
        key = tracing.Key(phase, thread,
                          call.strip("`").replace("\\|", "|"))
        assert key not in keys
        keys[key] = reason
        for libc in (libcs.split(", ") if libcs != "all" else why.LIBCS[:1]):
            assert why.why(lines, key, libc) == reason, key
    named = [(key, libc) for x in lines for group in x.groups for key in group
             for libc in x.libcs]
    twice = {x for x in named if named.count(x) > 1}
    assert not twice, "two reasons for a call"


ROWS = """
## Calls that are allowed

| call | vmm | vcpu | pager | gate | early | only if | why |
|---|:-:|:-:|:-:|:-:|:-:|---|---|
| `ioctl` |  | x |  |  |  | `KVM_RUN` | the guest |
| `fcntl` | x |  |  | x | x | `IS(1, F_SETFL)` | a file (VMs with a tap) (musl) |
| `read` | x |  |  |  |  | | events |

## Calls that kill
"""


def test_rows_and_reasons_are_compared():
    """Either table with more than the other, and lines without a row."""
    rows = filters.parse(ROWS)
    assert [str(row) for row in rows] == [
        "vcpu ioctl(KVM_RUN)", "vmm fcntl(F_SETFL)", "gate fcntl(F_SETFL)",
        "vmm read()"]
    lines = why.parse("vcpu run | ioctl(KVM_RUN) ioctl(KVM_GET_REGS) | one\n"
                      "vmm start | openat(O_RDWR) | two\n")
    seen = {"musl": {tracing.Key("run", "vcpu", "ioctl(KVM_RUN)"),
                     tracing.Key("start", "vmm", "read()"),
                     tracing.Key("run", "vmm", "brk()"),
                     tracing.Key("run", "vmm", "fcntl(F_SETFL, O_RDWR)")},
            "glibc": {tracing.Key("run", "vcpu", "ioctl(KVM_RUN)"),
                      tracing.Key("run", "vmm", "fcntl(F_SETFL, O_RDWR)")}}
    told = {"gate fcntl(F_SETFL)": "?", "vcpu ioctl(KVM_RUN)": "?"}
    wrong = filters.compare(rows, lines, seen, told)
    assert [x.split(":", 1)[1][:40] for x in wrong] == [
        x[:40] for x in (
            " no scene needs the row vmm read(), and unseen.txt",
            "1: the filter refuses vcpu ioctl(KVM_GET_REGS)",
            " no scene needs the row vmm read(), and unseen.txt",
            " vmm made fcntl(F_SETFL, O_RDWR), which its filter",
            "1: the filter refuses vcpu ioctl(KVM_GET_REGS)",
            " vcpu ioctl(KVM_RUN): there is no such row, or")]


def test_the_early_gate_may_more():
    """Where the reason says that the guest does not run yet, and only there."""
    rows = filters.parse("\n## Calls that are allowed\n\n"
                         "| `bind` |  |  |  |  | x |  | its path |\n")
    assert [str(row) for row in rows] == ["early bind()"]
    seen = {"musl": {tracing.Key("run", "gate", "bind()")}}
    for reason, refused in (("locked first", 0), ("whenever", 2)):
        lines = why.parse(f"gate run | bind() | {reason}\n")
        wrong = filters.compare(rows, lines, seen, {})
        assert len(wrong) == refused, wrong


def test_every_call_has_a_reason(build):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    if not shutil.which("strace"):
        pytest.skip("no strace")
    more = [] if LONG else ["--only", "short"]
    run = subprocess.run([HERE / "run", "--build", BUILD, *more], text=True,
                         capture_output=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
