# SPDX-License-Identifier: Apache-2.0
"""Two ends of a NATed path, played by one process in a network namespace.

usage: net_world.py TAP GUEST_ADDRESS GATEWAY

Attaches to TAP as a guest would, makes a second tap named world0 as the host's
way out (192.0.2.1/24, with a peer 192.0.2.2), and sends UDP packets between
the two through the host's kernel. Prints one JSON object of what came out.
"""

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000
GUEST_MAC = bytes.fromhex("020000000001")
WORLD_MAC = bytes.fromhex("020000000002")
WORLD_HOST, WORLD_PEER = "192.0.2.1", "192.0.2.2"
BROADCAST = b"\xff" * 6


class Card:
    """One end of a tap: raw Ethernet frames, and an address it answers for."""

    def __init__(self, name, mac, address):
        self.mac, self.address = mac, socket.inet_aton(address)
        self.fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.fd, TUNSETIFF,
                    struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
        self.peer_mac = BROADCAST

    def send(self, kind, payload, to=None):
        os.write(self.fd, (to or self.peer_mac) + self.mac
                 + struct.pack("!H", kind) + payload)

    def arp(self, operation, target_mac, target):
        self.send(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
                  + self.mac + self.address + target_mac + target,
                  BROADCAST if operation == 1 else target_mac)

    def take_arp(self, frame):
        """Answer questions, keep answers; True when it was ARP."""
        if frame[12:14] != b"\x08\x06":
            return False
        operation = frame[21]
        sender_mac, sender, target = frame[22:28], frame[28:32], frame[38:42]
        if operation == 1 and target == self.address:
            self.peer_mac = sender_mac
            self.arp(2, sender_mac, sender)
        elif operation == 2:
            self.peer_mac = sender_mac
        return True

    def receive(self, seconds=60):
        """The next UDP datagram: (source, source port, port, data)."""
        while select.select([self.fd], [], [], seconds)[0]:
            frame = os.read(self.fd, 65536)
            if self.take_arp(frame) or frame[12:14] != b"\x08\x00":
                continue
            packet = frame[14:]
            if packet[9] != 17 or packet[16:20] != self.address:
                continue
            udp = packet[(packet[0] & 15) * 4:]
            sport, dport, length = struct.unpack("!HHH", udp[:6])
            return (socket.inet_ntoa(packet[12:16]), sport, dport,
                    udp[8:length].decode())
        return None

    def find(self, gateway):
        """Learn the host's hardware address."""
        self.arp(1, bytes(6), socket.inet_aton(gateway))
        while self.peer_mac == BROADCAST:
            assert select.select([self.fd], [], [], 10)[0], "no ARP answer"
            self.take_arp(os.read(self.fd, 65536))

    def send_udp(self, sport, to, dport, text):
        data = text.encode()
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 1, 0, 64,
                           17, 0, self.address, socket.inet_aton(to))
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        check = ~(total + (total >> 16)) & 0xFFFF
        head = head[:10] + struct.pack("!H", check) + head[12:]
        udp = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
        self.send(0x0800, head + udp)


def main():
    tap, address, gateway = sys.argv[1:]
    guest = Card(tap, GUEST_MAC, address)
    world = Card("world0", WORLD_MAC, WORLD_PEER)
    subprocess.run(["ip", "addr", "add", f"{WORLD_HOST}/24", "dev", "world0"],
                   check=True, timeout=60)
    subprocess.run(["ip", "link", "set", "world0", "up"], check=True,
                   timeout=60)
    guest.find(gateway)
    world.find(WORLD_HOST)

    result = {}
    # Not asked for: it must be gone when what was asked for arrives later.
    world.send_udp(7, address, 5000, "uninvited")
    guest.send_udp(5000, WORLD_PEER, 7, "out")
    out = world.receive()
    result["out"] = out and out[:1] + out[2:]
    if out:
        world.send_udp(7, out[0], out[1], "back")
        result["back"] = guest.receive()
    # The host itself reaches the guest.
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(b"host", (address, 6000))
    from_host = guest.receive()
    result["host"] = from_host and [from_host[0], from_host[3]]
    print(json.dumps(result))


main()
