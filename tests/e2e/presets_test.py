"""Methods by name: a tiny run of each finishes, with one digest for 1 and 2 actors, that of the oracle, and another than the others'."""
import os

from e2e import (BIN, TINY, Daemons, check, cohort, digest, equal, main, must, rows, run, same_tables, sets, sound, tables,
                 undisturbed)

PRESETS = ["r1-zero", "dapo", "dr-grpo", "gspo", "cispo", "rloo", "reinforce++"]
# What r1-zero's paper has in other sizes is given by tiny.conf.
COMMON = {"stage zero.steps": 4, "sampling.group": 6, "stage zero.lr": "1e-2"}  # ratios leave every clip


def tiny_conf(directory):
    """tiny.conf without the options of the objective: the presets' own count."""
    path = os.path.join(directory, "objective.conf")
    with open(TINY) as f, open(path, "w") as out:
        out.writelines(line for line in f if not line.startswith(("kl-coef", "reference-every")))
    return path


def each_preset(directory, rng):
    conf, found = tiny_conf(directory), {}
    for preset in PRESETS:
        overrides = {**COMMON, "learner.preset": preset}
        results = []
        for actors in (1, 2):
            path = os.path.join(directory, f"{preset}-{actors}")
            os.makedirs(path)
            results.append(undisturbed(path, overrides, conf=conf, actors=actors))
        equal(results[1][0], results[0][0], f"{preset}: digest with two actors")
        same_tables(results[1][1], results[0][1], preset)
        out = must(run([BIN["oracle"], conf, *sets(overrides)]))
        check(results[0][0] in out, f"{preset}: the oracle does not print {results[0][0]}:\n{out}")
        found.setdefault(results[0][0], []).append(preset)
        print(f"  {preset}: {results[0][0]}", flush=True)
    equal([names for names in found.values() if len(names) > 1], [], "presets with the same digest")
    plain = os.path.join(directory, "plain")
    os.makedirs(plain)
    # The table's defaults are DAPO's objective.
    equal(found.get(undisturbed(plain, COMMON, conf=conf)[0]), ["dapo"], "presets with the digest of the defaults")


def killed(directory, rng):
    """A KL in the reward asks the reference before advantages exist: computed again after a kill, they are the same."""
    overrides = {**COMMON, "learner.preset": "rloo", "stage zero.reference-every": 3, "learner.checkpoint-every": 3}
    conf, path = tiny_conf(directory), os.path.join(directory, "quiet")
    os.makedirs(path)
    expected = undisturbed(path, overrides, conf=conf)
    for fault in ("publish.committed:27:kill", "checkpoint.renamed:9:kill"):  # in the stage zero
        path = os.path.join(directory, fault)
        os.makedirs(path)
        d = Daemons(path, conf=conf, overrides=overrides)
        try:
            d.start_all({"learner": ("--fault", fault)})
            d.finish()
            check(d.restarts > 0, f"{fault}: nothing was killed")
            sound(d.run_dir)
            equal(digest(d.run_dir), expected[0], f"{fault}: digest")
            same_tables(tables(d.run_dir), expected[1], fault)
        finally:
            d.stop()


def shown(directory, rng):
    """What a person sees: origins, what is missing, refusals."""
    out = must(cohort("run", TINY, "--set", "learner.preset=gspo", "--print-config"))
    check("# from preset gspo\nclip-high = 4e-4" in out, f"no origin in {out[-3000:]}")
    check(f"# from {TINY}" in out and "kl-coef = 0.01" in out, "the run file's own values do not win")
    out = must(cohort("run", TINY, "--set", "learner.preset=dapo", "--dry-run"))
    check("without dynamic sampling" in out and "soft overlong" in out, f"not said: {out}")
    code, _, err = cohort("run", TINY, "--set", "learner.preset=dapoo", "--dry-run")
    equal(code, 3, "exit status of an unknown preset")
    check("dr-grpo" in err, f"the known ones are not named: {err}")
    run_dir = os.path.join(directory, "run")
    must(cohort("run", TINY, "--run", run_dir, *sets({**COMMON, "learner.preset": "reinforce++"})))
    completion = rows(run_dir, "SELECT k.group_id * 1024 + k.idx FROM completions k JOIN step_groups s USING (group_id)")[0][0]
    out = must(cohort("explain", run_dir, str(completion)))
    check("KL to the reference" in out and "all completions of the step" in out, f"explain: {out}")
    code, _, err = cohort("run", TINY, "--run", run_dir, *sets({**COMMON, "learner.preset": "rloo"}))
    equal(code, 3, "exit status of another preset on resume")
    check("'reinforce++'" in err and "'rloo'" in err, f"both are not named: {err}")


main(each_preset, killed, shown)
