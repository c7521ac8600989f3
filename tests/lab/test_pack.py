# SPDX-License-Identifier: Apache-2.0
"""What pack makes of a kernel's modules, as Debian 12 and 13 have them."""
import lzma
import subprocess

import pytest

import image


@pytest.fixture
def tree(tmp_path):
    """Modules: one-a needs two, which is compressed and needs a built-in."""
    folder = tmp_path / '6.12-x'
    drivers = folder / 'kernel/drivers'
    drivers.mkdir(parents=True)
    (drivers / 'one-a.ko').write_bytes(b'\0depends=two\0one')
    (drivers / 'two.ko.xz').write_bytes(
        lzma.compress(b'\0depends=part-of-it\0two'))
    (drivers / 'three.ko').write_bytes(b'nobody asks')
    (folder / 'modules.builtin').write_text('kernel/part-of-it.ko\n')
    return folder


def pack(tree, *names):
    """The ended pack, and what it packed."""
    out = tree.parent / 'out.cpio'
    ended = subprocess.run([image.PACK, '-o', out, '--modules', tree, *names],
                           capture_output=True, text=True, check=False)
    if ended.returncode:
        return ended, None
    subprocess.run(['cpio', '-idm', '--quiet', 'lib/*'], input=out.read_bytes(),
                   cwd=tree.parent, check=True, stderr=subprocess.DEVNULL)
    return ended, tree.parent / 'lib/modules/6.12-x'


def test_modules_are_unpacked_and_in_order(tree):
    ended, packed = pack(tree, 'one_a', 'part_of_it')
    assert ended.stderr == ''
    assert {x.name for x in packed.iterdir()} == {'load', 'one-a.ko', 'two.ko'}
    assert (packed / 'load').read_text() == 'two.ko\none-a.ko\n'
    assert (packed / 'two.ko').read_bytes() == b'\0depends=part-of-it\0two'


def test_missing_module_is_named(tree):
    ended, _ = pack(tree, 'four')
    assert ended.returncode == 1
    assert 'no module four' in ended.stderr
