"""HumanEval and MBPP as they are published: every solution passes, and what is none fails, through cohort grade.

Needs the published files beside the checkout; names what it skips.
"""
import ast
import builtins
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from commands import NEEDS, check, cohort, equal, main, must, public_data, read_rows, write_rows

ALWAYS = ("class E:\n __eq__ = __ge__ = __le__ = __contains__ = lambda s, o: True\n __ne__ = lambda s, o: False\n __bool__ = lambda s: True\n"
          " __hash__ = lambda s: 0\n __sub__ = __rsub__ = __abs__ = lambda s, *o: 0\n __len__ = __int__ = __index__ = lambda s: 1\n")
# What stands in place of a function, or before a right program.
BODIES = {"exits": "exit(0)", "exits hard": "import os; os._exit(0)", "is equal to all": "return E()", "prints a verdict": "print('PASSED\\n1 passed, 0 failed')",
          "returns a constant": "return 987654321"}
BEFORE = {"exits before": "exit(0)\n", "exits hard before": "import os\nos._exit(0)\n", "raises an end before": "raise SystemExit\n"}


def grade(directory, data, rows):
    r = write_rows(directory, "r.jsonl", [{"id": i, "response": t} for i, t in rows])
    code, out, err = cohort("grade", "--data", data, "--responses", r, "--workers", "4")
    if code == 1 and "a box cannot be made" in err:
        print("skip: " + err.strip())
        sys.exit(77)
    return read_rows(must((code, out, err)))


def load(name):
    path = public_data(name)
    if not path:
        print(f"skip: no {name} beside the checkout")
        return None, []
    return path, read_rows(open(path, encoding="utf-8").read())


def all_pass(directory, data, rows):
    got = grade(directory, data, rows)
    equal(len(got), len(rows), "scores")
    equal([(g["id"], g["verdict"], g["reason"]) for g in got if g["verdict"] != "pass" or g["reward"] != 1], [], "solutions")


def none_passes(directory, data, rows, names):
    got = grade(directory, data, rows)
    passed = [(g["id"], name, g["verdict"]) for g, name in zip(got, names) if g["reward"] != 0 or g["verdict"] in ("pass", "judge_fault")]
    equal(passed, [], "no solutions")
    print(f"{len(rows)} programs that are no solutions")


def solutions_of_humaneval(directory, rng):
    data, rows = load("humaneval.jsonl")
    all_pass(directory, data, [(r["task_id"], r["canonical_solution"]) for r in rows]) if rows else None


def solutions_of_mbpp(directory, rng):
    data, rows = load("mbpp.jsonl")
    all_pass(directory, data, [(r["task_id"], r["code"]) for r in rows]) if rows else None


def no_solutions_of_humaneval(directory, rng):
    """Each way with each task: the body of the function, or an end at the module's level behind it."""
    data, rows = load("humaneval.jsonl")
    tries = [(r["task_id"], f"    {body}\n" + ALWAYS, name) for r in rows for name, body in BODIES.items()]
    tries += [(r["task_id"], r["canonical_solution"] + "\n" + end, name) for r in rows for name, end in BEFORE.items()]
    none_passes(directory, data, [t[:2] for t in tries], [t[2] for t in tries]) if rows else None


def called(test):
    """The function that an assertion of MBPP asks for: the innermost call of a name that Python does not know."""
    names = [n.func.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    own = [n for n in names if not hasattr(builtins, n)]
    return (own or names)[-1]


def no_solutions_of_mbpp(directory, rng):
    """One way for each task, drawn anew each time."""
    data, rows = load("mbpp.jsonl")
    tries = []
    for r in rows:
        name = rng.choice(list(BODIES) + list(BEFORE))
        if name in BEFORE:
            text = BEFORE[name] + r["code"]
        else:
            text = r["code"] + "\n" + ALWAYS + "".join(f"def {f}(*a, **k): {BODIES[name]}\n" for f in {called(t) for t in r["test_list"]})
        tries.append((r["task_id"], text, name))
    none_passes(directory, data, [t[:2] for t in tries], [t[2] for t in tries]) if rows else None


main(solutions_of_humaneval, solutions_of_mbpp, no_solutions_of_humaneval, no_solutions_of_mbpp, needs=NEEDS)
