"""inspect, explain, replay, digest, eval and sample on a real run: while it goes on, and afterwards."""
import json
import os

from e2e import Daemons, check, cohort, digest, equal, main, must, rows, wait_for

READERS = (["inspect"], ["inspect", "steps"], ["inspect", "groups", "--limit", "0"], ["inspect", "workers"], ["inspect", "verdicts"],
           ["inspect", "events"])


def ask(run_dir, command, *args, status=0):
    return must(cohort(command[0], run_dir, *command[1:], *args), status)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def while_it_runs(directory, rng):
    """Any command at any moment: none fails, none disturbs the run."""
    d = Daemons(directory, actors=2, overrides={"stage zero.lag": 1})
    asked = 0
    try:
        d.start_all()
        wait_for(lambda: os.path.exists(f"{d.run_dir}/address"), "the learner's address")
        while d.tick() is None:
            ask(d.run_dir, rng.choice(READERS), *rng.choice(([], ["--json"])))
            newest = rows(d.run_dir, "SELECT coalesce(max(id), 0) FROM groups")[0][0]
            if newest:
                ask(d.run_dir, ["explain"], str(rng.randint(1, newest) << 10))
            asked += 1
        d.finish()
        equal(d.restarts, 0, "daemons that died")
        equal(rows(d.run_dir, "SELECT state FROM run"), [("finished",)], "state")
        print(f"  {asked} times")
        check(asked > 0, "the run was over before the first question")
    finally:
        d.stop()


def afterwards(directory, rng):
    d = Daemons(directory, actors=2)
    try:
        d.start_all()
        d.finish()
    finally:
        d.stop()
    overview(d.run_dir)
    lists(d.run_dir)
    stories(d.run_dir, rng)
    replays(d.run_dir, rng)
    models(d.run_dir)


def overview(run_dir):
    (page,) = lines(ask(run_dir, ["inspect"], "--json"))
    equal((page["run"]["state"], page["run"]["open_groups"], page["run"]["live_leases"]), ("finished", 0, 0), "run")
    equal([(s["state"], s["done"], s["steps"]) for s in page["stages"]], [("finished", 25, 25), ("finished", 8, 8)], "stages")
    equal(len(page["workers"]), 3, "workers")
    check(len(page["evaluations"]) >= 4, f"evaluations: {page['evaluations']}")


def lists(run_dir):
    for command in READERS[1:]:
        got = lines(ask(run_dir, command, "--json"))
        check(got or command[1] == "events", f"nothing from {command}")
    steps = lines(ask(run_dir, ["inspect", "steps"], "--json"))
    equal(len(steps), 33, "steps")
    expected = rows(run_dir, "SELECT stage, step, reward FROM v_steps WHERE stage = 'zero' ORDER BY step")
    equal([(s["stage"], s["step"], s["reward"]) for s in steps if s["stage"] == "zero"],
          [(a, b, float(f"{c:.15g}")) for a, b, c in expected], "reward curve")
    check(all(s["entropy"] is not None and s["kl"] is not None for s in steps if s["stage"] == "zero"), "metrics are missing")
    groups = lines(ask(run_dir, ["inspect", "groups", "--limit", "0"], "--json"))
    equal([g["id"] for g in groups], [g for g, in rows(run_dir, "SELECT id FROM groups ORDER BY id")], "groups")


def stories(run_dir, rng):
    """Every completion has a story, whose arithmetic agrees with the tables."""
    every = rows(run_dir, "SELECT id, reward, advantage, purpose, verdict, text FROM v_completions ORDER BY id")
    for id_, reward, advantage, purpose, verdict, text in rng.sample(every, 60):
        out = ask(run_dir, ["explain"], str(id_))
        check("is stored" not in out and "not shown" not in out and "without their texts" not in out, out)
        check(f" = {reward:.6g}\n" in out and f"verdict     {verdict} " in out and f"text        {text}\n" in out, out)
        if purpose == "eval":
            check("not learned from" in out and "never " in out, out)
        elif advantage:
            check(f" = {advantage:.6g}" in out and "produced    version" in out, out)
    tied = rows(run_dir, "SELECT g.id FROM groups g JOIN step_groups s ON s.group_id = g.id WHERE g.tied = 1")
    for group, in tied[:3]:
        check("left out, the group is tied" in ask(run_dir, ["explain"], str(group << 10)), f"tied group {group}")


def replays(run_dir, rng):
    """What is still kept comes out as the same bits, on every instruction set; what is not says so."""
    kept = rows(run_dir, "SELECT g.id FROM groups g JOIN versions v ON v.version = g.version WHERE v.path IS NOT NULL")
    gone = rows(run_dir, "SELECT g.id FROM groups g JOIN versions v ON v.version = g.version WHERE v.path IS NULL")
    check(len(kept) >= 8 and gone, f"{len(kept)} groups to replay, {len(gone)} pruned")
    for i, (group,) in enumerate(rng.sample(kept, 8)):
        isa = ("auto", "portable")[i % 2]
        out = ask(run_dir, ["replay"], str(group), "--isa", isa, "--threads", str(1 + i % 3))
        check("same bits:" in out and "other bits are to be expected" not in out, out)
    code, _, err = cohort("replay", run_dir, str(rng.choice(gone)[0]))
    equal(code, 4, "exit status for a pruned version")
    check("kept are:" in err, err)


def models(run_dir):
    newest = rows(run_dir, "SELECT hex(digest) FROM versions ORDER BY version DESC LIMIT 1")[0][0].lower()
    equal((digest(run_dir), digest(f"{run_dir}/models/zero")), (newest, newest), "digests of the run and its last model")
    check(digest(f"{run_dir}/models/base") != newest, "training has changed nothing")
    data = f"{run_dir}/data/heldout.jsonl"
    got = json.loads(must(cohort("eval", f"{run_dir}/models/zero", "--data", data, "--scorer", "math:tag=answer", "-k", "4", "--json")))
    equal((got["tasks"], got["unscored"], got["digest"]), (20, 0, newest), "evaluation")
    check(0 < sum(got["verdicts"].values()) == 80, f"{got}")
    greedy = json.loads(must(cohort("eval", f"{run_dir}/models/zero", "--data", data, "--scorer", "math:tag=answer", "--temperature", "0",
                                    "--limit", "8", "--max-tokens", "16", "--json")))
    stored = rows(run_dir, "SELECT value FROM metrics WHERE name = 'eval/greedy' ORDER BY stage DESC, step DESC LIMIT 1")[0][0]
    equal(greedy["pass@1"], stored, "greedy share by `eval` and by the run's own evaluation of the same tasks")
    must(cohort("sample", f"{run_dir}/models/zero", "--prompt", "1234="))
    code, _, err = cohort("sample", run_dir, "--prompt", "1234=")
    equal(code, 4, "exit status of a run in place of a model")
    check(f"{run_dir}/models" in err, f"where the models are is not said: {err}")


main(while_it_runs, afterwards)
