# SPDX-License-Identifier: Apache-2.0
"""A Linux guest behind passt, in the lab; see test_linux_net_user.py.

usage: net_user_linux.py VOLT IMAGE

Prints "ok NAME" or "FAIL NAME: why". The lab's host gets a way out, a resolver
on loopback, and a server on all of its addresses, which notes who connects.
"""

import socket
import subprocess
import sys
import threading
import time
import urllib.request

HOST = "198.51.100.1"
NAME, ADDRESS = "example.test", "198.51.100.77"
SERVED = 8000
SECONDS = 200
# What the guest may not reach, as nc takes it.
BLOCKED = [HOST, "127.0.0.1", "10.0.2.2", "10.0.2.3", "169.254.169.254",
           "0.0.0.0", "10.0.2.200"]
GUEST = f"""
echo "resolver $(cat /etc/resolv.conf)"
nslookup {NAME}
cat /etc/hosts
for a in {" ".join(BLOCKED)} fe80::1; do
    (nc -w 2 $a {SERVED} </dev/null && echo "reached $a" ||
        echo "blocked $a") &
done
wait
mkdir /tmp/www && echo published >/tmp/www/page
httpd -p 80 -h /tmp/www
echo served
cat
"""

connected = []


def run(*argv):
    subprocess.run(argv, check=True, timeout=SECONDS)


def resolver(sock):
    while True:
        query, client = sock.recvfrom(600)
        answer = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:]
        sock.sendto(answer + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4"
                    + socket.inet_aton(ADDRESS), client)


def server(sock):
    while True:
        client, address = sock.accept()
        connected.append(address)
        client.sendall(b"secret\n")
        client.close()


def prepare():
    run("ip", "tuntap", "add", "out0", "mode", "tap")
    run("ip", "addr", "add", f"{HOST}/24", "dev", "out0")
    run("ip", "link", "set", "out0", "up")
    run("ip", "route", "add", "default", "via", "198.51.100.2")
    with open("/tmp/resolv", "w", encoding="ascii") as f:
        f.write("nameserver 127.0.0.1\n")
    run("mount", "--bind", "/tmp/resolv", "/etc/resolv.conf")
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("127.0.0.1", 53))
    tcp = socket.socket()
    tcp.bind(("0.0.0.0", SERVED))
    tcp.listen()
    for function, sock in (resolver, dns), (server, tcp):
        threading.Thread(target=function, args=(sock,), daemon=True).start()


def start(volt, image):
    return subprocess.Popen(
        [volt, "run", "-i", "--kernel", "debian", "-p", "8080:80", image,
         "sh", "-c", GUEST],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def case(name, good, why=""):
    print(f"ok {name}" if good else f"FAIL {name}: {why}", flush=True)


def running(words):
    return subprocess.run(["pgrep", "-f", words], check=False,
                          capture_output=True, timeout=SECONDS).returncode == 0


def passes(volt, image, kind, words):
    """One VM, and whether its volt-vmm had these words."""
    process = start(volt, image)
    text = ""
    for line in process.stdout:
        text += line
        if line == "served\n":
            break
    case(f"{kind}-start", running("volt-vmm.*" + words), text)
    case(f"{kind}-resolver", "resolver nameserver 10.0.2.3" in text, text)
    case(f"{kind}-name", ADDRESS in text, text)
    case(f"{kind}-hosts", "127.0.0.1\tlocalhost" in text
         and "127.0.1.1\t" in text, text)
    for address in [*BLOCKED, "fe80::1"]:
        case(f"{kind}-blocked-{address}", f"blocked {address}\n" in text, text)
    case(f"{kind}-nobody-came", not connected and "secret" not in text,
         connected)
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/page",
                                    timeout=60) as page:
            case(f"{kind}-published", page.read() == b"published\n")
    except OSError as why:
        case(f"{kind}-published", False, why)
    case(f"{kind}-passt-runs", running("passt"))
    process.stdin.close()
    case(f"{kind}-end", process.wait(SECONDS) == 0, process.returncode)
    end = time.monotonic() + 60
    while running("passt") and time.monotonic() < end:
        time.sleep(0.1)
    case(f"{kind}-passt-ends", not running("passt"))


def main():
    volt, image = sys.argv[1:]
    prepare()
    passes(volt, image, "cold", "--kernel")
    passes(volt, image, "warm", "--restore")


main()
