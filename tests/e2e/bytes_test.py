"""A run on a model directory as the Hub has them: byte-level BPE, text in several scripts, from the prompt to what is published."""
import json
import os
import sys

from e2e import ROOT, check, cohort, equal, main, must, rows, same_tables, undisturbed

sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))
from commands import write, write_rows

PAIRS = [("Å = ", "naïve"), ("漢字 ", "かなカナ 2024"), ("привет, ", "мир 😀"), ("1 + 1 = ", "2"), ("\n\tdef f(x): ", "return x"), ("'s ", "it's"), ("가", "각"),
         ("x^2 ", "\\frac{1}{2}")]
CONF = os.path.join(ROOT, "tests", "e2e", "bytes.conf")


def golden(family):
    with open(os.path.join(ROOT, "tests", "text", "bytes_golden.json"), encoding="utf-8") as f:
        return next(f["tokenizer"] for f in json.load(f)["families"] if f["name"] == family)


def model_of(directory, family):
    """A fresh model with more rows of embeddings than the tokenizer has tokens, as many have."""
    characters = "".join(chr(0x4e00 + i) for i in range(470))
    conf = write(directory, f"{family}.conf", f"[run]\nname = m\n[model]\nhidden = 32\nlayers = 2\nheads = 2\nffn = 48\ncontext = 64\ncharacters = {characters}\n"
                 "[data d]\ngenerator = modsum\nrows = demos\ncount = 8\n[stage s]\nkind = pretrain\ndata = d\nsteps = 1\ngroups = 1\nlr = 1e-3\n")
    path = os.path.join(directory, family)
    must(cohort("init", "--conf", conf, path))
    write(path, "tokenizer.json", json.dumps(golden(family)))
    return path


def learns_in_every_script(directory, rng):
    """One actor or two: the same tables. The texts that are stored are those that were taught, and what is published can be used."""
    for family in ("qwen2", "llama3", "gpt2"):
        model = model_of(directory, family)
        overrides = {"model.path": model,
                     "data demos.path": write_rows(directory, "demos.jsonl", [{"prompt": p, "completion": c} for p, c in PAIRS]),
                     "data tasks.path": write_rows(directory, "tasks.jsonl", [{"prompt": p, "answer": c} for p, c in PAIRS])}
        expected = None
        for actors in (1, 2):
            path = os.path.join(directory, f"{family}-{actors}")
            os.makedirs(path)
            got = undisturbed(path, overrides, conf=CONF, actors=actors)
            expected = expected or got
            equal(got[0], expected[0], f"{family}: digest with {actors} actors")
            same_tables(got[1], expected[1], f"{family}: {actors} actors")
        run_dir = os.path.join(path, "run")
        gaps = rows(run_dir, "SELECT step, value FROM metrics WHERE name = 'logp_gap'")
        check(gaps, "no logp_gap was recorded")
        equal([g for g in gaps if g[1] != 0], [], "steps with a gap")
        texts = {row[0] for row in rows(run_dir, "SELECT text FROM completions WHERE verdict = 'pass'")}
        check(len(texts & {c for _, c in PAIRS}) >= 4, f"{family}: right answers were {texts}")
        published = os.path.join(run_dir, "models", "zero")
        with open(os.path.join(model, "tokenizer.json"), "rb") as a, open(os.path.join(published, "tokenizer.json"), "rb") as b:
            equal(b.read(), a.read(), "the published tokenizer")
        said = [json.loads(must(cohort("sample", published, "--prompt", p, "-t", "0", "--max-tokens", "12", "--json"))) for p, _ in PAIRS]
        right = sum(c in json.dumps(s, ensure_ascii=False) for s, (_, c) in zip(said, PAIRS))
        print(f"  {family}: {right} of {len(PAIRS)} answers are known by heart")
        check(right >= 4, f"{family}: {said}")


main(learns_in_every_script)
