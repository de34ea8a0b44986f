"""G5, G3: one recipe, one digest: any number of actors and threads, any instruction set, debug or release, lag 0 and 1."""
import os

from e2e import BIN, BUILD, TINY, check, equal, main, must, run, same_tables, sets, undisturbed

RUNS = {
    "one actor": ({}, {"actors": 1}),
    "two actors": ({}, {"actors": 2}),
    "four actors, two reward servers": ({}, {"actors": 4, "rewards": 2}),
    "one learner thread": ({"learner.threads": 1}, {}),
    "avx2": ({"engine.isa": "avx2"}, {}),
    "portable": ({"engine.isa": "portable"}, {}),
}


def all_the_same(directory, variants, common=None):
    expected = None
    for i, (name, (overrides, kw)) in enumerate(variants.items()):
        path = os.path.join(directory, str(i))
        os.makedirs(path)
        got = undisturbed(path, {**(common or {}), **overrides}, **kw)
        print(f"  {name}: {got[0]}", flush=True)
        if expected is None:
            expected = got
        equal(got[0], expected[0], f"digest of {name}")
        same_tables(got[1], expected[1], name)
    return expected


def lag_0(directory, rng):
    got, tables = all_the_same(directory, RUNS)
    out = must(run([BIN["oracle"], TINY]))
    check(got in out, f"the oracle does not print the daemons' digest {got}:\n{out}")
    gaps = [row for row in tables["metrics"] if row[2] == "logp_gap"]
    check(gaps, "no logp_gap was recorded")
    equal([g for g in gaps if g[3] != 0], [], "steps with a gap between actor and learner")


def lag_1(directory, rng):
    variants = {name: v for name, v in RUNS.items() if "actor" in name}
    got, tables = all_the_same(directory, variants, {"stage zero.lag": 1})
    lags = {row[4] for row in tables["step_groups"]}
    equal(lags, {0, 1}, "lags of trained groups")


def debug_and_release(directory, rng):
    other = os.environ.get("COHORT_BUILD_OTHER", "")
    if not other or not os.path.exists(os.path.join(other, "learner", "cohort-learner")):
        print("  no second build in COHORT_BUILD_OTHER: left out")
        return
    all_the_same(directory, {"this build": ({}, {}), "other build": ({}, {"build": other})})


main(lag_0, lag_1, debug_and_release)
