# SPDX-License-Identifier: Apache-2.0
"""What needs no root, done by a real ordinary user.

Root's capabilities, his files and his cache hide what only they make possible.
So the tree, the programs and what was downloaded are copied to a user who owns
nothing else, and is in no group. README's first command is tried on this host
(he makes his own lab); the programs, with a KVM that is open to everybody, in
the lab. make check-long tries more of them.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, LONG, ROOT, in_lab, long_only, need_lab

USER = 65534
# Two users with a VM of the same name, and one who tries the other's.
TWO = """\
cd "$1"
as() {
	user=$1 of=$2
	shift 2
	XDG_RUNTIME_DIR=/tmp/$of VOLT_STATE=/tmp/$of/state VOLT_CACHE=/tmp/$of/cache \
		setpriv --reuid=$user --regid=$user --clear-groups "$@"
}
run="build/volt run -d --name web --memory 32 --kernel build/tests/guest/spin.elf"
for user in 65533 65534; do
	mkdir -m 700 /tmp/$user && chown $user:$user /tmp/$user
done
as 65533 65533 $run
as 65534 65534 build/volt ps -a | grep -c web
as 65534 65534 $run
for words in ps logs stop kill inspect pause "rm -f" "exec web true"; do
	as 65534 65533 build/volt $words web >/tmp/said 2>&1 && echo "$words works"
	grep -c . /tmp/said | sed "s/^1$/a sentence/"
done
as 65534 65533 curl -s --unix-socket /tmp/65533/volt/web.sock http://localhost/ ||
	echo no socket
as 65534 65534 build/volt stop --wait 0 web
as 65533 65533 build/volt ps | grep -c "web .* Running"
as 65533 65533 build/volt stop --wait 0 web
"""
HERE = Path(__file__).parent
RUN = "tests/e2e/test_cli_run.py"
TESTS = [f"tests/e2e/test_{x}.py" for x in (
    "cli_run", "cli_snapshot", "guest_console", "guest_ends",
    "snapshot_faults")] if LONG else [f"{RUN}::test_{x}" for x in (
        "run_passes_console_and_code", "ps_tells_the_truth",
        "stop_asks_the_guest", "names_are_unique", "run_with_disks",
        "one_of_many_that_start_at_once")]


def copied_cache(target):
    """The kernels, and the QEMU of the lab, if it is not the installed one."""
    said = subprocess.run([ROOT / "tests/lab/fetch-qemu"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    stock = subprocess.run([ROOT / "tests/kernel/stock", "--print", "config"],
                           check=True, stdout=subprocess.PIPE, text=True).stdout
    stock = Path(stock.strip()).parent
    subprocess.run(["mkdir", "-p", target], check=True)
    subprocess.run(["cp", "-r", stock.parents[1] / "store", target],
                   check=True)
    folders = [(stock, "kernel", "stock")]
    program = dict(x.split("=", 1) for x in said.splitlines())["program"]
    if os.path.isabs(program) and not os.environ.get("VOLT_LAB_QEMU"):
        folders.append((Path(program).parent, "qemu", "current"))
    for folder, kind, link in folders:
        subprocess.run(["mkdir", "-p", target / kind], check=True)
        subprocess.run(["cp", "-r", folder, target / kind], check=True)
        (target / kind / link).symlink_to(folder.name)


@pytest.fixture(scope="module")
def home(build):
    """A folder of the user's, with the tree in volt/ and a cache."""
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user: all other tests are his")
    need_lab()
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="volt-user-"))
    tree = folder / "volt"
    for name in ("tests", "tools", "bench", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.
                        ignore_patterns("corpus", "__pycache__"))
    shutil.copytree(BUILD / "tests/guest", tree / "build/tests/guest")
    for name in ("volt", "volt-vmm"):
        shutil.copy(BUILD / name, tree / "build")
    copied_cache(folder / "cache")
    subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.lab
def test_demo(home):
    """From the programs to Linux, with a lab of his own where it takes one."""
    run = subprocess.run(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
         "--no-new-privs", "--bounding-set=-all", "tools/demo"],
        cwd=home / "volt", stdin=subprocess.DEVNULL, timeout=600, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        env={"HOME": str(home), "VOLT_CACHE": str(home / "cache"),
             "VOLT_STORE": str(home / "cache/store"), "PATH": os.environ["PATH"], "TMPDIR": str(home)})
    assert run.returncode == 0, run.stdout[-3000:]
    assert "\n==> Linux " in run.stdout and "VOLT-END" in run.stdout


@pytest.mark.lab
def test_virtual_machines(home):
    """The programs, on a stock KVM."""
    tree = home / "volt"
    out, log = in_lab(
        ["env", "VOLT_BUILD=build", f"HOME={home}", "TMPDIR=/tmp",
         "PYTHONDONTWRITEBYTECODE=1", "sh", "-c",
         f"cd {tree} && id -u && exec /usr/bin/python3 -m pytest -q -rs "
         f"-p no:cacheprovider {' '.join(TESTS)}"],
        home, 3600 if LONG else 600, user=USER)
    lines = out.splitlines()
    assert lines and lines[0] == str(USER), log[-3000:]
    assert " passed" in lines[-1] and "failed" not in lines[-1], out[-5000:]


@pytest.mark.lab
@long_only("a lab of its own")
def test_two_users(home):
    """Neither sees or reaches the other's VM, whose name is the same."""
    out, log = in_lab(["sh", "-c", TWO, "sh", home / "volt"], home, 300)
    assert out.splitlines() == [
        "web", "0", "web", *["a sentence"] * 8, "no socket", "web was ended",
        "1", "web was ended"], out + log[-3000:]
