#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the metadata service's fuzzers into a folder.

Usage: make_mmds_seeds.py FOLDER. What well-behaved guests and clients send.
"""

import pathlib
import struct
import sys

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
DATA, ASK, CUT, TRUSTED = 2, 1, 4, 8
RECEIVE, RESET = b"\x03", b"\x05\x00"
FAST = b"\xff"


def later(units):
    return bytes([4, units])


def segment(port, flags, how=0, seq=0, ack=0, window=255, data=b""):
    head = struct.pack("<BBBBbbB", 1, port, flags, how, seq, ack, window)
    if flags & SYN:
        head += b"\x05"
    if how & DATA and not how & ASK:
        head += bytes([len(data)]) + data
    return head


def arp():
    frame = (FAST * 6 + bytes(6) + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01"
             + bytes(6) + bytes([169, 254, 1, 1]) + bytes(6)
             + bytes([169, 254, 169, 254]))
    return bytes([0, len(frame)]) + frame


def stack_seeds():
    opened = segment(1, SYN) + RECEIVE + segment(1, ACK)
    asked = opened + segment(1, ACK | PSH, ASK)
    return {
        "arp": arp() + RECEIVE,
        "one-request": asked + RECEIVE + segment(1, ACK) + RECEIVE,
        "orderly": asked + RECEIVE + segment(1, FIN | ACK) + RECEIVE
        + segment(1, ACK) + RECEIVE,
        "lost": asked + RECEIVE + later(255) + RECEIVE + later(255)
        + RECEIVE,
        "closed-window": opened + segment(1, ACK, ASK, window=0)
        + later(255) + RECEIVE + segment(1, ACK, window=9) + RECEIVE,
        "reset": opened + segment(1, RST, seq=1) + RECEIVE
        + segment(1, RST) + RECEIVE,
        "stray": segment(7, ACK, DATA, data=b"x") + RECEIVE,
        "many": b"".join(segment(i, SYN) + RECEIVE for i in range(34))
        + later(255) + segment(99, SYN) + RECEIVE,
        "pieces": opened + segment(1, ACK, DATA, data=b"GET /b")
        + segment(1, ACK, DATA, data=b"ig HTTP/1.1\r\n\r\n") + RECEIVE,
        "cut": opened + segment(1, ACK, ASK | CUT | TRUSTED) + RECEIVE,
        "renewed": asked + RESET + opened + RECEIVE,
    }


def answer_seeds():
    host = b"Host: 169.254.169.254\r\n"
    get = b"GET /latest/meta-data/%s HTTP/1.1\r\n" + host
    put = b"PUT /latest/api/token HTTP/1.1\r\n" + host
    ttl = b"X-metadata-token-ttl-seconds: 60\r\n"
    requests = {
        "get": get % b"ami-id" + b"\r\n",
        "json": get % b"" + b"Accept: application/json\r\n\r\n",
        "token": put + ttl + b"\r\n",
        "no-ttl": put + b"\r\n",
        "forwarded": put + ttl + b"X-Forwarded-For: 1.2.3.4\r\n\r\n",
        "with-token": get % b"n" + b"X-aws-ec2-metadata-token: "
        + b"A" * 48 + b"\r\n\r\n",
        "two": get % b"arr/1" + b"\r\n" + get % b"obj/" + b"\r\n",
        "url": b"GET http://169.254.169.254/a~1b HTTP/1.0\r\n\r\n",
        "line-feeds": b"GET / HTTP/1.1\n\n",
        "delete": b"DELETE / HTTP/1.1\r\n\r\n",
        "body": put + b"Content-Length: 3\r\n\r\nabc",
    }
    return {f"{name}-{kind}": bytes([kind]) + text
            for name, text in requests.items() for kind in (0, 3)}


def document_seeds():
    one = b'{"a":{"b":"c","d":[1,-2,1.5e-7]},"e":null,"\\u00e9":true}'
    return {
        "members": one + b'\0{"a":{"b":null,"x":{"y":1}},"f":2}\0/a/d/2',
        "array": b'[1,"two",[3],{}]\0{"k":[]}\0/k/0',
        "twice": b'{"k":1,"k":{"z":0,"k":2}}\0{"k":{"k":null}}\0/k/k',
        "tilde": b'{"a/b":{"m~n":0}}\0{}\0/a~1b/m~0n',
        "numbers": b"[0,-0,18446744073709551616,5e-324,1e16]\0[]\0",
    }


def main():
    for target, seeds in (("mmds_stack", stack_seeds()),
                          ("mmds_answer", answer_seeds()),
                          ("mmds_document", document_seeds())):
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)


main()
