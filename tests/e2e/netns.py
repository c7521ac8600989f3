# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of the tests' own."""

import json
import os
import subprocess

import pytest

from conftest import BUILD
from patience import PATIENCE, next_line

VOLT = BUILD / "volt"
FORWARDING = "/proc/sys/net/ipv4/ip_forward"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


class Namespace:
    """A network namespace that lives as long as a process that sleeps."""

    def __init__(self):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.holder = subprocess.Popen(
            ["unshare", *user, "--net", "sh", "-c", "echo up; read x"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.join = ["nsenter", "--target", str(self.holder.pid), "--net",
                     *(["--user", "--preserve-credentials"] if user else [])]
        if next_line(self.holder) != "up\n":
            self.holder.kill()
            pytest.skip("no network namespace: " + self.holder.stderr.read())
        # 0 whatever the host has, so that a switched-on one shows.
        self.run("sh", "-c", f"echo 0 >{FORWARDING}; ip link set lo up")

    def run(self, *argv, ok=True, **kwargs):
        kwargs.setdefault("env", {**os.environ, "PATH": PATH})
        run = subprocess.run([*self.join, *map(str, argv)], text=True,
                             capture_output=True, timeout=PATIENCE, check=False,
                             **kwargs)
        assert not ok or run.returncode == 0, run.stderr
        return run

    def net(self, *args, **kwargs):
        return self.run(VOLT, "net", *args, **kwargs)

    def ip(self, *args):
        return json.loads(self.run("ip", "-json", "-details", *args).stdout)

    def link(self, name):
        return self.ip("addr", "show", "dev", name)[0]

    def addresses(self, name):
        return [f"{a['local']}/{a['prefixlen']}"
                for a in self.link(name)["addr_info"]
                if a["family"] == "inet"]

    def forwarding(self):
        return self.run("cat", FORWARDING).stdout.strip()

    def tables(self):
        return self.run("nft", "list", "tables").stdout.split("\n")[:-1]

    def links(self):
        return {link["ifname"] for link in self.ip("link", "show")}

    def rows(self):
        """volt net list, without its heading, as lists of words."""
        lines = self.net("list").stdout.splitlines()
        assert lines[0].split()[0] == "NAME"
        return [line.split() for line in lines[1:]]

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(PATIENCE)
        self.holder.stdout.close()
        self.holder.stderr.close()
