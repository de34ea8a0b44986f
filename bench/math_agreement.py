"""How many pairs of Math-Verify's own tests have the outcome here that stands there.

Usage: math_agreement.py MATH-VERIFY-SOURCES COHORT

MATH-VERIFY-SOURCES is an unpacked source distribution of math-verify; its test modules are imported (so
run this with an interpreter that has math-verify and pytest), and each gold, prediction and expected
outcome of their parametrized tests goes through `COHORT grade --scorer math`. Pairs whose test sets an
option (precision, strict, allow_set_relation_comp) to something else than its default are counted apart.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile

MODULES = ["test_all", "test_boxed", "test_numina_cases", "test_open_thoughts", "test_strict", "test_yujianll"]
DEFAULTS = {"precision": 6, "strict": True, "allow_set_relation_comp": False}


def pairs_of(sources):
    sys.path.insert(0, sources)
    os.chdir(sources)
    for module in MODULES:
        for name, test in vars(importlib.import_module("tests." + module)).items():
            marks = getattr(test, "pytestmark", []) if name.startswith("test_") else []
            for mark in marks:
                names = [part.strip() for part in mark.args[0].split(",")]
                for values in mark.args[1]:
                    pair = dict(zip(names, getattr(values, "values", values)))
                    if "gold" in pair:
                        yield pair


def verdicts(cohort, pairs):
    with tempfile.TemporaryDirectory() as work:
        data, responses = os.path.join(work, "data.jsonl"), os.path.join(work, "responses.jsonl")
        with open(data, "w") as f:
            for pair in pairs:
                print(json.dumps({"problem": "-", "answer": pair["gold"]}), file=f)
        with open(responses, "w") as f:
            for i, pair in enumerate(pairs):
                print(json.dumps({"id": str(i), "response": pair["pred"]}), file=f)
        command = [cohort, "grade", "--data", data, "--format", "math", "--responses", responses, "--scorer", "math"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line)["verdict"] == "pass" for line in lines]


def main():
    cohort = os.path.abspath(sys.argv[2])
    pairs = list(pairs_of(os.path.abspath(sys.argv[1])))
    counts = {False: [0, 0], True: [0, 0]}
    for pair, passed in zip(pairs, verdicts(cohort, pairs), strict=True):
        expected = bool(pair.get("expected", pair.get("result")))
        special = any(pair.get(name, value) != value for name, value in DEFAULTS.items())
        counts[special][0] += passed == expected
        counts[special][1] += 1
        if passed != expected:
            print(("option: " if special else "") + json.dumps([pair["gold"], pair["pred"], expected]))
    print("default options: %d of %d" % tuple(counts[False]))
    print("other options: %d of %d" % tuple(counts[True]))


main()
