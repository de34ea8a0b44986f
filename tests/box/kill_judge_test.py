"""kill -9 of any process below the judge, at random moments, while it grades programs: every verdict is right, or a fault of the judge
without a reward; nothing hangs; the judge works on when the killing ends."""
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from commands import check, cohort, equal, main, read_rows, write_rows
from e2e import BIN, DEADLINE_S, Daemons, digest, rows as rows_of, same_tables, sound, tables, undisturbed, wait_for

SUM = "print(sum(map(int, input().split())))"
SUM_C = '#include <stdio.h>\nint main(void) { int a, b; if (scanf("%d%d", &a, &b) == 2) printf("%d", a + b); return 0; }'
TASKS = [
    {"language": "python", "tests": [{"stdin": f"{i} {i}", "stdout": str(2 * i)} for i in range(6)]},
    {"language": "c", "tests": [{"stdin": f"{i} {i}", "stdout": str(2 * i)} for i in range(6)]},
    {"language": "python", "entry_point": "add", "tests": [{"args": [i, i], "expected": 2 * i} for i in range(6)]},
    {"language": "python", "tests": [{"assert": f"add({i}, {i}) == {2 * i}"} for i in range(6)]},
]
KILLS_MAX = int(os.environ.get("COHORT_TEST_KILLS", "80"))
# Task, program, verdict without a killer.
PROGRAMS = [
    (0, SUM, "pass"), (0, "print(0)", "wrong"), (0, "exit(3)", "crash"), (0, "import os\nos.kill(os.getpid(), 9)", "crash"), (0, "exit(0)", "wrong"),
    (1, SUM_C, "pass"), (1, SUM_C.replace("a + b", "a - b"), "wrong"), (1, "int main(void) { return 1 }", "crash"), (1, "int main(void) { __builtin_trap(); }", "crash"),
    (2, "def add(a, b): return a + b", "pass"), (2, "def add(a, b): return a", "wrong"), (2, "def add(a, b): raise ValueError", "crash"),
    (3, "def add(a, b): return a + b", "pass"), (3, "def add(a, b): return a", "wrong"), (3, "def add(a, b): raise ValueError", "crash"),
]


def below(pid):
    """All processes below pid: cohort-box, its slots, interpreters, compilers, programs."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as f:
                    children = [int(c) for c in f.read().split()]
                found += children
                todo += children
        except OSError:
            pass  # it ended meanwhile
    return found


class Killer(threading.Thread):
    """Kills one of the victims after the other, at a pace, until told to stop or that it was enough."""

    def __init__(self, victims, seed, pause_s):
        super().__init__()
        self.victims, self.rng, self.pause_s, self.kills, self.enough = victims, random.Random(seed), pause_s, 0, threading.Event()

    def run(self):
        while self.kills < KILLS_MAX and not self.enough.wait(self.rng.uniform(0, 2 * self.pause_s)):
            victims = self.victims()
            if victims:
                try:
                    os.kill(self.rng.choice(victims), signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass

    def stop(self):
        self.enough.set()
        self.join()


def grade_and_kill(directory, rng):
    probe = cohort("grade", "--data", write_rows(directory, "tasks.jsonl", [{"prompt": "p", **t} for t in TASKS]), "--responses",
                   write_rows(directory, "one.jsonl", [{"id": 0, "response": SUM}]))
    if probe[0] == 1 and "a box cannot be made" in probe[2] or not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
        print("skip: no sandbox, or no list of children in /proc")
        sys.exit(77)
    rows = [rng.choice(PROGRAMS) for _ in range(int(os.environ.get("COHORT_TEST_KILL_ROWS", "300")))]
    responses = write_rows(directory, "r.jsonl", [{"id": i, "response": t} for i, t, _ in rows])
    with open(os.path.join(directory, "out"), "w+") as out, open(os.path.join(directory, "err"), "w+") as err:
        p = subprocess.Popen([BIN["cohort"], "grade", "--data", os.path.join(directory, "tasks.jsonl"), "--responses", responses,
                              "--workers", "4"], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        wait_for(lambda: below(p.pid) and os.path.getsize(out.name) > 0 or p.poll() is not None, "the first scores")
        killer = Killer(lambda: below(p.pid), rng.randrange(1 << 30), 0.05)
        killer.start()
        try:
            status = p.wait(DEADLINE_S)
        finally:
            killer.stop()
            p.kill()
        out.seek(0)
        err.seek(0)
        equal(status, 0, f"exit status ({err.read()[-500:]})")
        got = read_rows(out.read())
    equal(len(got), len(rows), "scores")
    bad = [f"{text!r}: {g['verdict']} {g['reward']} {g['reason']}, expected {verdict}" for (_, text, verdict), g in zip(rows, got)
           if (g["verdict"], g["reward"]) not in ((verdict, 1 if verdict == "pass" else 0), ("judge_fault", None))]
    faults = [g["reason"] for g in got if g["verdict"] == "judge_fault"]
    check(not bad, f"{len(bad)} wrong verdicts: " + "\n".join(bad[:10]))
    print(f"{len(rows)} programs, {killer.kills} kills, {len(faults)} faults of the judge {sorted(set(faults))}")
    check(killer.kills > 0, "nothing was killed")
    check(len(faults) < len(rows) / 4, f"{len(faults)} of {len(rows)} are faults of the judge")
    wait_for(lambda: not [pid for pid in below(os.getpid())], "the end of all that was started")


def run_and_kill(directory, rng):
    """The same in a run: reward server, sandbox, interpreters. It ends with the tables and the parameters of the undisturbed run: no
    verdict differs, and no completion is without one."""
    programs = [{"prompt": "x" * (i + 1), "language": "python", "tests": [{"stdin": "", "stdout": ""}] * 3} for i in range(6)]
    programs += [{"prompt": "1" * (i + 1), "language": "bash", "tests": [{"stdin": "", "stdout": ""}] * 2} for i in range(4)]
    overrides = {"data tasks.path": write_rows(directory, "programs.jsonl", programs)}
    conf = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs.conf")
    quiet, loud = (os.path.join(directory, name) for name in ("quiet", "loud"))
    os.makedirs(quiet)
    os.makedirs(loud)
    expected = undisturbed(quiet, overrides=overrides, conf=conf)
    verdicts = rows_of(os.path.join(quiet, "run"), "SELECT verdict, count(*) FROM scores GROUP BY 1")
    check({"pass", "crash"} <= {v for v, _ in verdicts}, f"too little to see: {verdicts}")
    d = Daemons(loud, conf=conf, overrides=overrides)

    def victims():
        server = d.children.get("reward-0")
        return [server.pid] + 2 * below(server.pid) if server is not None and server.poll() is None else []

    d.start_all()
    killer = Killer(victims, rng.randrange(1 << 30), 0.15)
    killer.start()
    try:
        d.finish()
    finally:
        killer.stop()
        d.stop()
    print(f"{verdicts}; {killer.kills} kills, {d.restarts} of a daemon")
    check(killer.kills > 0, "nothing was killed")
    sound(d.run_dir)
    same_tables(tables(d.run_dir), expected[1], "with a killer")
    equal(digest(d.run_dir), expected[0], "digest with a killer")


main(grade_and_kill, run_and_kill)
