"""The looks before a grpo stage: what cannot work stops with advice, and no look reaches the digest."""
import json
import os

from e2e import TINY, check, cohort, digest, equal, main, must, rows, sets


def conf_with_tasks(directory, task_rows):
    """tiny.conf, its tasks from a file."""
    path = os.path.join(directory, "tasks.jsonl")
    with open(path, "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in task_rows)
    text = open(TINY).read()
    old = "[data tasks]\ngenerator = modsum\ndigits = 4\nsplit = train\ncount = 200\n"
    check(old in text, "tiny.conf has another [data tasks]")
    conf = os.path.join(directory, "tasks.conf")
    with open(conf, "w") as f:
        f.write(text.replace(old, f"[data tasks]\npath = {path}\n"))
    return conf


def stopped(directory, name, conf, overrides, status, *words):
    """The run ends with this status and advice; with preflight = warn it goes on and says the same."""
    run_dir = os.path.join(directory, name)
    code, out, err = cohort("run", conf, "--run", run_dir, *sets(overrides))
    equal(code, status, f"{name}: exit status ({err[-500:]})")
    for word in (*words, "preflight=warn"):
        check(word in err, f"{name}: {word!r} is not in {err[-800:]}")
    check("alarm: stage 'zero'" in out, f"{name}: the progress does not say it: {out[-800:]}")
    equal(rows(run_dir, "SELECT count(*) FROM steps WHERE stage = 1"), [(0,)], f"{name}: steps that learnt")
    check(rows(run_dir, "SELECT count(*) FROM events WHERE kind = 'preflight' AND level = 'alarm'")[0][0] > 0,
          f"{name}: no event")
    out = must(cohort("run", conf, "--run", run_dir, *sets({**overrides, "stage zero.preflight": "warn"})))
    check("warning: stage 'zero'" in out, f"{name}: no warning in {out[-800:]}")
    return run_dir


def wrong_answers(directory, rng):
    tasks = [{"prompt": f"{i:04d}=", "answer": "</answer>" if i % 3 else "1"} for i in range(60)]
    conf = conf_with_tasks(directory, tasks)
    run_dir = stopped(directory, "run", conf, {}, 4, "40 of the first 60 gold answers", "accuracy")
    equal(rows(run_dir, "SELECT count(*) FROM steps WHERE stage = 1"), [(8,)], "steps after the warning")


def everything_cut_off(directory, rng):
    stopped(directory, "run", TINY, {"sampling.max-tokens": 2, "stage zero.groups": 8}, 3, "end-of-text",
            "max-tokens")


def everything_tied(directory, rng):
    overrides = {"reward accuracy.scorer": "format", "reward accuracy.tag": "", "reward accuracy.weight": 0,
                 "reward format.weight": 0, "stage zero.groups": 8}
    stopped(directory, "run", TINY, overrides, 3, "nothing to learn from")


def too_small(directory, rng):
    code, _, err = cohort("run", TINY, "--run", os.path.join(directory, "peers"), "--set", "net.receive-mib=16")
    equal(code, 3, "exit status with no memory for peers")
    check("net] receive-mib" in err and "3 workers" in err, f"not said: {err[-500:]}")


def reference_programs(directory, rng):
    """Solutions before their own tests, in the sandbox, before the learner is started: those of a wrong tag or of wrong tests stop it."""
    conf = os.path.join(os.path.dirname(TINY), "..", "box", "programs.conf")

    def run(name, solutions, **overrides):
        path = os.path.join(directory, f"{name}.jsonl")
        with open(path, "w") as f:
            for i, solution in enumerate(solutions):
                row = {"prompt": "x" * (i + 1), "language": "python", "tests": [{"stdin": "", "stdout": "1\n"}]}
                f.write(json.dumps({**row, **({"solution": solution} if solution else {})}) + "\n")
        run_dir = os.path.join(directory, name)
        args = {"data tasks.path": path, "stage zero.steps": 1, "stage zero.preflight": overrides.get("preflight", "stop")}
        return run_dir, cohort("run", conf, "--run", run_dir, *sets(args))

    run_dir, (code, out, err) = run("broken", ["print(1)", "print(2)", "raise ValueError", "print(3)"])
    if "not tried" in out:
        print(f"  no sandbox here: {out[-300:]}")
        return
    equal(code, 4, f"exit status with broken solutions ({err[-500:]})")
    check("3 of 4 reference programs of [data tasks] do not pass reward 'tests'" in err and "preflight=warn" in err, err[-800:])
    check(not os.path.exists(os.path.join(run_dir, "run.db")), "a learner was started")
    # What is tried leaves the rest alone: the run goes on to its groups, all of one reward here.
    for name, solutions, says in (("warned", ["print(2)"] * 6, "0 of 6"), ("sound", ["print(1)"] * 6, "6 of 6"),
                                  ("one", ["print(1)"] * 5 + ["print(2)"], "5 of 6"), ("none", [None] * 6, "no reference programs")):
        run_dir, (code, out, err) = run(name, solutions, preflight="warn")
        equal(code, 0, f"{name}: exit status ({err[-500:]})")
        check(f"{says} reference programs" in out or says in out, f"{name}: {says!r} is not in {out[:1500]}")
        equal("warning: row " in out, name in ("warned", "one"), f"{name}: a warning")
    _, (_, out, _) = run("off", ["print(2)"] * 6, preflight="off")
    check("reference programs" not in out, f"tried with preflight = off: {out[:1500]}")


def looks_leave_no_trace(directory, rng):
    """The digest is the same with and without the looks; the report is one line."""
    digests = set()
    for mode in ("stop", "warn", "off"):
        run_dir = os.path.join(directory, mode)
        out = must(cohort("run", TINY, "--run", run_dir, "--set", f"stage zero.preflight={mode}"))
        digests.add(digest(run_dir))
        equal("preflight: stage 'zero': 64 of 64 gold answers" in out, mode != "off", f"{mode}: report")
        if mode != "off":
            check("bit for bit" in out and " tied" in out and "memory" in out, f"{mode}: {out}")
    equal(len(digests), 1, f"digests {digests}")


main(wrong_answers, everything_cut_off, everything_tied, too_small, reference_programs, looks_leave_no_trace)
