# SPDX-License-Identifier: Apache-2.0
"""VMClock: programs of the guest can see that their VM was restored.

What the guest would read is read from the memory of the next snapshot.
"""

import struct

from test_snapshot_diff import merge, save, start

PAGE = 0xff000      # docs/guest-abi.md
ACPI = slice(0xe0020, 0xff000)
FIELDS = struct.Struct("<4sIHBBIQQ72xQ")  # Linux, vmclock-abi.h


def clock_of(memory):
    """(seq_count, disruption_marker, vm_generation_counter)"""
    data = memory.read_bytes()[PAGE:PAGE + FIELDS.size]
    magic, size, version, counter, _, seq, marker, flags, generation = \
        FIELDS.unpack(data)
    assert (magic, size, version) == (b"VCLK", 4096, 1)
    assert counter == 0xff and flags == 0x300, "it tells no time"
    return seq, marker, generation


def test_each_restore_is_counted(vmm, tmp_path):
    """Also down a chain; pause and resume of one VM are none."""
    run, api = start(vmm, tmp_path)
    assert clock_of(save(api, tmp_path / "s0", "Full")) == (0, 0, 0)
    api.set("PATCH", "/vm", {"state": "Resumed"})
    assert clock_of(save(api, tmp_path / "again", "Full")) == (0, 0, 0)
    run.process.kill()
    for n in range(1, 4):
        run, api = start(vmm, tmp_path, restore=tmp_path / f"s{n - 1}")
        memory = save(api, tmp_path / f"s{n}", "Full")
        assert clock_of(memory) == (2 * n, n, n)
        run.process.kill()


def test_two_clones_count_alike(vmm, tmp_path):
    """Each is another one than the VM that they were, and so it says."""
    run, api = start(vmm, tmp_path)
    save(api, tmp_path / "s", "Full")
    run.process.kill()
    for name in "a", "b":
        run, api = start(vmm, tmp_path, restore=tmp_path / "s")
        assert clock_of(save(api, tmp_path / name, "Full")) == (2, 1, 1)
        run.process.kill()


def test_a_diff_has_the_count(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    save(api, tmp_path / "s", "Full")
    run.process.kill()
    run, api = start(vmm, tmp_path, restore=tmp_path / "s")
    save(api, tmp_path / "d", "Diff")
    run.process.kill()
    assert merge(tmp_path / "s", tmp_path / "d").returncode == 0
    assert clock_of(tmp_path / "d/memory.snap") == (2, 1, 1)


def test_acpi_tells_where_it_is(vmm, tmp_path):
    """By the name that Linux looks for, and with its page."""
    run, api = start(vmm, tmp_path)
    tables = save(api, tmp_path / "s", "Full").read_bytes()[ACPI]
    run.process.kill()
    device = tables[tables.index(b"VCLK\x08_HID"):]
    assert b"\x08_CID\x0dVMCLOCK\0" in device[:64]
    fixed = struct.pack("<BHBII", 0x86, 9, 1, PAGE, 4096)  # Memory32Fixed
    assert fixed in device[:128]
