# SPDX-License-Identifier: Apache-2.0
"""life: a coordinator's whole life on a disk that fails: a model is added, jobs are submitted, computed,
fetched and cancelled, it is stopped and started again. What it said is written down and asked for
afterwards, and every byte of every answer is compared with what it must be.

The client asks for each thing until it is so, as people do; the coordinator may stop in between with an
error, and is then started again.
"""

import hashlib
import json
import os
import struct
import subprocess
import threading
import time

import zmtp
from disk import Disk
from motley_e2e import npy
from puppet import FAILED_SAMPLE, Puppet, packed

U64 = zmtp.tensor("answer", zmtp.DTYPE_U64)
FLAWED = zmtp.tensor("flawed", zmtp.DTYPE_U64)
WIDE = zmtp.tensor("wide", zmtp.DTYPE_F32, [3])
BAG = zmtp.tensor("bag", zmtp.DTYPE_F32, [-1])
NPY, FOLDER, JSONL = 1, 2, 3
MODEL_ADD, OUTPUT_GET = 38, 39
DEADLINE, PATIENCE = 40.0, 0.25
OPEN = ("queued", "running", "finishing")

# name: samples, outputs, kind and name of the output; "" = the client asks for the bytes.
JOBS = {
    "plain": (20, [FLAWED], NPY, "plain.npy"),
    "lines": (6, [U64, BAG], JSONL, "lines.jsonl"),
    "folder": (10, [U64, WIDE], FOLDER, "folder"),
    "fetched": (8, [U64], NPY, ""),
    "late": (12, [U64], NPY, "late.npy"),
    "long": (300, [U64], NPY, "long.npy"),
}
MODEL = bytes(range(256)) * 9


class Broken(Exception):
    """A promise was not kept."""


class Again(Exception):
    """Refused for now."""


def job_uuid(name):
    return hashlib.md5(name.encode()).digest()


def names_blob(samples):
    return "".join('"n%d"\n' % i for i in range(samples)).encode()


# ---- what must come out ----


def column(output, samples, failed=()):
    """The bytes of a fixed output's .npy."""
    data = bytearray(packed(output, 0, samples)[0])
    size = len(data) // samples
    for sample in failed:
        data[sample * size : (sample + 1) * size] = bytes(size)
    if output is WIDE:
        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 3), }" % samples
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(data)
    return npy("<u8", [samples], bytes(data))


def line(sample):
    rows = {name: struct.unpack("<%d%s" % (len(data) // size, code), data)
            for name, (data, _), size, code in (("answer", packed(U64, sample, 1), 8, "Q"),
                                                ("bag", packed(BAG, sample, 1), 4, "f"))}
    outputs = [{"name": name, "shape": [1] + ([len(row)] if name == "bag" else []),
                "datatype": "UINT64" if name == "answer" else "FP32", "data": list(row)}
               for name, row in rows.items()]
    return {"id": str(sample), "outputs": outputs}


def expected_files(name):
    """What stands in the output folder when the job is done: path to bytes; lists are JSON lines."""
    samples, outputs, kind, path = JOBS[name]
    if name == "plain":
        index = [{"index": i, "id": "n%d" % i} for i in range(samples)]
        return {"plain.npy": column(U64, samples, [FAILED_SAMPLE]), "plain.index.jsonl": index,
                "plain.errors.jsonl": [{"index": FAILED_SAMPLE, "id": "n%d" % FAILED_SAMPLE}]}
    if kind == FOLDER:
        return {"%s/%s.npy" % (path, output[1]): column(output, samples) for output in outputs}
    if kind == JSONL:
        return {path: [line(i) for i in range(samples)]}
    return {path: column(U64, samples)} if path else {}


def check_file(path, wanted):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise Broken("an answer is gone: %s" % error) from None
    if isinstance(wanted, bytes):
        if data != wanted:
            at = next((i for i in range(min(len(data), len(wanted))) if data[i] != wanted[i]), -1)
            sizes = (len(data), len(wanted))
            raise Broken("%s: %d bytes for %d, the first wrong one at %d" % (path, *sizes, at))
        return
    try:
        lines = [json.loads(text) for text in data.decode().splitlines()]
    except ValueError as error:
        raise Broken("%s: %s: %r" % (path, error, data[:80])) from None
    # Reasons and workers' names may be more than what is wanted.
    cut = [{key: got.get(key) for key in want} for got, want in zip(lines, wanted)]
    if len(lines) != len(wanted) or cut != wanted:
        raise Broken("%s: %r for %r" % (path, data[:300], wanted[:2]))


# ---- the coordinator ----


class Life:
    def __init__(self, folder, bin_folder, puppet=True):
        self.disk = Disk(folder, bin_folder)
        self.bin, self.base = bin_folder, os.environ
        self.state, self.out = self.disk.path("state"), self.disk.path("out")
        os.mkdir(self.out)
        self.url = "ipc://" + os.path.join(os.path.dirname(self.disk.dir), "c.sock")
        self.log = os.path.join(os.path.dirname(self.disk.dir), "log")
        self.process = self.connection = None
        self.submitted, self.done, self.cancelled, self.seen = {}, set(), set(), {}
        self.model = self.fetched = False
        self.puppet = Puppet(self.url, 7, slots=2)
        if puppet:
            self.puppet.start()
        self.end = time.monotonic() + DEADLINE
        self.complaint, self.closed = "", False

    def close(self):
        self.closed = True
        self.puppet.stop()
        if self.connection:
            self.connection.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self, fault="", seed=0, **more):
        env = self.disk.environment(self.base, "motley-coordinator", fault, seed, **more)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.bin, "motley-coordinator"), "--state-dir", self.state, "--listen",
                 self.url, "--heartbeat", "200ms", "--silence", "20s", "--supervised"],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def words(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def nonce(self):
        with open(os.path.join(self.state, "nonce"), "rb") as file:
            return file.read()

    def client(self):
        """A connection; Gone when the coordinator is."""
        while self.connection is None:
            if not self.alive():
                raise zmtp.Gone
            self.check_time("it does not answer")
            try:
                nonce = self.nonce()
                self.connection = zmtp.Client(self.url, nonce, 20.0)
                if nonce != self.nonce():  # of the life before, and it listens only now
                    self.connection.close()
                    self.connection = None
            except (OSError, zmtp.Gone):
                time.sleep(0.005)
        return self.connection

    def check_time(self, what):
        if time.monotonic() > self.end:
            raise Broken("not within %.0f s: %s; %s" % (DEADLINE, what, self.complaint))

    def ask(self, kind, fields, *payload):
        code, text, number, frames = self.client().ask(kind, fields, *payload)
        if code:
            self.complaint = text
            raise Again(text)
        return number, frames

    def view(self, what, which=""):
        _, frames = self.ask(zmtp.VIEW, {2: what, 3: which})
        return json.loads(frames[0])

    # ---- what is wanted, each until it is so ----

    def put(self, data):
        """Upload in pieces; its digest."""
        digest = hashlib.sha256(data).digest()
        code, _, held, _ = self.client().ask(zmtp.BLOB_FIND, {2: digest})
        if code == 0 and held == len(data):
            return digest
        for at in range(0, len(data), 1000):
            held, _ = self.ask(zmtp.BLOB_PUT, {2: digest, 3: at, 4: len(data)}, data[at : at + 1000])
        if held != len(data):
            raise Broken("an upload of %d bytes was acknowledged with %d" % (len(data), held))
        return digest

    def add_model(self):
        digest = self.put(MODEL)
        self.ask(MODEL_ADD, {2: "puppet", 3: "1", 4: "onnx", 6: digest, 7: len(MODEL), 9: [U64]})
        self.model = True

    def submit(self, name):
        samples, outputs, kind, path = JOBS[name]
        fields = zmtp.submit_fields(uuid=job_uuid(name), name=name, model="synthetic", format="synthetic",
                                    samples=samples, outputs=outputs)
        fields[12], fields[16] = kind, 3
        if path:
            fields[11] = os.path.join(self.out, path)
        if BAG in outputs:
            fields[15] = 1  # rows of one result are alike
        if name == "plain":
            fields[13] = self.put(names_blob(samples))
        if name == "late":
            fields.update({4: "puppet", 5: hashlib.sha256(MODEL).digest(), 6: "onnx"})
        number, _ = self.ask(zmtp.SUBMIT, fields)
        if self.submitted.setdefault(name, number) != number:
            raise Broken("job %s was %d and is %d" % (name, self.submitted[name], number))

    def look(self, name):
        """The job as the coordinator sees it; what was seen once is still so."""
        status = self.view("job", str(self.submitted[name]))
        if isinstance(status, list):
            status = status[0]
        if status["samples_done"] < self.seen.get(name, 0):
            numbers = (self.seen[name], status["samples_done"])
            raise Broken("job %s had %d samples done, and has %d" % (name, *numbers))
        self.seen[name] = status["samples_done"]
        for ended, word in ((self.done, "done"), (self.cancelled, "cancelled")):
            if name in ended and status["state"] != word:
                raise Broken("job %s was %s and is %s" % (name, word, status["state"]))
        if status["state"] == "failed":
            raise Broken("job %s failed: %s" % (name, status.get("reason")))
        self.complaint = "job %s is %s, waiting: %s" % (name, status["state"], status.get("waiting"))
        return status

    def wait(self, name):
        if self.look(name)["state"] != "done":
            raise Again
        if name not in self.done:
            self.check_files(name)
            self.done.add(name)

    def fetch(self):
        self.wait("fetched")
        wanted = column(U64, JOBS["fetched"][0])
        _, frames = self.ask(OUTPUT_GET, {2: self.submitted["fetched"], 3: "output.npy", 5: 1 << 20})
        if frames[0] != wanted:
            raise Broken("the bytes that were fetched are wrong")
        self.fetched = True

    def submit_held(self):
        """A job that nobody computes."""
        if "held" not in self.submitted:
            fields = zmtp.submit_fields(uuid=job_uuid("held"), name="held", model="synthetic",
                                        format="synthetic", samples=9, outputs=[U64],
                                        require="device.memory >= 900TiB")
            self.submitted["held"], _ = self.ask(zmtp.SUBMIT, fields)

    def cancel(self):
        self.submit_held()
        if self.look("held")["state"] in OPEN:
            self.ask(zmtp.CANCEL, {2: str(self.submitted["held"])})
        self.cancelled.add("held")

    def first_steps(self):
        yield self.add_model
        for name in ("plain", "lines", "folder", "fetched"):
            yield lambda name=name: self.submit(name)
        for name in ("plain", "lines", "folder"):
            yield lambda name=name: self.wait(name)
        yield self.fetch
        yield self.cancel

    def second_steps(self):
        yield lambda: self.submit("late")
        yield lambda: self.wait("late")

    # ---- going through it ----

    def do(self, step):
        """Until it is so. Gone: the coordinator ended."""
        while True:
            self.check_time("a step is not over")
            try:
                return step()
            except Again:
                time.sleep(0.005)
            except zmtp.Gone:
                if self.connection:
                    self.connection.close()
                self.connection = None
                self.wait_end(0.5)

    def wait_end(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise zmtp.Gone

    def remove_cause(self):
        """Somebody made room."""
        try:
            os.unlink(self.disk.flag)
        except FileNotFoundError:
            pass

    def after_strike(self, seconds, deed):
        def watch():
            while not self.closed and not self.disk.struck():
                time.sleep(0.002)
            process = self.process
            time.sleep(seconds)
            if not self.closed:
                deed(process)

        threading.Thread(target=watch, daemon=True).start()

    def fill_disk(self):
        """Until a while after it was noticed."""
        open(self.disk.flag, "w").close()
        self.after_strike(PATIENCE, lambda process: self.remove_cause())

    def kill_after_strike(self, seconds):
        """Unless it has ended by then."""
        self.after_strike(seconds, lambda process: process.kill())

    def stop(self):
        """Ask it to end: its exit status."""
        if self.connection:
            self.connection.close()
        self.connection = None
        self.process.terminate()
        return self.process.wait(DEADLINE)

    def go(self, steps):
        """True when it went through all; False when the coordinator ended on the way."""
        try:
            for step in steps:
                self.do(step)
            return True
        except zmtp.Gone:
            self.process.wait(DEADLINE)
            return False

    # ---- promises ----

    def check_files(self, name):
        for path, wanted in expected_files(name).items():
            check_file(os.path.join(self.out, path), wanted)

    def check_dead(self):
        """While nobody is there to mend anything: what was said to be done stands."""
        for name in self.done:
            self.check_files(name)

    def check_living(self):
        for name in self.submitted:
            self.do(lambda name=name: self.look(name))
        if self.model and "puppet" not in [m["name"] for m in self.do(lambda: self.view("models"))]:
            raise Broken("a model that was added is gone")
        if self.puppet.again:
            raise Broken("acknowledged samples were leased again: %s" % self.puppet.again[:3])

    def check_end(self):
        wanted = set()
        for name in self.done:
            wanted |= set(expected_files(name))
        there = {os.path.relpath(os.path.join(folder, name), self.out)
                 for folder, _, names in os.walk(self.out) for name in names}
        if there != wanted:
            raise Broken("left in the output folder: %s; missing: %s" % (there - wanted, wanted - there))
        left = [n for n in os.listdir(self.state) + os.listdir(os.path.join(self.state, "blobs"))
                if ".tmp-" in n or n.endswith(".part")]
        if left:
            raise Broken("left in the state directory: %s" % left)
