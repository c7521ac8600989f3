# SPDX-License-Identifier: Apache-2.0
"""The lab runs a command as this host would: streams, signals, files, KVM."""
import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import pytest

import image

pytestmark = pytest.mark.lab

HERE = os.path.dirname(os.path.realpath(__file__))
RUN = os.path.join(HERE, 'run')
PATIENCE = 300


@pytest.fixture(scope='module')
def lab():
    """A shared lab: the environment that names it."""
    out = subprocess.run([os.path.join(HERE, 'up')], check=True, text=True,
                         stdout=subprocess.PIPE, timeout=PATIENCE).stdout
    name, _, folder = out.strip().removeprefix('export ').partition('=')
    yield {**os.environ, name: folder}
    subprocess.run([os.path.join(HERE, 'down'), folder], check=True,
                   timeout=PATIENCE)
    assert not os.path.exists(folder)


def run(env, *argv, **more):
    """Runs ARGV in the lab and returns the ended process."""
    return subprocess.run([RUN, *argv], env=env, capture_output=True,
                          timeout=PATIENCE, check=False, **more)


def readable(fd):
    """FD, once something can be read from it; a failure when nothing comes."""
    assert select.select([fd], [], [], PATIENCE)[0]
    return fd


@contextlib.contextmanager
def started(env, script):
    """A script in the lab, killed behind the block however that ends."""
    with subprocess.Popen([RUN, 'sh', '-c', script], env=env,
                          stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def until(what):
    """Waits until WHAT() is true."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize('script,code', [
    ('true', 0), ('exit 1', 1), ('exit 42', 42), ('kill -KILL $$', 137),
    ('exec /nowhere/program', 127), ('exec /etc/passwd', 126)])
def test_exit_code(lab, script, code):
    assert run(lab, 'sh', '-c', script).returncode == code


def test_missing_program_is_named(lab):
    ended = run(lab, 'no-such-program')
    assert ended.returncode == 127
    assert b'no-such-program: No such file' in ended.stderr


def test_streams_are_apart_and_whole(lab):
    data = os.urandom(3 << 20)
    ended = run(lab, 'sh', '-c', 'cat; echo done >&2', input=data)
    assert ended.stdout == data
    assert ended.stderr == b'done\n'


def test_arguments_and_environment_arrive(lab):
    ended = run({**lab, 'COLOUR': 'red\nblue'}, 'sh', '-c',
                'printf "%s|" "$COLOUR" "$@"; pwd', 'sh', '', 'a  b', '*')
    assert ended.stdout.decode() == f'red\nblue||a  b|*|{os.getcwd()}\n'


def test_signal_reaches_the_command(lab):
    script = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done'
    with started(lab, script) as process:
        assert readable(process.stdout).readline() == b'ready\n'
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 7


def sleeping(lab, seconds):
    """Whether a sleep of SECONDS runs in the lab."""
    return run(lab, 'pgrep', '-f', f'^sleep {seconds}$').returncode == 0


def test_command_dies_with_its_client(lab):
    script = 'sleep 98761 & echo ready; sleep 98761'
    with started(lab, script) as process:
        assert readable(process.stdout).readline() == b'ready\n'
        assert sleeping(lab, 98761)
        process.kill()
    until(lambda: not sleeping(lab, 98761))


def test_leftovers_die_with_the_command(lab):
    ended = run(lab, 'sh', '-c', 'setsid sleep 98762 & echo out')
    assert (ended.returncode, ended.stdout) == (0, b'out\n')
    until(lambda: not sleeping(lab, 98762))


def test_host_files_are_current(lab, tmp_path):
    path = tmp_path / 'file'
    for text in ('one', 'three', '', 'longer than all of them'):
        path.write_text(text)
        assert run(lab, 'cat', path).stdout.decode() == text
    other = tmp_path / 'other'
    other.write_text('moved')
    other.rename(path)
    assert run(lab, 'cat', path).stdout == b'moved'
    path.unlink()
    assert run(lab, 'test', '-e', path).returncode == 1


def test_lab_writes_to_the_host(lab, tmp_path):
    script = '''set -e
        cd "$1"; mkdir -p a/b; echo hello >a/b/file; chmod 640 a/b/file
        ln -s b/file a/link; mv a/b/file a/b/new; echo more >>a/b/new
        truncate -s 3 a/b/new; mkdir gone; rmdir gone; ls -A . a'''
    ended = run(lab, 'sh', '-c', script, 'sh', tmp_path)
    assert (ended.stderr, ended.returncode) == (b'', 0)
    assert ended.stdout == b'.:\na\n\na:\nb\nlink\n'
    assert (tmp_path / 'a/b/new').read_text() == 'hel'
    assert (tmp_path / 'a/b/new').stat().st_mode & 0o777 == 0o640
    assert os.readlink(tmp_path / 'a/link') == 'b/file'


def test_host_copies_what_is_copied(lab, tmp_path):
    source, target = tmp_path / 'source', tmp_path / 'target'
    with open(source, 'wb') as file:
        file.truncate(300 << 20)
        for at in (0, 100 << 20, (300 << 20) - 7):
            file.seek(at)
            file.write(b'a part.')
    ended = run(lab, 'cp', source, target)
    assert (ended.returncode, ended.stderr) == (0, b'')
    assert target.stat().st_blocks <= source.stat().st_blocks
    with open(source, 'rb') as one, open(target, 'rb') as other:
        while data := one.read(1 << 20):
            assert other.read(1 << 20) == data
        assert other.read() == b''
    ended = run(lab, 'cp', source, '/usr/lab-was-here')
    assert ended.returncode == 1
    assert not os.path.exists('/usr/lab-was-here')


def test_rest_of_the_host_is_read_only(lab):
    ended = run(lab, 'touch', '/usr/lab-was-here')
    assert ended.returncode == 1
    assert not os.path.exists('/usr/lab-was-here')


def test_own_tmp(lab):
    name = '/tmp/only-in-the-lab'
    assert run(lab, 'sh', '-c', f'echo here >{name}').returncode == 0
    assert not os.path.exists(name)
    assert run(lab, 'sh', '-c', f'cat {name}').stdout == b'here\n'


def test_unix_socket_on_a_host_folder(lab, tmp_path):
    script = '''import os, socket, sys
path = sys.argv[1] + '/sock'
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(path)
client.send(b'through')
print(server.accept()[0].recv(100).decode())'''
    ended = run(lab, '/usr/bin/python3', '-c', script, tmp_path)
    assert (ended.stdout, ended.stderr) == (b'through\n', b'')


# Whoever cloned the tree may have kept it to himself: '/' is for all users.
def test_kvm_is_there_for_users_too(lab):
    script = ('import fcntl, os; fd = os.open("/dev/kvm", os.O_RDWR);'
              'print(os.getuid(), fcntl.ioctl(fd, 0xae00))')
    ended = run(lab, '--user', '1000', '/usr/bin/python3', '-c', script,
                cwd='/')
    assert (ended.stdout, ended.stderr) == (b'1000 12\n', b'')


def test_user_namespace(lab):
    ended = run(lab, '--user', '1000', 'unshare', '-r', 'id', '-u', cwd='/')
    assert (ended.stdout, ended.stderr) == (b'0\n', b'')


def test_terminal(lab):
    argv = [RUN, 'sh', '-c', 'stty size; read line; echo "<$line>"; exit 5']
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 99, 0, 0))
        os.execve(RUN, argv, lab)
    seen = b''
    while b'99' not in seen:
        seen += os.read(readable(master), 4096)
    os.write(master, b'typed\r')
    while b'<typed>' not in seen:
        seen += os.read(readable(master), 4096)
    assert b'33 99' in seen
    pidfd = os.pidfd_open(pid)
    readable(pidfd)
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(master)


def test_many_at_once(lab):
    started = [subprocess.Popen([RUN, 'sh', '-c', f'echo {n}; exit {n}'],
                                env=lab, stdout=subprocess.PIPE)
               for n in range(10)]
    for number, process in enumerate(started):
        with process:
            assert process.communicate(timeout=PATIENCE)[0] == \
                b'%d\n' % number
            assert process.returncode == number


@pytest.fixture
def alone():
    """An environment without a lab, and a folder of its own for new ones."""
    image.qemu()  # what it says when it is new is no lab's
    image.kernel()
    with tempfile.TemporaryDirectory(dir='/tmp') as folder:
        env = {key: value for key, value in os.environ.items()
               if key != 'VOLT_LAB'}
        yield {**env, 'XDG_RUNTIME_DIR': folder}, folder


def test_idle_lab_is_interrupted(alone):
    """Or a lost timer interrupt would stop it for good (labd.py)."""
    qemu = shutil.which('qemu-system-x86_64')
    said = qemu and subprocess.run([qemu, '--version'], check=True, text=True,
                                   stdout=subprocess.PIPE).stdout.split()[3]
    if not qemu or not image.loses_interrupts(said):
        pytest.skip(f'no QEMU here that loses interrupts, but {said}')
    env, _ = alone
    ended = run({**env, 'VOLT_LAB_QEMU': qemu}, 'sh', '-c', '''
        count() { grep virtio /proc/interrupts | tr -s ' ' '\\n' |
                awk '/^[0-9]+$/ { sum += $1 } END { print sum }'; }
        count; sleep 3; count''')
    assert b'warning: this QEMU loses interrupts' in ended.stderr
    before, after = map(int, ended.stdout.split())
    assert after - before >= 15, ended


def test_private_lab_leaves_nothing(alone):
    env, folder = alone
    ended = run({**env, 'VOLT_LAB_QUIET': '1'}, 'sh', '-c', 'exit 3')
    assert (ended.returncode, ended.stderr) == (3, b'')
    until(lambda: not os.listdir(folder))


def test_first_line_says_what_it_runs_on(alone):
    env, _ = alone
    ended = run({**env, 'VOLT_LAB_QUIET': ''}, 'uname', '-r')
    assert ended.returncode == 0, ended
    release = ended.stdout.decode().strip()
    line, = ended.stderr.decode().splitlines()
    assert re.match(r'lab: QEMU \d+\.[\d.]+ \(.+\), Linux '
                    + re.escape(release) + '[:;] ', line), line


NEW_KERNEL = """
import ctypes, fcntl, mmap, os, struct
print(os.uname().release)
print(ctypes.CDLL(None).syscall(444, None, 0, 1))  # Landlock's ABI
memory = mmap.mmap(-1, 8 * 4096)
memory[0] = memory[3 * 4096] = 1
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
found = (ctypes.c_uint64 * 24)()
with open("/proc/self/pagemap", "rb") as pagemap:
    # PAGEMAP_SCAN of PAGE_IS_PRESENT (linux/fs.h)
    count = fcntl.ioctl(pagemap, 0xc0606610, bytearray(struct.pack(
        "12Q", 96, 0, start, start + len(memory), 0,
        ctypes.addressof(found), 8, 0, 0, 8, 0, 8)))
print([(found[i] - start) // 4096 for i in range(0, 3 * count, 3)])
with open("/dev/kvm", "rb") as kvm:
    print(fcntl.ioctl(kvm, 0xae00))
"""


def test_newer_kernel(alone):
    env, _ = alone
    ended = run({**env, 'VOLT_LAB_KERNEL': '6.12'}, '/usr/bin/python3', '-c',
                NEW_KERNEL)
    release, landlock, pages, kvm = ended.stdout.decode().splitlines()
    assert release.startswith('6.12.') and release.encode() in ended.stderr
    assert int(landlock) >= 6
    assert (pages, kvm) == ('[0, 3]', '12')


def test_no_such_kernel(alone):
    env, folder = alone
    ended = run({**env, 'VOLT_LAB_KERNEL': '6'}, 'true')
    assert ended.returncode == 125
    assert b'--series 6: there are 6.1, 6.12 and backports' in ended.stderr
    until(lambda: not os.listdir(folder))


def test_killed_client_takes_its_lab_along(alone):
    env, folder = alone
    with started(env, 'echo up; sleep 100') as process:
        assert readable(process.stdout).readline() == b'up\n'
        name, = os.listdir(folder)
        with open(f'{folder}/{name}/pid', encoding='ascii') as file:
            labd = int(file.read())
        process.kill()
    until(lambda: not os.listdir(folder))
    until(lambda: not os.path.exists(f'/proc/{labd}'))


def test_failure_says_why(alone):
    env, folder = alone
    ended = run({**env, 'VOLT_LAB_CPUS': '9999'}, 'true')
    assert ended.returncode == 125
    assert b'lab: the lab ended' in ended.stderr
    assert b'CPU' in ended.stderr
    until(lambda: not os.listdir(folder))


def test_no_such_lab(alone):
    env, _ = alone
    ended = run({**env, 'VOLT_LAB': '/nowhere'}, 'true')
    assert ended.returncode == 125
    assert b'no lab at /nowhere' in ended.stderr
