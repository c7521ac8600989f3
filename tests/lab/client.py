# SPDX-License-Identifier: Apache-2.0
"""client - starts labs and runs commands in them

A Command connects the caller's standard streams, terminal, signals and exit
code to a process in the lab. run_here() is all of it for a program; tests
that keep a lab of their own use start() and the class.
"""
import fcntl
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty

import image
import wire
from image import LabError

LABD = os.path.join(image.HERE, 'labd.py')
# Where the lab has file systems of its own instead of the host's (setup.c).
OWN = ('/tmp', '/run', '/var/tmp', '/dev/shm')
FAILED = 125
# For labd, to read what the lab is made of, which is in the cache by then.
START_SECONDS = 120
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
             signal.SIGUSR1, signal.SIGUSR2)


def start(folder, *, idle=None):
    """Starts labd for FOLDER (made, empty, ours).

    With IDLE it lives on by itself until so many seconds pass without a
    command. Otherwise it ends with this process, or when the descriptor that
    is returned is closed.
    """
    try:
        image.qemu()  # what these say, they say here
        image.initramfs(image.kernel()['modules'])
    except LabError:
        os.rmdir(folder)
        raise
    command = ['/usr/bin/python3', LABD, folder]
    reader, writer = os.pipe()
    command += ['--idle', str(idle)] if idle else ['--parent', str(reader)]
    with open(os.path.join(folder, 'labd.log'), 'wb') as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, pass_fds=() if idle else (reader,))
    with open(os.path.join(folder, 'pid'), 'w', encoding='ascii') as file:
        file.write(f'{process.pid}\n')
    os.close(reader)
    wait_for_socket(folder, process)
    return writer


def wait_for_socket(folder, process):
    """Waits until labd listens, which is before QEMU starts."""
    end = time.monotonic() + START_SECONDS
    while not os.path.exists(os.path.join(folder, 'sock')):
        if process.poll() is not None:
            raise LabError(log_text(folder) or 'labd ended at once')
        if time.monotonic() > end:
            process.kill()
            raise LabError(f'labd does not listen after {START_SECONDS} s')
        time.sleep(0.005)


def log_text(folder):
    """What labd said of its own failure."""
    try:
        with open(os.path.join(folder, 'labd.log'), encoding='utf-8',
                  errors='replace') as log:
            return log.read().strip()
    except FileNotFoundError:
        return ''


def make_folder():
    """A folder for a new lab, with a name short enough for a socket."""
    base = os.environ.get('XDG_RUNTIME_DIR', '')
    if not os.access(base, os.W_OK):
        base = '/tmp'
    return tempfile.mkdtemp(prefix='volt-lab-', dir=base)


def share_of(path):
    """The folder (or file) to show the lab for PATH, or None.

    Only what lies where the lab has file systems of its own: the rest of the
    host's tree is visible without it.
    """
    path = os.path.abspath(path)
    if not path.startswith(tuple(top + '/' for top in OWN)):
        return None
    if not os.path.isdir(path):
        folder = os.path.dirname(path)
        if folder not in OWN:
            path = folder
    if path in OWN or not os.path.exists(path):
        return None
    return path


def shares(argv):
    """What the lab must show, and may write: see tests/lab/README.md."""
    found = [image.TREE, image.cache()]
    if os.getcwd() != '/':
        found.append(os.getcwd())
    found += filter(os.path.exists, [os.environ.get('TMPDIR', '')] +
                    os.environ.get('VOLT_LAB_SHARE', '').split(':'))
    for arg in argv:
        for text in (arg, arg.partition('=')[2]):
            share = share_of(text) if text.startswith('/') else None
            if share:
                found.append(share)
    return list(dict.fromkeys(found))


def environment():
    """The caller's environment, marked as inside a lab."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith('VOLT_LAB')}
    env['VOLT_IN_LAB'] = '1'
    return [f'{key}={value}' for key, value in env.items()]


def window_size():
    """The terminal's rows and columns."""
    size = os.get_terminal_size(0)
    return size.lines, size.columns


class Command:
    """One command in the lab at FOLDER, on this process's streams."""

    def __init__(self, folder, argv, user=0, terminal=False):
        self.folder, self.argv = folder, argv
        self.user, self.terminal = user, terminal
        self.frames = wire.Decoder()
        self.code = None
        self.sent = 0
        self.input_open = True
        self.outgoing = bytearray()
        self.interrupts = 0
        self.lab_up = False
        self.loop = selectors.DefaultSelector()
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(os.path.join(folder, 'sock'))
        except OSError as failure:
            raise LabError(f'no lab at {folder}: {failure.strerror}'
                           ) from failure
        self.sock.setblocking(False)

    def send(self, kind, data=b''):
        """Sends a frame."""
        self.outgoing += wire.encode(0, kind, data)
        self.flush()

    def flush(self):
        """Sends what the socket takes; the rest when it takes more."""
        try:
            while self.outgoing:
                del self.outgoing[:self.sock.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing.clear()

    def begin(self):
        """Asks for the command."""
        size = '{}x{}'.format(*window_size()) if self.terminal else ''
        self.send(wire.START, b''.join((
            size.encode() + b'\0', os.fsencode(os.getcwd()) + b'\0',
            str(self.user).encode() + b'\0', wire.strings(shares(self.argv)),
            wire.strings(self.argv), wire.strings(environment()))))

    def on_signal(self, number):
        """Passes a signal on. A second interrupt ends the command."""
        self.interrupts += number == signal.SIGINT
        if number == signal.SIGWINCH:
            self.send(wire.RESIZE, wire.word(*window_size()))
        elif self.interrupts > 1:
            self.code = 128 + number
        else:
            self.send(wire.SIGNAL, wire.word(number))

    def on_input(self):
        """Sends standard input, as far as the window goes."""
        data = os.read(0, min(65536, wire.WINDOW - self.sent))
        self.send(wire.INPUT, data)
        self.sent += len(data)
        self.input_open = bool(data)

    def on_frames(self):
        """Frames from the lab."""
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            raise LabError('the lab ended ' + log_text(self.folder))
        for _, kind, payload in self.frames.feed(data):
            if kind in (wire.OUTPUT, wire.ERRORS):
                write_all(1 if kind == wire.OUTPUT else 2, payload)
                self.send(wire.ACK, wire.word(len(payload)))
            elif kind == wire.READY:
                self.lab_up = True
            elif kind == wire.ACK:
                self.sent -= wire.unword(payload)
            elif kind == wire.FAILED:
                raise LabError(payload.decode(errors='replace'))
            elif kind == wire.EXIT:
                self.code = wire.unword(payload)

    def watch(self):
        """Registers what to wait for now."""
        for key in list(self.loop.get_map().values()):
            if key.fileobj in (self.sock, 0):
                self.loop.unregister(key.fileobj)
        events = selectors.EVENT_READ
        if self.outgoing:
            events |= selectors.EVENT_WRITE
        self.loop.register(self.sock, events)
        while self.input_open and self.sent < wire.WINDOW:
            try:
                self.loop.register(0, selectors.EVENT_READ)
                break
            except PermissionError:
                self.on_input()  # a file is always ready; epoll refuses it
            except OSError:
                self.input_open = False  # the caller has closed it
                self.send(wire.INPUT)

    def announce(self):
        """One line on what takes so long, and on what it runs."""
        if os.environ.get('VOLT_LAB_QUIET'):
            return
        try:
            with open(os.path.join(self.folder, 'about'),
                      encoding='utf-8') as file:
                about = file.read().strip()
        except FileNotFoundError:
            about = 'it ended'
        print(f'lab: {about}: {self.argv[0]} waits some 5 s for this '
              'software-emulated host', file=sys.stderr)

    def run(self):
        """Runs the command to its end. Returns its exit code."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        resize = (signal.SIGWINCH,) if self.terminal else ()
        for number in PASSED_ON + resize:
            signal.signal(number, lambda *_: None)
        self.loop.register(reader, selectors.EVENT_READ)
        self.begin()
        patience = 1
        while self.code is None:
            self.watch()
            ready = self.loop.select(None if self.lab_up else patience)
            if not ready and not self.lab_up and patience:
                self.announce()
                patience = None
            for key, events in ready:
                if key.fileobj == reader:
                    for number in os.read(reader, 64):
                        self.on_signal(number)
                elif key.fileobj == 0:
                    self.on_input()
                else:
                    if events & selectors.EVENT_WRITE:
                        self.flush()
                    if events & selectors.EVENT_READ:
                        self.on_frames()
        return self.code


def write_all(fd, data):
    """Writes DATA to the caller's stream; nobody may be reading it."""
    try:
        while data:
            data = data[os.write(fd, data):]
    except BrokenPipeError:
        sys.exit(128 + signal.SIGPIPE)


def run_on_terminal(command):
    """Runs COMMAND with the terminal in raw mode, and restores it."""
    saved = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        return command.run()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def run_here(argv, user=0):
    """Runs ARGV in the lab VOLT_LAB names, or in one of its own."""
    if os.environ.get('VOLT_IN_LAB'):
        os.execvp(argv[0], argv)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder = os.environ.get('VOLT_LAB')
    terminal = os.isatty(0) and os.isatty(1)
    try:
        if not folder:
            folder = make_folder()
            start(folder)
        command = Command(folder, argv, user, terminal)
        return run_on_terminal(command) if terminal else command.run()
    except LabError as failure:
        print(f'lab: {failure}', file=sys.stderr)
        return FAILED
