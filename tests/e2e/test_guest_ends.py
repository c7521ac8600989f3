# SPDX-License-Identifier: Apache-2.0
"""Every way a VM ends: its exit code, its message, and never a spin."""

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import termios
import time

import pytest

from conftest import BUILD, Case

# docs/exit-codes.md
TRIPLE_FAULT, INTERNAL_ERROR, MMIO_IN_RAM = 160, 161, 162

CLEAN = ["i8042", "acpi-reset", "acpi-s5"]

# What the guest does -> the codes it may end with. Whether KVM emulates the
# access or faults depends on the kind of host, the message does not.
BROKEN = {
    "triple-fault": {TRIPLE_FAULT},
    "bad-rip": {TRIPLE_FAULT, INTERNAL_ERROR},
    "mmio-rip": {TRIPLE_FAULT, INTERNAL_ERROR},
    "no-emulation": {INTERNAL_ERROR},
    "mmio-page-table": {TRIPLE_FAULT, INTERNAL_ERROR},
    "no-page-table": {TRIPLE_FAULT, INTERNAL_ERROR},
}

# Signal -> exit code; negative: the process ends by the signal itself
SIGNALS = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: -signal.SIGINT,
           signal.SIGHUP: 156}

MESSAGES = {
    TRIPLE_FAULT: "Triple fault",
    INTERNAL_ERROR: "KVM internal error",
}


def end(vmm, name, **fields):
    result = vmm.run(Case("resets", f"end={name}", **fields))
    assert f"ending {name}" in result.lines(), result
    assert not result.failures(), result
    return result


@pytest.mark.parametrize("irqchip", ["split", "full"])
@pytest.mark.parametrize("name", CLEAN)
def test_clean_end(vmm, name, irqchip):
    assert end(vmm, name, irqchip=irqchip).code == 0


@pytest.mark.parametrize("name", CLEAN)
def test_clean_end_with_more_cpus(vmm, name):
    assert end(vmm, name, cpus=4).code == 0


def test_broken_end_is_counted(vmm, tmp_path):
    metrics = tmp_path / "metrics"
    end(vmm, "triple-fault", extra=("--metrics-path", str(metrics)))
    lines = [json.loads(x) for x in metrics.read_text().splitlines()]
    assert sum(x["vcpu"]["failures"] for x in lines) == 1


@pytest.mark.parametrize("name", BROKEN)
def test_broken_end(vmm, name):
    result = end(vmm, name)
    assert result.code in BROKEN[name], result
    lines = [x for x in result.log.splitlines()
             if MESSAGES[result.code] in x]
    assert len(lines) == 1, result.log
    assert "rip=" in lines[0]


def test_internal_error_shows_the_instruction(vmm):
    log = end(vmm, "no-emulation").log
    assert "df 3" in log, log  # fistpll (%reg)


def test_stack_in_the_hole_survives_or_ends_with_a_message(vmm):
    result = end(vmm, "mmio-stack")
    assert result.code in (0, TRIPLE_FAULT, INTERNAL_ERROR), result


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_halted_guest_costs_nothing_and_can_be_stopped(vmm):
    run = vmm.start("resets", "end=halt")
    run.wait_for("ending halt")
    time.sleep(0.5)
    before = cpu_ticks(run.pid)
    time.sleep(1)
    assert cpu_ticks(run.pid) - before < 50
    run.process.send_signal(signal.SIGTERM)
    assert run.finish().code == -signal.SIGTERM


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("guest", ["spin", "ticker"])
@pytest.mark.parametrize("cpus", [1, 4])
def test_signal_ends_a_busy_guest(vmm, guest, number, cpus):
    run = vmm.start(guest, "cpus", cpus=cpus)
    run.wait_for("spinning" if guest == "spin" else "tick 2")
    run.process.send_signal(number)
    assert run.finish().code == SIGNALS[number]


def test_mark_guest_prints_its_mark(vmm):
    for guest in ("mark", "mark-pvh"):
        result = vmm.run(Case(guest))
        assert (result.code, result.out) == (0, "@\n"), result


def test_many_in_a_row(vmm):
    """Start and end leave nothing that breaks the next VM."""
    codes = [vmm.run(Case("mark")).code for _ in range(30)]
    assert codes == [0] * 30


def test_missing_kernel_is_named(vmm):
    run = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--kernel",
                     "/nonexistent/kernel"])
    result = run.finish()
    assert result.code != 0
    assert "/nonexistent/kernel" in result.log + result.out


def test_an_abort_gives_the_terminal_back(vmm):
    """As a failed assertion does; it is raw while the guest runs."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with subprocess.Popen(
            [BUILD / "volt-vmm", "--no-api", "--kernel", vmm.guest("ticker")],
            stdin=slave, stdout=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) as run:
        try:
            seen = b""
            while b"tick 1" not in seen:
                seen += os.read(master, 4096)
            assert termios.tcgetattr(slave) != before
            run.send_signal(signal.SIGABRT)
            assert run.wait(60) == -signal.SIGABRT
        finally:
            run.kill()
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("restored", [False, True], ids=["start", "restore"])
def test_time_limit(vmm, tmp_path, restored):
    """A guest that spins for ever ends, with its own code and a line."""
    if restored:
        first = vmm.spawn([BUILD / "volt-vmm", "--api-sock",
                           tmp_path / "a.sock", "--kernel",
                           vmm.guest("ticker")])
        first.wait_for("tick 1")
        subprocess.run([BUILD / "volt-vmm", "--api-sock", tmp_path / "a.sock",
                        "--snapshot", tmp_path / "s"], check=True, timeout=60)
        first.process.kill()
        source = ["--restore", tmp_path / "s"]
    else:
        source = ["--kernel", vmm.guest("spin")]
    run = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--timeout", "1",
                     *source])
    result = run.finish()
    assert result.code == 166
    assert "The time limit of 1 s is over: the VM ends" in result.log


@pytest.mark.skipif(not shutil.which("strace"),
                    reason="strace is not installed")
def test_a_kernel_that_is_too_old(vmm):
    """Before Linux 5.11 the loop cannot wait, and says so."""
    run = vmm.spawn(["strace", "-D", "-f", "-o", "/dev/null", "-e",
                     "trace=epoll_pwait2", "-e",
                     "inject=epoll_pwait2:error=ENOSYS", BUILD / "volt-vmm",
                     "--no-api", "--no-seccomp", "--kernel",
                     vmm.guest("ticker")])
    result = run.finish()
    assert result.code == 2
    assert "it needs Linux 5.11 or later" in result.log
