# SPDX-License-Identifier: Apache-2.0
"""tools/kernel/extract-vmlinux: each compression, and images of an enemy."""

import os
import random
import struct
import subprocess

import pytest

from conftest import ROOT

EXTRACT = ROOT / "tools/kernel/extract-vmlinux"
SECTS = 4
OFFSET = 0x100

# Name, what packs it as the kernel's build does, the package that unpacks it.
KINDS = [
    ("gzip", ["gzip", "-n", "-9"], "gzip"),
    ("bzip2", ["bzip2", "-9"], "bzip2"),
    ("xz", ["xz", "--check=crc32", "--x86", "--lzma2=,dict=128MiB"],
     "xz-utils"),
    ("lzma", ["xz", "--format=lzma", "-9"], "xz-utils"),
    ("lzo", ["lzop", "-9"], "lzop"),
    ("lz4", ["lz4", "-l", "-9", "-c"], "lz4"),
    ("zstd", ["zstd", "-19", "-c"], "zstd"),
]
each_kind = pytest.mark.parametrize("kind, packer, package", KINDS,
                                    ids=[row[0] for row in KINDS])


def kernel_bytes(seed=1, size=300_000):
    """An ELF in name, which packs to about half."""
    noise = random.Random(seed)
    return b"\x7fELF" + bytes(size // 2) + noise.randbytes(size // 2)


def packed(packer, data):
    return subprocess.run(packer, input=data, capture_output=True, timeout=60,
                          check=True).stdout


def bzimage(payload, size=None, version=0x20f, length=None):
    """An image around a payload, which states @size at its end."""
    if size is not None:
        payload += struct.pack("<I", size)
    head = bytearray((SECTS + 1) * 512 + OFFSET)
    head[0x1f1] = SECTS
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, version)
    struct.pack_into("<II", head, 0x248, OFFSET,
                     len(payload) if length is None else length)
    # What follows the payload in a real one is code.
    return bytes(head) + payload + b"\x90" * 64


def image_of(kind, packer, data, stated=None):
    payload = packed(packer, data)
    if kind == "gzip":  # its own last bytes are the size
        if stated is not None:
            payload = payload[:-4] + struct.pack("<I", stated)
        return bzimage(payload)
    return bzimage(payload, len(data) if stated is None else stated)


def extract(folder, image, path=None):
    (folder / "bzImage").write_bytes(image)
    return subprocess.run(
        ["/usr/bin/python3", EXTRACT, folder / "bzImage", folder / "vmlinux"],
        env={**os.environ, **({"PATH": path} if path else {})},
        capture_output=True, text=True, timeout=120, check=False)


def refused(folder, image, why, path=None):
    """One sentence, and nothing is left behind."""
    run = extract(folder, image, path)
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith(
        f"extract-vmlinux: {folder / 'bzImage'} "), run.stderr
    assert run.stderr.count("\n") == 1 and why in run.stderr, run.stderr
    assert [p.name for p in folder.iterdir()] == ["bzImage"]


@each_kind
def test_unpacks(tmp_path, kind, packer, package):
    data = kernel_bytes()
    run = extract(tmp_path, image_of(kind, packer, data))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (tmp_path / "vmlinux").read_bytes() == data


@each_kind
def test_names_the_missing_program(tmp_path, kind, packer, package):
    image = image_of(kind, packer, kernel_bytes())
    refused(tmp_path, image, f"compressed with {kind}", path="/nowhere")
    refused(tmp_path, image, f": apt-get install {package}\n", path="/nowhere")


@each_kind
def test_a_cut_payload(tmp_path, kind, packer, package):
    data = kernel_bytes()
    whole = packed(packer, data)
    for part in (len(whole) // 2, len(whole) - 9):
        image = bzimage(whole[:part], len(data))
        refused(tmp_path, image, " a damaged " if kind != "gzip" else " ")


@each_kind
def test_a_wrong_size(tmp_path, kind, packer, package):
    data = kernel_bytes()
    refused(tmp_path, image_of(kind, packer, data, len(data) - 1),
            f"more than the {len(data) - 1} bytes it states")
    refused(tmp_path, image_of(kind, packer, data, len(data) + 1),
            " a damaged gzip payload " if kind == "gzip" else
            f"unpacks to {len(data)} bytes, and states {len(data) + 1}")


@each_kind
def test_a_bomb(tmp_path, kind, packer, package):
    """64 MiB of zeros behind a claim of 4 KiB: a file limit of 1 MiB holds."""
    image = image_of(kind, packer, b"\x7fELF" + bytes(64 << 20), 4096)
    assert len(image) < 1 << 20
    (tmp_path / "bzImage").write_bytes(image)
    run = subprocess.run(
        ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", "/usr/bin/python3",
         EXTRACT, tmp_path / "bzImage", tmp_path / "vmlinux"],
        capture_output=True, text=True, timeout=120, check=False)
    assert "more than the 4096 bytes it states" in run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["bzImage"]


@each_kind
def test_no_elf(tmp_path, kind, packer, package):
    refused(tmp_path, image_of(kind, packer, b"MZ" + bytes(5000)), "no ELF")


def test_headers(tmp_path):
    good = image_of("lz4", KINDS[5][1], kernel_bytes())
    for image, why in (
            (b"", "not a bzImage"),
            (good[:0x24f], "not a bzImage"),
            (good[:0x202] + b"hdrs" + good[0x206:], "not a bzImage"),
            (bzimage(b"\x02\x21\x4c\x18" + bytes(9), version=0x207),
             "older than 2.08"),
            (good[:-100], "is cut off"),
            (bzimage(b"BZh9", length=0xffffffff), "is cut off"),
            (bzimage(b"", length=0), "no known compression (begins with noth"),
            (bzimage(b"BZh9"), "no known compression (begins with 425a6839)"),
            (bzimage(b"\x7fELF" + bytes(99)), "(begins with 7f454c460000)"),
            (bzimage(b"BZh9" + bytes(99), 1 << 31),
             "states a kernel of 2147483648 bytes")):
        refused(tmp_path, image, why)


def test_a_failure_leaves_the_old_one(tmp_path):
    (tmp_path / "vmlinux").write_bytes(b"old")
    assert extract(tmp_path, b"").returncode == 1
    assert (tmp_path / "vmlinux").read_bytes() == b"old"


def test_damage_anywhere(tmp_path):
    """One sentence or a kernel of the size that is stated, never a trace."""
    chance = random.Random(7)
    for turn in range(70):
        kind, packer, _ = KINDS[turn % len(KINDS)]
        image = bytearray(image_of(kind, packer, kernel_bytes(turn, 4000)))
        first = (SECTS + 1) * 512 + OFFSET
        where = chance.choice([chance.randrange(0x1f1, 0x250),
                               chance.randrange(first, len(image) - 64)])
        image[where] ^= 1 << chance.randrange(8)
        run = extract(tmp_path, bytes(image))
        if run.returncode == 0:
            assert (tmp_path / "vmlinux").read_bytes()[:4] == b"\x7fELF"
            continue
        assert run.returncode == 1, run.stderr
        assert run.stderr.startswith("extract-vmlinux: ")
        assert run.stderr.count("\n") == 1, run.stderr
