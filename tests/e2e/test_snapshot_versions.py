# SPDX-License-Identifier: Apache-2.0
"""Snapshots of every format there was, and of hosts that are not this one."""

import lzma
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import BUILD
from test_snapshot_diff import VOLT, asked, merge, save, start
from test_snapshot_uffd import end

KEPT = Path(__file__).parent / "snapshots"
VERSIONS = sorted(p.name for p in KEPT.iterdir() if p.is_dir())
OURS = re.search(r'SNAPSHOT_VERSION +"([\d.]+)"', (
    KEPT.parents[2] / "src/snapshot/state.h").read_text())[1]
# What another host than the one that made them may say.
OTHER_HOST = re.compile("another vendor|This host's|this host's")


def crc64(data):
    """ECMA-182, a bit at a time: a state is small."""
    crc = 0
    for byte in data:
        crc ^= byte << 56
        for _ in range(8):
            crc = (crc << 1 ^ (0x42f0e1eba9ea3693 if crc >> 63 else 0)) \
                & 0xffffffffffffffff
    return crc


def seal(state):
    """Put the CRC right, as the program that wrote it would."""
    _, _, rest = state.read_bytes().partition(b"\n")
    state.write_bytes(b'{"crc64":"%016x",\n' % crc64(rest) + rest)


@pytest.fixture
def unpacked(tmp_path):
    def unpack(version):
        folder = tmp_path / version
        folder.mkdir()
        shutil.copy(KEPT / version / "state.json", folder)
        packed = (KEPT / version / "memory.snap.xz").read_bytes()
        (folder / "memory.snap").write_bytes(lzma.decompress(packed))
        return folder
    return unpack


def restored(vmm, folder, *args):
    return vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore", folder,
                      *args])


def refusal(vmm, folder):
    """What a restore says."""
    result = restored(vmm, folder).finish()
    assert result.code == 1, result.log
    return result.log


def inspected(folder):
    done = subprocess.run([VOLT, "snapshot", "inspect", folder], text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout


def answering(vmm, folder):
    """A clone whose guest answers; skips where another host made it."""
    clone = restored(vmm, folder)
    try:
        asked(clone, "c 0 8 7", "right")
    except (AssertionError, BrokenPipeError):
        log = clone.finish().log
        if OTHER_HOST.search(log):
            pytest.skip(f"made on another host: {log.strip()}")
        raise
    return clone


def test_this_format_is_kept():
    assert OURS in VERSIONS


@pytest.mark.parametrize("version", [v for v in VERSIONS if v[0] == OURS[0]])
def test_this_number_one_is_read(vmm, unpacked, version):
    folder = unpacked(version)
    code, shown = inspected(folder)
    assert code == 0 and f"format    {version}" in shown, shown
    clone = answering(vmm, folder)
    asked(clone, "z 8 8 0", "right")
    end(clone)


def test_a_diff_of_an_older_base(vmm, tmp_path, unpacked):
    """By its id where that is kept; what has lost it is not believed."""
    base = unpacked("2.0.0")
    lost = tmp_path / "lost"
    shutil.copytree(base, lost)
    end(answering(vmm, base))
    run, api = start(vmm, tmp_path, restore=base)
    asked(run, "w 2 1 9", "wrote")
    status, answer = api.call("PUT", "/snapshot/create", {
        "snapshot_path": str(lost), "snapshot_type": "Diff"})
    assert status == 400 and "cannot be told" in answer["fault_message"]
    save(api, tmp_path / "diff")
    end(run)
    assert merge(base, tmp_path / "diff").returncode == 0
    clone = restored(vmm, tmp_path / "diff")
    asked(clone, "c 2 1 9", "right")
    asked(clone, "c 3 5 7", "right")
    end(clone)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v[0] != OURS[0]])
def test_an_older_number_one_is_refused(vmm, unpacked, version):
    folder = unpacked(version)
    words = (f"format version {version}", f"reads {OURS[0]}.0.0 to {OURS}",
             "Volt 0.1.0")
    for text in (refusal(vmm, folder), inspected(folder)[1]):
        assert all(word in text for word in words), text
    assert inspected(folder)[0] == 1


@pytest.mark.parametrize("version", ["2.99.0", "3.0.0"])
def test_a_newer_one_is_refused(vmm, unpacked, version):
    folder = unpacked(OURS)
    state = folder / "state.json"
    state.write_text(state.read_text().replace(
        f'"version":"{OURS}","volt_version":"0.1.0"',
        f'"version":"{version}","volt_version":"9.9.9"'))
    seal(state)
    for text in (refusal(vmm, folder), inspected(folder)[1]):
        assert f"format version {version}" in text and "Volt 9.9.9" in text


@pytest.mark.parametrize("what", ["vendor", "feature", "msr"])
def test_of_another_cpu_or_kernel(vmm, unpacked, what):
    """Refused with what is missing here, before anything is made."""
    folder = unpacked(OURS)
    state = folder / "state.json"
    text = state.read_text().replace('"boot":"', '"boot":"not-')
    # Another host's features, so that this one's are compared.
    text = re.sub(r'"features":\["0x\w+"', '"features":["0x1"', text)
    if what == "msr":
        text = text.replace('"msrs":[[', '"msrs":[["0x4b564dff","0x1"],[')
        words = "lacks MSR 0x4b564dff"
    else:
        rows = re.search(r'"cpuid":(\[.*?\]\])', text, re.S)[1]
        table = [re.findall(r'"?0x[0-9a-f]+"?|\d+', row)
                 for row in re.findall(r'\[([^\[\]]+)\]', rows)]
        for row in table:
            if what == "vendor" and row[0].strip('"') == "0x0":
                row[4] = '"0x20202020"'
            if what == "feature" and row[0].strip('"') == "0x1":
                row[5] = '"0xffffffff"'
        text = text.replace(rows, "[" + ",".join(
            "[" + ",".join(row) + "]" for row in table) + "]")
        words = "another vendor" if what == "vendor" else "lack"
    state.write_text(text)
    seal(state)
    said = refusal(vmm, folder)
    if what == "msr" and "lack" in said and "MSR" not in said:
        pytest.skip(f"made on another host: {said.strip()}")
    assert words in said
