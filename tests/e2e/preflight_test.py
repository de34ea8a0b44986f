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


main(wrong_answers, everything_cut_off, everything_tied, too_small, looks_leave_no_trace)
