# SPDX-License-Identifier: Apache-2.0
"""The socket device under Linux's own driver, in the lab.

A stock kernel with vmw_vsock_virtio_transport as a module; vsockguest.c in it,
vsock_linux.py and vsock_host.py on its host. make check-long: 1 GiB instead
of a few MiB, and 1,000 connections.
"""

import sys
from pathlib import Path

import pytest

from conftest import (BUILD, LONG, guest_image, guest_kernel, in_lab,
                      need_lab)

CASES = ["calls", "call-transfer", "transfer", "clients", "refused", "end"]
MIB, CONNECTIONS = (1024, 500) if LONG else (8, 100)
HERE = Path(__file__).parent
SCRIPT = """\
calls=
read -r cmdline </proc/cmdline
for word in $cmdline; do
	case $word in volt.calls=*) calls=${word#*=} ;; esac
done
ulimit -n 4096
exec vsockguest "$calls"
"""


@pytest.fixture(scope="module")
def said_in_lab(build, tmp_path_factory):
    need_lab()
    folder = tmp_path_factory.mktemp("vsock")
    image = guest_image(folder, "vsockguest", "vsock", SCRIPT)
    kernel = guest_kernel("bzimage")
    out, log = in_lab(
        [sys.executable, HERE / "vsock_linux.py", BUILD / "volt-vmm", kernel,
         image, str(MIB), str(CONNECTIONS)],
        folder, 3600 if LONG else 400)
    return out.splitlines(), log[-3000:]


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES)
def test_linux_guest(said_in_lab, case):
    lines, log = said_in_lab
    assert f"ok {case}" in lines, "\n".join(lines) + "\n" + log
