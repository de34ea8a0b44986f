"""cohort inspect, explain and replay over a run made by hand: every state of a group, damage, hostile text."""
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from commands import NEEDS, check, cohort, equal, main, must, read_rows, refused
from e2e import BIN
from made_run import MadeRun, N, REWARDS, mean_std

SUBJECTS = ("steps", "groups", "workers", "verdicts", "events")


def harmless(text):
    for bad in ("\x1b", "\x07", "\x9b"):
        check(bad not in text, f"{bad!r} reaches the terminal: {text[:2000]!r}")
    return text


def explain(run, group, index, *args):
    return harmless(must(cohort("explain", run.dir, str(group * 1024 + index), *args)))


def has(text, *parts):
    for part in parts:
        check(part in text, f"{part!r} is not in\n{text}")


def overview(directory, rng):
    run = MadeRun(directory)
    text = harmless(must(cohort("inspect", run.dir)))
    has(text, "made", "running", "base", "zero", "actor-0", "reward-0", "Alarms", "odd", "Evaluations")
    (page,) = read_rows(must(cohort("inspect", run.dir, "--json")))
    equal([s["done"] for s in page["stages"]], [0, 2], "steps done")
    equal((page["run"]["open_groups"], page["run"]["live_leases"], page["run"]["restarts"]), (2, 2, 1), "progress")
    equal([e["mode"] for e in page["evaluations"]], ["sampled"], "evaluations")
    equal(len(page["workers"]), 2, "workers")
    equal([a["kind"] for a in page["alarms"]], ["odd"], "alarms")



def on_a_terminal(columns, *args):
    """What a command writes to a terminal of that many columns, as lines."""
    leader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    child = subprocess.Popen([BIN["cohort"], *args], stdout=terminal, stdin=subprocess.DEVNULL)
    os.close(terminal)
    text = b""
    while True:
        try:
            text += os.read(leader, 65536)
        except OSError:  # EIO: the child has closed it
            break
    os.close(leader)
    equal(child.wait(timeout=60), 0, "exit status")
    return harmless(text.decode()).splitlines()


def narrow_terminals(directory, rng):
    run = MadeRun(directory)
    for subject in ((), ("group", "1"), *((s,) for s in SUBJECTS)):
        wide = on_a_terminal(1000, "inspect", run.dir, *subject)
        equal(wide, must(cohort("inspect", run.dir, *subject)).splitlines(), f"{subject} with room for all")
        narrow = on_a_terminal(60, "inspect", run.dir, *subject)
        tables = [line for line in narrow if not line.startswith("  ") and "not shown" not in line]
        equal([line for line in tables if len(line) > 60 and subject and subject[0] in SUBJECTS], [], f"{subject} at 60 columns")
    steps = on_a_terminal(60, "inspect", run.dir, "steps")
    columns = on_a_terminal(1000, "inspect", run.dir, "steps")[0].split()
    equal(steps[0].split() + steps[-1].split(": ")[1].split(", "), columns, "columns shown and named")


def examples_of_the_help(directory, rng):
    """Lines that people paste are not broken: they are the same however wide the help is."""
    for command in ("init", "sample", "eval", "grade", "inspect", "explain", "replay", "digest"):
        both = [must(cohort(command, "--help", env={**os.environ, "ARGP_HELP_FMT": f"rmargin={margin}"})) for margin in (79, 250)]
        usual, wide = ([line for line in text.split("Example:")[1].splitlines() if line.startswith("  ")] for text in both)
        check(usual, f"no example in cohort {command} --help")
        equal(usual, wide, f"examples of cohort {command} --help")



def lists(directory, rng):
    run = MadeRun(directory)
    for subject in SUBJECTS:
        rows = read_rows(must(cohort("inspect", run.dir, subject, "--json")))
        check(rows, f"no {subject}")
        lines = harmless(must(cohort("inspect", run.dir, subject))).splitlines()
        equal(len(lines), len(rows) + 1, f"lines of {subject}")
        equal(lines[0].split(), [name for name in rows[0]], f"columns of {subject}")
        equal([line for line in lines if line.endswith(" ")], [], f"blanks at the ends of lines of {subject}")
        newest = read_rows(must(cohort("inspect", run.dir, subject, "--json", "--limit", "1")))
        if subject != "workers":
            equal(newest, rows[-1:], f"newest of {subject}")
            has(must(cohort("inspect", run.dir, subject, "--limit", "1")), "the newest 1; --limit 0 shows all")
        equal(read_rows(must(cohort("inspect", run.dir, subject, "--json", "--limit", "0"))), rows, f"all {subject}")
    equal([g["id"] for g in read_rows(must(cohort("inspect", run.dir, "groups", "--json")))], [1, 2, 3, 4, 5, 6], "groups")
    steps = read_rows(must(cohort("inspect", run.dir, "steps", "--json")))
    equal([(s["step"], s["entropy"]) for s in steps], [(0, None), (1, 0.75)], "metrics of the steps")
    equal((steps[0]["unscored"], steps[1]["tied"]), (1, 1), "unscored, tied")


def all_rows_for_programs(directory, rng):
    """People see the newest; a program gets every row unless it asks for fewer."""
    run = MadeRun(directory)
    for i in range(60):
        run.insert("events", id=1000 + i, at_ms=i, level="alarm", kind="many", subject="", message=str(i))
    total = run.sql("SELECT count(*), sum(level = 'alarm') FROM events")[0]
    equal(len(read_rows(must(cohort("inspect", run.dir, "events", "--json")))), total[0], "events as JSON")
    equal(len(must(cohort("inspect", run.dir, "events")).splitlines()), 1 + 40 + 1, "lines for people")
    (page,) = read_rows(must(cohort("inspect", run.dir, "--json")))
    equal(len(page["alarms"]), total[1], "alarms of the overview as JSON")


def one_group(directory, rng):
    run = MadeRun(directory)
    (page,) = read_rows(must(cohort("inspect", run.dir, "group", "1", "--json")))
    equal(page["group"]["id"], 1, "id")
    equal([c["reward"] for c in page["completions"]], list(REWARDS[1]), "rewards")
    equal([c["id"] for c in page["completions"]], [1024 + i for i in range(N)], "ids")
    equal(len(page["scores"]), 2 * N, "scores")
    has(harmless(must(cohort("inspect", run.dir, "group", "1"))), "Completions", "Scores", "1026", "judge_fault", "no reference")
    refused(cohort("inspect", run.dir, "group", "99"), 4, "no group 99")


def story_of_a_trained_one(directory, rng):
    run = MadeRun(directory)
    text = explain(run, 1, 0)
    has(text, "number 0 of group 1", "tasks, row 17, key key\\x1b]0;x\\x07", "12=", "answer      3", "stage zero, step 0, slot 0")
    check("rendered" not in text, f"the plain prompt as if by a template:\n{text}")
    has(text, "version 1", "01" * 32, "seed 7, domain train, stage 1, ordinal 1, completion 0")
    has(text, "lease       10, granted to actor-0", "submitted after 0.250 s", "numerics id " + bytes(range(32)).hex())
    has(text, "by sampling the end-of-text token", "samples/000001.seg at byte 16", "<think>", "-0.500000  0.6065")
    has(text, "extracted '4'", "isolation box", "under lease 11 in 1.500 ms", "math scorer, by reward-0")
    has(text, "reward      = 1 x 1 (accuracy) + 0.3 x 1 (format) = 1.3", "verdict     pass (of accuracy, the primary scorer)")
    mean, std = mean_std(REWARDS[1])
    has(text, "of the group: [1.3] 0.3 none 0", f"mean {mean:.6g}, standard deviation (n - 1) {std:.6g} over 3")
    has(text, f"= (1.3 - {mean:.6g}) / ({std:.6g} + 1e-06) = {(1.3 - mean) / (std + 1e-6):.6g}")
    has(text, "step        0 of stage zero, minibatch 1 of 2", "lag         0: sampled from version 1, trained on version 1")
    has(text, "produced    version 2, after 27 updates, content hash " + "02" * 32)
    check("but" not in text, f"an exception:\n{text}")


def story_of_the_others(directory, rng):
    run = MadeRun(directory)
    text = explain(run, 1, 2)
    has(text, "none, verdict judge_fault: no reference", "a fault of the judge (permanent), not of the completion")
    has(text, "1 x none (accuracy)", "unscored, there is no reward", "none: unscored completions take no part", "in no denominator")
    has(explain(run, 1, 3), "cut off at 6 tokens", "truncated")
    text = explain(run, 2, 1)
    has(text, "= 0: the group is tied", "step        1 of stage zero: left out, the group is tied")
    has(explain(run, 3, 0), "evaluations are measured, not learned from", "never       an evaluation after 1 steps of stage zero",
        "domain eval, stage 0")
    text = explain(run, 4, 1)
    has(text, "sampled; it waits for its scores", "257 is leased to reward-0; 2 leases so far, 1 faults", "not yet")
    check("Advantage" not in text, text)
    text = explain(run, 5, 3)
    has(text, "planned; it waits for an actor", "granted to actor-0", "live")
    check("Completion\n" not in text and "Scores" not in text, text)
    has(explain(run, 6, 1), "not yet     it waits for step 2 of stage zero", "advantage   = (1.3 -")


def story_for_programs(directory, rng):
    """--json has the facts of the text, whatever the state of the group or of its samples."""
    run = MadeRun(directory)

    def story(group, index, *args):
        (found,) = read_rows(must(cohort("explain", run.dir, str(group * 1024 + index), "--json", *args)))
        equal((found["id"], found["index"]), (group * 1024 + index, index), "id")
        return found

    one = story(1, 0)
    equal((one["task"]["row"], one["task"]["answer"], one["task"]["prompt"]), (17, "3", "12="), "task")
    equal((one["group"]["stage"], one["group"]["numerics_id"]), ("zero", bytes(range(32)).hex()), "group")
    equal((one["version"]["version"], one["version"]["digest"]), (1, "01" * 32), "version")
    equal([(lease["id"], lease["worker"], lease["kind"], lease["seconds"]) for lease in one["leases"]][0], (10, "actor-0", "sample", 0.25), "lease")
    equal([(s["scorer"], s["value"], s["verdict"]) for s in one["scores"]], [("accuracy", 1, "pass"), ("format", 1, "pass")], "scores")
    equal([r["reward"] for r in one["rewards"]], list(REWARDS[1]), "rewards of the group")
    equal((one["trained"]["step"], one["trained"]["minibatch"], one["trained"]["version"], one["trained"]["updates"]), (0, 1, 2, 27), "step")
    equal((len(one["tokens"]), one["tokens"][0]["logp"], one["tokens"][0]["text"]), (one["completion"]["tokens"], -0.5, "<think>"), "tokens")
    equal(len(story(1, 3, "--tokens", "2")["tokens"]), 2, "--tokens")
    equal(story(1, 2)["completion"]["reward"], None, "reward of an unscored one")
    equal(story(3, 0)["trained"], None, "step of an evaluation")
    waiting, planned = story(4, 1), story(5, 3)
    equal((waiting["scores"], waiting["trained"], len(waiting["tokens"]) > 0), ([], None, True), "one that waits for scores")
    equal((planned["completion"], planned["tokens"], "tokens_missing" in planned), (None, None, False), "one that waits for an actor")
    os.unlink(os.path.join(run.dir, "samples", "000001.seg"))
    lost = story(1, 0)
    check(lost["tokens"] is None and "000001.seg" in lost["tokens_missing"], f"lost samples: {lost}")
    refused(cohort("explain", run.dir, str(99 << 10), "--json"), 4, "no group 99")


def full_disk(directory, rng):
    """What could not be written is a failure, for every command that prints."""
    run = MadeRun(directory)
    for args in (("inspect", run.dir), ("inspect", run.dir, "steps", "--json"), ("explain", run.dir, "1024"),
                 ("explain", run.dir, "1024", "--json"), ("digest", run.dir), ("--help",)):
        with open("/dev/full", "w") as full:
            p = subprocess.run([BIN["cohort"], *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        equal(p.returncode, 1, f"exit status of {args} on a full disk")
        check("No space left" in p.stderr, f"{args}: {p.stderr!r}")


def story_with_other_rules(directory, rng):
    """The stage's own rules shape the arithmetic."""
    run = MadeRun(directory)
    config = run.sql("SELECT config FROM run")[0][0]

    def with_rules(rules):
        run.sql("UPDATE run SET config = ?", config.replace("[stage zero]\n", "[stage zero]\n" + rules))

    mean, _ = mean_std(REWARDS[1])
    run.sql("UPDATE completions SET advantage = NULL")
    with_rules("advantage = mean\n")
    has(explain(run, 1, 0), f"advantage   = 1.3 - {mean:.6g} = {1.3 - mean:.6g}")
    with_rules("advantage = loo\n")
    has(explain(run, 1, 0), f"= 3/2 x (1.3 - {mean:.6g}) = {1.5 * (1.3 - mean):.6g}")
    with_rules("truncated = mask\n")
    has(explain(run, 1, 3), "truncated and so loss-masked")
    with_rules("tied = keep\n")
    run.sql("UPDATE step_groups SET minibatch = 0 WHERE group_id = 2")
    has(explain(run, 2, 0), "moves the weights by the KL term alone")


def prompt_by_a_template(directory, rng):
    run = MadeRun(directory)
    run.sql("UPDATE tasks SET prompt_ids = ?", struct.pack("<4I", 7, 9, 10, 18))
    has(explain(run, 1, 0), "prompt      12=\n              4 tokens\n  rendered    guess12=")


def stored_numbers_that_disagree(directory, rng):
    run = MadeRun(directory)
    run.sql("UPDATE completions SET reward = 0.9, advantage = 5 WHERE group_id = 1 AND idx = 0")
    has(explain(run, 1, 0), "= 1.3, but 0.9 is stored", "but 5 is stored")


def tokens_shown(directory, rng):
    run = MadeRun(directory)
    has(explain(run, 1, 3, "--tokens", "2"), "... 4 more; --tokens 6 shows all")
    check("probability" in explain(run, 1, 3, "--tokens", "6") and "more;" not in explain(run, 1, 3), "all tokens")
    has(explain(run, 1, 3, "--tokens", "0"), "... 6 more")


def damaged_samples(directory, rng):
    """The story is told without the tokens; replay refuses, naming file and place."""
    run = MadeRun(directory)
    whole = run.samples
    for what in ("flipped", "short", "missing", "other"):
        if what == "flipped":
            run.samples = whole[:60] + bytes([whole[60] ^ 4]) + whole[61:]
        elif what == "short":
            run.samples = whole[:50]
        elif what == "other":
            run.samples = whole[:8] + bytes([9]) + whole[9:]
        run.save_samples()
        if what == "missing":
            os.unlink(os.path.join(run.dir, "samples", "000001.seg"))
        text = explain(run, 1, 0)
        has(text, "tokens      not shown:", "000001.seg", "Scores", "produced")
        refused(cohort("replay", run.dir, "1"), 4, "000001.seg at byte 16")
    run.samples = whole
    run.save_samples()
    with open(os.path.join(run.dir, "tokenizer.json"), "a") as f:
        f.write("\n")
    has(explain(run, 1, 0), "without their texts", "another hash", "-0.500000  0.6065")


def replay(directory, rng):
    run = MadeRun(directory)
    code, out, err = cohort("replay", run.dir, "2")
    equal(code, 1, f"exit status of other samples ({err})")
    has(out, "group 2: train, stage zero, step 1, slot 0, task 1; 4 completions", "seed 7, domain train, stage 1, ordinal 2", run.digest)
    has(out, "this machine has numerics id", "different: completion 0, token 0", "stored         token 1, log-prob -0.5 (bits bf000000)",
        "sampled again")
    refused(cohort("replay", run.dir, "1"), 4, "version 1", "not kept any more", "kept are: 2")
    refused(cohort("replay", run.dir, "5"), 4, "not sampled yet")
    refused(cohort("replay", run.dir, "77"), 4, "no group 77", "6")
    weights = os.path.join(run.dir, "weights", "version-2.safetensors")
    data = bytearray(open(weights, "rb").read())
    data[-1] ^= 1
    with open(weights, "wb") as f:
        f.write(data)
    refused(cohort("replay", run.dir, "2"), 4, "version-2.safetensors", "published with", run.digest)
    os.unlink(weights)
    refused(cohort("replay", run.dir, "2"), 4, "not kept any more")


def kept_versions_are_listed(directory, rng):
    run = MadeRun(directory)
    for version in (4, 5, 6, 8, 10, 11):
        run.insert("versions", version=version, stage=1, step=version, updates=1, digest=bytes(32), path=f"weights/{version}", bytes=1,
                   created_ms=0)
    refused(cohort("replay", run.dir, "1"), 4, "kept are: 2, 4 to 6, 8, 10 to 11")


def no_run(directory, rng):
    run = MadeRun(directory)
    for command in (("inspect",), ("explain", "1024"), ("replay", "1")):
        refused(cohort(command[0], directory, *command[1:]), 4, directory, "no run directory")
        refused(cohort(command[0]), 2, "RUN")
    refused(cohort("explain", run.dir, "1023"), 2, "COMPLETION_ID")
    refused(cohort("explain", run.dir, "one"), 2, "one")
    refused(cohort("explain", run.dir, str(1024 + N)), 4, "group 1 has 4 completions, ids 1024 to 1027")
    refused(cohort("explain", run.dir, str(99 << 10)), 4, "no group 99")
    refused(cohort("replay", run.dir, "0"), 2, "GROUP_ID")
    refused(cohort("replay", run.dir, "1", "--isa", "abacus"), 2, "abacus", "avx2")
    refused(cohort("inspect", run.dir, "poems"), 2, "poems", "steps")
    refused(cohort("inspect", run.dir, "group"), 2, "id")
    refused(cohort("inspect", run.dir, "steps", "3"), 2, "takes no id")
    run.sql("PRAGMA user_version=3")
    refused(cohort("inspect", run.dir), 4, "schema version 3")
    run.db.close()
    for name in os.listdir(run.dir):
        if name.startswith("run.db-"):
            os.unlink(os.path.join(run.dir, name))
    with open(os.path.join(run.dir, "run.db"), "wb") as f:
        f.write(os.urandom(20000))
    refused(cohort("inspect", run.dir), 4, "run.db")


def while_somebody_writes(directory, rng):
    """An open write transaction does not stop a reader, and is not seen."""
    run = MadeRun(directory)
    before = must(cohort("inspect", run.dir, "groups", "--json"))
    run.sql("BEGIN IMMEDIATE")
    run.sql("DELETE FROM step_groups")
    equal(must(cohort("inspect", run.dir, "groups", "--json")), before, "groups during a write")
    has(explain(run, 1, 0), "minibatch 1 of 2")
    run.sql("ROLLBACK")


main(overview, narrow_terminals, examples_of_the_help, lists, all_rows_for_programs, one_group, story_of_a_trained_one,
     story_of_the_others, story_for_programs, full_disk, story_with_other_rules, prompt_by_a_template, stored_numbers_that_disagree, tokens_shown, damaged_samples, replay,
     kept_versions_are_listed, no_run, while_somebody_writes, needs=NEEDS)
