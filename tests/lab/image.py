# SPDX-License-Identifier: Apache-2.0
"""image - what the lab is made of: QEMU, kernel and initramfs, from the cache"""
import hashlib
import os
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
STOCK = os.path.join(TREE, 'tests/kernel/stock')
FETCH_QEMU = os.path.join(HERE, 'fetch-qemu')
PACK = os.path.join(TREE, 'tests/initramfs/pack')

MODULES = ('virtio_pci virtio_console fuse kvm kvm_amd tun vhost_net '
           'vhost_vsock vsock_loopback loop veth bridge').split()


class LabError(Exception):
    """The lab could not run the command. The text says why."""


def cache():
    """The cache folder, as tests/common.sh has it."""
    path = os.environ.get('VOLT_CACHE')
    if not path:
        base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser(
            '~/.cache')
        path = os.path.join(base, 'volt')
    path = os.path.abspath(path)
    os.makedirs(path, exist_ok=True)
    return path


def facts(*command):
    """A dict of the NAME=VALUE lines that COMMAND prints."""
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                         check=False)
    if out.returncode:
        raise LabError(f'{os.path.basename(command[0])} failed')
    return dict(line.split('=', 1) for line in out.stdout.splitlines())


def kernel():
    """What tests/kernel/stock says of the lab's kernel: a dict of paths."""
    series = os.environ.get('VOLT_LAB_KERNEL')
    return facts(STOCK, *(('--series', series) if series else ()))


def qemu():
    """What fetch-qemu says: a dict of program, version and source."""
    return facts(FETCH_QEMU)


def loses_interrupts(version):
    """Whether QEMU of VERSION does; labd.py says which and why."""
    return [int(x) for x in version.split('.')[:2]] < [10, 2]


def about(parts, kernel_paths):
    """What a lab of these parts runs on, in a few words."""
    text = (f'QEMU {parts["version"]} ({parts["source"]}), Linux '
            f'{os.path.basename(kernel_paths["modules"])}')
    if loses_interrupts(parts['version']):
        text += '; warning: this QEMU loses interrupts, so guests may stall'
    return text


def initramfs(modules_tree):
    """The path of the initramfs: agent and modules; made when it is not."""
    names = MODULES + os.environ.get('VOLT_LAB_MODULES', '').split()
    sources = [os.path.join(HERE, name) for name in
               ('agent.c', 'bridge.c', 'session.c', 'setup.c')]
    digest = hashlib.sha256(f'{modules_tree} {names}'.encode())
    for path in sources + [os.path.join(HERE, 'agent.h'), PACK]:
        with open(path, 'rb') as file:
            digest.update(file.read())
    folder = os.path.join(cache(), 'lab')
    out = os.path.join(folder, f'initramfs-{digest.hexdigest()[:12]}.cpio')
    if os.path.exists(out):
        return out
    os.makedirs(folder, exist_ok=True)
    agent = os.path.join(folder, f'agent.{os.getpid()}')
    try:
        subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-O2', '-static',
                        '-pthread', '-o', agent, *sources], check=True)
        subprocess.run([PACK, '-o', out, f'init={agent}', '--modules',
                        modules_tree, *names], check=True)
    except FileNotFoundError as failure:
        raise LabError('no C compiler (apt-get install gcc libc6-dev)'
                       ) from failure
    except subprocess.CalledProcessError as failure:
        raise LabError(f'{failure.cmd[0]} failed') from failure
    finally:
        if os.path.exists(agent):
            os.unlink(agent)
    return out
