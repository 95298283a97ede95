# SPDX-License-Identifier: Apache-2.0
"""zmtp: a client or a worker without a library: ZMTP 3 over a local socket (no keys there), msgpack bodies as
proto/protocol.md says. It can do what the real ones never do: choose a SUBMIT's uuid, hold a result back, and
go away in the middle of a word.
"""

import os
import select
import socket
import struct

HELLO, PROOF, LOADED, RESULTS, RETURNED, HEARTBEAT, BYE = 1, 2, 3, 4, 5, 6, 8
WELCOME, JOBS, LOAD, LEASES, RECALL, ACKS, FORGET = 16, 17, 18, 19, 20, 21, 23
CLIENT_HELLO, SUBMIT, VIEW, CANCEL, BLOB_FIND, BLOB_PUT = 32, 33, 34, 35, 36, 37
CLIENT_WELCOME, REPLY, REFUSED = 48, 49, 63
PIECE = 1 << 20
OUTPUT_NPY = 1
DTYPE_U64, DTYPE_F32 = 9, 11

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4


class Gone(Exception):
    """The coordinator is not there, or went away."""


# ---- msgpack ----


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xcf" + struct.pack(">Q", value) if value >= 0 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"\xdb" + struct.pack(">I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, dict):
        items = b"".join(pack(k) + pack(v) for k, v in sorted(value.items()))
        return b"\xdf" + struct.pack(">I", len(value)) + items
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))


FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h",
         0xD2: ">i", 0xD3: ">q"}
SIZED = {0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"), 0xD9: ("str", ">B"),
         0xDA: ("str", ">H"), 0xDB: ("str", ">I"), 0xDC: ("array", ">H"), 0xDD: ("array", ">I"),
         0xDE: ("map", ">H"), 0xDF: ("map", ">I")}


def small(tag):
    """What a tag of one byte says by itself: kind and number."""
    if tag < 0x80:
        return "int", tag
    if tag < 0xC0:
        return ("map", tag & 15) if tag < 0x90 else ("array", tag & 15) if tag < 0xA0 else ("str", tag & 31)
    if tag >= 0xE0:
        return "int", tag - 256
    return "word", {0xC0: None, 0xC2: False, 0xC3: True}[tag]


def unpack(data, at=0):
    """The value at `at`, and where the next one is."""
    tag = data[at]
    at += 1
    if tag in FIXED:
        return struct.unpack_from(FIXED[tag], data, at)[0], at + struct.calcsize(FIXED[tag])
    if tag in SIZED:
        kind, form = SIZED[tag]
        (count,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
    else:
        kind, count = small(tag)
    if kind in ("int", "word"):
        return count, at
    if kind in ("bin", "str"):
        part = bytes(data[at : at + count])
        return (part.decode() if kind == "str" else part), at + count
    values = []
    for _ in range(count * (2 if kind == "map" else 1)):
        value, at = unpack(data, at)
        values.append(value)
    return (dict(zip(values[::2], values[1::2])) if kind == "map" else values), at


# ---- frames ----


def frame(body, flags=0):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


def message(kind, fields, *payload):
    parts = [pack([kind, fields]), *payload]
    return b"".join(frame(part, MORE if i + 1 < len(parts) else 0) for i, part in enumerate(parts))


class Peer:
    """One connection. All that fails is Gone."""

    def __init__(self, url, timeout=5.0):
        kind, _, where = url.partition("://")
        self.socket = socket.socket(socket.AF_UNIX if kind == "ipc" else socket.AF_INET)
        self.socket.settimeout(timeout)
        try:
            if kind == "ipc":
                self.socket.connect(where)
            else:
                host, _, port = where.rpartition(":")
                self.socket.connect((host, int(port)))
            self.greet()
        except (OSError, Gone):
            self.close()
            raise Gone from None

    def greet(self):
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER\x08Identity" + bytes(4)
        self.socket.sendall(GREETING)
        self.read(len(GREETING))
        self.socket.sendall(frame(ready, COMMAND))
        while self.read_frame()[0] & COMMAND == 0:
            pass

    def close(self):
        self.socket.close()

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(count - len(data), 1 << 20))
            if not part:
                raise Gone
            data += part
        return bytes(data)

    def read_frame(self):
        flags, length = self.read(2)
        if flags & LONG:
            (length,) = struct.unpack(">Q", bytes([length]) + self.read(7))
        return flags, self.read(length)

    def receive(self):
        """Type, fields and payload of the next message."""
        parts, flags = [], MORE
        while flags & MORE:
            flags, part = self.read_frame()
            if flags & COMMAND:
                flags = MORE
            else:
                parts.append(part)
        (kind, fields), _ = unpack(parts[0])
        return kind, fields, parts[1:]

    def send(self, kind, fields, *payload):
        try:
            self.socket.sendall(message(kind, fields, *payload))
        except OSError:
            raise Gone from None

    def receive_waiting(self):
        """Messages that are there by now."""
        while self.socket.fileno() >= 0 and select.select([self.socket], [], [], 0)[0]:
            try:
                yield self.receive()
            except OSError:
                raise Gone from None


class Client(Peer):
    """Greeted as a client."""

    def __init__(self, url, nonce=b"", timeout=5.0):
        super().__init__(url, timeout)
        self.requests = 0
        try:
            self.send(CLIENT_HELLO, {1: 1, 2: 1, 3: "fault", 4: nonce})
            kind, fields, _ = self.receive()
            while kind not in (CLIENT_WELCOME, REFUSED):
                kind, fields, _ = self.receive()
        except (OSError, Gone):
            kind = REFUSED
        if kind != CLIENT_WELCOME:
            self.close()
            raise Gone
        self.term, self.pid = fields[2], fields.get(3)

    def ask(self, kind, fields, *payload):
        """Code, text, number and payload of the REPLY."""
        self.requests += 1
        try:
            self.send(kind, {1: self.requests, **fields}, *payload)
            while True:
                kind, fields, frames = self.receive()
                if kind == REFUSED:
                    raise Gone
                if fields.get(1) == self.requests:
                    return fields.get(2, 0), fields.get(3, ""), fields.get(4, 0), frames
        except OSError:
            raise Gone from None

    def view(self, what, which=""):
        """The JSON's bytes, or None if there is no such thing."""
        code, _, _, frames = self.ask(VIEW, {2: what, 3: which})
        return frames[0] if code == 0 and frames else None

    def put(self, digest, data):
        """Upload a blob, unless it is there."""
        code, _, held, _ = self.ask(BLOB_FIND, {2: digest})
        if code == 0 and held == len(data):
            return
        for offset in range(0, max(len(data), 1), PIECE):
            part = data[offset : offset + PIECE]
            code, text, _, _ = self.ask(BLOB_PUT, {2: digest, 3: offset, 4: len(data)}, part)
            if code:
                raise Gone


def tensor(name, dtype, dims=()):
    return {1: name, 2: dtype, 3: list(dims)}


def submit_fields(**job):
    """The fields of a SUBMIT but its request; names as in protocol.md."""
    fields = {2: job.get("uuid") or os.urandom(16), 3: job["name"], 4: job["model"], 6: job["format"],
              7: job["samples"], 9: job["outputs"], 11: job.get("output_path", ""), 16: (1 << 64) - 1, 17: 0.0}
    if job.get("output_path"):
        fields[12] = OUTPUT_NPY
    for number, name in ((5, "model_blob"), (8, "inputs"), (14, "priority"), (15, "batch"), (18, "require"),
                         (21, "deadline_us")):
        if job.get(name):
            fields[number] = job[name]
    return fields
