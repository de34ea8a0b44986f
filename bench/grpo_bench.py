#!/usr/bin/env python3
"""Seconds of whole GRPO steps through the real daemons: `cohort run` on the shape T, times from run.db.

    grpo_bench.py [--build DIR] [--set KEY=VALUE]...

32 tasks x 16 completions of 64 tokens after prompts of 16, one update a step, full vocabulary of 512, temperature 1. The model
is random and never ends a text, so that every completion has its 64 tokens. The reward counts characters that repeat, so that
groups are not tied and all completions are trained on; what is measured is sampling, submitting, storing, grading, training,
publishing and loading the new version. The first step of a run warms up and is left out.

A peer's loop over the same shape is compared with by `bench/compare`. Python 3 only, no packages.
"""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TASKS, GROUP, PROMPT, NEW, VOCAB = 32, 16, 16, 64, 512
ADDED = 8  # tokens of the tokenizer that are no characters
CHARACTERS = "".join(chr(0x4E00 + i) for i in range(VOCAB - ADDED))

CONF = f"""
[run]
name = bench
[model]
path = PATH
hidden = 128
layers = 4
heads = 4
kv-heads = 2
ffn = 384
context = {PROMPT + NEW}
characters = {CHARACTERS}
[sampling]
max-tokens = {NEW}
group = {GROUP}
[actor]
count = 2
threads = 1
slots = 16
batch = 32
[reward toy]
scorer = repetition
ngram = 1
[data tasks]
path = tasks.jsonl
format = tasks
[stage zero]
kind = grpo
data = tasks
steps = 6
groups = {TASKS}
lr = 1e-4
preflight = off
"""


def write_tasks(path):
    with open(path, "w", encoding="utf-8") as f:
        for i in range(1024):
            prompt = "".join(CHARACTERS[(i * 7919 + k * 104729) % (len(CHARACTERS) - 1)] for k in range(PROMPT))
            f.write('{"prompt": "%s", "answer": "%d"}\n' % (prompt, i))


def step_rows(database):
    """Steps but the first: seconds from commit to commit, tokens trained, and where the time went."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    rows = db.execute("SELECT step, committed_ms, tokens FROM steps ORDER BY step").fetchall()
    metrics = {}
    for step, name, value in db.execute("SELECT step, name, value FROM metrics WHERE name LIKE 'seconds%'"):
        metrics.setdefault(step, {})[name] = value
    return [dict(seconds=(b[1] - a[1]) / 1000, tokens=b[2], parts=metrics.get(b[0], {})) for a, b in zip(rows, rows[1:])]


def edit(path, change):
    with open(path, "r+", encoding="utf-8") as f:
        value = json.load(f)
        change(value)
        f.seek(0)
        json.dump(value, f)
        f.truncate()


def make_model(cohort, directory):
    """A random model of the shape whose end-of-text is an id that its tokenizer lacks: it is never drawn."""
    conf, model = os.path.join(directory, "init.conf"), os.path.join(directory, "model")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(CONF.replace("path = PATH\n", ""))
    subprocess.run([cohort, "init", "--conf", conf, model], check=True, stdout=subprocess.DEVNULL)
    edit(os.path.join(model, "tokenizer.json"), lambda t: t["model"]["vocab"].pop(CHARACTERS[-1]))
    edit(os.path.join(model, "config.json"), lambda c: c.update(eos_token_id=VOCAB - 1))
    return model


def our_run(cohort, sets):
    with tempfile.TemporaryDirectory() as directory:
        conf, run = os.path.join(directory, "bench.conf"), os.path.join(directory, "run")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(CONF.replace("PATH", make_model(cohort, directory)))
        write_tasks(os.path.join(directory, "tasks.jsonl"))
        command = [cohort, "run", conf, "--run", run]
        for s in sets:
            command += ["--set", s]
        done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"grpo_bench: cohort run ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        rows = step_rows(os.path.join(run, "run.db"))
    middle = sorted(rows, key=lambda r: r["seconds"])[len(rows) // 2]
    parts = ", ".join(f"{name[8:]} {value:.3f}" for name, value in sorted(middle["parts"].items()))
    rate = middle["tokens"] / NEW / middle["seconds"]
    print(f"{rate:.1f} samples/s; step {middle['seconds']:.3f} s median of {len(rows)}, {middle['tokens']} tokens; {parts}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--set", action="append", default=[])
    o = parser.parse_args()
    our_run(os.path.join(os.path.abspath(o.build), "cli", "cohort"), o.set)


main()
