# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel, by every way in: here when KVM runs it, else in the lab.

Each boot has much of its own (protocol, CPUs, irqchip, memory, end), and all of
a lab's boots are one session. The slim kernel takes part when somebody has
built it (tests/kernel/slim): that takes minutes. make check-long changes one
thing at a time instead.
"""

import functools
import os
import re
import subprocess
from dataclasses import dataclass

import pytest

from conftest import (BUILD, LONG, NO_SLIM, ROOT, Running, lab_run, runs_linux,
                      said, slim_kernel)

CMDLINE = ("console=ttyS0 reboot=k panic=-1 quiet i8042.noaux i8042.nomux "
           "i8042.dumbkbd volt.timer=0xc0000000")

# Linux says so of every machine on which it finds no PCI, and of one on which
# pci=off tells it not to look. It is no fault of either.
NO_PCI = "PCI: Fatal: No config space access function found"

SHOW = "volt.show=/proc/iomem,/sys/bus/virtio/devices/virtio0/device"


@dataclass
class Boot:
    """One Linux guest; file is vmlinux, bzimage or slim.

    series: of Debian's kernels, with its modules; "" is this host's Debian's.
    """

    name: str
    file: str = "vmlinux"
    entry: str = "auto"
    cpus: int = 1
    memory: int = 128
    irqchip: str = "split"
    end: str = "poweroff"
    words: str = ""
    vsock: bool = False
    series: str = ""
    seconds: int = 180  # some take 20 on a quiet machine

    def argv(self, build, folder=None):
        return [f"{build}/volt-vmm", "--no-api", "--kernel",
                kernel(self.file, self.series), "--initrd",
                said(ROOT / "tests/initramfs/build", *series_of(self.series)),
                "--entry", self.entry, "--cpus", str(self.cpus),
                "--memory", str(self.memory), "--irqchip", self.irqchip,
                "--boot-timer", "--level", "Info",
                *(["--vsock", f"cid=3,path=/tmp/{self.name}.sock"]
                  if self.vsock else []), "--cmdline",
                f"{CMDLINE} volt.end={self.end} {self.words}".strip()]


# The newest kernels that Debian 12 and 13 package. 6.12 knows no devices of the
# command line, only those of ACPI, and has all drivers as modules.
BOOTS = [
    Boot("pvh", entry="pvh", words="one=1"),
    Boot("bzimage", file="bzimage", cpus=4, memory=3072),
    Boot("panic", memory=5120, end="panic"),
    Boot("6.1-device", series="6.1", entry="linux64", cpus=2, irqchip="full",
         end="reboot", vsock=True, words=SHOW),
    Boot("6.12-pvh", series="6.12", entry="pvh", cpus=2, words="one=1"),
    Boot("6.12-device", file="bzimage", series="6.12", cpus=2, irqchip="full",
         end="reboot", vsock=True, words=SHOW),
    Boot("slim", file="slim", cpus=2),
    Boot("slim-full", file="slim", cpus=2, irqchip="full", end="reboot"),
    Boot("slim-device", file="slim", vsock=True, words=SHOW),
    Boot("slim-device-no-acpi", file="slim", vsock=True, end="reboot",
         words="acpi=off " + SHOW),
] + ([
    Boot("linux64-full", entry="linux64", cpus=2, irqchip="full",
         end="reboot"),
    Boot("above-the-hole", cpus=1, memory=5120),
    Boot("6.1-split", series="6.1", cpus=2, vsock=True, words=SHOW),
    Boot("6.12-linux64-full", series="6.12", entry="linux64", cpus=4,
         irqchip="full", end="reboot"),
    Boot("6.12-split", file="bzimage", series="6.12", vsock=True, words=SHOW),
] if LONG else [])


def series_of(series):
    return ["--series", series] if series else []


def kernel(name, series=""):
    if name == "slim":
        return slim_kernel()
    return said(ROOT / "tests/kernel/stock", *series_of(series), "--print",
                name)


@functools.cache
def no_series(series):
    """Why there is no kernel of another Debian, or None."""
    run = subprocess.run([ROOT / "tests/kernel/stock", *series_of(series)],
                         capture_output=True, text=True, check=False)
    return None if run.returncode == 0 else run.stderr.strip()[-200:]


def room():
    """MiB that a guest may have: of this host, or of the lab on it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    lab = os.environ.get("VOLT_LAB_MEMORY")
    return int(lab) if lab else max(1024, min(8192, total * 7 // 10))


def why_not(boot):
    if boot.file == "slim" and not slim_kernel():
        return NO_SLIM
    if boot.memory + 512 > room():
        return f"no room for a guest of {boot.memory} MiB"
    return no_series(boot.series) if boot.series else None


@pytest.fixture(scope="module")
def booted(build, tmp_path_factory):
    """Results of all boots by name."""
    folder = tmp_path_factory.mktemp("boot")
    boots = [b for b in BOOTS if not why_not(b)]
    if not runs_linux():
        return lab_run(boots, folder, 1500)
    results = {}
    for boot in boots:
        run = Running(boot.argv(BUILD), folder / boot.name)
        run.process.stdin.close()
        results[boot.name] = run.finish(120)
    return results


def facts_of(result):
    """VOLT-FACT lines as a dict."""
    return dict(re.findall(r"^VOLT-FACT ([^=\n]*)=(.*)$", result.out, re.M))


@pytest.fixture
def get(booted):
    def get_one(name):
        why = why_not(next(b for b in BOOTS if b.name == name))
        if why:
            pytest.skip(why)
        assert name in booted, "the lab ended before this boot"
        return booted[name]
    return get_one


def text(result):
    return f"exit code {result.code}\n{result.out[-3000:]}\n{result.log[-2000:]}"


@pytest.mark.lab
@pytest.mark.parametrize("boot", BOOTS, ids=[b.name for b in BOOTS])
def test_reaches_init_and_ends(get, boot):
    result = get(boot.name)
    assert "VOLT-INIT" in result.out, text(result)
    assert f"VOLT-END {boot.end}" in result.out, text(result)
    assert result.code == 0, text(result)


@pytest.mark.lab
@pytest.mark.parametrize("boot", BOOTS, ids=[b.name for b in BOOTS])
def test_machine_is_what_was_asked_for(get, boot):
    result = get(boot.name)
    facts = facts_of(result)
    assert facts["kernel"].startswith(boot.series)
    assert facts["cpus"] == str(boot.cpus), text(result)
    assert facts["online"] == ("0" if boot.cpus == 1 else
                               f"0-{boot.cpus - 1}")
    assert facts["clocksource"] == "kvm-clock"
    # The kernel keeps some for itself, but no more than a fifth and 48 MiB.
    total = int(facts["MemTotal"]) >> 10
    assert boot.memory * 4 // 5 - 48 <= total <= boot.memory, total
    words = facts["cmdline"].split()
    want = f"{CMDLINE} volt.end={boot.end} {boot.words}".split()
    assert words[:len(want) + 1] == [*want, "pci=off"]


@pytest.mark.lab
@pytest.mark.parametrize("boot", BOOTS, ids=[b.name for b in BOOTS])
def test_kernel_complains_of_nothing_else(get, boot):
    """A quiet kernel prints nothing but errors."""
    result = get(boot.name)
    lines = result.out.partition("VOLT-INIT")[0].splitlines()
    said = {re.sub(r"^\[ *[0-9.]+\] ", "", line) for line in lines}
    assert said - {""} == {NO_PCI}, text(result)


@pytest.mark.lab
@pytest.mark.parametrize("boot", BOOTS, ids=[b.name for b in BOOTS])
def test_topology(get, boot):
    """One package, one core a vCPU, as lscpu would show it."""
    facts = facts_of(get(boot.name))
    cores = {facts[f"cpu{i}.core"] for i in range(boot.cpus)}
    packages = {facts[f"cpu{i}.package"] for i in range(boot.cpus)}
    assert len(cores) == boot.cpus
    assert len(packages) == 1


@pytest.mark.lab
@pytest.mark.parametrize("name", ["pvh", "6.12-pvh"])
def test_acpi_tables_are_seen(get, name):
    tables = facts_of(get(name))["acpi"].split()
    assert {"APIC", "DSDT", "FACP"} <= set(tables)


@pytest.mark.lab
def test_boot_timer_is_logged(get):
    result = get("pvh")
    assert re.search(r"Guest-boot-time = +\d+ us", result.log), text(result)


@pytest.mark.lab
@pytest.mark.parametrize("name, window", [
    ("slim-device", "d0100000-d0100fff : LNRO0005:00"),
    ("slim-device-no-acpi", "d0000000-d0000fff : virtio-mmio.0"),
    ("6.1-device", "d0100000-d0100fff : LNRO0005:00"),
    ("6.12-device", "d0100000-d0100fff : LNRO0005:00"),
])
def test_a_device_is_found_once(get, name, window):
    """Two announcements, one device, and no complaint of the second one."""
    result = get(name)
    lines = [line.strip() for line in result.out.splitlines()]
    # The device, and within it its driver.
    assert sum(line.startswith(window) for line in lines) == 2, text(result)
    assert "0x0013" in lines, text(result)
    assert "can't request region" not in result.out, text(result)
