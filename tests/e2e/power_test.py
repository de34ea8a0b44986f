"""G1, G4: the power fails: what was not synced is gone. The run finishes with the digest and the tables of the undisturbed run.

The learner runs with sync_recorder.so, which copies each file and each directory when it is synced. After the kill of every
process the run directory is made anew from these copies alone: bytes as of a file's last sync, names as of a directory's.
"""
import os
import shutil
import subprocess
import sys
import time

from e2e import BUILD, DEADLINE_S, Daemons, check, digest, equal, main, rows, same_tables, sound, tables, undisturbed

RECORDER = os.path.join(BUILD, "tests", "e2e", "libsync_recorder.so")
REFERENCE = {}


def reference(directory):
    if not REFERENCE:
        path = os.path.join(directory, "reference")
        os.makedirs(path)
        started = time.monotonic()
        REFERENCE["result"] = undisturbed(path, actors=2)
        REFERENCE["seconds"] = time.monotonic() - started
    return REFERENCE["result"]


class Machine(Daemons):
    """Daemons on a machine whose power may fail."""

    def __init__(self, directory, **kw):
        super().__init__(directory, actors=2, **kw)
        self.copies = os.path.join(directory, "synced")
        os.makedirs(self.copies)
        os.makedirs(self.run_dir)
        self.env = {**os.environ, "LD_PRELOAD": RECORDER, "COHORT_SYNC_ROOT": self.run_dir, "COHORT_SYNC_COPY": self.copies}

    def key(self, path):
        """The recorder's key of a file: statx has the time of birth, os.stat has not."""
        for line in os.listdir(self.copies):
            if line.startswith(f"d-{os.stat(path).st_ino}.") and line.count(".") == 2:
                return line[2:]
        return None

    def power_fails(self):
        self.stop()
        root = self.key(self.run_dir)
        lost = f"{self.run_dir}.lost"
        shutil.rmtree(lost, ignore_errors=True)
        os.rename(self.run_dir, lost)
        if root:
            self.restore(root, self.run_dir)
        else:
            os.makedirs(self.run_dir)
        shutil.rmtree(self.copies)
        os.makedirs(self.copies)
        self.record_all()
        return sum(len(files) for _, _, files in os.walk(self.run_dir))

    def record_all(self):
        """What came back is durable: the recorder gets to know it by another sync of everything."""
        code = ("import os, sys\n"
                "for top, _, files in os.walk(sys.argv[1], topdown=False):\n"
                "    for path in [os.path.join(top, f) for f in files] + [top]:\n"
                "        fd = os.open(path, os.O_RDONLY)\n"
                "        os.fsync(fd)\n"
                "        os.close(fd)\n")
        subprocess.run([sys.executable, "-c", code, self.run_dir], env=self.env, check=True)

    def restore(self, key, path):
        """Makes the directory of that key."""
        os.makedirs(path)
        record = os.path.join(self.copies, f"d-{key}")
        if not os.path.exists(record):
            return  # its name was synced, what is in it was not
        for line in open(record):
            kind, key, name = line.rstrip("\n").split(" ", 2)
            there, copy = os.path.join(path, name), os.path.join(self.copies, f"f-{key}")
            if kind == "d":
                self.restore(key, there)
            elif os.path.exists(copy):
                shutil.copy(copy, there)
            else:
                open(there, "w").close()  # its name was synced, its bytes were not


def as_undisturbed(d, expected, what):
    sound(d.run_dir)
    equal(digest(d.run_dir), expected[0], f"{what}: digest")
    same_tables(tables(d.run_dir), expected[1], what)


def run_to_the_end(d, expected, what):
    d.start_all()
    d.finish()
    as_undisturbed(d, expected, what)


def until(d, delay):
    """Waits until the learner died, or for delay seconds when that is sooner."""
    end = time.monotonic() + delay
    while time.monotonic() < end and d.children["learner"].poll() is None:
        time.sleep(0.002)


def random_moments(directory, rng):
    """Power fails twice in each run."""
    expected, came_back = reference(directory), 0
    for i in range(int(os.environ.get("COHORT_TEST_KILLS", "10"))):
        path = os.path.join(directory, f"moment-{i}")
        os.makedirs(path)
        d = Machine(path)
        delays = [rng.uniform(0.02, REFERENCE["seconds"] * 0.95) for _ in range(2)]
        try:
            for delay in delays:
                d.start_all()
                until(d, delay)
                came_back += d.power_fails()
            run_to_the_end(d, expected, f"power failed after {delays} s")
        finally:
            d.stop()
    check(came_back > 0, "no file was ever synced")


SITES = ["segment.append", "segment.appended", "segment.synced", "store.commit", "store.committed", "reply.sent", "publish.written",
         "publish.renamed", "publish.committed", "checkpoint.written", "checkpoint.renamed", "publish.prune", "segment.prune"]
PRUNING = {"learner.keep-samples": "needed", "learner.segment-kib": 4, "learner.checkpoint-every": 2}


def fault_points(directory, rng):
    """Power fails at one of the first visits of each point."""
    expected = reference(directory)
    for site in SITES:
        nth = rng.randint(1, 3)
        path = os.path.join(directory, site)
        os.makedirs(path)
        d = Machine(path, overrides=PRUNING)
        try:
            d.start_all({"learner": ("--fault", f"{site}:{nth}:kill")})
            until(d, DEADLINE_S)
            equal(d.children["learner"].poll(), -9, f"end of the learner at {site} visit {nth}")
            d.power_fails()
            run_to_the_end(d, expected, f"power failed at {site} visit {nth}")
        finally:
            d.stop()


def after_the_end(directory, rng):
    """What a finished run has is durable: nothing is computed again."""
    expected = reference(directory)
    d = Machine(directory)
    try:
        d.start_all()
        d.finish()
        d.power_fails()
        as_undisturbed(d, expected, "power failed after the end")
        equal(rows(d.run_dir, "SELECT state FROM run"), [("finished",)], "state")
        for stage in ("base", "zero"):
            check(os.path.getsize(os.path.join(d.run_dir, "models", stage, "model.safetensors")) > 0, f"model of {stage}")
        equal(digest(os.path.join(d.run_dir, "models", "zero")), expected[0], "digest of the model directory")
    finally:
        d.stop()


if not os.path.exists(RECORDER):
    print(f"skip: {RECORDER} is not built")
    sys.exit(77)
main(random_moments, fault_points, after_the_end)
