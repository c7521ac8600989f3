# SPDX-License-Identifier: Apache-2.0
"""Waits for a helper's process that end, whatever the helper does."""

import contextlib
import os
import select

# Seconds; the lab takes 100 times as long for a page that a handler serves.
PATIENCE = 300 if os.environ.get("VOLT_IN_LAB") else 60


def next_line(process, seconds=PATIENCE):
    """A line that it prints; "" when it ended or says nothing in time.

    Its output is text, and it waits for an answer behind each line: what
    would be read ahead is not waited for.
    """
    said = select.select([process.stdout], [], [], seconds)[0]
    return process.stdout.readline() if said else ""


@contextlib.contextmanager
def killed_at_last(process):
    """@process in a block, killed behind it, also when the block fails.

    Popen's own waits there for as long as the process lives.
    """
    with process:
        try:
            yield process
        finally:
            process.kill()
