# SPDX-License-Identifier: Apache-2.0
"""Kernel and initrd files: mapped, read right, and truncated at run time."""

import json
import os
import sys

import pytest

from conftest import BUILD, ROOT, Case, looks_into

sys.path.insert(0, str(ROOT / "bench"))

from lib import elf  # noqa: E402

SIGBUS_CODE = 149
PAYLOAD_MIB = 8
PAYLOAD_GPA = 16 << 20
MEMORY_MIB = 66  # like no other mapping


@pytest.fixture
def big_kernel(tmp_path):
    """The ticker with a segment that it reads when it is told to."""
    path = tmp_path / "kernel.elf"
    ticker = (BUILD / "tests/guest/ticker.elf").read_bytes()
    path.write_bytes(elf.with_segment(ticker, PAYLOAD_GPA,
                                      os.urandom(PAYLOAD_MIB << 20)))
    return path


# Runs the rest of its arguments without huge pages: where the host's policy
# gives some to everybody, kernel and initrd are copied and not mapped.
PR_SET_THP_DISABLE = 41
MAPPED = [sys.executable, "-c", f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({PR_SET_THP_DISABLE}, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""]


def argv(kernel, *more):
    return [*MAPPED, BUILD / "volt-vmm", "--no-api", "--kernel", kernel, *more]


@pytest.mark.parametrize("guest", ["hello", "hello-pvh"])
@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 300001])
def test_initrd_arrives_whole(vmm, tmp_path, guest, size):
    initrd = tmp_path / "initrd"
    data = os.urandom(size)
    initrd.write_bytes(data)
    case = Case(guest, f"initrd={sum(data)}",
                extra=("--initrd", str(initrd)))
    result = vmm.run(case)
    result.assert_passed()
    assert "initrd-bytes" in result.passes()
    assert any(x.endswith(f"size {size}") for x in result.lines())


def read_cmdline(*words):
    return " ".join([f"read-at={PAYLOAD_GPA >> 20}", f"read={PAYLOAD_MIB}",
                     *words])


@looks_into
def test_kernel_pages_stay_in_the_page_cache(vmm, big_kernel):
    """Pages that the guest only reads are the file's: shared, not private."""
    run = vmm.spawn(argv(big_kernel, "--cmdline", read_cmdline()))
    run.wait_for("tick 2")
    private = total = 0
    with open(f"/proc/{run.pid}/smaps", encoding="ascii") as smaps:
        ours = False
        for line in smaps:
            if "-" in line.split(" ")[0]:
                ours = str(big_kernel) in line
            elif ours and line.startswith("Rss:"):
                total += int(line.split()[1])
            elif ours and line.startswith("Anonymous:"):
                private += int(line.split()[1])
    assert total >= PAYLOAD_MIB << 10
    assert private < 1024


@looks_into
def test_huge_pages_are_left_whole(vmm, tmp_path, big_kernel):
    """A VM that asks for huge pages: memory where they fit, nothing mapped."""
    policy = "/sys/kernel/mm/transparent_hugepage/enabled"
    if not os.path.exists(policy) or "[never]" in open(
            policy, encoding="ascii").read():
        pytest.skip("this host's policy is to give no huge pages")
    config = tmp_path / "vm.json"
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(big_kernel),
                        "boot_args": read_cmdline()},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": MEMORY_MIB,
                           "huge_pages": "Transparent"}, "drives": []}))
    run = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--config-file", config])
    run.wait_for("tick 2")
    with open(f"/proc/{run.pid}/maps", encoding="ascii") as maps:
        ranges = [line.split()[0].split("-") for line in maps
                  if str(big_kernel) not in line]
        maps.seek(0)
        assert str(big_kernel) not in maps.read()
    sizes = {int(end, 16) - int(start, 16): int(start, 16)
             for start, end in ranges}
    assert sizes[MEMORY_MIB << 20] % (2 << 20) == 0


@pytest.mark.parametrize("left", [0, 4096, (PAYLOAD_MIB << 20) // 2])
def test_truncated_kernel_is_named(vmm, big_kernel, left):
    run = vmm.spawn(argv(big_kernel, "--cmdline", read_cmdline("wait")))
    run.wait_for("waiting")
    os.truncate(big_kernel, left)
    run.send("x")
    result = run.finish()
    assert result.code == SIGBUS_CODE, result
    lines = [x for x in result.log.splitlines() if str(big_kernel) in x]
    assert len(lines) == 1 and "truncated" in lines[0], result.log


def test_truncated_initrd_is_named(vmm, tmp_path):
    initrd = tmp_path / "initrd"
    size = 4 << 20
    initrd.write_bytes(os.urandom(size))
    # The initrd ends at the top of the 64 MiB: the guest reads all of that.
    run = vmm.spawn(argv(vmm.guest("ticker"), "--initrd", initrd, "--memory",
                         "64", "--cmdline", "read-at=48 read=16 wait"))
    run.wait_for("waiting")
    os.truncate(initrd, 0)
    run.send("x")
    result = run.finish()
    assert result.code == SIGBUS_CODE, result
    assert str(initrd) in result.log
