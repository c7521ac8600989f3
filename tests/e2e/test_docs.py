# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code says."""

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

DOCS = ROOT / "docs"
LAYOUT = ROOT / "src/boot/layout.h"
# Sizes and encodings: the text explains them, no table lists them.
NOT_ADDRESSES = re.compile(r"_(BYTES|MAX|STRIDE|PINS|VALUE|TYPE|SHIFT|EN|CPUS)$")
# Names for a place that another row has.
ALIASES = {"LAYOUT_CHIPS", "LAYOUT_ACPI_PORT"}


def layout():
    """Every LAYOUT_ macro of layout.h and its value."""
    values = {}
    for name, text in re.findall(r"^#define (LAYOUT_\w+)\s+(.*?)(?:/\*.*)?$",
                                 LAYOUT.read_text(), re.M):
        text = re.sub(r"\b(0x[0-9a-f]+|\d+)(?:u|ull)\b", r"\1", text)
        values[name] = eval(text, {"__builtins__": {}}, values)
    return values


def abi_rows():
    """(number, name) of each row of the guest ABI's tables that names one."""
    rows = re.findall(r"^\| (0x[0-9a-f]+|\d+) \|.*\| `(LAYOUT_\w+)` \|$",
                      (DOCS / "guest-abi.md").read_text(), re.M)
    return [(int(number, 0), name) for number, name in rows]


def test_guest_abi_has_the_numbers_of_layout_h():
    values = layout()
    for number, name in abi_rows():
        assert values[name] == number, name


def test_guest_abi_leaves_no_address_out():
    named = [name for _, name in abi_rows()]
    assert len(named) == len(set(named))
    addresses = {name for name in layout() if not NOT_ADDRESSES.search(name)}
    assert addresses - ALIASES == set(named)


def test_guest_abi_text_has_the_sizes_of_layout_h():
    values, text = layout(), (DOCS / "guest-abi.md").read_text()
    for words in [f"at most {values['LAYOUT_CMDLINE_MAX'] - 1} bytes",
                  f"{values['LAYOUT_VIRTIO_STRIDE']:#x} bytes, "
                  f"{values['LAYOUT_VIRTIO_MAX']} at most",
                  f"IOAPIC with {values['LAYOUT_IOAPIC_PINS']} pins",
                  f"window n has GSI {values['LAYOUT_GSI_VIRTIO']} + n"]:
        assert words in text


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_command_lines_are_as_the_tables_say(build):
    """docs/cli.md is made from what the programs parse by: `make docs`."""
    made = subprocess.run([build / "src/docgen/docgen", "markdown"],
                          capture_output=True, text=True, check=True).stdout
    assert made == (DOCS / "cli.md").read_text()


def test_calls_are_as_the_filters_allow(build):
    """docs/system-calls.md is made, too; docs/security.md has its counts."""
    made = subprocess.run([build / "src/docgen/docgen", "calls"],
                          capture_output=True, text=True, check=True).stdout
    assert made == (DOCS / "system-calls.md").read_text()
    count = dict(re.findall(r"^\| ([a-z ,:]+) \| (\d+) \| \d+ \|$", made, re.M))
    text = (DOCS / "security.md").read_text()
    row = re.search(r"^\| Volt \(.*\)" + r" \| (\d+)" * 4 + r" \|", text,
                    re.M)
    assert row.groups() == (count["vmm"], count["gate"], count["vcpu"],
                            count["the guest process: vmm, vcpu, pager"])


def commands():
    """All programs, and each command and form that docs/cli.md lists."""
    rows = re.findall(r"^\| \[`(volt [a-z -]+)`\]",
                      (DOCS / "cli.md").read_text(), re.M)
    return ["volt", "volt-jailer", "volt-pager", "volt-pool", "volt-vmm", *rows]


def flags_of(build, words):
    """The options that --help shows."""
    program, *rest = words.split()
    run = subprocess.run([build / program, *rest, "--help"], check=True,
                         capture_output=True, text=True, timeout=60)
    return set(re.findall(r"^  (--[a-z-]+)", run.stdout, re.M))


def test_man_pages(build):
    """One for each command, with each option, without a mistake of layout."""
    made = {path.stem: path
            for path in (build / "src/docgen").glob("volt*.[18]")}
    assert set(made) == {words.replace(" ", "-") for words in commands()}
    for words in commands():
        path = made[words.replace(" ", "-")]
        text = path.read_text().replace("\\-", "-")
        for flag in flags_of(build, words):
            assert f"\\fB{flag}\\fR" in text, (words, flag)
        if shutil.which("groff"):
            warned = subprocess.run(
                ["groff", "-ww", "-man", "-Tutf8", path], text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
            assert warned.stderr == ""


def complete(build, *words):
    """What bash offers for the last word."""
    script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_volt; printf "%s\\n" "${COMPREPLY[@]}"')
    run = subprocess.run(["bash", "-c", script, "bash",
                          build / "src/docgen/volt", *words],
                         capture_output=True, text=True, check=True,
                         env={**os.environ, "PATH": f"{build}:/usr/bin:/bin"})
    assert run.stderr == ""
    return set(run.stdout.split())


def test_bash_completion(build, tmp_path):
    for words in commands():
        assert complete(build, *words.split(), "--") == \
            flags_of(build, words), words
    assert complete(build, "volt", "s") == {"snapshot", "stats", "stop"}
    assert complete(build, "volt", "net", "l") == {"list"}
    assert complete(build, "volt-vmm", "--entry", "") == {"auto", "pvh",
                                                          "linux64"}
    (tmp_path / "vmlinux").write_text("")
    assert complete(build, "volt", "run", "--kernel", f"{tmp_path}/vm") == \
        {f"{tmp_path}/vmlinux"}


@pytest.mark.parametrize("shell, file", [("zsh", "_volt"),
                                         ("fish", "volt.fish")])
def test_completion_of_other_shells(build, shell, file):
    """Every option is there, and the shell reads it."""
    path = build / "src/docgen" / file
    text = path.read_text()
    for words in commands()[1:]:
        for flag in flags_of(build, words):
            assert flag in text or f"-l {flag[2:]} " in text, (words, flag)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not there to read it")
    subprocess.run([shell, "-n", path], check=True)


def api_routes(files):
    """Method and path of every route in these files."""
    routes = set()
    for path in files:
        text = path.read_text()
        routes |= set(re.findall(r'ROUTE\(([A-Z]+), "([^"]*)"', text))
        routes |= set(re.findall(
            r'\.method = API_([A-Z]+),\s*\.path = "([^"]*)"', text))
    return {(method, "/" + path) for method, path in routes}


def test_api_page_has_every_route():
    page = (DOCS / "api.md").read_text()
    offered = set(re.findall(r"^\| ([A-Z]+) `(/[^`]*)`",
                             section(page, "Offered"), re.M))
    # /snapshot without a word behind it only explains an error.
    assert (api_routes((ROOT / "src/api").glob("*.c")) - {("PUT", "/snapshot")}
            == offered)


def test_exit_codes_are_listed():
    text = (ROOT / "src/vm/vm.h").read_text()
    codes = set(re.findall(r"^\tEXIT_CODE_\w+ = (\d+),", text, re.M))
    rows = re.findall(r"^\| ([\d, ]+) \|",
                      (DOCS / "exit-codes.md").read_text(), re.M)
    listed = {code for row in rows for code in row.split(", ")}
    # Firecracker's for SIGPIPE, which ends nothing here.
    assert codes - listed == {"155"}
    assert listed <= codes


def test_counters_that_never_move_are_listed():
    """A name that only a struct and its list of metrics have."""
    sources = "\n".join(path.read_text()
                        for path in sorted((ROOT / "src").rglob("*.[ch]")))
    names = set(re.findall(r"METRIC(?:_AGG)?\(struct \w+, (\w+)\)", sources))
    names |= set(re.findall(r"\bCOUNTER\((\w+)\)", sources)) - {"name"}
    assert len(names) > 100
    still = {name for name in names
             if len(re.findall(rf"\b{name}\b", sources)) <= 2}
    rows = section((DOCS / "devices.md").read_text(),
                   "Serial console, log and metrics")
    listed = re.findall(r"^  \| `\w+`: `(\w+)` \|", rows, re.M)
    assert still | {"panic_count"} == set(listed)


def pages():
    return [ROOT / name for name in
            ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
            ] + sorted(ROOT.glob("docs/*.md")) + sorted(
                ROOT.glob("tests/*/README.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
    # Files of the tree that the text names.
    for name in re.findall(r"`((?:src|tests|tools|docs|bench)/[\w./-]+)`",
                           text):
        assert (ROOT / name).exists(), name


def test_every_part_of_the_benchmark_loads():
    """And the table of docs/performance.md names no other."""
    said = subprocess.run([ROOT / "bench/run", "--help"], text=True,
                          capture_output=True, timeout=60, check=False,
                          env={**os.environ, "COLUMNS": "10000"})
    assert (said.returncode, said.stderr) == (0, "")
    parts = re.search(r"parts to run, of ([\w,]+)", said.stdout).group(1)
    text = (ROOT / "docs/performance.md").read_text()
    named = set(re.findall(r"^\| `(\w+)`", text, re.M))
    assert named and named <= set(parts.split(","))



def test_kept_counts_are_shown():
    """The table of docs/performance.md is that of bench/counts.json."""
    kept = json.loads((ROOT / "bench/counts.json").read_text())["rows"]
    page = (DOCS / "performance.md").read_text()
    for name, row in kept.items():
        cells = [name] + ["-" if v is None else str(round(v))
                          for v in row.values()]
        assert "| " + " | ".join(cells) + " |" in page, name
