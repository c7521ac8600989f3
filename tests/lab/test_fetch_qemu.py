# SPDX-License-Identifier: Apache-2.0
"""Which QEMU the lab gets: the archive and the installed one are made up."""
import os
import subprocess

import pytest

import image

FETCH = image.FETCH_QEMU


class Machine:
    """A cache, and programs of its own before the machine's."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / 'bin'
        self.bin.mkdir()
        self.program('qemu-system-x86_64', 'echo QEMU emulator version 7.2.22')
        self.program('apt-get', 'echo no network >&2; exit 100')

    def program(self, name, script):
        """A program of this machine; what it was called with is kept."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "$*" >>{self.bin}/{name}.calls\n'
                        f'{script}\n')
        path.chmod(0o755)

    def calls(self, name):
        """The command lines so far."""
        path = self.bin / f'{name}.calls'
        return path.read_text().splitlines() if path.exists() else []

    def archive(self, version, deb='good.deb'):
        """The archive has QEMU of VERSION: its loader answers for it."""
        tree = self.folder / 'tree'
        for path, text in {
                'DEBIAN/control': 'Package: x\nVersion: 1\nArchitecture: all\n'
                                  'Maintainer: x\nDescription: x\n',
                'usr/bin/qemu-system-x86_64': '',
                'usr/share/qemu/file': '', 'usr/share/seabios/file': '',
                'usr/share/doc/file': 'x' * 100000,
                'lib/x86_64-linux-gnu/file': '',
                'usr/lib64/ld-linux-x86-64.so.2':
                '#!/bin/sh\necho QEMU emulator version ' + version}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        (tree / 'usr/lib64/ld-linux-x86-64.so.2').chmod(0o755)
        good, bad = self.folder / 'good.deb', self.folder / 'bad.deb'
        subprocess.run(['dpkg-deb', '--root-owner-group', '-b', tree, good],
                       check=True, stdout=subprocess.DEVNULL)
        bad.write_bytes(good.read_bytes()[:-2000])
        self.program('apt-get', f'''case "$*" in
            update*) ;;
            *--print-uris*) echo "'http://x/x.deb' x.deb 5000000 SHA256:0" ;;
            *--download-only*) sleep 0.5
                cp {self.folder / deb} suites/archives/ ;;
            esac''')

    def start(self, *options, **more):
        """fetch-qemu, started."""
        env = {**os.environ, 'VOLT_CACHE': str(self.folder / 'cache'),
               'PATH': f'{self.bin}:{os.environ["PATH"]}',
               'VOLT_LAB_QEMU': '', **more}
        return subprocess.Popen([FETCH, *options], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def fetch(self, *options, **more):
        """What it says, and what it said on the way."""
        return answer(self.start(*options, **more))

    def leftovers(self):
        """Folders of the cache that only a fetch in progress has."""
        return list((self.folder / 'cache').glob('qemu-fetch*'))


def answer(process):
    """(facts, stderr) of a fetch-qemu that has to succeed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return dict(line.split('=', 1) for line in out.splitlines()), err


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_archive_is_asked_once_and_unpacked(machine):
    machine.archive('11.1.3')
    facts, err = machine.fetch()
    assert (facts['version'], facts['source']) == ('11.1.3', 'Debian trixie-backports')
    assert 'downloading QEMU' in err and '5 MB' in err
    out = subprocess.run([facts['program'], '--version'], check=True,
                         capture_output=True, text=True).stdout
    assert out == 'QEMU emulator version 11.1.3\n'
    assert not list(machine.folder.glob('cache/**/doc'))
    asked = machine.calls('apt-get')
    assert machine.fetch() == (facts, '')
    assert machine.calls('apt-get') == asked
    assert not machine.leftovers()


def test_two_at_once_fetch_it_once(machine):
    machine.archive('11.1.3')
    started = [machine.start() for _ in range(3)]
    facts = [answer(process)[0] for process in started]
    assert facts[0] == facts[1] == facts[2]
    downloads = [x for x in machine.calls('apt-get') if '--download-only' in x]
    assert len(downloads) == 1


def test_no_network_falls_back_and_is_not_asked_each_time(machine):
    facts, err = machine.fetch()
    assert facts == {'program': 'qemu-system-x86_64', 'version': '7.2.22',
                     'source': 'installed'}
    assert 'no network' in err
    asked = machine.calls('apt-get')
    assert machine.fetch() == (facts, '')
    assert machine.calls('apt-get') == asked
    machine.archive('11.1.3')
    assert machine.fetch('--update')[0]['version'] == '11.1.3'


@pytest.mark.parametrize('version,deb', [('11.1.3', 'bad.deb'),
                                         ('7.2.9', 'good.deb'),
                                         ('', 'good.deb')],
                         ids=['broken', 'old', 'mute'])
def test_what_does_not_serve_is_not_kept(machine, version, deb):
    machine.archive(version, deb)
    assert machine.fetch()[0]['source'] == 'installed'
    assert not list(machine.folder.glob('cache/qemu/*-*'))
    assert not machine.leftovers()


def test_killed_fetch_leaves_nothing_in_the_way(machine):
    machine.archive('11.1.3')
    machine.program('dpkg-deb', 'kill -KILL $PPID; exit 1')
    process = machine.start()
    process.communicate(timeout=120)
    assert process.returncode == -9
    assert machine.leftovers()
    (machine.bin / 'dpkg-deb').unlink()
    assert machine.fetch()[0]['version'] == '11.1.3'
    assert not machine.leftovers()


def test_better_one_replaces_what_is_there(machine):
    """What was the best a day ago serves until there is a better one."""
    machine.archive('10.0.13')
    facts, _ = machine.fetch()
    assert facts['version'] == '10.0.13'
    asked = machine.calls('apt-get')
    assert machine.fetch() == (facts, '')
    assert machine.calls('apt-get') == asked
    tried = machine.folder / 'cache/qemu/tried'
    os.utime(tried, (0, 0))
    assert machine.fetch()[0] == facts
    machine.archive('11.1.3')
    assert machine.fetch()[0] == facts
    os.utime(tried, (0, 0))
    assert machine.fetch()[0]['version'] == '11.1.3'


def test_good_one_that_is_installed_is_taken(machine):
    machine.program('qemu-system-x86_64',
                    'echo "QEMU emulator version 10.2.1 (Debian 1:10.2.1)"')
    facts, err = machine.fetch()
    assert (facts['version'], facts['source']) == ('10.2.1', 'installed')
    assert (err, machine.calls('apt-get')) == ('', [])


def test_chosen_one(machine):
    other = machine.bin / 'other'
    machine.program('other', 'echo QEMU emulator version 8.0.0')
    facts, _ = machine.fetch(VOLT_LAB_QEMU=str(other))
    assert facts['program'] == str(other)
    process = machine.start(VOLT_LAB_QEMU='/nowhere')
    err = process.communicate(timeout=120)[1]
    assert 'VOLT_LAB_QEMU=/nowhere does not run' in err


def test_first_line_warns_of_the_old_one():
    kernel = {'modules': '/lib/modules/6.1.0-1'}
    for version, warned in (('7.2.22', True), ('9.9', True), ('10.1.2', True),
                            ('10.2.0', False), ('11.1.3', False)):
        text = image.about({'version': version, 'source': 'x'}, kernel)
        assert text.startswith(f'QEMU {version} (x), Linux 6.1.0-1')
        assert ('warning' in text) == warned
