# SPDX-License-Identifier: Apache-2.0
"""motley_e2e: what the end-to-end tests share: a place of their own, running programs, waiting for conditions.

Nothing here sleeps to synchronise: conditions are looked at again and again until a deadline that only a
broken program reaches.
"""

import ast
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time

DEADLINE = float(os.environ.get("MOTLEY_DEADLINE", "100"))
SKIP = 77


def skip(why):
    print("skipped:", why)
    sys.exit(SKIP)


def wait_until(condition, what, deadline=DEADLINE):
    """The first true value of condition()."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %.0f s: %s" % (deadline, what))
        time.sleep(0.01)


def processes_naming(text):
    """The ids of living processes, other than this one, that have text in their command line or environment."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/stat" % name) as file:
                state = file.read().rpartition(")")[2].split()[0]
            words = b""
            for part in ("cmdline", "environ"):
                with open("/proc/%s/%s" % (name, part), "rb") as file:
                    words += file.read()
        except OSError:
            continue
        if state not in "ZX" and text.encode() in words:
            found.append(int(name))
    return found


class Place:
    """A folder with a state directory and a TMPDIR, removed at the end with every process that names it."""

    def __init__(self, arguments):
        self.source, self.bin = os.path.realpath(arguments[1]), os.path.realpath(arguments[2])
        self.motley = os.path.join(self.bin, "motley")

    def __enter__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="motley-e2e-")
        self.folder = self.holder.name
        self.state, self.tmp = os.path.join(self.folder, "state"), os.path.join(self.folder, "tmp")
        os.mkdir(self.tmp)
        self.environment = dict(os.environ, MOTLEY_STATE_DIR=self.state, TMPDIR=self.tmp)
        for name in ("MOTLEY_COORDINATOR", "MOTLEY_COORDINATOR_KEY", "MOTLEY_WORKER"):
            self.environment.pop(name, None)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.show_logs()
        for pid in processes_naming(self.folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        wait_until(lambda: not processes_naming(self.folder), "the test's processes are gone")
        self.holder.cleanup()

    def show_logs(self):
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith(".log"):
                    with open(os.path.join(folder, name), errors="replace") as file:
                        print("---- %s\n%s" % (name, file.read()[-4000:]))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)
        return self.path(name)

    def start(self, *words, **more):
        return subprocess.Popen(
            [self.motley, *words],
            env=self.environment,
            cwd=self.folder,
            text=True,
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more
        )

    def run(self, *words, code=0, stdin=None):
        """Run motley; its standard output and error. The exit code must be code; None = any."""
        done = subprocess.run(
            [self.motley, *words],
            env=self.environment,
            cwd=self.folder,
            text=stdin is None,
            input=stdin if stdin is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=2 * DEADLINE,
        )
        out, errors = done.stdout, done.stderr
        if stdin is not None:
            out, errors = out.decode(), errors.decode()
        assert code is None or done.returncode == code, "motley %s: exit %d, not %s\n%s\n%s" % (
            " ".join(words),
            done.returncode,
            code,
            out,
            errors,
        )
        return out, errors

    def json(self, *words, code=0):
        return json.loads(self.run(*words, "--json", code=code)[0])

    def fleet(self, **changes):
        """Three unlike emulated devices, 1 : 4 : 20, in a hurry."""
        text = "name: lab\nworkers:\n"
        for name, kind, beta in (("slow", "cpu", 4.0), ("mid", "npu", 1.0), ("fast", "gpu", 0.2)):
            text += "  - name: %s\n    kind: %s\n    curve: { alpha_ms: 2, beta_ms: %g }\n" % (
                name,
                kind,
                beta,
            )
            text += changes.get(name, "")
        return self.write("fleet.yaml", text)

    def processes(self):
        return processes_naming(self.folder)

    def nothing_left(self):
        wait_until(lambda: not self.processes(), "all processes are gone")
        assert os.listdir(self.tmp) == [], os.listdir(self.tmp)


def mix64(value):
    """The answer of the model synthetic to sample value: the finaliser of splitmix64."""
    mask = (1 << 64) - 1
    value = (value + 0x9E3779B97F4A7C15) & mask
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    return value ^ (value >> 31)


def read_npy(path):
    """Shape, descr and bytes."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:6] == b"\x93NUMPY", path
    (length,) = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10 : 10 + length].decode())
    return header["shape"], header["descr"], data[10 + length :]


def npy(descr, shape, data):
    """The bytes of a .npy file."""
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (
        descr,
        ", ".join(map(str, shape)),
    )
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def check_synthetic(path, samples):
    shape, descr, data = read_npy(path)
    assert shape == (samples,) and descr == "<u8", (shape, descr)
    answers = struct.unpack("<%dQ" % samples, data)
    wrong = [i for i in range(samples) if answers[i] != mix64(i)]
    assert not wrong, "wrong answers: %d, the first for sample %d" % (len(wrong), wrong[0])
