# SPDX-License-Identifier: Apache-2.0
"""proxy: stands between peers and the coordinator on loopback TCP and does to the bytes what networks do.

Each connection's two directions are pumped by one thread each, in pieces of at most PIECE bytes. What the
proxy does may be changed at any time and holds for connections that exist, too:

    weather.delay, .jitter     seconds that each piece is late: .delay, and up to .jitter more
    weather.bandwidth          bytes a second in each direction of each connection; None = no limit
    weather.reset_after        a connection is reset after about this many bytes; None = never
    weather.flip_after         one bit is turned over after about this many bytes; None = never
    weather.silent             "up", "down" or "both": these bytes wait, unread, and arrive late if at all
    weather.refuse             new connections are reset at once
    weather.hole               new connections are taken and nothing is ever answered

With `tap` it also tells what passes, where no key hides it (on a local socket): tap(way, type, fields) is called
for each message. If it says True, the connection is reset before that message arrives.

freeze() makes the connections that exist half-open for ever: nothing closes, nothing arrives; new ones work.
"""

import random
import select
import socket
import struct
import threading

import zmtp

PIECE = 16384


class Weather:
    def __init__(self, **changes):
        self.clear()
        self.set(**changes)

    def clear(self):
        self.delay = self.jitter = 0.0
        self.bandwidth = self.reset_after = self.flip_after = self.silent = None
        self.refuse = self.hole = False

    def set(self, **changes):
        for name, value in changes.items():
            assert hasattr(self, name), name
            setattr(self, name, value)


def hard_close(end):
    """With a reset: the other side is told at once, and what was on the way is lost."""
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    end.close()


class Parser:
    """What one direction of a connection without keys says."""

    def __init__(self, way, tap):
        self.way, self.tap, self.data, self.skip = way, tap, bytearray(), len(zmtp.GREETING)
        self.parts = []

    def feed(self, data):
        """True: the tap wants an end of it."""
        self.data += data
        while True:
            if self.skip:
                if len(self.data) < self.skip:
                    return False
                del self.data[: self.skip]
                self.skip = 0
            head = 9 if self.data and self.data[0] & zmtp.LONG else 2
            if len(self.data) < head:
                return False
            flags, length = self.data[0], int.from_bytes(self.data[1:head], "big")
            if len(self.data) < head + length:
                return False
            part = bytes(self.data[head : head + length])
            del self.data[: head + length]
            if self.take(flags, part):
                return True

    def take(self, flags, part):
        if flags & zmtp.COMMAND == 0:
            self.parts.append(part)
        if flags & (zmtp.COMMAND | zmtp.MORE):
            return False
        (kind, fields), _ = zmtp.unpack(self.parts[0])
        self.parts = []
        return self.tap(self.way, kind, fields)


class Connection:
    """One peer and its way to the coordinator."""

    def __init__(self, proxy, peer, server):
        self.proxy, self.ends, self.over = proxy, (peer, server), threading.Event()
        self.draw = random.Random("%s %d" % (proxy.seed, proxy.accepted))
        self.passed, self.frozen = 0, False
        self.reset_at = self.near(proxy.weather.reset_after)
        self.flip_at = self.near(proxy.weather.flip_after)
        self.parsers = {way: Parser(way, proxy.tap) for way in ("up", "down")} if proxy.tap else {}
        self.threads = [threading.Thread(target=self.pump, args=("up", peer, server), daemon=True),
                        threading.Thread(target=self.pump, args=("down", server, peer), daemon=True)]
        for thread in self.threads:
            thread.start()

    def near(self, bytes_count):
        """Somewhere between 0 and twice as many."""
        return None if bytes_count is None else self.draw.randrange(2 * bytes_count + 1)

    def close(self):
        """The pumps see it, and the last one to leave closes the ends."""
        self.over.set()

    def pump(self, way, source, target):
        try:
            while not self.over.is_set():
                if self.is_silent(way):
                    self.over.wait(0.02)
                    continue
                if not select.select([source], [], [], 0.05)[0]:
                    continue
                data = source.recv(PIECE)
                if not data:
                    break
                self.carry(way, target, data)
        except OSError:
            pass
        while not self.over.is_set() and (self.is_silent("up") or self.is_silent("down")):
            self.over.wait(0.02)  # that one end is gone does not arrive either
        self.over.set()
        hard_close(source)
        hard_close(target)

    def is_silent(self, way):
        return self.frozen or self.proxy.weather.silent in (way, "both")

    def carry(self, way, target, data):
        weather = self.proxy.weather
        wait = weather.delay + weather.jitter * self.draw.random()
        if weather.bandwidth:
            wait += len(data) / weather.bandwidth
        if wait > 0:
            self.over.wait(wait)
        self.passed += len(data)
        if self.parsers and self.parsers[way].feed(data):
            self.proxy.resets += 1
            raise OSError("reset")
        if self.flip_at is not None and self.passed > self.flip_at:
            data, self.flip_at = self.flipped(data), None
            self.proxy.flips += 1
        if self.reset_at is not None and self.passed > self.reset_at:
            target.sendall(data[: self.draw.randrange(len(data) + 1)])
            self.proxy.resets += 1
            raise OSError("reset")
        target.sendall(data)

    def flipped(self, data):
        data = bytearray(data)
        data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
        return bytes(data)


class Proxy:
    """Listens at .url, a port of its own or a socket at `path`; forwards to `target`, a port or a socket's path."""

    def __init__(self, target, seed=0, path=None, tap=None):
        self.target, self.seed, self.weather, self.tap = target, seed, Weather(), tap
        self.accepted = self.resets = self.flips = 0
        self.connections, self.holes, self.lock = [], [], threading.Lock()
        if path:
            self.listener, self.url = socket.socket(socket.AF_UNIX), "ipc://" + path
            self.listener.bind(path)
            self.listener.listen(64)
        else:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.listener.settimeout(0.1)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.thread.join(5)
        self.listener.close()
        self.drop_all()

    def accept(self):
        while not self.over.is_set():
            try:
                peer, _ = self.listener.accept()
            except OSError:
                continue
            self.accepted += 1
            self.take(peer)

    def take(self, peer):
        peer.settimeout(None)
        if self.weather.refuse:
            hard_close(peer)
        elif self.weather.hole:
            self.holes.append(peer)
        else:
            try:
                server = self.reach()
            except OSError:
                hard_close(peer)
                return
            server.settimeout(None)
            with self.lock:
                self.connections = [c for c in self.connections if not c.over.is_set()]
                self.connections.append(Connection(self, peer, server))

    def reach(self):
        if isinstance(self.target, int):
            return socket.create_connection(("127.0.0.1", self.target), 5)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        return server

    def alive(self):
        with self.lock:
            return sum(not c.over.is_set() for c in self.connections)

    def freeze(self):
        with self.lock:
            for connection in self.connections:
                connection.frozen = True

    def drop_all(self):
        """Every connection is reset, also those that never got an answer."""
        with self.lock:
            for connection in self.connections:
                connection.close()
            for connection in self.connections:
                for thread in connection.threads:
                    thread.join(5)
        while self.holes:
            hard_close(self.holes.pop())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]

