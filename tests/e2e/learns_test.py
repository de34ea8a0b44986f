"""The quickstart visibly learns, and its controls do not: the claims of the README, measured by the run itself."""
import os
import re

from e2e import ROOT, check, cohort, equal, main, must, rows, sets

CONF = os.path.join(ROOT, "examples", "quickstart.conf")


def figures(run_dir, stage):
    """The last evaluation of a stage, by name."""
    return dict(rows(run_dir, f"SELECT substr(m.name, 6), m.value FROM metrics m JOIN stages s ON s.stage = m.stage "
                              f"WHERE s.name = '{stage}' AND m.name LIKE 'eval/%' AND m.step = (SELECT max(step) FROM metrics "
                              f"WHERE stage = m.stage AND name = m.name)"))


def quickstart(directory, name, overrides=None):
    run_dir = os.path.join(directory, name)
    out = must(cohort("run", CONF, "--run", run_dir, *sets(overrides)))
    base, zero = figures(run_dir, "base"), figures(run_dir, "zero")
    for what, f in (("before", base), ("after", zero)):
        print(f"  {name} {what}: " + ", ".join(f"{k} {f[k]:.3f}" for k in ("pass@1", "greedy", "format", "think_length")))
    return base, zero, out


def check_learnt(base, zero):
    check(zero["pass@1"] >= base["pass@1"] + 0.4, "sampled pass@1 must rise by 40 points")
    check(base["greedy"] <= 0.3, "greedy must start at chance (0.2) + 0.10 at most")
    check(zero["greedy"] >= 0.95, "greedy must reach 0.95")
    check(base["format"] < 0.4 and zero["format"] >= 0.9, "well-formed answers must go from under 0.4 to 0.9")
    check(zero["think_length"] >= 2.2 * base["think_length"], "reasoning must grow by 2.2")


def learns(directory, rng):
    base, zero, out = quickstart(directory, "seed 1")
    check_learnt(base, zero)
    for words in ("before", "after", "pass@1, greedy", "length of reasoning", "Try next"):
        check(words in out, f"the summary lacks {words!r}:\n{out[-1500:]}")
    run_dir = os.path.join(directory, "seed 1")
    commands = re.findall(r"^  \S*/cohort (\S+) (.+)$", out.split("Try next:")[1], re.M)
    equal(len(commands), 3, "commands to try next")
    for command, rest in commands:
        must(cohort(command, *[run_dir + a[len(run_dir):] if a.startswith(run_dir) else a for a in split(rest, run_dir)]))
    again = must(cohort("run", CONF, "--run", run_dir))
    check("is finished" in again, "a finished run says so")


def split(rest, run_dir):
    """Words of a printed command; the run directory of this test has a blank in its name and is quoted."""
    return [w.strip("'") for w in re.findall(r"'[^']*'|\S+", rest)]


def learns_from_rounded_samples(directory, rng):
    """Sampled from eight-bit weights with truncated importance weights, it learns as well."""
    base, zero, _ = quickstart(directory, "int8", {"sampling.weights": "int8"})
    check_learnt(base, zero)


def random_reward(directory, rng):
    """Rewards that tell nothing teach nothing."""
    base, zero, _ = quickstart(directory, "coin", {"reward accuracy.weight": 0, "reward format.weight": 0,
                                                   "reward coin.weight": 1})
    check(abs(zero["pass@1"] - base["pass@1"]) <= 0.10, "random reward must leave sampled pass@1 where it was")
    check(abs(zero["greedy"] - base["greedy"]) <= 0.10, "random reward must leave greedy where it was")


def format_only(directory, rng):
    """Rewards for the form alone teach the form and no right answers, and do not lengthen the reasoning."""
    for seed in (1, 2, 3, 4):
        base, zero, _ = quickstart(directory, f"form {seed}", {"reward accuracy.weight": 0, "run.seed": seed})
        check(zero["format"] >= 0.8, "the form is learnt")
        check(zero["greedy"] <= 0.3, "right answers are not learnt from the form")
        check(zero["think_length"] <= 1.15 * base["think_length"], "the form alone must not lengthen the reasoning")


def gate(directory, rng):
    """A base that could not show anything stops the run and says why."""
    code, out, err = cohort("run", CONF, "--run", os.path.join(directory, "run"), "--set", "stage base.steps=30")
    equal(code, 1, "exit status of a failed gate")
    check("gate" in out + err and "base" in out + err, f"the reason: {err[-600:]}")


main(learns, learns_from_rounded_samples, random_reward, format_only, gate)
