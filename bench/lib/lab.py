# SPDX-License-Identifier: Apache-2.0
"""One part of bench/run in the lab, where this host's KVM cannot do it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def measure(ctx, name, *options):
    """What the part finds there, or None; @options: bench/run's."""
    build = ctx.tree.build
    with tempfile.TemporaryDirectory(dir=build) as folder:
        run = subprocess.run(
            [ROOT / "tests/lab/run", "/usr/bin/python3", ROOT / "bench/run",
             "--build", build, "--only", name, "--memory", str(ctx.memory),
             "--results", folder, *map(str, options)], check=False)
        path = Path(folder) / "results.json"
        if run.returncode or not path.exists():
            print(f"the lab did not run the {name} part", file=sys.stderr)
            return None
        return json.loads(path.read_text())[name]


def made_by(*command):
    """The last line that a script of the tree prints: a path."""
    run = subprocess.run([ROOT / command[0], *command[1:]], text=True,
                         stdout=subprocess.PIPE, check=False)
    return Path(run.stdout.split()[-1]) if run.returncode == 0 else None
