# SPDX-License-Identifier: Apache-2.0
"""puppet: a worker without a library, on a thread of its own, that writes down what it was acknowledged. It
does what a worker must: keeps each result until its ACK, and offers what it holds again after a reconnect.
"""

import select
import struct
import threading

import zmtp
from motley_e2e import mix64

STATUS_UNREADABLE = 3
FAILED_SAMPLE = 5  # of an output named `flawed`
SIZES = {zmtp.DTYPE_U64: "<%dQ", zmtp.DTYPE_F32: "<%df"}


def row(name, sample):
    """The answer to a sample, by the output's name: numbers, and the row's dimensions."""
    if name == "wide":
        return [float(sample), sample + 0.5, -float(sample)], [3]
    if name == "bag":
        return [float(sample)] * (sample % 4), [sample % 4]
    if name == "nothing":
        return [], [0]
    return [mix64(sample)], []


def packed(output, first, count):
    """The rows of samples in a frame, and their dimensions."""
    rows = [row(output[1], i) for i in range(first, first + count)]
    numbers = [number for values, _ in rows for number in values]
    return struct.pack(SIZES[output[2]] % len(numbers), *numbers), rows[0][1]


class Connection(zmtp.Peer):
    """Greeted as a worker that holds attempts."""

    def __init__(self, url, hello, timeout):
        super().__init__(url, timeout)
        try:
            self.send(zmtp.HELLO, hello)
            kind, fields, _ = self.receive()
            self.term, self.session = fields[2], fields.get(3)
            self.send(zmtp.PROOF, {1: b""})
        except (OSError, KeyError, zmtp.Gone):
            kind = zmtp.REFUSED
        if kind != zmtp.WELCOME:
            self.close()
            raise zmtp.Gone


class Puppet:
    """An output named `flawed` has samples that cannot be computed."""

    def __init__(self, url, number, batch_max=8, slots=1):
        self.url, self.number, self.batch_max, self.slots = url, number, batch_max, slots
        self.jobs, self.held = {}, {}
        self.acked = []  # (job, first, count) that a coordinator acknowledged as stored
        self.given = []  # (term, attempt, job, first, count) of each lease that was computed
        self.again = []  # leases of samples that were acknowledged before
        self.ended = set()
        self.stopping = False
        self.thread = threading.Thread(target=self.main, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping = True
        if self.thread.is_alive():
            self.thread.join()

    def hello(self):
        device = {1: "d:0", 2: "cpu", 4: "A puppet"}
        slots = [{1: i, 2: "d:0", 3: "puppet", 4: ["synthetic", "onnx"], 6: self.batch_max, 7: 2, 8: 1000.0,
                  9: 100.0, 11: -1.0, 12: -1.0, 13: -1.0} for i in range(self.slots)]
        attempts = [{1: job, 2: first, 3: count, 4: term, 5: attempt, 6: slot, 7: mac, 8: True}
                    for slot, job, first, count, term, attempt, mac in map(parts_of, self.held.values())]
        return {1: 1, 2: 1, 3: bytes([self.number]) * 16, 4: "puppet-%d" % self.number, 5: "here", 6: "fault",
                7: 1, 9: [device], 10: slots, 11: attempts}

    def main(self):
        while not self.stopping:
            try:
                connection = Connection(self.url, self.hello(), 0.5)
            except zmtp.Gone:
                continue_soon()
                continue
            try:
                self.serve(connection)
            except (zmtp.Gone, OSError):
                pass
            connection.close()

    def serve(self, connection):
        beat = 0
        connection.socket.settimeout(5)
        if self.held:
            self.tell(connection, list(self.held.values()))
        while not self.stopping:
            beat += 1
            connection.send(zmtp.HEARTBEAT, {1: beat})
            select.select([connection.socket], [], [], 0.1)
            for kind, fields, _ in connection.receive_waiting():
                self.hear(connection, kind, fields)

    def hear(self, connection, kind, fields):
        if kind == zmtp.JOBS:
            self.jobs.update((job[1], job) for job in fields[1])
        elif kind == zmtp.LOAD:
            model = fields.get(3) or self.jobs[fields[2]].get(3, bytes(32))
            connection.send(zmtp.LOADED, {1: fields[1], 2: model, 3: True, 5: 1000})
        elif kind == zmtp.LEASES:
            leases = fields[1]
            self.again += [lease for lease in map(parts_of, leases) if self.was_acked(*lease[1:4])]
            self.held.update(((lease[5], lease[6]), lease) for lease in leases)
            self.given += [(lease[5], lease[6], lease[2], lease[3], lease[4]) for lease in leases]
            self.tell(connection, leases)
        elif kind == zmtp.ACKS:
            for attempt in fields[2]:
                lease = self.held.pop((fields[1], attempt), None)
                if lease and lease[2] not in self.ended and not self.fault_of(lease):
                    self.acked.append((lease[2], lease[3], lease[4]))
        elif kind == zmtp.FORGET:
            self.ended.update(fields[1])
            self.held = {key: lease for key, lease in self.held.items() if lease[2] not in fields[1]}
        elif kind == zmtp.REFUSED:
            raise AssertionError("refused: %r" % fields)

    def was_acked(self, job, first, count):
        return any(j == job and f < first + count and first < f + c for j, f, c in self.acked)

    def fault_of(self, lease):
        outputs = self.jobs[lease[2]].get(8, [])
        return any(o[1] == "flawed" for o in outputs) and lease[3] <= FAILED_SAMPLE < lease[3] + lease[4]

    def tell(self, connection, leases):
        results, frames = [], []
        for lease in leases:
            result = {1: lease.get(1, 0), 2: lease[2], 3: lease.get(3, 0), 4: lease[4], 5: lease[5],
                      6: lease[6], 7: lease.get(7, bytes(16)), 10: 5, 11: 700, 12: -1.0}
            outputs = self.jobs[lease[2]].get(8, [])
            if self.fault_of(lease):
                result.update({8: STATUS_UNREADABLE, 9: "sample of no use"})
            else:
                parts = [packed(output, lease[3], lease[4]) for output in outputs]
                result.update({14: len(parts), 15: [{1: o[2], 2: d} for o, (_, d) in zip(outputs, parts)]})
                frames += [data for data, _ in parts]
            results.append(result)
        connection.send(zmtp.RESULTS, {1: results}, *frames)


def parts_of(lease):
    return tuple(lease[number] for number in range(1, 8))


def continue_soon():
    threading.Event().wait(0.01)
