"""The scorers that look at a right program: lint and runtime, through cohort grade. Neither pays for a wrong one."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from commands import NEEDS, check, cohort, equal, main, must, public_data, read_rows, refused, write_rows

SUM = "print(sum(map(int, input().split())))\n"
TESTS = [{"stdin": "3 4", "stdout": "7"}]


def grade(directory, tasks, responses, *args):
    data = write_rows(directory, "tasks.jsonl", [{"prompt": "p", **t} for t in tasks])
    r = write_rows(directory, "r.jsonl", [{"id": i, "response": text} for i, text in responses])
    code, out, err = cohort("grade", "--data", data, "--responses", r, *args)
    if code == 1 and "a box cannot be made" in err:
        print("skip: " + err.strip())
        sys.exit(77)
    return read_rows(must((code, out, err)))


def lint_of_python(directory, rng):
    rows = [(1, SUM), (0.9, "import os\n" + SUM), (0.8, "import os, re\n" + SUM), (0.6, "def f(): return nowhere\n" + SUM),
            (0.5, "import os\ndef f(): return nowhere\n" + SUM), (0, "import a, b\n" + SUM), (0, "print(9)"), (0, "print(7"),
            (0, "".join(f"import {m}\n" for m in ("os re io ast bz2 cmd csv dis gc json".split())) + SUM)]
    got = grade(directory, [{"language": "python", "tests": TESTS}], [(0, text) for _, text in rows], "--scorer", "lint")
    if got[0]["reward"] is None and "pyflakes" in got[0]["reason"]:
        print("skip: " + got[0]["reason"])
        return
    equal([round(g["reward"], 6) for g in got], [value for value, _ in rows], "values")
    check("line 1: 'os' imported but unused" in got[1]["reason"], got[1]["reason"])
    equal([g["verdict"] for g in got[-4:-1]], ["crash", "wrong", "crash"], "of programs that do not pass")


def lint_leaves_the_prompt_alone(directory, rng):
    """What the prompt imports and the completion does not use is no fault of the completion; its lines are counted from its own first."""
    row = {"task_id": "x/0", "prompt": "import re\nfrom typing import List\n\ndef inc(x):\n    \"\"\"one more\"\"\"\n", "entry_point": "inc",
           "test": "def check(candidate):\n    assert candidate(1) == 2\n", "canonical_solution": "    return x + 1\n"}
    data = write_rows(directory, "h.jsonl", [row])
    r = write_rows(directory, "r.jsonl", [{"id": "x/0", "response": t} for t in ("    return x + 1", "    import os\n    return x + 1")])
    code, out, err = cohort("grade", "--data", data, "--responses", r, "--scorer", "lint")
    if code == 1 or "pyflakes" in out:
        print("skip: no sandbox or no pyflakes")
        return
    got = read_rows(must((code, out, err)))
    equal([g["reward"] for g in got], [1, 0.9], f"{got}")
    check("line 1:" in got[1]["reason"], got[1]["reason"])


def lint_of_compiled_languages(directory, rng):
    c = "#include <stdio.h>\nint main(void)\n{\n    int a, b;\n    if (scanf(\"%d%d\", &a, &b) != 2)\n        return 1;\n    printf(\"%d\\n\", a + b);\n    return 0;\n}\n"
    unused = c.replace("int a, b;", "int a, b, c;")
    cc = "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n"
    rows = [(0, 1, c), (0, 0.9, unused), (0, 0.8, "#pragma GCC diagnostic ignored \"-Wall\"\n" + unused), (0, 0, "int main(void) { return 0; }"),
            (1, 1, cc), (1, 0.9, cc.replace("int a, b;", "int a, b, c;"))]
    tasks = [{"language": "c", "tests": TESTS}, {"language": "c++", "tests": TESTS}]
    got = grade(directory, tasks, [(i, text) for i, _, text in rows], "--scorer", "lint")
    for (_, value, text), g in zip(rows, got):
        if g["reward"] is None and "not installed" in g["reason"]:
            print("skip: " + g["reason"])
            continue
        equal(g["reward"], value, f"{text}: {g['reason']}")


def not_everything_has_a_lint(directory, rng):
    got = grade(directory, [{"language": "bash", "tests": TESTS}, {"answer": "7"}], [(0, "echo 7"), (1, "7")], "--scorer", "lint")
    equal([(g["verdict"], g["reward"]) for g in got], [("judge_fault", None)] * 2, f"{got}")


def time_beside_the_solution(directory, rng):
    slow = "for i in range(%d): pass\n" + SUM
    task = {"language": "python", "tests": TESTS * 2, "solution": slow % 3000000}
    rows = [(0, slow % 3000000), (0, SUM), (0, slow % 9000000), (0, slow % 100 + "print(1)"), (0, "import time\ntime.process_time = lambda: 0\n" + slow % 9000000)]
    got = grade(directory, [task], rows, "--scorer", "runtime:repeats=2", "--workers", "2")
    value = [g["reward"] for g in got]
    check(0.2 <= value[0] <= 0.8, f"as fast: {got[0]}")
    equal(value[1:], [1, 0, 0, 0], f"{got}")
    equal([g["verdict"] for g in got], ["pass", "pass", "pass", "wrong", "pass"], f"{got}")


def a_difference_below_the_floor_is_none(directory, rng):
    task = {"language": "python", "tests": TESTS, "solution": SUM}
    got = grade(directory, [task], [(0, SUM), (0, "import json\n" + SUM)], "--scorer", "runtime:floor-ms=5000,repeats=1")
    equal([g["reward"] for g in got], [0.5, 0.5], f"{got}")


def solutions_that_are_none(directory, rng):
    tasks = [{"language": "python", "tests": TESTS}, {"language": "python", "tests": TESTS, "solution": "print(8)"}]
    got = grade(directory, tasks, [(0, SUM), (1, SUM)], "--scorer", "runtime")
    equal([(g["verdict"], g["reward"]) for g in got], [("judge_fault", None)] * 2, f"{got}")
    check("no solution" in got[0]["reason"] and "does not pass: test 1 of 1" in got[1]["reason"], f"{got}")


def the_tests_run_once_in_a_set(directory, rng):
    """Beside code, both wait for its verdict; what it lacks they lack."""
    task = {"language": "python", "tests": TESTS, "solution": SUM}
    args = ("--scorer", "code", "--scorer", "lint:weight=0.1", "--scorer", "runtime:weight=0.2,repeats=1,floor-ms=5000")
    got = grade(directory, [task, {"language": "cobol", "tests": TESTS}], [(0, SUM), (0, "print(9)"), (1, SUM)], *args)
    if got[0]["components"]["lint"] is not None:
        equal(round(got[0]["reward"], 6), 1.2, f"{got[0]}")
    equal(got[1]["components"], {"code": 0, "lint": 0, "runtime": 0}, "of a wrong program")
    equal(got[2]["components"], {"code": None, "lint": None, "runtime": None}, "without a judge")
    refused(cohort("grade", "--data", os.path.join(directory, "tasks.jsonl"), "--responses", os.path.join(directory, "r.jsonl"),
                   "--scorer", "runtime:repeats=0"), 2, "repeats")


def published_solutions(directory, rng):
    human = public_data("humaneval.jsonl")
    if not human:
        print("skip: no published datasets beside the checkout")
        return
    rows = rng.sample(read_rows(open(human, encoding="utf-8").read()), 12)
    r = write_rows(directory, "r.jsonl", [{"id": row["task_id"], "response": row["canonical_solution"]} for row in rows])
    got = read_rows(must(cohort("grade", "--data", human, "--responses", r, "--scorer", "runtime:repeats=1,floor-ms=500", "--workers", "2")))
    equal([g["reward"] for g in got], [0.5] * 12, f"{got}")


main(lint_of_python, lint_leaves_the_prompt_alone, lint_of_compiled_languages, not_everything_has_a_lint, time_beside_the_solution,
     a_difference_below_the_floor_is_none, solutions_that_are_none, the_tests_run_once_in_a_set, published_solutions, needs=NEEDS)
