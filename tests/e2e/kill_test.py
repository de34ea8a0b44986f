"""G1, G2, G4: kill -9 of anything, anywhere: the run finishes with the digest and the tables of the undisturbed run."""
import os
import signal
import subprocess
import time

from e2e import (BIN, DEADLINE_S, TINY, Daemons, check, digest, equal, main, must, rows, run, same_tables, sets, sound,
                 tables, undisturbed)

REFERENCE = {}


def reference(directory):
    if not REFERENCE:
        started = time.monotonic()
        path = os.path.join(directory, "reference")
        os.makedirs(path)
        REFERENCE["result"] = undisturbed(path, actors=2)
        REFERENCE["seconds"] = time.monotonic() - started
    return REFERENCE["result"]


def as_undisturbed(d, expected, what):
    sound(d.run_dir)
    equal(digest(d.run_dir), expected[0], f"{what}: digest")
    same_tables(tables(d.run_dir), expected[1], what)


def kill_at(directory, expected, victim, delay):
    """Whether the victim was alive to be killed delay seconds after the start; either way the run ends as if undisturbed."""
    os.makedirs(directory)
    d = Daemons(directory, actors=2)
    try:
        d.start_all()
        end = time.monotonic() + delay
        while time.monotonic() < end and d.children["learner"].poll() is None:
            time.sleep(0.002)
        landed = d.children[victim].poll() is None
        if landed:
            d.kill(victim)
        d.finish()
        as_undisturbed(d, expected, f"{victim} killed after {delay:.3f} s")
    finally:
        d.stop()
    return landed


def random_moments(directory, rng, victim):
    """On a machine that is less busy than it was at the reference run, kills come too late: they do not count."""
    expected = reference(directory)
    kills, landed, tries = int(os.environ.get("COHORT_TEST_KILLS", "10")), 0, 0
    while landed < kills and tries < 5 * kills:
        delay = rng.uniform(0.02, REFERENCE["seconds"] * 0.95)
        landed += kill_at(os.path.join(directory, f"{victim}-{tries}"), expected, victim, delay)
        tries += 1
    equal(landed, kills, f"kills that met a living {victim} in {tries} runs")


def rounded_and_late(directory, rng):
    """Lag 1 and samples of eight-bit weights: what a resume computes again has versions and importance weights of its own."""
    overrides = {"stage zero.lag": 1, "sampling.weights": "int8"}
    path = os.path.join(directory, "expected")
    os.makedirs(path)
    expected = undisturbed(path, overrides, actors=2)
    sites = ("publish.committed", "publish.renamed", "checkpoint.renamed", "store.committed", "segment.synced")
    # The stage zero begins after 25 steps, which publish nothing.
    for site, nth in [(s, rng.randint(26, 31) if s == "publish.committed" else rng.randint(2, 7)) for s in sites]:
        path = os.path.join(directory, site)
        os.makedirs(path)
        d = Daemons(path, actors=2, overrides=overrides)
        try:
            d.start_all({"learner": ("--fault", f"{site}:{nth}:kill")})
            d.finish()
            check(d.restarts > 0, f"{site} visit {nth}: nothing was killed")
            as_undisturbed(d, expected, f"late and rounded, {site} visit {nth}")
        finally:
            d.stop()


def kill_learner(directory, rng):
    random_moments(directory, rng, "learner")


def kill_actor(directory, rng):
    random_moments(directory, rng, "actor-0")


def kill_reward_server(directory, rng):
    random_moments(directory, rng, "reward-0")


def kill_launcher(directory, rng):
    """The whole service dies with its launcher, and nothing is left behind; the same command continues."""
    expected = reference(directory)
    for i in range(int(os.environ.get("COHORT_TEST_KILLS", "10"))):
        run_dir = os.path.join(directory, f"launched-{i}")
        command = [BIN["cohort"], "run", TINY, "--run", run_dir]
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        delay = rng.uniform(0.02, REFERENCE["seconds"] * 0.95)
        try:
            p.wait(delay)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
        end = time.monotonic() + 30
        while survivors(run_dir):
            check(time.monotonic() < end, f"left behind by the launcher: {survivors(run_dir)}")
            time.sleep(0.01)
        must(run(command))
        sound(run_dir)
        equal(digest(run_dir), expected[0], f"launcher killed after {delay:.3f} s: digest")
        same_tables(tables(run_dir), expected[1], f"launcher killed after {delay:.3f} s")


def survivors(run_dir):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if run_dir.encode() in f.read():
                    found.append(pid)
        except OSError:
            pass
    return found


SITES = {
    "learner": ["segment.append", "segment.appended", "segment.synced", "store.commit", "store.committed", "reply.sent",
                "publish.written", "publish.renamed", "publish.committed", "checkpoint.written", "checkpoint.renamed",
                "publish.prune"],
    "actor-0": ["actor.sampled", "actor.submitted"],
    "reward-0": ["reward.scored", "reward.submitted"],
}


def fault_points(directory, rng):
    """Kills at every fault point, at an early and at a random later visit."""
    expected = reference(directory)
    for name, sites in SITES.items():
        for site in sites:
            for nth in (1, rng.randint(2, 6)):
                path = os.path.join(directory, f"{site}-{nth}")
                os.makedirs(path)
                d = Daemons(path, actors=2)
                try:
                    d.start_all({name: ("--fault", f"{site}:{nth}:kill")})
                    d.finish()
                    check(d.restarts >= 1 or nth > 1, f"{site} was never reached")
                    as_undisturbed(d, expected, f"{site} visit {nth}")
                finally:
                    d.stop()


PRUNING = {"learner.keep-samples": "needed", "learner.segment-kib": 4, "learner.checkpoint-every": 2}


def check_pruned(run_dir):
    """What a resume may need is there, what it cannot need is gone, and nothing lies between."""
    checkpoint = "(SELECT stage, step FROM checkpoints WHERE state = 'valid' ORDER BY updates LIMIT 1)"
    gone = rows(run_dir, "SELECT id FROM groups WHERE segment IS NULL ORDER BY id")
    check(gone, "nothing was pruned")
    equal(rows(run_dir, f"SELECT id FROM groups WHERE segment IS NULL AND (stage, step) >= {checkpoint}"), [],
          "pruned groups that a resume needs")
    named = {f"{n:06d}.seg" for n, in rows(run_dir, "SELECT DISTINCT segment FROM groups WHERE segment IS NOT NULL")}
    equal(set(os.listdir(os.path.join(run_dir, "samples"))), named, "files of samples")
    before = rows(run_dir, f"SELECT segment FROM groups GROUP BY segment HAVING segment < (SELECT max(segment) FROM groups) "
                           f"AND max((stage, step) >= {checkpoint}) = 0")
    equal(before, [], "files that could have gone")
    code, _, err = run([BIN["cohort"], "replay", run_dir, str(gone[0][0])])
    check(code == 4 and "keep-samples" in err, f"replay of a pruned group: status {code}, {err}")
    out = must(run([BIN["cohort"], "explain", run_dir, str(gone[0][0] * 1024)]))
    check("not kept any more" in out, f"explain of a pruned group: {out}")


def pruned_samples(directory, rng):
    """Samples that no resume can need go, whatever dies on the way; the results are those of a run that keeps all."""
    expected = reference(directory)
    faults = ["", "segment.prune:1:error", f"store.commit:{rng.randint(40, 120)}:kill"]
    faults += [f"segment.prune:{nth}:kill" for nth in (1, 2, 3)] + [f"checkpoint.renamed:{nth}:kill" for nth in (3, 6)]
    for i, fault in enumerate(faults):
        path = os.path.join(directory, f"prune-{i}")
        os.makedirs(path)
        d = Daemons(path, actors=2, overrides=PRUNING)
        try:
            d.start_all({"learner": ("--fault", fault)} if fault else None)
            d.finish()
            as_undisturbed(d, expected, f"pruning, {fault or 'undisturbed'}")
            check_pruned(d.run_dir)
        finally:
            d.stop()


def interrupted(directory, rng):
    """Ctrl-C stops cleanly with exit 5, and the same command continues."""
    expected = reference(directory)
    run_dir = os.path.join(directory, "run")
    command = [BIN["cohort"], "run", TINY, "--run", run_dir]
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and p.poll() is None:
        try:
            if rows(run_dir, "SELECT count(*) FROM steps")[0][0] >= 10:
                break
        except Exception:
            pass
        time.sleep(0.005)
    p.send_signal(signal.SIGINT)
    out = p.communicate(timeout=DEADLINE_S)[0]
    equal(p.returncode, 5, f"exit status after Ctrl-C ({out[-500:]})")
    equal(rows(run_dir, "SELECT state FROM run"), [("stopped",)], "state of the run")
    must(run(command))
    equal(digest(run_dir), expected[0], "digest after Ctrl-C and the same command")
    same_tables(tables(run_dir), expected[1], "after Ctrl-C")


main(fault_points, pruned_samples, rounded_and_late, kill_learner, kill_actor, kill_reward_server, kill_launcher, interrupted)
