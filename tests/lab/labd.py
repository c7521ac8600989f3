#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""labd - runs one lab: QEMU, the files it sees and the commands in it

usage: labd.py FOLDER [--parent FD] [--idle SECONDS]

Theory of operation

One loop serves QEMU's two ports (frames for the agent, FUSE messages for
hostfs) and the clients at FOLDER/sock, one connection for each command. It
never waits for anyone: what a socket does not take is kept, and the windows
of wire.py bound what is kept for a command. A client that goes away ends its
command; the lab ends with its parent (the pipe FD closes), when told (SIGTERM)
or after SECONDS without a command; QEMU ends with labd, however that ends.
"""
import argparse
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time

import hostfs
import image
import wire

BOOT_SECONDS = 180

# QEMU before 10.2 sets a flag of the emulated CPU (a virtual interrupt, at
# VMRUN) without the lock that its devices set theirs under. That may undo
# the flag of the CPU's timer, whose interrupt the lab's kernel then never gets,
# and so arms it no more: a guest that makes no exit by itself (one that is
# busy) has the CPU until another device interrupts, for minutes. So one does.
TICK_SECONDS = 0.1


def memory_mib():
    """The lab's memory: VOLT_LAB_MEMORY in MiB, or what the host can spare.

    It is taken as it is used, so an idle lab costs some 300 MiB.
    """
    if os.environ.get('VOLT_LAB_MEMORY'):
        return int(os.environ['VOLT_LAB_MEMORY'])
    total = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20
    return max(1024, min(8192, total * 7 // 10))


# QEMU 7.2 lets a guest's guest set XCR0 without asking KVM, which sets it back
# at the next entry: what XSAVE saves is then not what the guest thinks. Without
# XSAVE all use FXSAVE, which works (and KVM_CAP_XCRS is 0). QEMU 11 asks KVM (a
# Linux guest's XCR0 was 7 for it, too), and guests booted with XSAVE (README).
CPU = 'EPYC,+svm,-xsave,-xsaveopt,-xsavec,-xgetbv1,-avx,-avx2,-fma,-f16c'

# With two CPUs or more QEMU 7.2 now and then gives the state of a guest's host
# to the guest itself (a nested fault that walks the host's page tables): one
# boot in 15 of a Linux guest with two vCPUs stood still, or its lab did; with
# one CPU none of 90. QEMU 10.0 is no better: on a busy machine 12 of 12 such
# boots took more than a minute with two CPUs, with one none did.
CPUS = '1'


def qemu_command(qemu, kernel, folder, ports):
    """QEMU's command line; PORTS are descriptors by port name."""
    command = [
        'setpriv', '--pdeathsig', 'KILL', qemu['program'],
        '-M', 'q35', '-accel', 'tcg,thread=multi', '-cpu', CPU,
        '-smp', os.environ.get('VOLT_LAB_CPUS', CPUS), '-m', str(memory_mib()),
        '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
        '-kernel', kernel['bzimage'],
        '-initrd', image.initramfs(kernel['modules']),
        # A busy host is late with the ticks that the timer's check waits for.
        '-append', 'console=ttyS0 quiet panic=-1 mitigations=off '
        'no_timer_check tsc=reliable random.trust_cpu=on',
        '-chardev', f'file,id=console,path={folder}/console.log',
        '-serial', 'chardev:console', '-device', 'virtio-serial-pci',
    ]
    for name, fd in ports.items():
        command += ['-chardev', f'socket,id={name},fd={fd}', '-device',
                    f'virtserialport,chardev={name},name=volt.{name}']
    return command


class Peer:
    """A socket with what it has not taken yet."""

    def __init__(self, loop, sock, on_data):
        self.loop, self.sock, self.on_data = loop, sock, on_data
        self.pending = bytearray()
        sock.setblocking(False)
        loop.register(sock, selectors.EVENT_READ, self.ready)

    def send(self, data):
        """Sends DATA, now or when the socket takes it."""
        self.pending += data
        self.flush()

    def flush(self):
        """Sends what waits, as far as it goes."""
        try:
            while self.pending:
                del self.pending[:self.sock.send(self.pending)]
        except BlockingIOError:
            pass
        except OSError:
            self.pending.clear()
        events = selectors.EVENT_READ
        if self.pending:
            events |= selectors.EVENT_WRITE
        self.loop.modify(self.sock, events, self.ready)

    def ready(self, events):
        """The loop's callback."""
        if events & selectors.EVENT_WRITE:
            self.flush()
        if events & selectors.EVENT_READ:
            try:
                self.on_data(self.sock.recv(1 << 20))
            except BlockingIOError:
                pass
            except ConnectionError:
                self.on_data(b'')

    def close(self):
        """Forgets the socket."""
        self.loop.unregister(self.sock)
        self.sock.close()


class Client:
    """A connection that runs one command."""

    def __init__(self, lab, sock, number):
        self.lab, self.number = lab, number
        self.decoder = wire.Decoder()
        self.started = False
        self.peer = Peer(lab.loop, sock, self.on_data)

    def on_data(self, data):
        """Frames from the client, or its end."""
        if not data:
            self.lab.drop(self)
            return
        for _, kind, payload in self.decoder.feed(data):
            if kind == wire.START:
                self.started = True
                for path in start_shares(payload):
                    self.lab.files.add_writable(path)
            self.lab.to_agent(self.number, kind, payload)


def start_shares(payload):
    """The folders that a START frame names (session.c has its format)."""
    parts = payload.split(b'\0')
    return parts[4:4 + int(parts[3])]


class Lab:
    """QEMU, its ports and the clients."""

    def __init__(self, folder, parent, idle):
        self.folder, self.idle = folder, idle
        self.loop = selectors.DefaultSelector()
        self.files = hostfs.HostFS()
        self.files.add_writable(image.TREE)
        self.files.add_writable(image.cache())
        self.clients = {}
        self.next_number = 1
        self.up = False
        self.running = True
        self.last_used = self.started = self.ticked = time.monotonic()
        self.frames = wire.Decoder()
        self.messages = bytearray()
        self.early = []
        self.qemu_facts, self.kernel = image.qemu(), image.kernel()
        self.ticks = image.loses_interrupts(self.qemu_facts['version'])
        self.write_about()
        self.listen()
        if parent is not None:
            self.loop.register(parent, selectors.EVENT_READ,
                               lambda events: self.stop())
        self.start_qemu()

    def write_about(self):
        """FOLDER/about is for whoever waits for the lab."""
        with open(f'{self.folder}/about', 'w', encoding='utf-8') as file:
            print(image.about(self.qemu_facts, self.kernel), file=file)

    def listen(self):
        """Opens FOLDER/sock. Under another name first: it takes clients from
        the moment it can be seen."""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f'{self.folder}/sock.new')
        self.listener.listen(64)
        os.rename(f'{self.folder}/sock.new', f'{self.folder}/sock')
        self.listener.setblocking(False)
        self.loop.register(self.listener, selectors.EVENT_READ,
                           lambda events: self.accept())

    def start_qemu(self):
        """Starts QEMU on its ends of the two ports."""
        command, command_qemu = socket.socketpair()
        files, files_qemu = socket.socketpair()
        ends = {'command': command_qemu.fileno(), 'files': files_qemu.fileno()}
        with open(f'{self.folder}/qemu.log', 'wb') as log:
            self.qemu = subprocess.Popen(
                qemu_command(self.qemu_facts, self.kernel, self.folder, ends),
                stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=tuple(ends.values()))
        command_qemu.close()
        files_qemu.close()
        self.agent = Peer(self.loop, command, self.on_agent)
        self.fuse = Peer(self.loop, files, self.on_files)
        self.loop.register(os.pidfd_open(self.qemu.pid), selectors.EVENT_READ,
                           lambda events: self.fail('the lab ended'))

    def accept(self):
        """Takes a new client, if there is one."""
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return False
        self.last_used = time.monotonic()
        client = Client(self, sock, self.next_number)
        self.clients[client.number] = client
        self.next_number += 1
        if self.up:
            client.peer.send(wire.encode(0, wire.READY))
        return True

    def drop(self, client):
        """A client is gone: so is its command."""
        if self.clients.pop(client.number, None) and client.started:
            self.to_agent(client.number, wire.END)
        client.peer.close()
        self.last_used = time.monotonic()

    def to_agent(self, number, kind, payload=b''):
        """Sends a frame to the agent, once it is up."""
        frame = wire.encode(number, kind, payload)
        if self.up:
            self.agent.send(frame)
        else:
            self.early.append(frame)

    def on_agent(self, data):
        """Frames from the agent go to the client that they are for."""
        for number, kind, payload in self.frames.feed(data):
            if kind == wire.READY:
                self.up = True
                self.agent.send(b''.join(self.early))
                for client in self.clients.values():
                    client.peer.send(wire.encode(0, wire.READY))
            elif number in self.clients:
                client = self.clients[number]
                client.peer.send(wire.encode(0, kind, payload))
                if kind in (wire.EXIT, wire.FAILED):
                    client.started = False

    def on_files(self, data):
        """Answers each FUSE request that is complete."""
        self.messages += data
        while len(self.messages) >= 4:
            length = int.from_bytes(self.messages[:4], 'little')
            if len(self.messages) < length:
                break
            reply = self.files.answer(bytes(self.messages[:length]))
            del self.messages[:length]
            if reply:
                self.fuse.send(reply)

    def fail(self, what):
        """Tells every client that the lab is no more, and why."""
        text = what
        for name in ('qemu.log', 'console.log'):
            try:
                with open(f'{self.folder}/{name}', errors='replace',
                          encoding='utf-8') as log:
                    lines = [line for line in log.read().splitlines()
                             if line.strip() and
                             "TCG doesn't support" not in line]
            except FileNotFoundError:
                continue
            text += ''.join(f'\n  {name}: {line}' for line in lines[-8:])
        while self.accept():
            pass
        for client in self.clients.values():
            client.peer.send(wire.encode(0, wire.FAILED, text.encode()))
        print(f'labd: {text}', file=sys.stderr)
        self.stop()

    def stop(self):
        """Ends the loop."""
        self.running = False

    def tick(self):
        """Interrupts the lab's CPU every TICK_SECONDS, where it must be."""
        now = time.monotonic()
        if not self.ticks or now - self.ticked < TICK_SECONDS:
            return
        self.ticked = now
        # What waits for the agent interrupts as well, once it is taken.
        if self.up and not self.agent.pending:
            self.agent.send(wire.encode(0, wire.TICK))

    def check_time(self):
        """Bounds the start, and the time without a command."""
        now = time.monotonic()
        if not self.up and now - self.started > BOOT_SECONDS:
            self.fail(f'the lab did not start in {BOOT_SECONDS} s')
        if self.idle and not self.clients and now - self.last_used > self.idle:
            self.stop()

    def serve(self):
        """Runs until told to stop."""
        try:
            while self.running:
                for key, events in self.loop.select(
                        TICK_SECONDS if self.ticks else 1):
                    # An earlier callback may have closed this one's socket.
                    if key.fd in self.loop.get_map():
                        key.data(events)
                self.tick()
                self.check_time()
        finally:
            self.qemu.kill()
            self.qemu.wait()


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folder')
    parser.add_argument('--parent', type=int, metavar='FD')
    parser.add_argument('--idle', type=float, metavar='SECONDS')
    args = parser.parse_args()

    # One descriptor for each file that the lab has open.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Lab(args.folder, args.parent, args.idle).serve()
    except image.LabError as failure:
        sys.exit(str(failure))
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)


if __name__ == '__main__':
    main()
