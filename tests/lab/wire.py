# SPDX-License-Identifier: Apache-2.0
"""wire - the frames between a client, labd and the lab's agent (agent.h)"""
import struct

START = 1
INPUT = 2
ACK = 3
SIGNAL = 4
RESIZE = 5
END = 6
READY = 7
OUTPUT = 8
ERRORS = 9
FAILED = 10
EXIT = 11
TICK = 12

# At most so many bytes of one stream are under way unacknowledged.
WINDOW = 256 << 10

_HEADER = struct.Struct('<III')


def encode(session, kind, data=b''):
    """One frame as bytes."""
    return _HEADER.pack(session, kind, len(data)) + data


def word(value, *more):
    """The payload of ACK, SIGNAL, RESIZE and EXIT."""
    return struct.pack(f'<{1 + len(more)}I', value, *more)


def unword(data):
    """The first number of such a payload."""
    return struct.unpack_from('<I', data)[0]


def strings(items):
    """A counted list of strings, as a START frame holds them."""
    items = [item if isinstance(item, bytes) else item.encode(
        errors='surrogateescape') for item in items]
    return b''.join(item + b'\0' for item in [str(len(items)).encode()] + items)


class Decoder:
    """Cuts a byte stream into frames."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        """Yields (session, kind, payload) for each frame now complete."""
        self.buffer += data
        while len(self.buffer) >= _HEADER.size:
            session, kind, length = _HEADER.unpack_from(self.buffer)
            end = _HEADER.size + length
            if len(self.buffer) < end:
                break
            payload = bytes(self.buffer[_HEADER.size:end])
            del self.buffer[:end]
            yield session, kind, payload
