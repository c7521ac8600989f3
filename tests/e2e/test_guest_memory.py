# SPDX-License-Identifier: Apache-2.0
"""Guest memory of all sizes: the guest finds what was asked for."""

import os

import pytest

from conftest import Case

HOLE_MIB = 3072

SIZES = [16, 128, 1000, 3071, 3072, 3073, 5120]


def host_mib():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


@pytest.mark.parametrize("mib", SIZES)
def test_guest_finds_its_memory(vmm, mib):
    if mib > 2 * host_mib():
        pytest.skip(f"{mib} MiB is more than twice this host's memory")
    result = vmm.run(Case("memtest", memory=mib))
    result.assert_passed()
    line, = [x for x in result.lines() if x.startswith("memory ")]
    total, low, high = (int(line.split()[i]) for i in (1, 3, 5))
    # The map leaves out the BIOS area below 1 MiB, and tables near it.
    assert mib * 1024 - 512 <= total <= mib * 1024
    assert high == max(0, mib - HOLE_MIB) * 1024
    assert low <= HOLE_MIB * 1024


@pytest.mark.parametrize("pvh", ["", "-pvh"])
def test_both_protocols_give_one_map(vmm, pvh):
    maps = []
    for guest in ("hello", "hello-pvh"):
        result = vmm.run(Case(guest, memory=3500))
        maps.append([x for x in result.lines() if x.startswith("# e820")])
    assert maps[0] and maps[0] == maps[1]
