"""cohort init, sample, digest, eval over a tiny random model."""
import json
import math
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from commands import NEEDS, TINY, check, cohort, equal, main, make_model, must, read_rows, refused, write, write_rows
from e2e import digest


def init(directory, rng):
    a, b = make_model(directory, "a"), make_model(directory, "b")
    equal(sorted(os.listdir(a)), ["config.json", "model.safetensors", "tokenizer.json"], "files of a model directory")
    equal(digest(a), digest(b), "digests of two models of one seed")
    for name in os.listdir(a):
        equal(open(os.path.join(a, name), "rb").read(), open(os.path.join(b, name), "rb").read(), name)
    check(digest(make_model(directory, "seed", "run.seed=8")) != digest(a), "another seed, the same digest")
    wide = make_model(directory, "wide", "model.hidden=64", "model.type=qwen3")
    config = json.load(open(os.path.join(wide, "config.json")))
    equal((config["hidden_size"], config["model_type"]), (64, "qwen3"), "config.json after --set")
    refused(cohort("init", "--conf", TINY, a), 4, a, "exists")
    refused(cohort("init", "--conf", TINY, "--set", "model.hiden=64", os.path.join(directory, "x")), 3, "hiden", "hidden")
    refused(cohort("init", "--conf", "/no/such.conf", os.path.join(directory, "x")), 3, "/no/such.conf")
    refused(cohort("init", os.path.join(directory, "x")), 2, "--conf")
    refused(cohort("init", "--conf", TINY, "a", "b"), 2, "b")
    check(not os.path.exists(os.path.join(directory, "x")), "a refused init has left something")


def digests(directory, rng):
    model = make_model(directory)
    path = os.path.join(model, "model.safetensors")
    whole = open(path, "rb").read()
    before = digest(model)
    (header,) = struct.unpack("<Q", whole[:8])
    flipped = bytearray(whole)
    flipped[8 + header + rng.randrange(len(whole) - 8 - header)] ^= 1
    with open(path, "wb") as f:
        f.write(flipped)
    check(digest(model) != before, "a flipped bit leaves the digest")
    with open(path, "wb") as f:
        f.write(whole[:-1])
    refused(cohort("digest", model), 4, "model.safetensors")
    refused(cohort("digest", os.path.join(directory, "nothing")), 4, "nothing")
    refused(cohort("digest"), 2)
    refused(cohort("digest", model, model), 2)


def sample(directory, rng):
    model = make_model(directory)
    base = ("sample", model, "--prompt", "1234=", "-n", "5", "--max-tokens", "12", "--seed", "3", "--json")
    got = read_rows(must(cohort(*base)))
    equal([g["index"] for g in got], [0, 1, 2, 3, 4], "indices")
    for g in got:
        equal(len(g["tokens"]), len(g["logp"]), "log-probs")
        check(1 <= len(g["tokens"]) <= 12 and all(l <= 0 and math.isfinite(l) for l in g["logp"]), f"{g}")
        equal(g["stop"], "eos" if g["tokens"][-1] == 0 else "length", "stop")
    equal(read_rows(must(cohort(*base))), got, "the same seed again")
    equal(read_rows(must(cohort(*base, "--threads", "2"))), got, "two threads")
    equal(read_rows(must(cohort(*base, "-n", "3"))), got[:3], "fewer of them")
    check(read_rows(must(cohort(*base, "--seed", "4"))) != got, "another seed, the same completions")
    greedy = read_rows(must(cohort(*base, "--temperature", "0", "-n", "3")))
    equal({tuple(g["tokens"]) for g in greedy}, {tuple(greedy[0]["tokens"])}, "greedy completions")
    equal(read_rows(must(cohort(*base, "--top-k", "1", "-n", "1")))[0]["tokens"], greedy[0]["tokens"], "top-k 1")
    long = read_rows(must(cohort("sample", model, "--prompt", "1=", "-n", "40", "--json")))
    equal(max(len(g["tokens"]) for g in long), 46, "longest of 40: what a context of 48 leaves behind a prompt of 2")
    out = must(cohort("sample", model, "--prompt", "1=", "--max-tokens", "4"))
    check("log-probability" in out and "tokens" in out, out)


def sample_errors(directory, rng):
    model = make_model(directory)
    refused(cohort("sample", model), 2, "--prompt")
    refused(cohort("sample", model, "--prompt", "1=", "-n", "0"), 2, " -n 0: expected", "1 to 1024")
    refused(cohort("sample", model, "--prompt", "1=", "-n", "-1"), 2)
    refused(cohort("sample", model, "--prompt", "1=", "-n", "1e3"), 2)
    refused(cohort("sample", model, "--prompt", "1=", "--temperature", "nan"), 2, "nan")
    refused(cohort("sample", model, "--prompt", "1=", "--temperature", "-0.1"), 2)
    refused(cohort("sample", model, "--prompt", "z"), 4, "U+007A")
    refused(cohort("sample", model, "--prompt", "1=", "--template", "r2"), 2, "r2")
    refused(cohort("sample", model, "--prompt", "1" * 60), 4, "--prompt: 60 tokens", "the context of 48")
    refused(cohort("sample", model, "--prompt", "1" * 48), 4, "--prompt: 48 tokens", "the context of 48")
    refused(cohort("sample", model, "--prompt", "1=", "-m", "47"), 2, "--max-tokens 47", "of 48", "of which 2")
    must(cohort("sample", model, "--prompt", "1=", "-m", "46"))
    refused(cohort("sample", model, "--prompt", ""), 2, "--prompt", "no tokens")
    refused(cohort("sample", model, "--prompt", "1=", "--top-k", "x"), 2, "--top-k x: expected")
    refused(cohort("sample", "/no/such", "--prompt", "1="), 4, "/no/such")
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        broken = make_model(directory, f"without-{name}")
        os.unlink(os.path.join(broken, name))
        refused(cohort("sample", broken, "--prompt", "1="), 4, name)


def evaluate(model, data, *args):
    return json.loads(must(cohort("eval", model, "--data", data, "--json", *args)))


def eval_of_known_answers(directory, rng):
    """`sample` and `eval` of one task draw the same completions; one of them becomes the reference answer."""
    model = make_model(directory)
    right = 0
    for i in range(10, 16):
        args = ("-n", "40", "--seed", str(i), "--max-tokens", "12", "--json")
        got = read_rows(must(cohort("sample", model, "--prompt", f"{i}=", *args)))
        texts = [g["text"].strip() if g["stop"] == "eos" else None for g in got]
        check(all("<|end|>" not in t for t in texts if t), "the end-of-text token is no part of a text")
        wanted = next((t for t in texts if t), None)
        if wanted is None:
            continue
        data = write_rows(directory, "tasks.jsonl", [{"prompt": f"{i}=", "answer": wanted}])
        e = evaluate(model, data, "--scorer", "exact", "-k", "40", "--seed", str(i), "--max-tokens", "12")
        equal((e["tasks"], e["k"], e["unscored"]), (1, 40, 0), "tasks, k, unscored")
        equal(round(e["pass@1"] * 40), texts.count(wanted), f"completions '{wanted}'")
        equal(e["pass@k"], 1.0, "pass@40")
        check(e["pass@1_low"] <= e["pass@1"] <= e["pass@1_high"], "interval")
        equal(round(e["truncated"] * 40), sum(g["stop"] == "length" for g in got), "truncated")
        check(abs(e["length"] - sum(len(g["tokens"]) for g in got) / 40) < 1e-9, "mean length")
        equal(e["length_max"], max(len(g["tokens"]) for g in got), "longest")
        equal(e["digest"], digest(model), "digest")
        right += texts.count(wanted)
    check(right > 0, "no completion of 240 ended")


def eval_of_samples(directory, rng):
    model = make_model(directory)
    data = write_rows(directory, "tasks.jsonl", [{"id": f"t{i}", "prompt": f"{i}=", "answer": str(i % 5)} for i in range(12)])
    responses = os.path.join(directory, "responses.jsonl")
    args = ("-k", "6", "--max-tokens", "10", "--responses", responses, "--seed", "5")
    e = evaluate(model, data, *args)
    rows = read_rows(open(responses).read())
    equal(len(rows), 72, "responses")
    equal([r["id"] for r in rows], [f"t{i // 6}" for i in range(72)], "ids of the responses")
    passes = [sum(r["verdict"] == "pass" for r in rows[6 * i:6 * i + 6]) for i in range(12)]
    equal(round(e["pass@1"] * 72), sum(passes), "passes")
    check(abs(e["pass@k"] - sum(p > 0 for p in passes) / 12) < 1e-12, "pass@6 of six samples")
    equal(e["verdicts"], {v: sum(r["verdict"] == v for r in rows) for v in {r["verdict"] for r in rows}}, "verdicts")
    scores = read_rows(must(cohort("grade", "--data", data, "--responses", responses)))
    equal([s["verdict"] for s in scores], [r["verdict"] for r in rows], "verdicts of `grade` over the same responses")
    equal([s["extracted"] for s in scores], [r["extracted"] for r in rows], "extracted by `grade`")
    one = evaluate(model, data, *args, "--threads", "2")
    equal(one, e, "two threads")
    check(evaluate(model, data, *args, "--seed", "6") != e, "another seed")
    equal(evaluate(model, data, *args, "--limit", "10")["tasks"], 10, "tasks of --limit 10")
    out = must(cohort("eval", model, "--data", data, "-k", "6"))
    check("pass@1" in out and "pass@6" in out and "maj@6" in out and "95 %" in out, out)


def eval_counts_faults_apart(directory, rng):
    model = make_model(directory)
    data = write_rows(directory, "tasks.jsonl", [{"prompt": "1=", "answer": "1" * 70000}, {"prompt": "2=", "answer": "2"}])
    e = evaluate(model, data, "-k", "3")
    equal((e["unscored"], e["unscored_tasks"], e["verdicts"]["judge_fault"]), (3, 1, 3), "faults")
    equal(sum(e["verdicts"].values()), 6, "verdicts")
    out = must(cohort("eval", model, "--data", data, "-k", "3"))
    check("judge is at fault" in out and "3 completions (1 task wholly)" in out, out)
    only = write_rows(directory, "faults.jsonl", [{"prompt": "1=", "answer": "1" * 70000}])
    equal(evaluate(model, only)["pass@1"], None, "pass@1 without a scored completion")
    must(cohort("eval", model, "--data", only))


def eval_errors(directory, rng):
    model = make_model(directory)
    data = write_rows(directory, "tasks.jsonl", [{"prompt": "1=", "answer": "1"}])
    refused(cohort("eval", model), 2, "--data")
    refused(cohort("eval", "--data", data), 2, "MODEL")
    refused(cohort("eval", model, "--data", data, "-k", "0"), 2)
    refused(cohort("eval", model, "--data", data, "-k", "2", "--temperature", "0"), 2, "temperature 0")
    refused(cohort("eval", model, "--data", data, "--scorer", "poetry"), 2, "poetry")
    refused(cohort("eval", model, "--data", data, "--format", "poem"), 2, "poem")
    refused(cohort("eval", model, "--data", data, "--template", "file:/no/such"), 2, "/no/such")
    refused(cohort("eval", model, "--data", data, "--max-tokens", "47"), 4, "tasks.jsonl", "row '0'", "48")
    long = write_rows(directory, "long.jsonl", [{"id": "long one", "prompt": "1" * 48, "answer": "1"}])
    refused(cohort("eval", model, "--data", long), 4, "long.jsonl", "long one", "48")
    letters = write_rows(directory, "letters.jsonl", [{"prompt": "what?", "answer": "1"}])
    refused(cohort("eval", model, "--data", letters), 4, "row '0'", "U+0077")
    refused(cohort("eval", model, "--data", write(directory, "empty.jsonl", "")), 4, "empty.jsonl")
    refused(cohort("eval", model, "--data", data, "--responses", "/no/such/dir/file"), 1, "/no/such/dir/file")


def help_teaches(directory, rng):
    out = must(cohort("--help"))
    for name in ("run", "init", "sample", "eval", "grade", "inspect", "explain", "replay", "digest"):
        check(f"cohort {name} " in out, f"{name} is not in cohort --help")
        text = must(cohort(name, "--help"))
        check(f"Usage: cohort {name} " in text and "example" in text.lower(), f"help of {name}:\n{text}")
        equal(cohort(name, "--no-such-option")[0], 2, f"exit status of wrong usage of {name}")
    equal(cohort()[0], 2, "exit status without a command")
    refused(cohort("nonsense"), 2, "nonsense")


main(init, digests, sample, sample_errors, eval_of_known_answers, eval_of_samples, eval_counts_faults_apart, eval_errors, help_teaches,
     needs=NEEDS)
