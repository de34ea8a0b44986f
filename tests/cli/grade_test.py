"""cohort grade: verdicts in input order, faults apart from wrong answers, clear errors."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from commands import (NEEDS, check, cohort, equal, main, must, public_data, read_rows, refused, run, write, write_rows)
from e2e import BIN

TASKS = [{"prompt": "1+1=", "answer": "2"}, {"id": "two", "prompt": "2+2=", "answer": "4"}, {"prompt": "3+3=", "answer": "6"}]
KEYS = {"id", "reward", "verdict", "components", "extracted", "reason", "wall_ms"}


def grade(data, responses, *args):
    return read_rows(must(cohort("grade", "--data", data, "--responses", responses, *args)))


def order_and_fields(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    rows = []
    for i in range(500):
        task = rng.randrange(3)
        right = rng.random() < 0.5
        key = "two" if task == 1 else rng.choice((task, str(task)))
        rows.append((key, right, f"I think {rng.randrange(100)} ... the answer is {TASKS[task]['answer'] if right else 99}"))
    responses = write_rows(directory, "responses.jsonl", [{"id": k, "response": t, "note": "ignored"} for k, _, t in rows])
    one = grade(data, responses)
    equal(len(one), len(rows), "scores")
    for got, (key, right, _) in zip(one, rows):
        equal(set(got), KEYS, "fields")
        equal((got["id"], got["verdict"], got["reward"]), (key, "pass" if right else "wrong", float(right)), "score")
        equal(got["components"], {"math": float(right)}, "components")
        check(got["wall_ms"] >= 0 and (right or "expected" in got["reason"]), f"{got}")
    for workers in ("2", "7"):
        other = grade(data, responses, "--workers", workers)
        strip = lambda rows: [{k: v for k, v in r.items() if k != "wall_ms"} for r in rows]
        equal(strip(other), strip(one), f"scores of {workers} workers")


def index_of_a_row_with_a_key(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    got = grade(data, write_rows(directory, "r.jsonl", [{"id": 1, "response": "4"}, {"id": "two", "response": "4"}]))
    equal([g["verdict"] for g in got], ["pass", "pass"], "by number and by key")
    keyed = write_rows(directory, "keyed.jsonl", [{"id": 1, "prompt": "a", "answer": "10"}, {"id": 0, "prompt": "b", "answer": "20"}])
    got = grade(keyed, write_rows(directory, "r.jsonl", [{"id": 0, "response": "20"}, {"id": 1, "response": "10"}]))
    equal([g["verdict"] for g in got], ["pass", "pass"], "a key goes before a number")


def empty_and_blank(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    equal(grade(data, write(directory, "r.jsonl", "")), [], "scores of nothing")
    equal(cohort("grade", "--data", data, "--responses", os.path.join(directory, "r.jsonl"))[2], "0 responses\n", "summary of nothing")
    equal(grade(data, write(directory, "r.jsonl", "\n  \n\n")), [], "scores of blank lines")
    one = '{"id": 0, "response": "2"}'
    equal(len(grade(data, write(directory, "r.jsonl", "\n" + one + "\r\n\n" + one))), 2, "scores between blank lines")
    equal(grade(data, write_rows(directory, "r.jsonl", [{"id": 0, "response": ""}]))[0]["verdict"], "no_answer", "of no text")


def standard_input(directory, rng):
    import subprocess
    data = write_rows(directory, "tasks.jsonl", TASKS)
    p = subprocess.run([BIN["cohort"], "grade", "--data", data, "--responses", "-"], input='{"id": 2, "response": "6"}\n',
                       capture_output=True, text=True, timeout=60)
    equal((p.returncode, read_rows(p.stdout)[0]["verdict"]), (0, "pass"), "of standard input")
    check("1 response: 1 pass; mean reward 1" in p.stderr, f"summary: {p.stderr}")


def several_scorers(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    responses = write_rows(directory, "r.jsonl", [{"id": 0, "response": "<think>x</think><answer>2</answer>"},
                                                  {"id": 0, "response": "<think>x</think><answer>3</answer>"},
                                                  {"id": 0, "response": "2"}])
    got = grade(data, responses, "--scorer", "math:tag=answer", "--scorer", "format:weight=0.25")
    equal([g["reward"] for g in got], [1.25, 0.25, 0.0], "rewards")
    equal([g["verdict"] for g in got], ["pass", "wrong", "no_answer"], "verdicts of the first scorer")
    equal(got[1]["components"], {"math": 0.0, "format": 1.0}, "components")
    equal(got[0]["extracted"], "2", "extracted")
    got = grade(data, responses, "--scorer", "format", "--scorer", "math:tag=answer,weight=0")
    equal([g["reward"] for g in got], [1.0, 1.0, 0.0], "rewards without math")
    got = grade(data, responses, "--scorer", "math:tag=answer", "--scorer", "format:weight=0.25,when=pass")
    equal([g["reward"] for g in got], [1.25, 0.0, 0.0], "format counts for right answers only")
    got = grade(data, responses, "--scorer", "math:tag=answer", "--scorer", "format:when=fail")
    equal([g["reward"] for g in got], [1.0, 1.0, 0.0], "format counts for wrong answers only")


def text_scorers(directory, rng):
    rows = [{"prompt": "Which?", "answer": "B", "choices": ["a fig", "a pear"], "think_language": "de"}, {"prompt": "1+1=", "answer": "2"}]
    data = write_rows(directory, "tasks.jsonl", rows)
    german, english = "Wir addieren zuerst die beiden Zahlen.", "First we add the two numbers to each other."
    texts = [(0, f"<think>{german}</think>the answer is (B)"), (0, f"<think>{english}</think>a fig"), (1, f"<think>{english}</think>\\boxed{{2}}"),
             (1, f"<think>{german}</think>" + "2 and so on " * 20)]
    responses = write_rows(directory, "r.jsonl", [{"id": i, "response": t} for i, t in texts])
    equal([g["verdict"] for g in grade(data, responses)], ["pass", "wrong", "pass", "pass"], "choice and math by default")
    got = grade(data, responses, "--scorer", "format:form=think", "--scorer", "language:weight=0.1", "--scorer", "repetition:count=words",
                "--scorer", "readability")
    equal([g["components"]["language"] for g in got], [1, 0, 1, 0], "shares of each task's language")
    equal([g["components"]["repetition"] < -0.5 for g in got], [False, False, False, True], "a loop")
    equal([g["components"]["readability"] for g in got], [1, 1, 1, 1], "readable")
    equal(got[0]["reward"], 1 + 0.1 + 0 + 1, "the sum")


def length_needs_tokens(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    scorer = ("--scorer", "length:max=10,cache=4")
    rows = [{"id": 0, "response": "2", "tokens": n} for n in (0, 6, 8, 10, 99)]
    equal([g["reward"] for g in grade(data, write_rows(directory, "r.jsonl", rows), *scorer)], [0, 0, -0.5, -1, -1], "penalties")
    refused(cohort("grade", "--data", data, "--responses", write_rows(directory, "r.jsonl", [{"id": 0, "response": "2"}]), *scorer),
            4, "r.jsonl", "line 1", "tokens")
    cut = write_rows(directory, "r.jsonl", [{"id": 0, "response": "2", "truncated": True}])
    got = grade(data, cut)[0]
    equal((got["verdict"], got["reward"]), ("truncated", 0.0), "of a truncated response")


def judge_faults_are_not_scores(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS + [{"prompt": "?", "answer": "9" * 5000}])
    responses = write_rows(directory, "r.jsonl", [{"id": 0, "response": "2"}, {"id": 3, "response": "9"}])
    code, out, err = cohort("grade", "--data", data, "--responses", responses)
    equal(code, 0, "exit status")
    got = read_rows(out)
    equal((got[1]["reward"], got[1]["verdict"], got[1]["components"]), (None, "judge_fault", {"math": None}), "of a bad reference")
    check("reference" in got[1]["reason"], got[1]["reason"])
    check("1 unscored" in err and "mean reward 1 " in err, f"summary: {err}")


def formats_choose_the_scorer(directory, rng):
    data = write_rows(directory, "countdown.jsonl", [{"nums": [1, 2, 3], "target": 7}])
    got = grade(data, write_rows(directory, "r.jsonl", [{"id": 0, "response": "2*3+1"}, {"id": 0, "response": "7"}]))
    equal([(g["verdict"], list(g["components"])) for g in got], [("pass", ["countdown"]), ("wrong", ["countdown"])], "countdown")
    mixed = write_rows(directory, "mixed.jsonl", [{"prompt": "a", "answer": "07", "scorer": "exact"}, {"prompt": "b", "answer": "07"}])
    got = grade(mixed, write_rows(directory, "r.jsonl", [{"id": i, "response": "7"} for i in (0, 1)]))
    equal([(g["verdict"], list(g["components"])) for g in got], [("wrong", ["exact"]), ("pass", ["math"])], "named by the row")


def scorers_by_name(directory, rng):
    r = write_rows(directory, "r.jsonl", [{"id": 0, "response": "print(1)"}])
    tests = write_rows(directory, "tests.jsonl", [{"prompt": "p", "language": "python", "tests": [{"stdin": "", "stdout": "1"}]}])
    equal(grade(tests, r, "--scorer", "format")[0]["verdict"], "malformed", "another scorer can be asked for")
    named = write_rows(directory, "named.jsonl", [{"prompt": "p", "answer": "1", "scorer": "poetry"}])
    refused(cohort("grade", "--data", named, "--responses", r), 2, "row '0'", "poetry", "math")


def bad_rows(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    good = json.dumps({"id": 0, "response": "2"}) + "\n"
    for line, words in (
            ('{"id": 0, "response": "2"', ("line 3", "column")),
            ('["id", 0]', ("line 3", "response")),
            ('{"id": 0}', ("line 3", "response")),
            ('{"response": "2"}', ("line 3", "id")),
            ('{"id": 0, "response": 2}', ("line 3", "response")),
            ('{"id": null, "response": "2"}', ("line 3", "id")),
            ('{"id": 1.5, "response": "2"}', ("line 3", "id")),
            ('{"id": 3, "response": "2"}', ("line 3", "'3'", "no such row", "3 of the dataset")),
            ('{"id": -1, "response": "2"}', ("line 3", "'-1'")),
            ('{"id": 99999999999999999999, "response": "2"}', ("line 3",)),
            ('{"id": "three", "response": "2"}', ("line 3", "'three'")),
            ('{"id": 0, "id": 0, "response": "2"}', ("line 3",)),
            ('{"id": 0, "response": "2", "tokens": -1}', ("line 3", "tokens")),
            ('{"id": 0, "response": "2", "truncated": "no"}', ("line 3", "truncated"))):
        responses = write(directory, "r.jsonl", good + good + line + "\n" + good)
        code, out, err = cohort("grade", "--data", data, "--responses", responses)
        refused((code, out, err), 4, "r.jsonl", *words)
        equal(len(read_rows(out)), 2, f"scores before the bad row {line}")
    refused(cohort("grade", "--data", data, "--responses", "/no/such/file"), 4, "/no/such/file")
    refused(cohort("grade", "--data", "/no/such/file", "--responses", responses), 4, "/no/such/file")
    bad = write(directory, "bad.jsonl", '{"prompt": "a", "answer": "1"}\n{"prompt": 1}\n')
    refused(cohort("grade", "--data", bad, "--responses", responses), 4, "bad.jsonl", "line 2")


def hostile_text(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    rows = [{"id": 0, "response": text} for text in (
        "\x1b[31m the answer is \x1b]0;title\x07 2", "a\0b the answer is 2", "\u202e the answer is 2\u2028", "9" * 100000,
        "\\boxed{" * 50000, "(" * 100000, "1/" * 50000 + "0", "\n" * 100000)]
    out = must(cohort("grade", "--data", data, "--responses", write_rows(directory, "r.jsonl", rows)))
    equal(len(read_rows(out)), len(rows), "scores")
    for bad in ("\x1b", "\0", "\x07", "\u202e"):
        check(bad not in out and json.dumps(bad)[1:-1] not in out, f"{bad!r} in the output")
    huge = write(directory, "huge.jsonl", '{"id": 0, "response": "' + "x" * (26 << 20) + '"}\n')
    refused(cohort("grade", "--data", data, "--responses", huge), 4, "huge.jsonl", "line 1", "limit")


def wrong_usage(directory, rng):
    data = write_rows(directory, "tasks.jsonl", TASKS)
    r = write_rows(directory, "r.jsonl", [{"id": 0, "response": "2"}])
    base = ("grade", "--data", data, "--responses", r)
    refused(cohort("grade", "--data", data), 2, "--responses")
    refused(cohort(*base, "--workers", "0"), 2, "workers")
    refused(cohort(*base, "--workers", "two"), 2, "two")
    refused(cohort(*base, "more"), 2)
    refused(cohort(*base, "--no-such"), 2, "no-such")
    refused(cohort(*base, "--scorer", "poetry"), 2, "poetry", "math")
    refused(cohort(*base, "--scorer", "math:tag"), 2, "tag", "param=value")
    refused(cohort(*base, "--scorer", "math:tga=answer"), 2, "tga", "tag")
    refused(cohort(*base, "--scorer", "math", "--scorer", "math:tag=answer"), 2, "math")
    refused(cohort(*base, "--scorer", "math:weight=heavy"), 2, "heavy")
    refused(cohort(*base, "--scorer", "length:max=10"), 2, "cache")
    refused(cohort(*base, "--scorer", "math:when=pass"), 2, "primary")
    refused(cohort(*base, "--scorer", "math", "--scorer", "format:when=ever"), 2, "always, pass or fail")
    refused(cohort(*base, "--format", "poem"), 2, "poem", "gsm8k")
    out = must(cohort("grade", "--help"))
    check("Example" in out and "cohort grade --data" in out, "help without an example")


def gold_answers_pass(directory, rng):
    """Each reference answer is right by its own checker, and wrong once changed."""
    done = False
    for name, field, mutate in (("gsm8k_test.jsonl", "answer", lambda t: t + "1"),
                                ("math_test.jsonl", "solution", lambda t: t + " No: \\boxed{-987654321}")):
        path = public_data(name)
        if path is None:
            continue
        done = True
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        gold = grade(path, write_rows(directory, "gold.jsonl", [{"id": i, "response": r[field]} for i, r in enumerate(rows)]),
                     "--workers", "2")
        changed = grade(path, write_rows(directory, "bad.jsonl", [{"id": i, "response": mutate(r[field])} for i, r in enumerate(rows)]),
                        "--workers", "2")
        equal({g["verdict"] for g in gold} - {"pass", "judge_fault"}, set(), f"verdicts of {name}'s own answers")
        equal({g["verdict"] for g in changed} - {"wrong", "judge_fault"}, set(), f"verdicts of {name}'s changed answers")
        for a, b in zip(gold, changed):
            equal(a["verdict"] == "judge_fault", b["verdict"] == "judge_fault", f"fault of {name} {a['id']}, whatever the answer")
            equal(a["reward"] is None, a["verdict"] == "judge_fault", "reward of a fault")
        faults = sum(g["verdict"] == "judge_fault" for g in gold)
        print(f"  {name}: {len(gold)} answers, {faults} references that this build cannot read")
        check(faults < len(gold) // 3, f"{faults} faults")
    if not done:
        print("  no published datasets beside the checkout: left out")


main(order_and_fields, index_of_a_row_with_a_key, empty_and_blank, standard_input, several_scorers, text_scorers, length_needs_tokens,
     judge_faults_are_not_scores, formats_choose_the_scorer, scorers_by_name, bad_rows, hostile_text, wrong_usage,
     gold_answers_pass, needs=NEEDS)
