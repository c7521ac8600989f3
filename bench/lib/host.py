# SPDX-License-Identifier: Apache-2.0
"""What kind of host the figures come from."""

import os
import platform
from pathlib import Path


def cpu_fields():
    """The first CPU's lines of /proc/cpuinfo."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].split("\n"):
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return fields


def kvm_kind(flags):
    """Which sort of KVM this is, in words."""
    if not Path("/dev/kvm").exists():
        return "no KVM"
    if os.environ.get("VOLT_IN_LAB"):
        return "the lab: AMD-V emulated by QEMU"
    modules = Path("/proc/modules")
    loaded = modules.read_text() if modules.exists() else ""
    if "vmx" in flags:
        kind = "hardware VT-x"
    elif "svm" in flags:
        kind = "hardware AMD-V"
    else:
        return "software-assisted KVM"
    product = Path("/sys/class/dmi/id/sys_vendor")
    vendor = product.read_text().strip() if product.exists() else ""
    if vendor == "QEMU" and "kvm" in loaded:
        return kind + " (virtual machine)"
    return kind


def runs_linux():
    """Whether KVM here runs a stock kernel: only with the CPU's help."""
    flags = cpu_fields().get("flags", "").split()
    return "vmx" in flags or "svm" in flags


def describe():
    """Host kind, kernel, CPU: what every figure has to be read with."""
    cpu = cpu_fields()
    return {
        "kind": kvm_kind(cpu.get("flags", "").split()),
        "kernel": platform.release(),
        "cpu": cpu.get("model name", platform.machine()),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
