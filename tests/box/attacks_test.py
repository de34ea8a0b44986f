"""Hostile programs (attacks.py) through cohort grade, as root, as another user, and as root without control groups: each gets a
verdict that its row allows, no reward unless it is honest, and none becomes a fault of the judge."""
import collections
import os
import sys
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from attacks import ATTACKS, OTHERS
from commands import NEEDS, check, cohort, equal, main, must, read_rows, run, write_rows
from e2e import BIN

TWO_SUMS = [{"stdin": "3 4\n", "stdout": "7\n"}, {"stdin": "10 5\n", "stdout": "15\n"}]
TWO_CALLS = [{"args": [1, 2], "expected": 3}, {"args": [-4, 4], "expected": 0}]
TASKS = {
    "sum": {"language": "python", "tests": TWO_SUMS},
    "sum in C": {"language": "c", "tests": TWO_SUMS},
    "sum in C++": {"language": "c++", "tests": TWO_SUMS},
    "sum in Bash": {"language": "bash", "tests": TWO_SUMS},
    "lines": {"language": "python", "tests": [{"stdin": "3\n", "stdout": "1\n2\n3\n"}]},
    "add": {"language": "python", "entry_point": "add", "tests": TWO_CALLS},
    "add in JavaScript": {"language": "javascript", "entry_point": "add", "tests": TWO_CALLS},
    "keep": {"language": "python", "entry_point": "keep", "tests": [{"args": [[1, 2]], "expected": [1, 2]}]},
    "assert": {"language": "python", "tests": [{"assert": "add(1, 2) == 3"}, {"assert": "add(-4, 4) == 0"}]},
    "handle": {"language": "python", "tests": [{"assert": "make().value == 3"}, {"assert": "make().twice() == 6"}]},
}
SHARES = ("lint", "language:language=en")  # scorers whose values lie between 0 and 1 too
PLACES = {name: i for i, name in enumerate(TASKS)}
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
SLOW = int(os.environ.get("COHORT_TEST_SLOW", "1"))  # on a processor that is emulated in software
HIDE_GROUPS = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")


ROUNDS = 6  # of what an overloaded host did not judge: a transient fault


def grade_all(directory, **who):
    """Results in the order of ATTACKS, or None where no box can be made. who: the user, or what to run it below."""
    got = grade(directory, ATTACKS, who)
    for _ in range(ROUNDS if got is not None else 0):
        again = [i for i, g in enumerate(got) if "the host is overloaded" in g["reason"]]
        if again:
            print(f"again, the host was overloaded: {[ATTACKS[i].number for i in again]}")
            for i, g in zip(again, grade(directory, [ATTACKS[i] for i in again], who)):
                got[i] = g
    return got


def grade(directory, attacks, who):
    who = dict(who)
    data = write_rows(directory, "tasks.jsonl", [{"prompt": "p", **t} for t in TASKS.values()])
    rows = write_rows(directory, "r.jsonl", [{"id": PLACES[a.task], "response": a.program} for a in attacks])
    below = who.pop("below", ())
    code, out, err = run([*below, BIN["cohort"], "grade", "--data", data, "--responses", rows, "--scorer",
                            f"code:cpu-ms={400 * SLOW},memory-mib=128", "--workers", "4"], **who)
    if code == 1 and ("a box cannot be made" in err or "ermission denied" in err):
        print("skip: " + err.strip())
        return None
    return read_rows(must((code, out, err)))


def judge(got, *isolation):
    """isolation: what each score must say that held the program."""
    bad, skipped = [], collections.Counter()
    print(f"held by {dict(collections.Counter(g['isolation'] for g in got if 'isolation' in g))}")
    for a, g in zip(ATTACKS, got):
        allowed = a.groups if "cgroup" in g.get("isolation", "") else a.alone
        fine = g["verdict"] in allowed and g["reward"] == (1 if g["verdict"] == "pass" else 0) and a.says in g["reason"]
        fine = fine and not any(unicodedata.category(c) == "Cc" for c in g["reason"]) and all(word in g.get("isolation", word) for word in isolation)
        if g["verdict"] == "judge_fault" and ("not installed" in g["reason"] or "needs control groups" in g["reason"] or
                                              "overloaded" in g["reason"] and "timeout" in allowed):
            skipped[g["reason"]] += 1
        elif not fine:
            bad.append(f"{a.number} {a.what} ({a.task}): found {g['verdict']} {g['reward']} ({g['reason'][:200]}), expected "
                       f"{' or '.join(sorted(allowed))} {a.says}")
    for reason, count in skipped.items():
        print(f"skip: {count} programs: {reason}")
    equal(len(got), len(ATTACKS), "verdicts")
    check(not bad, "\n".join(bad))


def every_attack_is_there(directory, rng):
    counts = collections.Counter(a.number for a in ATTACKS + OTHERS)
    equal([n for n in range(1, 110) if counts[n] == 0], [], "numbers without a program")
    print(f"{len(ATTACKS)} programs, {len(OTHERS)} answers")


def as_this_user(directory, rng):
    got = grade_all(directory)
    if got is not None:
        judge(got)


def as_another_user(directory, rng):
    if os.getuid() != 0:
        print("skip: only root can become somebody else")
        return
    got = grade_all(directory, **NOBODY)
    if got is not None:
        judge(got, "user")


def without_control_groups(directory, rng):
    """As in a container that shows them read-only, or not at all."""
    if os.getuid() != 0:
        print("skip: only root can hide them")
        return
    got = grade_all(directory, below=HIDE_GROUPS)
    if got is not None:
        judge(got, "rlimits")


def of_other_scorers(directory, rng):
    bad = []
    for scorer in sorted({b.scorer for b in OTHERS}):
        rows = [b for b in OTHERS if b.scorer == scorer]
        data = write_rows(directory, "tasks.jsonl", [{"prompt": str(i), **b.task} for i, b in enumerate(rows)])
        responses = write_rows(directory, "r.jsonl", [{"id": i, "response": b.response} for i, b in enumerate(rows)])
        code, out, err = cohort("grade", "--data", data, "--responses", responses, "--scorer", scorer, cwd=directory)
        if code == 1 and "a box cannot be made" in err:
            print("skip: " + err.strip())
            continue
        got = read_rows(must((code, out, err)))
        bad += [f"{b.number} {b.what} ({b.scorer}): {b.response[:80]}: found {g['verdict']} {g['reward']} ({g['reason'][:200]})"
                for b, g in zip(rows, got) if g["verdict"] not in b.verdicts or (g["reward"] == 1) != (g["verdict"] == "pass")
                or (g["reward"] not in (0, 1) and b.scorer not in SHARES)]
        slow = max(g["wall_ms"] for g in got)
        print(f"{scorer}: {len(rows)} answers, the slowest took {slow:.1f} ms")
    check(not bad, "\n".join(bad))
    check(not os.path.exists(os.path.join(directory, "run")), "an answer was run")


main(every_attack_is_there, as_this_user, as_another_user, without_control_groups, of_other_scorers, needs=NEEDS)
