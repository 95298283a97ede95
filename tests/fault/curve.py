# SPDX-License-Identifier: Apache-2.0
"""curve: the client's side of CurveZMQ (ZeroMQ RFC 26) over a plain socket, with libsodium's boxes: a peer that
holds a key that is allowed, and then does what no library would do for it.
"""

import ctypes
import ctypes.util
import os
import socket
import struct

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
COMMAND, LONG = 4, 2


class Refused(Exception):
    """It hung up on us."""


def sodium():
    library = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
    assert library.sodium_init() >= 0
    return library


def z85(text):
    """32 bytes of 40 letters."""
    data = b""
    for i in range(0, len(text), 5):
        value = 0
        for letter in text[i : i + 5]:
            value = value * 85 + LETTERS.index(letter)
        data += struct.pack(">I", value)
    return data


def z85_text(data):
    text = ""
    for (value,) in struct.iter_unpack(">I", data):
        text += "".join(LETTERS[value // 85**i % 85] for i in (4, 3, 2, 1, 0))
    return text


class Box:
    def __init__(self):
        self.sodium = sodium()

    def pair(self):
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        assert self.sodium.crypto_box_keypair(public, secret) == 0
        return public.raw, secret.raw

    def public(self, secret):
        public = ctypes.create_string_buffer(32)
        assert self.sodium.crypto_scalarmult_base(public, secret) == 0
        return public.raw

    def close(self, data, nonce, public, secret):
        out = ctypes.create_string_buffer(len(data) + 16)
        size = ctypes.c_ulonglong(len(data))
        assert self.sodium.crypto_box_easy(out, data, size, nonce, public, secret) == 0
        return out.raw

    def open(self, data, nonce, public, secret):
        out = ctypes.create_string_buffer(len(data) - 16)
        size = ctypes.c_ulonglong(len(data))
        if self.sodium.crypto_box_open_easy(out, data, size, nonce, public, secret) != 0:
            raise Refused("a box that does not open")
        return out.raw


def frame(body, flags=0):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


class Peer:
    """Greeted, known by its key and admitted, or Refused."""

    def __init__(self, port, server, secret, timeout=10.0):
        self.box, self.count = Box(), 0
        self.server, self.secret = server, secret
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        try:
            self.shake_hands()
        except (OSError, Refused) as error:
            self.socket.close()
            raise Refused(str(error)) from None

    def nonce(self):
        self.count += 1
        return struct.pack(">Q", self.count)

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise Refused("the connection was closed")
            data += part
        return bytes(data)

    def read_frame(self):
        flags, length = self.read(2)
        if flags & LONG:
            (length,) = struct.unpack(">Q", bytes([length]) + self.read(7))
        return self.read(length)

    def command(self, name):
        body = self.read_frame()
        if body[: len(name) + 1] != bytes([len(name)]) + name:
            raise Refused("%r where %r was due" % (body[:20], name))
        return body[len(name) + 1 :]

    def shake_hands(self):
        box = self.box
        public, (short, short_secret) = box.public(self.secret), box.pair()
        self.socket.sendall(GREETING)
        self.read(len(GREETING))
        nonce = self.nonce()
        hello = box.close(bytes(64), b"CurveZMQHELLO---" + nonce, self.server, short_secret)
        self.socket.sendall(frame(b"\x05HELLO\x01\x00" + bytes(72) + short + nonce + hello, COMMAND))
        welcome = self.command(b"WELCOME")
        opened = box.open(welcome[16:], b"WELCOME-" + welcome[:16], self.server, short_secret)
        self.theirs, cookie = opened[:32], opened[32:]
        long_nonce, nonce = os.urandom(16), self.nonce()
        vouch = box.close(short + self.server, b"VOUCH---" + long_nonce, self.theirs, self.secret)
        metadata = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER\x08Identity" + bytes(4)
        initiate = box.close(public + long_nonce + vouch + metadata, b"CurveZMQINITIATE" + nonce, self.theirs,
                             short_secret)
        self.socket.sendall(frame(b"\x08INITIATE" + cookie + nonce + initiate, COMMAND))
        self.short_secret = short_secret
        self.command(b"READY")

    def part(self, data, more=False):
        """The bytes of one frame of a message."""
        nonce = self.nonce()
        sealed = self.box.close(bytes([more]) + data, b"CurveZMQMESSAGEC" + nonce, self.theirs, self.short_secret)
        return frame(b"\x07MESSAGE" + nonce + sealed)

    def send(self, *parts):
        for i, data in enumerate(parts):
            self.socket.sendall(self.part(data, i + 1 < len(parts)))

    def receive(self):
        """One message: its frames."""
        frames, more = [], True
        while more:
            body = self.command(b"MESSAGE")
            opened = self.box.open(body[8:], b"CurveZMQMESSAGES" + body[:8], self.theirs, self.short_secret)
            more = opened[0] & 1
            frames.append(opened[1:])
        return frames
