# SPDX-License-Identifier: Apache-2.0
"""The bare-metal guests that report checks: all must pass, everywhere.

On this host's KVM each guest is a test of its own; in the lab the same cases
run in one session and each is a test of its result.
"""

import pytest

from conftest import Case, lab_run

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
]

ON_HOST = EVERYWHERE + [
    Case("console", "lines=1000"),
    Case("smp", cpus=32),
    Case("pio", "only=in"),
    Case("pio", "only=out"),
    Case("pio", "only=ins"),
    Case("pio", "only=outs"),
    Case("pio", "only=in full", irqchip="full"),
    Case("pio", "only=out full", irqchip="full"),
    Case("mmio", "step=1"),
    Case("mmio", irqchip="full"),
]

IN_LAB = EVERYWHERE + [
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
