# SPDX-License-Identifier: Apache-2.0
"""The rows of the filters against the reasons: two tables, one truth.

The rows are those of docs/system-calls.md, which is made from the table that
the filters are made of (`docgen calls`). A row is one thread's; what it allows
is a call, and its request or command where it names one. Calls that were made
before the lock, phase `start`, have nothing to do with the filters.
"""

import re
from pathlib import Path
from typing import NamedTuple

import reasons as why
from trace import Key

HERE = Path(__file__).resolve().parent
UNSEEN = HERE / "unseen.txt"
ROWS = HERE.parents[1] / "docs/system-calls.md"

LIBCS = "musl", "glibc"  # a sanitizer's build is let through nearly all

# The pager's thread has another name where clients look.
THREADS = {"vmm": "vmm", "vcpu": "vcpu", "pager": "uffd", "gate": "gate",
           "early": "early"}
COLUMNS = tuple(THREADS)
ROW = re.compile(r"^\| `(\w+)` \|(.*)\|$")
# A value that an argument has to have, as the source writes it.
NAMED = re.compile(r"^(?:IS\(1, )?([A-Z]\w+)\)?$")


class Row(NamedTuple):
    """What one thread may do."""
    thread: str
    call: str
    value: str  # "KVM_RUN", "F_SETFL"; "" for any
    libc: str   # "" for all

    def __str__(self):
        return f"{self.thread} {self.call}({self.value})"


def load():
    """The Rows."""
    return parse(ROWS.read_text(encoding="utf-8"))


def parse(text):
    """The Rows of docs/system-calls.md."""
    found = []
    body = text.split("\n## Calls that are allowed\n")[1].split("\n## ")[0]
    for line in body.splitlines():
        match = ROW.match(line)
        if not match:
            continue
        cells = [x.strip() for x in match.group(2).split("|")]
        marks, test, reason = cells[:5], cells[5].strip("`"), cells[6]
        if marks[3]:
            marks[4] = ""  # the gate's own, too
        named = NAMED.match(test)
        libc = re.search(r"\((musl|glibc)\)$", reason)
        found += [Row(THREADS[column], match.group(1),
                      named.group(1) if named else "",
                      libc.group(1) if libc else "")
                  for column, mark in zip(COLUMNS, marks) if mark]
    assert found, "no rows"
    return found


def allows(row, key, libc):
    """Does the Row let through what a Key says?"""
    call, rest = key.call.split("(", 1)
    args = rest.rstrip(")").split(", ")
    return (row.thread.replace("early", "gate") == key.thread
            and row.call == call
            and row.libc in ("", libc) and (not row.value
                                            or row.value in args
                                            or args == ["*"]))


def unneeded(rows, seen, libc):
    """The Rows that nothing in @seen, Keys, has needed."""
    keys = [key for key in seen if key.phase == "run"]
    return [row for row in rows if row.libc in ("", libc)
            and not any(allows(row, key, libc) for key in keys)]


def is_refused(rows, key, libc, lines):
    """brk() fails quietly: libc tries it all the same. Rows of the early gate
    are for what is done by a process that is locked first, until the guest is
    about to run; the reasons for that say so."""
    if key.phase != "run" or key.call.startswith("brk("):
        return False
    early = "locked first" in (why.why(lines, key, libc) or "")
    return not any(allows(row, key, libc) for row in rows
                   if early or row.thread != "early")


def load_unseen():
    """{"thread call(value)": why}"""
    found = {}
    for line in UNSEEN.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            threads, calls, reason = line.split(" | ")
            for thread in threads.split():
                for call in calls.split():
                    assert f"{thread} {call}" not in found, line
                    found[f"{thread} {call}"] = reason
    return found


def refusals(rows, keys, libc, lines):
    """Sentences about calls that were made and have no Row."""
    return [f"{libc}: {key.thread} made {key.call}, which its filter refuses"
            for key in sorted(keys) if is_refused(rows, key, libc, lines)]


def idle(rows, keys, libc, told):
    """Sentences about Rows that nothing needed and nobody explains."""
    names = {str(row) for row in unneeded(rows, keys, libc)}
    return [f"{libc}: no scene needs the row {name}, and {UNSEEN.name} does "
            "not say why it is there" for name in sorted(names - set(told))]


def compare(rows, lines, seen, told):
    """Sentences about what is wrong; @lines: the Reasons, @seen: the Keys of
    each libc, @told: load_unseen()."""
    needless, wrong = set(), []
    for libc, keys in seen.items():
        needless |= {str(row) for row in unneeded(rows, keys, libc)}
        wrong += idle(rows, keys, libc, told) + refusals(
            rows, keys, libc, lines)
        wrong += [f"{why.REASONS.name}:{line.line}: the filter refuses "
                  f"{group[0].thread} {group[0].call} ({libc})"
                  for line in lines if libc in line.libcs
                  for group in line.groups
                  if all(is_refused(rows, key, libc, lines) for key in group)]
    return wrong + [f"{UNSEEN.name}: {row}: there is no such row, or every "
                    "trace has it" for row in sorted(set(told) - needless)]
