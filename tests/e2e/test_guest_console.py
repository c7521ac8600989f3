# SPDX-License-Identifier: Apache-2.0
"""The serial console: output, input, and a reader that does not read."""

import signal

from conftest import Case

LINE = " " + "." * 60


def test_no_line_is_lost(vmm):
    result = vmm.run(Case("console", "lines=1500"))
    result.assert_passed()
    lines = [x for x in result.lines() if x.endswith(LINE)]
    assert lines == [f"{i}{LINE}" for i in range(1500)]


def test_input_is_echoed(vmm):
    run = vmm.start("console", "lines=1 echo")
    run.wait_for("ready")
    for text in ("hello", "a longer line, with 1234567890", "", "x" * 200):
        run.send(text + "\n")
        assert run.wait_for("]\r\n").endswith("[" + text)
    run.send("quit\n")
    run.finish().assert_passed()


def test_input_in_one_burst(vmm):
    """More than the FIFO holds, sent before the guest looks."""
    run = vmm.start("console", "lines=1 echo")
    run.wait_for("ready")
    words = [f"line-{i}-" + "y" * (i % 40) for i in range(100)]
    run.send("".join(w + "\n" for w in words) + "quit\n")
    result = run.finish()
    result.assert_passed()
    echoed = [x[1:-1] for x in result.lines() if x.startswith("[line-")]
    assert echoed == words


def test_input_end_does_not_end_the_guest(vmm):
    run = vmm.start("ticker")
    run.process.stdin.close()
    run.wait_for("tick 5")
    assert run.process.poll() is None


def test_reader_that_does_not_read(vmm):
    """The guest runs to its end although nobody takes its output."""
    run = vmm.start("console", "lines=1500")
    code = run.process.wait(timeout=120)
    result = run.finish()
    assert code == 0, result.log
    assert "0" + LINE in result.lines()


def test_reader_that_goes_away(vmm):
    run = vmm.start("console", "lines=2000")
    run.wait_for("5" + LINE)
    run.process.stdout.close()
    assert run.process.wait(timeout=120) == 0, run.log()


def test_stopped_and_continued(vmm):
    """Job control: SIGSTOP and SIGCONT leave the guest alive."""
    run = vmm.start("ticker")
    run.wait_for("tick 2")
    run.process.send_signal(signal.SIGSTOP)
    run.process.send_signal(signal.SIGCONT)
    seen = run.wait_for("tick 6")
    assert "tick 5" in seen
