"""The code scorer through cohort grade: right programs pass, wrong and hostile ones get their verdict and no reward."""
import base64
import json
import os
import pickle
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from commands import NEEDS, check, cohort, equal, main, must, read_rows, refused, write_rows
from e2e import BIN

SUM = [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "10 20\n", "stdout": "30\n"}, {"stdin": "-5 5\n", "stdout": "0\n"}]


def grade(directory, tasks, responses, *args):
    data = write_rows(directory, "tasks.jsonl", tasks)
    r = write_rows(directory, "r.jsonl", [{"id": i, "response": text} for i, text in responses])
    code, out, err = cohort("grade", "--data", data, "--responses", r, *args)
    if code == 1 and "a box cannot be made" in err:
        print("skip: " + err.strip())
        sys.exit(77)
    return read_rows(must((code, out, err)))


def task(language, tests=SUM):
    return {"prompt": "add two numbers", "language": language, "tests": tests}


def fence(language, program):
    return f"Here it is:\n```{language}\n{program}\n```\nIt adds."


def starved(verdict, g):
    """A host too busy to give a program its processor time in many times that: a fault of the host, as it should be."""
    return verdict == "timeout" and g["verdict"] == "judge_fault" and "overloaded" in g["reason"]


PROGRAMS = {
    "python": ("print(sum(map(int, input().split())))", "print(3)"),
    "c": ('#include <stdio.h>\nint main(void) { int a, b; scanf("%d%d", &a, &b); printf("%d\\n", a + b); }',
          '#include <stdio.h>\nint main(void) { puts("3"); }'),
    "c++": ("#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }",
            "#include <iostream>\nint main() { std::cout << 3; }"),
    "bash": ("read a b; echo $((a + b))", "echo 3"),
    "javascript": ('const [a, b] = require("fs").readFileSync(0, "utf8").split(" ").map(Number); console.log(a + b)', "console.log(3)"),
}


def each_language(directory, rng):
    rows, tasks = [], []
    for i, (language, (right, wrong)) in enumerate(PROGRAMS.items()):
        tasks.append(task(language))
        rows += [(i, fence(language, right)), (i, right), (i, fence(language, wrong))]
    got = grade(directory, tasks, rows, "--workers", "2")
    for i, language in enumerate(PROGRAMS):
        three = got[3 * i:3 * i + 3]
        if "not installed" in three[0]["reason"] or "needs control groups" in three[0]["reason"]:
            print(f"skip: {language}: {three[0]['reason']}")
            equal([g["reward"] for g in three], [None] * 3, "no reward without a judge")
            continue
        equal([(g["verdict"], g["reward"]) for g in three], [("pass", 1), ("pass", 1), ("wrong", 0)], f"{language}: {three}")
        check("test 2 of 3" in three[2]["reason"] and "'30" in three[2]["reason"], three[2]["reason"])


PYTHON = PROGRAMS["python"][0]
VERDICTS = [
    ("wrong", "exit(0)"),
    ("wrong", "import os; print('3'); os._exit(0)"),
    ("wrong", "print('PASSED'); print('{\"verdict\": \"pass\"}')"),
    ("wrong", "print(3, 30, 0)"),
    ("wrong", "a, b = map(int, input().split()); print(str(a + b) + '\\nmore')"),
    ("wrong", "a, b = map(int, input().split()); print('\\uff10\\u200b' + str(a + b))"),
    ("wrong", "import sys, os; sys.stdout = sys.stderr; print(3)"),
    ("wrong", "import atexit; atexit.register(print, 3)\nprint(1)"),
    ("crash", "raise SystemExit(1)"),
    ("crash", "print(3"),
    ("crash", "import os; os.kill(os.getpid(), 9)"),
    ("timeout", "while True: pass"),
    ("timeout", "import signal, time\nsignal.alarm(0)\nwhile True:\n  try: time.sleep(1000)\n  except BaseException: pass"),
    ("output", "while True: print('x' * 1000)"),
    ("violation", "import ctypes; ctypes.CDLL(None).unshare(0x10000000)"),
    ("no_answer", "```python\n```"),
    ("no_answer", " \n"),
    ("malformed", "```python\n" + PYTHON),
    ("no_answer", "<think>```python\n" + PYTHON + "\n```</think>"),
    ("pass", "<think>```python\nprint(1)\n```</think>```python\n" + PYTHON + "\n```"),
    ("pass", "```python\nprint(1)\n```\nBetter:\n```python\n" + PYTHON + "\n```\n"),
    ("wrong", "```python\n" + PYTHON + "\n```\nor\n```python\nprint(1)\n```\n"),
    ("pass", PYTHON + "\nprint('  ')\n"),
]


def verdicts(directory, rng):
    got = grade(directory, [task("python")], [(0, text) for _, text in VERDICTS], "--scorer", "code:cpu-ms=500")
    for (verdict, text), g in zip(VERDICTS, got):
        if verdict == "violation" and "No module named" in g["reason"] or starved(verdict, g):
            continue
        equal((g["verdict"], g["reward"]), (verdict, 1 if verdict == "pass" else 0), f"{text}: {g['reason']}")


def tasks_that_cannot_be_judged(directory, rng):
    tasks = [task("cobol")]
    got = grade(directory, tasks, [(i, PYTHON) for i in range(len(tasks))])
    equal([(g["verdict"], g["reward"]) for g in got], [("judge_fault", None)] * len(tasks), "unscored")
    got = grade(directory, [{"prompt": "p", "answer": "1"}], [(0, PYTHON)], "--scorer", "code")
    equal((got[0]["verdict"], got[0]["reward"]), ("judge_fault", None), "no tests")


def compiling(directory, rng):
    texts = ["int main(void) { return }", "#include \"/etc/passwd\"\nint main(void) { return 0; }", "#include \"/dev/zero\"",
             "char big[1L << 40] = {1}; int main(void) { return 0; }"]
    got = grade(directory, [task("c")], [(0, t) for t in texts])
    for g in got:
        check(g["reward"] == 0 and g["verdict"] in ("crash", "timeout", "memory", "output"), f"{g}")
        check("compiling" in g["reason"] and "root:" not in g["reason"], g["reason"])


ADD = {"prompt": "add", "language": "python", "tests": [{"assert": "add(1, 2) == 3"}, {"assert": "assert add(-4, 4) == 0"}]}
EQUAL = "class E:\n def __eq__(s, o): return True\n def __ne__(s, o): return False\n __bool__ = lambda s: True\n __sub__ = __rsub__ = __abs__ = lambda s, *o: 0\n"
ATTACKS = [  # each ends with no reward, whatever the tests
    "def add(a, b): exit(0)",
    "exit(0)",
    "import os; os._exit(0)",
    "def add(a, b): raise SystemExit",
    "def add(a, b): raise KeyboardInterrupt",
    "def add(a, b): raise StopIteration",
    EQUAL + "def add(a, b): return E()",
    "class E(int):\n def __eq__(s, o): return True\n __hash__ = int.__hash__\ndef add(a, b): return E(9)",
    "class E(str):\n def __eq__(s, o): return True\ndef add(a, b): return E('x')",
    "from unittest.mock import ANY\ndef add(a, b): return ANY",
    "import sys\ndef add(a, b):\n f = sys._getframe()\n while f:\n  f.f_globals['__builtins__'] = {}\n  f = f.f_back\n return 9",
    "import builtins\nbuiltins.all = builtins.len = lambda *a: True\ndef add(a, b): return 9",
    "import json, os\njson.loads = json.dumps = lambda *a: 3\nos.write = lambda *a: 1\ndef add(a, b): return 9",
    "import os\ndef add(a, b):\n os.write(4, (11).to_bytes(4, 'big') + b'[\"v\", true]' + b'junk' * 100)\n return 9",
    "import os\ndef add(a, b):\n os.write(4, b'\\xff' * 1000)\n os._exit(0)",
    "import os\nos.close(4)\ndef add(a, b): return 9",
    "import os\nos.write(1, b'PASSED'); os.write(2, b'PASSED')\ndef add(a, b): return 9",
    "def add(a, b): return float('nan')",
    "def add(a, b): return [3, 0]",
    "def add(a, b):\n l = []\n l.append(l)\n return l",
    "def add(a, b):\n l = 3\n for i in range(100000): l = [l]\n return l",
    "def add(a, b): return '3'",
    "def add(a, b): return None",
    "def add(a, b): return lambda: 3",
    "def add(a, b): return (x for x in [3])",
    "def add(a, b): return 9",
    "def sub(a, b): return a + b",
    "import atexit\natexit.register(print, 3)\ndef add(a, b): return 9",
    "import threading, os\nthreading.Timer(0.01, os._exit, (0,)).start()\ndef add(a, b):\n while 1: pass",
    "import os, signal\nos.kill(os.getppid(), 9)\ndef add(a, b): return 9",
    "import gc\ndef add(a, b):\n r = [o for o in gc.get_objects() if isinstance(o, dict) and 'tests' in o]\n return 3 if r else 9",
    "import os\ndef add(a, b):\n return 3 if os.path.exists('/box/tests.json') else 9",
]


def assertions(directory, rng):
    right = ["def add(a, b): return a + b", "print('x')\ndef add(a, b):\n print(a)\n return a + b", "add = int.__add__",
             "import collections, dataclasses\n@dataclasses.dataclass\nclass P:\n  v: int\ndef add(a, b): return P(a + b).v"]
    got = grade(directory, [ADD], [(0, t) for t in right + ATTACKS], "--scorer", "code:cpu-ms=1000", "--workers", "2")
    for text, g in zip(right, got):
        equal((g["verdict"], g["reward"]), ("pass", 1), f"{text}: {g['reason']}")
    for text, g in zip(ATTACKS, got[len(right):]):
        equal(g["reward"], 0, f"{text}: {g}")
        check(g["verdict"] not in ("pass", "judge_fault"), f"{text}: {g}")


def values_and_handles(directory, rng):
    tests = ["assert f(%s) == %s" % (v, v) for v in ("[1, (2, 3.5), {4}]", "{'a': None, 2: b'x'}", "1 << 200", "1 + 2j", "'\\ud800'",
                                                      "frozenset([True])", "-0.0", "float('inf')", "[]")]
    tests += ["assert g(P(1)) == 2", "assert isinstance(f(True), bool)", "all(map(f, [1, 2]))", "math.isclose(f(1.0), 1)"]
    rows = [{"prompt": "p", "language": "python", "tests": [{"assert": t} for t in tests]},
            {"prompt": "p", "language": "python", "setup": "import math", "tests": [{"assert": "all(map(f, [1, 2]))"}]},
            {"prompt": "p", "language": "python", "tests": [{"assert": "f(1) =="}]},
            {"prompt": "p", "language": "python", "tests": [{"assert": "1 == 1"}]},
            {"prompt": "p", "language": "python", "tests": [{"assert": "1 / 0 == f(1)"}]},
            {"prompt": "p", "language": "c", "tests": [{"assert": "f(1) == 1"}]}]
    program = "class P:\n def __init__(s, v): s.v = v\ndef g(p): return p.v + 1\ndef f(x): return x\n"
    got = grade(directory, rows, [(0, program), (1, "def f(x): raise StopIteration")] + [(i, program) for i in range(2, 6)])
    equal([(g["verdict"], g["reward"]) for g in got], [("pass", 1), ("crash", 0)] + [("judge_fault", None)] * 4, f"{got}")


def call(*args, expected=None, **kwargs):
    return {"args": list(args), "expected": expected, **({"kwargs": kwargs} if kwargs else {})}


ADDS = [call(1, 2, expected=3), call(-4, 4, expected=0), call(a=5, b=6, expected=11)]
CALLED = [  # verdict, program; what is called is add
    ("pass", "def add(a, b): return a + b"),
    ("pass", "class Solution:\n def add(self, a, b): return a + b"),
    ("pass", "add = lambda a, b: a + b\nif __name__ == '__main__':\n input()"),
    ("pass", "print('x')\ndef add(a, b):\n print(a)\n return float(a + b)"),
    ("wrong", "def add(a, b): return 3"),
    ("wrong", "def add(a, b): return str(a + b)"),
    ("wrong", "def add(a, b): print(a + b)"),
    ("wrong", "def add(a, b): yield a + b"),
    ("wrong", "def add(a, b): exit(0)"),
    ("wrong", "import os, sys\nprint(3)\nos._exit(0)"),
    ("wrong", EQUAL + "def add(a, b): return E()"),
    ("wrong", "class E(int):\n def __eq__(s, o): return True\ndef add(a, b): return E(a + b)"),
    ("wrong", "import os\ndef add(a, b):\n os.write(3, b'{\"v\": 3}'); os.write(1, b'{\"v\": 3}'); return 3"),
    ("wrong", "import json\njson.dumps = lambda *a: '{\"v\": 3}'\ndef add(a, b): return 9"),
    ("wrong", "import sys\ndef add(a, b): return sys.stdin.read() and 3"),
    ("wrong", "def add(a, b):\n l = []\n l.append(l)\n return l"),
    ("crash", "def add(a, b): raise ValueError('no')"),
    ("crash", "def sub(a, b): return a - b"),
    ("crash", "def add(a): return a"),
    ("crash", "def add(a, b): return ("),
    ("timeout", "def add(a, b):\n while True: pass"),
]


def calls(directory, rng):
    tasks = [{"prompt": "add", "language": "python", "entry_point": "add", "tests": ADDS}]
    got = grade(directory, tasks, [(0, text) for _, text in CALLED], "--scorer", "code:cpu-ms=500", "--workers", "2")
    for (verdict, text), g in zip(CALLED, got):
        starved(verdict, g) or equal((g["verdict"], g["reward"]), (verdict, 1 if verdict == "pass" else 0), f"{text}: {g['reason']}")
    check("a value of type generator" in got[7]["reason"], got[7]["reason"])
    check("test 2 of 3: expected 0, found 3" in got[4]["reason"], got[4]["reason"])


def claims_cost_little(directory, rng):
    """Four million values in a claim, in four threads: they are not taken apart, as none is the expected one. Parsed they took 200 MiB each."""
    program = ("import os\ndef add(a, b):\n d = b'{\"v\": [\"l\", [' + b'[],' * 1390000 + b'[]]]}'\n"
               " while d: d = d[os.write(3, d):]\n os._exit(0)")
    data = write_rows(directory, "tasks.jsonl", [{"prompt": "add", "language": "python", "entry_point": "add", "tests": ADDS}])
    responses = write_rows(directory, "r.jsonl", [{"id": 0, "response": program}] * 8)
    with open(os.path.join(directory, "out"), "w+") as out:
        p = subprocess.Popen([BIN["cohort"], "grade", "--data", data, "--responses", responses, "--workers", "4"], stdout=out, stderr=out)
        _, status, use = os.wait4(p.pid, 0)
        p.returncode = status
        out.seek(0)
        text = out.read()
    if "a box cannot be made" in text:
        print("skip: no sandbox")
        return
    equal(text.count("too long to be the expected one"), 8, text[:500])
    check(use.ru_maxrss < 256 << 10, f"{use.ru_maxrss} KiB, expected less than 256 MiB")


def calls_in_other_languages(directory, rng):
    value = {"a": [1, 2.5, "x", None, True], "b": {}}
    tests = [call(v, expected=v) for v in (value, 3, 0.1, [], "\u00e4")]
    tasks = [{"prompt": "p", "language": name, "entry_point": "same", "tests": tests} for name in ("python", "javascript", "c")]
    tasks += [{"prompt": "p", "language": "python", "tests": tests}]
    js = ["const same = v => { console.log(v); return v }", "function same(v) { return v }",
          "var same = function(v) { return v }\nclass Solution { }", "class Solution { same(v) { return v } }"]
    bad = ["const same = v => 3", "const same = v => new Date()", "JSON.stringify = () => '3'\nconst same = v => 3",
           "process.exit(0)", "const same = v => { throw 3 }", "const same = v => NaN"]
    rows = [(0, "def same(v): return v")] + [(1, t) for t in js + bad] + [(2, "int same;"), (3, "def same(v): return v")]
    got = grade(directory, tasks, rows, "--workers", "2")
    equal(got[0]["verdict"], "pass", got[0]["reason"])
    equal([(g["verdict"], g["reward"]) for g in got[-2:]], [("judge_fault", None)] * 2, "no functions are called there")
    if got[1]["verdict"] == "judge_fault":
        print("skip: " + got[1]["reason"])
        return
    for (_, text), g in zip(rows[1:-2], got[1:-2]):
        equal(g["reward"], 1 if text in js else 0, f"{text}: {g}")


def as_apps_writes_them(directory, rng):
    """Its two kinds of tests; an output in a list of one is that output, or the list."""
    cases = {"fn_name": "twice", "inputs": [[1], [[1, 2]]], "outputs": [[2], [[1, 2, 1, 2]]]}
    rows = [{"question": "q", "input_output": json.dumps({"inputs": ["3 4\n", ["10", "5"]], "outputs": ["7", ["15"]]}), "solutions": "[]"},
            {"question": "q", "input_output": json.dumps(cases), "starter_code": "class Solution:\n    def twice(self, x):\n"}]
    programs = ["import sys\nprint(sum(map(int, sys.stdin.read().split())))", "class Solution:\n    def twice(self, x: List[int]): return 2 * x",
                "class Solution:\n    def twice(self, x): return [2 * x]", "class Solution:\n    def twice(self, x): return [[2 * x]]"]
    data = write_rows(directory, "apps.jsonl", rows)
    responses = write_rows(directory, "r.jsonl", [{"id": min(i, 1), "response": p} for i, p in enumerate(programs)])
    got = read_rows(must(cohort("grade", "--data", data, "--responses", responses)))
    equal([(g["verdict"], g["reward"]) for g in got], [("pass", 1)] * 3 + [("wrong", 0)], f"{got}")


def packed(cases, protocol=4):
    """As LiveCodeBench packs its hidden tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases), protocol))).decode()


def as_livecodebench_writes_them(directory, rng):
    """Both kinds of tests; the hidden ones count, packed by any protocol, small or of megabytes."""
    sums = [{"input": f"{i} {i}\n", "output": f"{2 * i}\n", "testtype": "stdin"} for i in range(1, 40)]
    twice = [{"input": '[1, 2]\n"x"', "output": '[1, 2, 1, 2, "x"]', "testtype": "functional"}, {"input": "[]\nnull", "output": "[null]"}]
    long = [{"input": " ".join(["1"] * 2_500_000), "output": "2500000"}]
    row = lambda i, public, hidden, **more: {"question_title": "t", "question_content": "q", "question_id": f"q{i}", "platform": "leetcode",
                                             "starter_code": "", "difficulty": "easy", "metadata": "{}", "public_test_cases": json.dumps(public),
                                             "private_test_cases": hidden, **more}
    rows = [row(p, sums[:1], packed(sums[1:], p)) for p in range(2, 6)]
    rows += [row(6, sums[:1], json.dumps(sums[1:])), row(7, [], packed(long)), row(8, twice[:1], packed(twice[1:]), metadata='{"func_name": "twice"}',
             starter_code="class Solution:\n    def twice(self, v: List[int], x) -> List[int]:\n        ")]
    right, shown = "print(sum(map(int, input().split())))", "print(2)"
    method = "class Solution:\n    def twice(self, v: List[int], x): return v + v + [x]"
    cases = [(i, right, "pass") for i in range(6)] + [(i, shown, "wrong") for i in range(5)] + [
        (6, method, "pass"), (6, method.replace("v + v", "v"), "wrong"), (6, "class Solution:\n    def twice(self, v, x): return [1, 2, 1, 2, 'x']", "wrong")]
    data = write_rows(directory, "lcb.jsonl", rows)
    responses = write_rows(directory, "r.jsonl", [{"id": rows[i]["question_id"], "response": f"```python\n{text}\n```"} for i, text, _ in cases])
    got = read_rows(must(cohort("grade", "--data", data, "--responses", responses)))
    equal([(g["id"], g["verdict"]) for g in got], [(rows[i]["question_id"], v) for i, _, v in cases], f"{[g['reason'] for g in got]}")

    class Runs:
        def __reduce__(self):
            return print, ("run",)

    squeeze = lambda data: base64.b64encode(zlib.compress(data)).decode()
    for bad in ("x", squeeze(b""), squeeze(pickle.dumps(Runs())), squeeze(pickle.dumps(["[]"])), squeeze(pickle.dumps("[]") + b"."), squeeze(pickle.dumps("[]")[:-1]),
                squeeze(pickle.dumps("{}")), squeeze(b"X\xff\xff\xff\xff[]."), squeeze(b"\x8d" + b"\xff" * 8 + b"[]."), squeeze(b"X\2\0\0\0[]X\2\0\0\0[]."),
                squeeze(bytes(80 << 20)), packed(sums)[:-8], base64.b64encode(pickle.dumps("[]")).decode(), packed([{"input": 3, "output": "3"}])):
        refused(cohort("grade", "--data", write_rows(directory, "bad.jsonl", [row(0, sums, bad)]), "--responses", responses), 4, "private_test_cases")


def first_failed_test(directory, rng):
    """Whatever threads do, the first test in their order that is not passed is the one that is told."""
    program = "n = int(input())\nif n in (%s): exit(1)\nprint(n)"
    tests = [{"stdin": str(i), "stdout": str(i)} for i in range(40)]
    failing = [sorted(rng.sample(range(40), 3)) for _ in range(12)]
    rows = [(0, program % ", ".join(map(str, f))) for f in failing]
    for workers in ("1", "4"):
        got = grade(directory, [task("python", tests)], rows, "--workers", workers)
        for f, g in zip(failing, got):
            equal((g["verdict"], g["reason"]), ("crash", f"test {f[0] + 1} of 40: exit status 1"), f"{f}")


def compiled_once(directory, rng):
    """Equal sources are compiled once, in a job and across completions, also when several threads want them at once."""
    text = PROGRAMS["c"][0]
    got = grade(directory, [task("c")], [(0, text)] * 24 + [(0, "#error no")] * 24, "--workers", "4")
    equal([g["verdict"] for g in got], ["pass"] * 24 + ["crash"] * 24, f"{got[0]}")
    took = sorted(g["wall_ms"] for g in got[4:24])
    print(f"a compiled program's three tests: {took[len(took) // 2]:.1f} ms; compiling and they: {got[0]['wall_ms']:.1f} ms")


main(each_language, verdicts, tasks_that_cannot_be_judged, compiling, assertions, values_and_handles, calls,
     claims_cost_little, calls_in_other_languages, as_apps_writes_them,
     as_livecodebench_writes_them, first_failed_test, compiled_once, needs=NEEDS)
