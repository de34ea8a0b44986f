"""G5, G3: one recipe, one digest: any number of actors and threads, any instruction set, debug or release, lag 0 and 1."""
import os

from e2e import BIN, BUILD, TINY, check, equal, main, must, run, same_tables, sets, undisturbed

RUNS = {
    "one actor": ({}, {"actors": 1}),
    "two actors": ({}, {"actors": 2}),
    "four actors, two reward servers": ({}, {"actors": 4, "rewards": 2}),
    "one learner thread": ({"learner.threads": 1}, {}),
    "avx512": ({"engine.isa": "avx512"}, {}),
    "avx2": ({"engine.isa": "avx2"}, {}),
    "portable": ({"engine.isa": "portable"}, {}),
}


with open("/proc/cpuinfo") as f:
    FLAGS = set(next((line for line in f if line.startswith("flags")), "").split())
if not {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= FLAGS:
    print("this machine has no AVX-512: its kernels are left out")
    del RUNS["avx512"]


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


def rounded_weights(directory, rng):
    """Samples of rounded weights: integer sums and conversions have the same bits everywhere too, and importance counts."""
    for weights, minibatches in (("int8", 2), ("bf16", 1)):
        variants = {f"{weights}, {name}": RUNS[name] for name in ("one actor", "two actors", "avx512", "avx2", "portable") if name in RUNS}
        path = os.path.join(directory, weights)
        os.makedirs(path)
        common = {"sampling.weights": weights, "stage zero.minibatches": minibatches}
        _, tables = all_the_same(path, variants, common)
        values = {}
        for row in tables["metrics"]:
            values.setdefault(row[2], []).append(row[3])
        equal(set(values["logp_gap"]), {0}, "gap to the same rounded weights")
        check(max(values["sampling/sampling_logp_difference/max"]) > 0, "rounding changed no log-prob")
        check(all(abs(v - 1) < 0.1 for v in values["sampling/importance_sampling_ratio/mean"]), "mean weight of tokens")


def debug_and_release(directory, rng):
    other = os.environ.get("COHORT_BUILD_OTHER", "")
    if not other:
        print("  no second build in COHORT_BUILD_OTHER: left out (tests/run full names -O0 and sanitizers)")
        return
    check(os.path.exists(os.path.join(other, "learner", "cohort-learner")), f"no cohort-learner is built in {other}")
    all_the_same(directory, {"this build": ({}, {}), "other build": ({}, {"build": other})})


main(lag_0, lag_1, rounded_weights, debug_and_release)
