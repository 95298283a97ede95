# SPDX-License-Identifier: Apache-2.0
"""herd: a coordinator and workers started one by one, to be killed, stopped and started again by a test; and
the outside checker that compares what came out with what must come out.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import zmtp
from motley_e2e import Place, mix64, npy, read_npy, wait_until

SYNTHETIC = {"model": "synthetic", "format": "synthetic", "outputs": [zmtp.tensor("answer", zmtp.DTYPE_U64)]}


class Program:
    """One of our programs; started again under the same name as often as wanted."""

    def __init__(self, name, argv, environment, log, prepare=None):
        self.name, self.argv, self.environment, self.log = name, argv, environment, log
        self.prepare, self.process, self.starts = prepare, None, 0
        self.signals = set()  # that this life of it was sent

    def start(self):
        assert not self.alive()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv, env=self.environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=self.prepare)
        self.signals = set()
        self.starts += 1

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        """True if it was there to get it."""
        if not self.alive():
            return False
        self.signals.add(number)
        self.process.send_signal(number)
        return True

    def ended_by_itself(self):
        """Nobody asked for its end, or it made something else of it."""
        code = 0 if self.process is None else self.process.poll()
        asked = code == 0 and signal.SIGTERM in self.signals
        return not (code is None or asked or -code in self.signals or self.process is None)

    def kill(self):
        there = self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        return there

    def words(self):
        with open(self.log, errors="replace") as file:
            return file.read()


class Herd(Place):
    """Place, with programs. Its state is kept when a test fails: where, is printed."""

    def __init__(self, arguments, workers, keep=True):
        super().__init__(arguments)
        self.betas, self.keep, self.coordinator_options = workers, keep, []

    def __enter__(self):
        super().__enter__()
        suppressions = "suppressions=" + os.path.join(self.source, "tests/tsan.supp")
        self.environment.setdefault("TSAN_OPTIONS", suppressions)
        os.mkdir(self.state, 0o700)
        os.mkdir(self.path("logs"))
        self.url = "ipc://" + self.path("c.sock")
        text = "name: lab\nworkers:\n"
        for name, beta in self.betas.items():
            text += "  - name: %s\n    curve: { alpha_ms: 1, beta_ms: %g, batch_max: 64 }\n" % (name, beta)
        self.fleet_path = self.write("fleet.yaml", text)
        self.coordinator = self.make_coordinator(self.url)
        self.workers = [self.make_worker(name, self.url) for name in self.betas]
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and kind is not KeyboardInterrupt and self.keep:
            kept = tempfile.mkdtemp(prefix="motley-kept-")
            shutil.copytree(self.folder, os.path.join(kept, "place"), ignore=self.not_kept)
            print("what was left of it is kept in", kept, flush=True)
        for program in [self.coordinator, *self.workers]:
            program.kill()
        found = None if kind else self.sanitizer_found()
        super().__exit__(kind or (AssertionError if found else None), value, trace)
        assert not found, found

    def sanitizer_found(self):
        """The first line with which a sanitizer found something in any program, however that one ended."""
        for name in sorted(os.listdir(self.path("logs"))):
            with open(self.path(os.path.join("logs", name)), errors="replace") as file:
                for line in file:
                    if "Sanitizer:" in line or "runtime error:" in line:
                        return "%s: %s" % (name, line.strip())
        return None

    def not_kept(self, folder, names):
        paths = [os.path.join(folder, name) for name in names]
        return [n for n, p in zip(names, paths) if not os.path.isdir(p) and not os.path.isfile(p)]

    def program(self, name, *argv, **more):
        environment = dict(self.environment, **more.get("environment", {}))
        path = os.path.join(self.bin, argv[0])
        return Program(name, [path, *argv[1:]], environment, self.path("logs/%s.log" % name),
                       more.get("prepare"))

    def make_coordinator(self, *urls, options=(), **more):
        listen = [word for url in urls for word in ("--listen", url)]
        return self.program("coordinator", "motley-coordinator", "--state-dir", self.state, *listen,
                            "--heartbeat", "200ms", "--silence", "1s", *options, **more)

    def make_worker(self, name, url, state=None, **more):
        return self.program(name, "motley-worker", "--coordinator", url, "--state-dir", state or self.state,
                            "--fleet", self.fleet_path, "--member", name, **more)

    def start_all(self):
        for program in [self.coordinator, *self.workers]:
            program.start()

    def nonce(self):
        try:
            with open(os.path.join(self.state, "nonce"), "rb") as file:
                return file.read()
        except OSError:
            return b""

    def client(self, timeout=5.0):
        return zmtp.Client(self.url, self.nonce(), timeout)

    def connected(self, deadline=60.0):
        """A client, as soon as there is somebody to talk to."""

        def attempt():
            try:
                return self.client()
            except zmtp.Gone:
                return None

        return wait_until(attempt, "the coordinator answers", deadline)

    def look(self, what, which=""):
        """The JSON of a VIEW, however often the coordinator goes away meanwhile."""
        while True:
            client = self.connected()
            try:
                data = client.view(what, which)
                return None if data is None else json.loads(data)
            except zmtp.Gone:
                pass
            finally:
                client.close()

    def submit(self, **job):
        """Number of a job that is acknowledged, however often the coordinator goes away meanwhile."""
        fields = zmtp.submit_fields(**job)
        while True:
            client = self.connected()
            try:
                code, text, number, _ = client.ask(zmtp.SUBMIT, fields)
                assert code == 0, text
                return number
            except zmtp.Gone:
                pass
            finally:
                client.close()

    def submit_synthetic(self, samples, output, **more):
        return self.submit(name=os.path.basename(output), samples=samples, output_path=output,
                           **SYNTHETIC, **more)

    def wait_done(self, number, deadline=100.0):
        """Its status when it ended; it must end well."""

        def ended():
            job = self.look("job", str(number))
            return job if job["state"] in ("done", "failed", "cancelled") else None

        job = wait_until(ended, "job %d ends" % number, deadline)
        assert job["state"] == "done" and job["samples_failed"] == 0, job
        assert job["samples_done"] == job["samples_total"], job
        return job

    def wait_workers(self, count):
        wait_until(lambda: sum(w["state"] == "up" for w in self.look("workers")) == count,
                   "%d workers are up" % count)


# ---- the outside checker ----


class Expected:
    """What the answers of a job must be: its shape's first axis, type, and the bytes of each row."""

    def __init__(self, descr, shape, data):
        self.descr, self.shape, self.data = descr, shape, data
        self.row = len(data) // shape[0] if shape[0] else 1

    @classmethod
    def synthetic(cls, samples):
        answers = [mix64(i) for i in range(samples)]
        return cls("<u8", (samples,), struct.pack("<%dQ" % samples, *answers))

    @classmethod
    def of_file(cls, path):
        shape, descr, data = read_npy(path)
        return cls(descr, shape, data)

    def first(self, samples):
        return Expected(self.descr, (samples,) + self.shape[1:], self.data[: samples * self.row])


class Verdict:
    """Counted over all jobs that were compared."""

    def __init__(self):
        self.jobs = self.samples = self.lost = self.doubled = self.wrong = 0

    def bad(self):
        return self.lost + self.doubled + self.wrong

    def compare(self, path, expected):
        """Every sample once and at its place, and not a byte besides."""
        self.jobs += 1
        self.samples += expected.shape[0]
        shape, descr, data = read_npy(path)
        if (shape, descr, data) == (expected.shape, expected.descr, expected.data):
            return
        self.lost += max(0, len(expected.data) - len(data)) // expected.row
        self.doubled += max(0, len(data) - len(expected.data)) // expected.row
        self.wrong += (shape, descr) != (expected.shape, expected.descr)
        self.count_rows(data, expected)

    def count_rows(self, data, expected):
        """A row of zeros was never written; another sample's row stands here twice."""
        row = expected.row
        rows = {expected.data[i : i + row] for i in range(0, len(expected.data), row)}
        for i in range(0, min(len(data), len(expected.data)), row):
            got = data[i : i + row]
            if got == expected.data[i : i + row]:
                continue
            self.lost += not any(got)
            self.doubled += got in rows
            self.wrong += any(got) and got not in rows

    def __str__(self):
        return "%d jobs, %d samples compared: %d lost, %d doubled, %d wrong" % (
            self.jobs, self.samples, self.lost, self.doubled, self.wrong)


# ---- the digits, small enough to run among kills ----


class Digits:
    """The digits' model and rows to run it on; None of it where there is no ONNX Runtime."""

    WIDTH, SIZES = 64, (40, 160, 400)

    def __init__(self, herd, generator):
        self.model = os.path.join(herd.source, "examples/digits/digits.onnx")
        self.cases = []
        for size in self.SIZES:
            rows = [float(generator.randrange(17)) for _ in range(size * self.WIDTH)]
            data = struct.pack("<%df" % len(rows), *rows)
            path = herd.write("rows-%d.npy" % size, npy("<f4", (size, self.WIDTH), data))
            alone = herd.path("alone-%d.npy" % size)
            words = ["run", "--model", self.model, "--input", path, "--output", alone]
            if subprocess.run([herd.motley, *words], env=herd.environment, cwd=herd.folder,
                              capture_output=True).returncode != 0:
                return
            self.cases.append((path, data, size, Expected.of_file(alone)))
