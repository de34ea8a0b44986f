"""The code scorer through cohort grade: right programs pass, wrong and hostile ones get their verdict and no reward."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from commands import NEEDS, check, cohort, equal, main, must, read_rows, write_rows

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
        if verdict == "violation" and "No module named" in g["reason"]:
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


main(each_language, verdicts, tasks_that_cannot_be_judged, compiling, needs=NEEDS)
