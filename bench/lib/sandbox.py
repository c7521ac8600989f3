# SPDX-License-Identifier: Apache-2.0
"""What the sandbox costs: on against off, in turns, in one run."""

import contextlib
import tempfile
from pathlib import Path

from . import stats
from .part import Table, once
from .proc import rollup, running
from .snapshot import call, restore_argv, save

NAME = "sandbox"
MODES = ("off", "strict")
RUNS = 100
CALLS = 200
MEMORY = 128


def in_turns(runs, one):
    """{mode: values} of one(mode), each mode first as often as the other."""
    found = {mode: [] for mode in MODES}
    for number in range(-3, runs):
        for mode in MODES if number % 2 else reversed(MODES):
            value = one(mode)
            if number >= 0:
                found[mode].append(value)
    return found


def starts(ctx):
    argv = [str(ctx.tree.vmm), "--no-api", "--kernel",
            str(ctx.tree.guest("mark")), "--memory", str(MEMORY)]
    return in_turns(min(ctx.runs, RUNS), lambda mode: once(
        ctx.tree, [*argv, "--sandbox", mode])[0])


def restores(ctx, folder):
    """To the mark that a restored guest makes again."""
    save(ctx.tree, "remark", ".", MEMORY, folder)
    argv = restore_argv(ctx.tree, folder)
    return in_turns(min(ctx.runs, RUNS), lambda mode: once(
        ctx.tree, [*argv, "--sandbox", mode])[0])


def children(pid):
    """Processes that a VM consists of beside the one that was started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def private_kib(pid):
    found = rollup(pid)
    return found["Private_Clean"] + found["Private_Dirty"]


def pairs(ctx, folder):
    """Private memory of both halves, and a request of the API's, each mode."""
    memory = {mode: [] for mode in MODES}
    calls = {mode: [] for mode in MODES}
    with contextlib.ExitStack() as stack:
        socks = {}
        for mode in MODES:
            sock = Path(folder) / mode
            argv = [str(ctx.tree.vmm), "--api-sock", str(sock), "--kernel",
                    str(ctx.tree.guest("spin")), "--memory", str(MEMORY),
                    "--sandbox", mode]
            pid = stack.enter_context(running(argv, "spinning")).pid
            socks[mode] = sock
            memory[mode] = [sum(private_kib(p) for p in
                                [pid, *children(pid)])]
        for number in range(-5, CALLS):
            for mode in MODES if number % 2 else reversed(MODES):
                took = call(socks[mode], "PATCH", "/vm", {"state": "Resumed"})
                if number >= 0:
                    calls[mode].append(took)
    return memory, calls


def measure(ctx):
    with tempfile.TemporaryDirectory() as folder:
        memory, calls = pairs(ctx, folder)
        return {
            "start_us": summaries(starts(ctx)),
            "restore_us": summaries(restores(ctx, folder)),
            "api_call_us": summaries(calls),
            "private_kib": {mode: memory[mode][0] for mode in MODES},
        }


def summaries(found):
    return {mode: stats.summary(values) for mode, values in found.items()}


def more(found, key):
    """By how much the median grows."""
    return found[key]["strict"]["median"] - found[key]["off"]["median"]


def show(found):
    rows = []
    for key, what in (("start_us", "start to the mark, ms"),
                      ("restore_us", "restore to the mark, ms"),
                      ("api_call_us", "PATCH /vm, ms")):
        off, strict = found[key]["off"], found[key]["strict"]
        rows.append([what, f"{off['median'] / 1000:.3f}",
                     f"{strict['median'] / 1000:.3f}",
                     f"{(strict['median'] - off['median']) / 1000:+.3f}",
                     f"{strict['median'] / off['median']:.3f}"])
    off, strict = (found["private_kib"][mode] for mode in MODES)
    rows.append(["private memory, KiB", f"{off}", f"{strict}",
                 f"{strict - off:+}", f"{strict / off:.3f}"])
    return [Table(["sandbox", "off", "strict", "more", "ratio"], rows)]


TARGETS = (
    ("sandbox: start, more", 0.25, "ms",
     lambda found: more(found, "start_us") / 1000),
    ("sandbox: restore, more", 0.25, "ms",
     lambda found: more(found, "restore_us") / 1000),
    ("sandbox: API call, more", 0.1, "ms",
     lambda found: more(found, "api_call_us") / 1000),
    ("sandbox: private memory, more", 150, "KiB",
     lambda found: found["private_kib"]["strict"]
     - found["private_kib"]["off"]),
)
