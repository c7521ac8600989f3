# SPDX-License-Identifier: Apache-2.0
"""What the sandbox costs: on against off, and --isolate on top; in turns."""

import contextlib
import tempfile
from pathlib import Path

from . import stats
from .part import Table, once
from .proc import rollup, running
from .snapshot import call, restore_argv, save

NAME = "sandbox"
MODES = ("off", "strict", "isolated")
WORDS = {"off": ["--sandbox", "off"], "strict": ["--sandbox", "strict"],
         "isolated": ["--sandbox", "strict", "--isolate"]}
RUNS = 100
CALLS = 200
MEMORY = 128


def in_turns(runs, one):
    """{mode: values} of one(mode), each mode first as often as last."""
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
        ctx.tree, [*argv, *WORDS[mode]])[0])


def restores(ctx, folder):
    """To the mark that a restored guest makes again."""
    save(ctx.tree, "remark", ".", MEMORY, folder)
    argv = restore_argv(ctx.tree, folder)
    return in_turns(min(ctx.runs, RUNS), lambda mode: once(
        ctx.tree, [*argv, *WORDS[mode]])[0])


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
                    *WORDS[mode]]
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


def more(found, key, mode="strict", than="off"):
    """By how much the median grows."""
    return found[key][mode]["median"] - found[key][than]["median"]


def show(found):
    rows = []
    for key, what in (("start_us", "start to the mark, ms"),
                      ("restore_us", "restore to the mark, ms"),
                      ("api_call_us", "PATCH /vm, ms")):
        off = found[key]["off"]["median"]
        for mode in MODES[1:]:
            on = found[key][mode]["median"]
            rows.append([f"{what}: {mode}", f"{off / 1000:.3f}",
                         f"{on / 1000:.3f}", f"{(on - off) / 1000:+.3f}",
                         f"{on / off:.3f}"])
    off = found["private_kib"]["off"]
    for mode in MODES[1:]:
        on = found["private_kib"][mode]
        rows.append([f"private memory, KiB: {mode}", f"{off}", f"{on}",
                     f"{on - off:+}", f"{on / off:.3f}"])
    return [Table(["sandbox", "off", "on", "more", "ratio"], rows)]


TARGETS = (
    ("sandbox: start, more", 0.25, "ms",
     lambda found: more(found, "start_us") / 1000),
    ("sandbox: restore, more", 0.25, "ms",
     lambda found: more(found, "restore_us") / 1000),
    ("sandbox: start, --isolate on top", 1, "ms",
     lambda found: more(found, "start_us", "isolated", "strict") / 1000),
    ("sandbox: restore, --isolate on top", 1, "ms",
     lambda found: more(found, "restore_us", "isolated", "strict") / 1000),
    ("sandbox: API call, more", 0.1, "ms",
     lambda found: more(found, "api_call_us") / 1000),
    ("sandbox: private memory, more", 150, "KiB",
     lambda found: found["private_kib"]["strict"]
     - found["private_kib"]["off"]),
)
