#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""iasl reads every ACPI table that Volt writes, without a complaint.

Usage: acpi_iasl.py DUMP_ACPI. Each table is disassembled; the result of the
DSDT is compiled again and must give the same bytes: what we mean is what an
independent implementation reads.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# CPUs, virtio windows, legacy devices, split irqchip
MACHINES = [(1, 0, 1, 1), (1, 0, 0, 1), (4, 1, 1, 0), (32, 19, 1, 1)]
TABLES = {"XSDT", "FACP", "APIC", "DSDT"}
SKIPPED = 77
COMPLAINT = re.compile(r"warning|error|invalid|incorrect|unknown", re.I)


def run(args, cwd):
    done = subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{args} failed:\n{done.stdout}")
    return done.stdout


def complain(text, where):
    for line in text.splitlines():
        if COMPLAINT.search(line):
            sys.exit(f"{where}: {line}")


def check_dsdt(folder, devices):
    text = (folder / "DSDT.dsl").read_text()
    output = run(["iasl", "-we", "-p", "again", "DSDT.dsl"], folder)
    counts = re.search(r"(\d+) Errors, (\d+) Warnings, (\d+) Remarks", output)
    if not counts or counts.groups() != ("0", "0", "0"):
        sys.exit(f"compiling the DSDT again:\n{output}")
    before = (folder / "DSDT.dat").read_bytes()
    after = (folder / "again.aml").read_bytes()
    # The compiler puts its own name and version behind offset 28.
    if before[36:] != after[36:]:
        sys.exit("the DSDT compiles to other bytes than ours")
    if text.count("Device (") != devices:
        sys.exit(f"{text.count('Device (')} devices instead of {devices}")


def check(dump, folder, machine):
    cpus, virtio, legacy, split = machine
    run([dump, folder, *map(str, machine)], folder)
    found = {path.stem for path in folder.glob("*.dat")}
    if found != TABLES:
        sys.exit(f"tables {sorted(found)} instead of {sorted(TABLES)}")
    for table in sorted(TABLES):
        complain(run(["iasl", "-d", f"{table}.dat"], folder), f"iasl -d {table}")
        complain((folder / f"{table}.dsl").read_text(), f"{table}.dsl")
    check_dsdt(folder, virtio + 6 * legacy)
    madt = (folder / "APIC.dsl").read_text()
    if madt.count("Processor Enabled : 1") != cpus:
        sys.exit(f"the MADT does not have {cpus} CPUs")
    if not re.search(rf"PC-AT Compatibility : {1 - split}$", madt, re.M):
        sys.exit("the MADT's PC-AT flag is wrong")


def main():
    if not shutil.which("iasl"):
        print("skipped: iasl is not installed (Debian package acpica-tools)")
        return SKIPPED
    dump = str(pathlib.Path(sys.argv[1]).resolve())
    for machine in MACHINES:
        with tempfile.TemporaryDirectory() as folder:
            check(dump, pathlib.Path(folder), machine)
    print(f"{len(MACHINES)} machines, {len(TABLES)} tables each")
    return 0


sys.exit(main())
