# SPDX-License-Identifier: Apache-2.0
"""image - the kernel and the initramfs that the lab boots, from the cache"""
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
FETCH = os.path.join(TREE, 'tools/kernel/fetch')
PACK = os.path.join(TREE, 'tests/initramfs/pack')

MODULES = ('virtio_pci virtio_console fuse kvm kvm_amd tun vhost_net '
           'vhost_vsock vsock_loopback loop veth bridge').split()


def cache():
    """The cache folder, as tools/kernel/common.sh has it."""
    path = os.environ.get('VOLT_CACHE')
    if not path:
        base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser(
            '~/.cache')
        path = os.path.join(base, 'volt')
    path = os.path.abspath(path)
    os.makedirs(path, exist_ok=True)
    return path


def kernel():
    """What tools/kernel/fetch says: a dict of paths."""
    out = subprocess.run([FETCH], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    return dict(line.split('=', 1) for line in out.splitlines())


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
    except FileNotFoundError:
        sys.exit('lab: no C compiler (apt-get install gcc libc6-dev)')
    finally:
        if os.path.exists(agent):
            os.unlink(agent)
    return out
