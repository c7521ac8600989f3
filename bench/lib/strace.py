# SPDX-License-Identifier: Apache-2.0
"""strace's view of one run."""

import subprocess
import tempfile
from pathlib import Path


def trace(argv, *options):
    """strace's lines for one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trace"
        subprocess.run(["strace", "-f", "-o", out, *options, *argv],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60, check=False)
        return out.read_text(errors="replace").splitlines()


def candidates(tree, memory):
    kernel = tree.guest("mark")
    return {
        "volt-vmm": tree.volt(memory).command(kernel, memory),
        "bare probe": [str(tree.probe), str(kernel), str(memory)],
    }
