# SPDX-License-Identifier: Apache-2.0
"""Why each system call is made: reasons.txt, and the table beside the trace.

A line of reasons.txt has three columns, apart by " | ":

    where | calls | why

where: threads and phases, such as "vmm start run", and conditions: a libc's
name ("musl", "glibc"), or that it may not come in every run ("rare") or not on
every host ("host"). calls: those with this reason, apart by blanks; "open(X)/openat(X)"
is one call by two names, as one libc or the other makes it, "open(*)" is it with
whatever arguments no other line has. A line is stale when
a call of it was not seen in a whole run that meets its conditions; "rare" and
"host" lines never are.
"""

import re
from pathlib import Path
from typing import NamedTuple

from trace import PHASES, Calls, Key

HERE = Path(__file__).resolve().parent
REASONS = HERE / "reasons.txt"
TABLE = HERE / "table.md"
THREADS = "vmm", "vcpu", "gate", "uffd"
LIBCS = "musl", "glibc", "sanitizer"
LOOSE = "rare", "host"
ONE = r"\w+\([^)]*\)"
CALLS = re.compile(rf"{ONE}(?:/{ONE})*")
TITLES = ("phase", "thread", "call", "libc", "on", "times", "why")


class Reason(NamedTuple):
    """One line of reasons.txt."""
    line: int
    groups: tuple  # of Keys: one of each has to be seen
    libcs: tuple
    loose: bool
    why: str


def parse(text):
    """The Reasons; ValueError with the line that is none."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        columns = [x.strip() for x in line.split(" | ")]
        if len(columns) != 3 or not all(columns):
            raise ValueError(f"line {number}: not three columns")
        words = columns[0].split()
        known = THREADS + PHASES + LIBCS + LOOSE
        for word in words:
            if word not in known:
                raise ValueError(f"line {number}: what is '{word}'?")
        threads, phases, libcs = ([x for x in row if x in words]
                                  for row in (THREADS, PHASES, LIBCS))
        calls = CALLS.findall(columns[1])
        if not (threads and phases and " ".join(calls) == columns[1]):
            raise ValueError(f"line {number}: no thread, phase or call")
        groups = tuple(
            tuple(Key(phase, thread, call) for call in re.findall(ONE, names))
            for phase in phases for thread in threads for names in calls)
        found.append(Reason(number, groups, tuple(libcs or LIBCS),
                            any(x in words for x in LOOSE), columns[2]))
    return found


def load():
    return parse(REASONS.read_text(encoding="utf-8"))


def any_arguments(key):
    """The Key that stands for the call with all arguments."""
    return key._replace(call=key.call[:key.call.index("(")] + "(*)")


def why(reasons, key, libc):
    """The reason for a call, or None."""
    for wanted in key, any_arguments(key):
        for reason in reasons:
            if libc in reason.libcs and any(wanted in group
                                            for group in reason.groups):
                return reason.why
    return None


def cut(reasons, key, libc):
    """Its thread was killed before strace had what other calls of it have."""
    name = key.call[:-1]
    return key.call.endswith("()") and any(
        other[:2] == key[:2] and other.call.startswith(name)
        for reason in reasons if libc in reason.libcs
        for group in reason.groups for other in group)


def without(reasons, seen, libc):
    """The Keys that no line has a reason for."""
    return sorted(key for key in seen if why(reasons, key, libc) is None
                  and not cut(reasons, key, libc))


def stale(reasons, seen, libc):
    """(line, Key) of what was not seen and should have been."""
    seen = set(seen) | {any_arguments(key) for key in seen}
    return [(reason, group[0]) for reason in reasons
            if not reason.loose and libc in reason.libcs
            for group in reason.groups if not any(key in seen for key in group)]


def times(number):
    """A count that is the same from run to run, nearly."""
    for limit in (1000, 100, 10):
        if number >= limit:
            return f"{limit}+"
    return "few"


def folded(reasons, calls):
    """The Calls with one row for what one "(*)" is the reason of."""
    keys = {key for x in reasons for group in x.groups for key in group}
    found = Calls()
    for key, number in calls.count.items():
        whole = any_arguments(key)
        to = whole if key not in keys and whole in keys else key
        found.count[to] += number
        found.kinds[to] |= calls.kinds[key]
    return found


def table(reasons, found):
    """Markdown; @found: the Calls of each libc."""
    found = {libc: folded(reasons, calls) for libc, calls in found.items()}
    rows, keys = [], sorted({key for calls in found.values()
                             for key in calls.count})
    for phase in PHASES:
        for thread in THREADS:
            for key in keys:
                if key[:2] == (phase, thread):
                    rows.append(row(reasons, found, key))
    lines = [TITLES, ["---"] * len(TITLES), *rows]
    return "".join("| " + " | ".join(x) + " |\n" for x in lines)


def traced():
    """The Keys of each libc that table.md has."""
    found = {libc: set() for libc in LIBCS[:2]}
    for line in TABLE.read_text(encoding="utf-8").splitlines()[2:]:
        phase, thread, call, libcs = re.split(r"(?<!\\) ?\| ?", line)[1:5]
        key = Key(phase, thread, call.strip("`").replace("\\|", "|"))
        for libc in libcs.split(", ") if libcs != "all" else found:
            found[libc].add(key)
    return found


def row(reasons, found, key):
    libcs = [libc for libc in found if key in found[libc].count]
    kinds = set().union(*(found[libc].kinds[key] for libc in libcs))
    return (key.phase, key.thread, "`" + key.call.replace("|", "\\|") + "`",
            "all" if len(libcs) == len(found) else ", ".join(libcs),
            ", ".join(sorted(kinds)),
            times(max(found[libc].count[key] for libc in libcs)),
            why(reasons, key, libcs[0]) or "NO REASON")
