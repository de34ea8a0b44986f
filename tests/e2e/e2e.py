"""Helpers of the end-to-end tests: real binaries, real sockets, real files.

A test is a Python script of the standard library only. It gets the build directory in COHORT_BUILD, works in a temporary
directory of its own, prints what it does, and exits 0 (passed), 1 (failed) or 77 (skipped, after a line "skip: reason").
Every wait has a deadline; nothing sleeps to let time pass, it polls for a condition.
"""
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("COHORT_BUILD", os.path.join(ROOT, "build-test"))
BIN = {
    "cohort": os.path.join(BUILD, "cli", "cohort"),
    "learner": os.path.join(BUILD, "learner", "cohort-learner"),
    "actor": os.path.join(BUILD, "actor", "cohort-actor"),
    "reward": os.path.join(BUILD, "reward-server", "cohort-reward-server"),
    "oracle": os.path.join(BUILD, "tests", "learner", "oracle"),
}
DEADLINE_S = float(os.environ.get("COHORT_TEST_DEADLINE_S", "240"))

TINY = os.path.join(ROOT, "tests", "e2e", "tiny.conf")


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def equal(got, expected, what):
    check(got == expected, f"{what}: found {got!r}, expected {expected!r}")


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """Polls until condition() is true."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise Failed(f"waited {deadline_s} s for {what}")


def sets(overrides):
    out = []
    for key, value in (overrides or {}).items():
        out += ["--set", f"{key}={value}"]
    return out


def run(args, deadline_s=DEADLINE_S, **kw):
    """Runs a command to its end; returns (status, stdout, stderr)."""
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=deadline_s, text=True,
                       errors="replace", stdin=subprocess.DEVNULL, **kw)
    return p.returncode, p.stdout, p.stderr


def cohort(*args, **kw):
    return run([BIN["cohort"], *args], **kw)


def must(result, status=0):
    code, out, err = result
    check(code == status, f"exit status {code}, expected {status}\nstdout: {out[-2000:]}\nstderr: {err[-3000:]}")
    return out


def digest(path):
    out = must(cohort("digest", path)).split()
    check(out and re.fullmatch("[0-9a-f]{64}", out[0]), f"cohort digest {path} printed {out!r}")
    return out[0]


def rows(run_dir, sql):
    """Reads run.db as a stranger would: read-only."""
    db = sqlite3.connect(f"file:{run_dir}/run.db?mode=ro", uri=True, timeout=10)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


# What must be the same in two runs of one recipe, row by row.
SCORES = "SELECT group_id, idx, scorer, value, verdict, fault, reason, extracted FROM scores ORDER BY 1, 2, 3"
COMPLETIONS = ("SELECT group_id, idx, tokens, think_tokens, stop, text, logp_sum, reward, verdict, advantage "
               "FROM completions ORDER BY 1, 2")
GROUPS = ("SELECT id, purpose, stage, step, wave, slot, mode, task, ordinal, version, n, digest, reward_mean, tied "
          "FROM groups ORDER BY 1")
STEPS = "SELECT stage, step, version, updates, digest, groups, tokens FROM steps ORDER BY 1, 2"
STEP_GROUPS = "SELECT group_id, stage, step, minibatch, lag FROM step_groups ORDER BY 1"
METRICS = ("SELECT stage, step, name, value FROM metrics WHERE name NOT LIKE 'seconds/%' AND name NOT LIKE '%/s' "
           "AND name <> 'tokens_wasted' ORDER BY 1, 2, 3")
TABLES = {"groups": GROUPS, "completions": COMPLETIONS, "scores": SCORES, "steps": STEPS, "step_groups": STEP_GROUPS,
          "metrics": METRICS}


def tables(run_dir):
    return {name: rows(run_dir, sql) for name, sql in TABLES.items()}


def same_tables(got, expected, what):
    for name in TABLES:
        a, b = got[name], expected[name]
        if a == b:
            continue
        for i, (x, y) in enumerate(zip(a, b)):
            check(x == y, f"{what}: table {name} row {i}: found {x}, expected {y}")
        raise Failed(f"{what}: table {name}: {len(a)} rows, expected {len(b)}")


def orphans(run_dir):
    """Rows that break a guarantee whatever happened: all counts must be 0."""
    return {
        "two live leases of a job": rows(run_dir, "SELECT count(*) FROM (SELECT job FROM leases WHERE ended_ms IS NULL "
                                                  "GROUP BY job HAVING count(*) > 1)")[0][0],
        "completions without a score in a scored group": rows(
            run_dir, "SELECT count(*) FROM groups g JOIN completions c ON c.group_id = g.id WHERE g.state = 'scored' "
                     "AND NOT EXISTS (SELECT 1 FROM scores s WHERE s.group_id = c.group_id AND s.idx = c.idx)")[0][0],
        "groups of committed steps that are not scored": rows(
            run_dir, "SELECT count(*) FROM step_groups s JOIN groups g ON g.id = s.group_id WHERE g.state <> 'scored'")[0][0],
        "eval groups in steps": rows(run_dir, "SELECT count(*) FROM step_groups s JOIN groups g ON g.id = s.group_id "
                                              "WHERE g.purpose <> 'train'")[0][0],
    }


def sound(run_dir):
    equal(rows(run_dir, "PRAGMA integrity_check"), [("ok",)], "integrity_check")
    equal(rows(run_dir, "PRAGMA foreign_key_check"), [], "foreign_key_check")
    for what, count in orphans(run_dir).items():
        equal(count, 0, what)


class Daemons:
    """Learner, actors and reward server started by hand, so that a test can kill, arm and restart each one."""

    def __init__(self, directory, conf=TINY, overrides=None, actors=1, rewards=1, build=None):
        self.run_dir = os.path.join(directory, "run")
        self.dir = directory
        self.conf = conf
        self.overrides = dict(overrides or {})
        self.names = ["learner"] + [f"actor-{i}" for i in range(actors)] + [f"reward-{i}" for i in range(rewards)]
        self.children = {}
        self.restarts = 0
        self.killed = set()  # by a test; where the run had ended, nothing starts them again
        self.env = None  # of the learner
        self.bin = BIN if build is None else {k: v.replace(BUILD, build) for k, v in BIN.items()}

    def command(self, name, extra=()):
        kind = name.split("-")[0]
        args = [self.bin[kind], "--run", self.run_dir, *extra]
        if kind == "learner":
            args += ["--conf", self.conf, *sets(self.overrides)]
        else:
            args += ["--name", name]
        return args

    def start(self, name, extra=()):
        log = open(os.path.join(self.dir, f"{name}.log"), "ab")
        self.children[name] = subprocess.Popen(self.command(name, extra), stdin=subprocess.DEVNULL, stdout=log,
                                               stderr=log, start_new_session=True,
                                               env=self.env if name == "learner" else None)
        log.close()
        return self.children[name]

    def start_all(self, extra=None):
        os.makedirs(self.run_dir, exist_ok=True)
        for name in self.names:
            self.start(name, (extra or {}).get(name, ()))

    def kill(self, name, sig=signal.SIGKILL):
        self.children[name].send_signal(sig)
        self.children[name].wait(DEADLINE_S)
        self.killed.add(name)

    def tick(self):
        """Restarts what died; returns the learner's status once it ended by itself."""
        for name, child in list(self.children.items()):
            status = child.poll()
            if status is None:
                continue
            if name == "learner" and status >= 0:
                return status
            if status != 0:
                self.restarts += 1
                check(self.restarts < 200, f"{name} died {self.restarts} times, last status {status}: {self.log(name)}")
                self.start(name)
        return None

    def finish(self, expected=0, deadline_s=DEADLINE_S):
        """Keeps everything alive until the learner ends; the workers must then end by themselves."""
        end = time.monotonic() + deadline_s
        status = None
        while status is None:
            check(time.monotonic() < end, f"no end after {deadline_s} s\n{self.logs()}")
            status = self.tick()
            time.sleep(0.005)
        check(status == expected, f"learner ended with {status}, expected {expected}\n{self.logs()}")
        if expected == 0:
            self.end_workers()

    def end_workers(self):
        """Workers end with the run and with success, those too that the learner's end met between two sessions."""
        for name, child in self.children.items():
            try:
                status = child.wait(30)
            except subprocess.TimeoutExpired:
                raise Failed(f"{name} did not end with the run\n{self.logs()}") from None
            check(status >= 0 or self.restarts > 0 or name in self.killed, f"{name} was killed by signal {-status}")
            check(status <= 0, f"{name} ended with {status} after the run\n{self.log(name)}")

    def log(self, name, lines=15):
        try:
            with open(os.path.join(self.dir, f"{name}.log"), errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except FileNotFoundError:
            return ""

    def logs(self):
        return "".join(f"--- {name}\n{self.log(name)}" for name in self.names)

    def stop(self):
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
                child.wait()


def undisturbed(directory, overrides=None, conf=TINY, **kw):
    """One run from start to end; returns (digest, tables)."""
    d = Daemons(directory, conf=conf, overrides=overrides, **kw)
    try:
        d.start_all()
        d.finish()
        sound(d.run_dir)
        return digest(d.run_dir), tables(d.run_dir)
    finally:
        d.stop()


def main(*tests, needs=("cohort", "learner", "actor", "reward")):
    """Runs the test functions, each with a fresh directory; names the seed of random choices."""
    for name in needs:
        if not os.path.exists(BIN[name]):
            print(f"skip: {BIN[name]} is not built")
            sys.exit(77)
    seed = int(os.environ.get("COHORT_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed} (COHORT_TEST_SEED)")
    chosen = sys.argv[1:]
    failures = 0
    for test in tests:
        if chosen and test.__name__ not in chosen:
            continue
        directory = tempfile.mkdtemp(prefix="cohort-e2e-")
        os.chmod(directory, 0o755)
        started = time.monotonic()
        try:
            test(directory, random.Random(f"{seed} {test.__name__}"))
            print(f"ok {test.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            shutil.rmtree(directory, ignore_errors=True)
        except Exception as e:  # a failed test must not hide the others
            failures += 1
            print(f"FAILED {test.__name__}: {e}\n  files: {directory}", flush=True)
            if not isinstance(e, Failed):
                traceback.print_exc()
    sys.exit(1 if failures else 0)
