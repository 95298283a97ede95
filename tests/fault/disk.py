# SPDX-License-Identifier: Apache-2.0
"""disk: programs on a disk that fails (shim/shim.h). A Disk is a folder that is watched and one beside it."""

import os
import struct
import subprocess
import sys
import tempfile

KINDS = ("sync", "write", "name")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Disk:
    def __init__(self, folder, bin_folder):
        folder = os.path.realpath(folder)
        self.dir, self.side = os.path.join(folder, "disk"), os.path.join(folder, "side")
        self.flag = os.path.join(folder, "disk-is-full")
        build = os.path.dirname(os.path.realpath(bin_folder))
        self.library = os.path.join(build, "lib", "libmotley_fault.so")
        for path in (self.dir, self.side):
            os.makedirs(path, mode=0o700)

    def path(self, name):
        return os.path.join(self.dir, name)

    def environment(self, base, program, fault="", seed=0, **more):
        """For Popen. more: only, trace, history, statfs."""
        env = dict(base, LD_PRELOAD=self.library, MOTLEY_FAULT_DIR=self.dir, MOTLEY_FAULT_SIDE=self.side,
                   MOTLEY_FAULT_PROGRAM=program, MOTLEY_FAULT=fault, MOTLEY_FAULT_SEED=str(seed),
                   MOTLEY_FAULT_FLAG=self.flag)
        for name, value in more.items():
            env["MOTLEY_FAULT_" + name.upper()] = str(value)
        # The shim comes before the sanitizer's library, which must not mind.
        env["ASAN_OPTIONS"] = ":".join(filter(None, [base.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return env

    def counts(self):
        """How many calls of each kind the last program made, and whether the fault struck."""
        with open(os.path.join(self.side, "history"), "rb") as file:
            numbers = struct.unpack("<8x4Q", file.read(40))
        return dict(zip(KINDS, numbers)), bool(numbers[3])

    def struck(self):
        try:
            return self.counts()[1]
        except (OSError, struct.error):
            return False

    def cut(self, seed):
        """The power goes, after all who wrote here were killed: their words about it."""
        name = "fault_forgetful"
        program = os.path.join(os.path.dirname(os.path.dirname(self.library)), "bin", name)
        done = subprocess.run([program], env=self.environment(os.environ, name, "cut", seed, history=1),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stderr


def scratch():
    """A new folder, in memory where that is possible: what counts as a disk here is the shim's."""
    return tempfile.mkdtemp(prefix="motley-fault-", dir=MEMORY)


def say(*words):
    print(*words, flush=True)
    sys.stdout.flush()
