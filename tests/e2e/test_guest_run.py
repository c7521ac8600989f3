# SPDX-License-Identifier: Apache-2.0
"""The bare-metal guests that report checks: all must pass, everywhere.

On this host's KVM each guest is a test of its own; in the lab the same cases
run in one session and each is a test of its result.
"""

import ctypes
import errno
import os

import pytest

from conftest import BUILD, LONG, Api, Case, lab_run

# What the sweeps cost: on a software-assisted host an exit takes 10 us, in
# the lab 30 times that, so the lab gets a coarser one.
EVERYWHERE = [
    Case("hello"),
    Case("hello-pvh"),
    Case("hello", "some words=1", memory=16),
    Case("hello", cpus=4),
    Case("hello-pvh", cpus=3, irqchip="full"),
    Case("console", "lines=50"),
    Case("irq"),
    Case("irq", "full", irqchip="full"),
    Case("ioapic"),
    Case("ioapic", "full", irqchip="full"),
    Case("smp"),
    Case("smp", cpus=2),
    Case("smp", cpus=4),
    Case("smp-pvh", cpus=4, irqchip="full"),
    Case("memtest", memory=16),
    Case("memtest", memory=129),
    Case("kbdprobe"),
    Case("nested"),
]

ON_HOST = EVERYWHERE + [
    Case("console", "lines=1000"),
    Case("smp", cpus=32),
    Case("pio", "only=in"),
    Case("pio", "only=out"),
    Case("pio", "only=outs"),
    Case("pio", "only=in full", irqchip="full"),
    Case("pio", "only=out full", irqchip="full"),
    Case("mmio", "step=16"),
    Case("mmio", irqchip="full"),
] + ([Case("pio", "only=ins"), Case("mmio", "step=1")] if LONG else [])

IN_LAB = EVERYWHERE + [
    Case("nested", extra=("--nested",), name="nested-offered"),
    Case("smp", cpus=8),
    Case("pio", "only=in"),
    Case("mmio", "step=256"),
]


def ids(cases):
    return [c.name for c in cases]


@pytest.mark.parametrize("case", ON_HOST, ids=ids(ON_HOST))
def test_on_host(vmm, case):
    vmm.run(case, seconds=300).assert_passed()


@pytest.fixture(scope="module")
def lab_results(build, tmp_path_factory):
    return lab_run(IN_LAB, tmp_path_factory.mktemp("lab"), 400)


@pytest.mark.lab
@pytest.mark.parametrize("case", IN_LAB, ids=ids(IN_LAB))
def test_in_lab(lab_results, case):
    assert case.name in lab_results, "the lab ended before this case"
    lab_results[case.name].assert_passed()


@pytest.mark.lab
def test_nested_only_if_asked_for(lab_results):
    """The lab's KVM has SVM; a guest has it with --nested alone."""
    assert "# vmx 0 svm 0" in lab_results["nested"].lines()
    assert "# vmx 0 svm 1" in lab_results["nested-offered"].lines()


def test_a_nested_vm_is_not_saved(vmm, tmp_path):
    """A sentence, and the VM goes on."""
    sock = tmp_path / "a.sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock, "--nested",
                     "--kernel", vmm.guest("ticker")])
    run.wait_for("tick 1")
    api = Api(sock)
    api.set("PATCH", "/vm", {"state": "Paused"})
    status, answer = api.call("PUT", "/snapshot/create", {
        "snapshot_path": str(tmp_path / "s"),
        "mem_file_path": str(tmp_path / "m")})
    assert status == 400 and "started with --nested" in answer["fault_message"]
    assert not (tmp_path / "s").exists()
    api.set("PATCH", "/vm", {"state": "Resumed"})
    run.wait_for("tick ")


def test_core_scheduling(vmm):
    """Every thread has the cookie, or the sentence says what is missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    cookie = ctypes.c_ulong()
    run = vmm.start("ticker", extra=("--core-sched",))
    # PR_SCHED_CORE, PR_SCHED_CORE_GET, of a thread
    if libc.prctl(62, 0, 0, 0, ctypes.byref(cookie)) < 0 and \
            ctypes.get_errno() == errno.EINVAL:
        done = run.finish()
        assert done.code == 1
        assert "--core-sched: this kernel has no core scheduling" in done.log
        return
    run.wait_for("tick 1")
    cookies = set()
    for tid in map(int, os.listdir(f"/proc/{run.pid}/task")):
        if libc.prctl(62, 0, tid, 0, ctypes.byref(cookie)) == 0:
            cookies.add(cookie.value)
    assert not cookies or (len(cookies) == 1 and 0 not in cookies)
