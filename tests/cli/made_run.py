"""A run directory made by hand: the learner's own tables, samples in the learner's format, every state that a group may be in.

Groups: 1 trained (a pass, a wrong, an unscored and a truncated completion); 2 tied and left out; 3 an evaluation; 4 sampled, its
grade job leased; 5 planned, its sample job leased; 6 scored, its step not yet made; 7 tied but kept is made by a test itself.
"""
import hashlib
import os
import shutil
import sqlite3
import struct

from commands import ROOT, TINY, make_model
from e2e import digest

N = 4
REWARDS = {1: (1.3, 0.3, None, 0.0), 2: (0.3,) * 4, 3: (1.3, 0.0, 0.0, 0.3), 6: (0.0, 1.3, 0.3, 0.3)}
NUMERICS = bytes(range(32))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def section(tag, data):
    return struct.pack("<II", tag, len(data)) + data + bytes(-len(data) % 8)


def record(group, completions):
    """completions: (tokens, logp) each."""
    body = section(1, b"".join(struct.pack("<I", len(t)) for t, _ in completions))
    body += section(2, b"".join(struct.pack(f"<{len(t)}I", *t) for t, _ in completions))
    body += section(3, b"".join(struct.pack(f"<{len(l)}f", *l) for _, l in completions))
    head = b"REC1" + struct.pack("<IQI", 24 + len(body) + 8, group, 3)
    whole = head + struct.pack("<I", crc32c(head)) + body
    return whole + struct.pack("<II", crc32c(whole), 0)


def file_header(number):
    head = b"COHSEG1\n" + struct.pack("<I", number)
    return head + struct.pack("<I", crc32c(head))


def mean_std(rewards):
    r = [x for x in rewards if x is not None]
    mean = sum(r) / len(r)
    return mean, (sum((x - mean) ** 2 for x in r) / (len(r) - 1)) ** 0.5


class MadeRun:
    def __init__(self, directory):
        self.dir = os.path.join(directory, "made-run")
        self.model = make_model(directory)
        self.digest = digest(self.model)
        for name in ("samples", "weights"):
            os.makedirs(os.path.join(self.dir, name))
        shutil.copy(os.path.join(self.model, "tokenizer.json"), self.dir)
        shutil.copy(os.path.join(self.model, "model.safetensors"), os.path.join(self.dir, "weights", "version-2.safetensors"))
        self.db = sqlite3.connect(os.path.join(self.dir, "run.db"), isolation_level=None)
        self.sql("PRAGMA journal_mode=WAL")
        for script in ("schema.sql", "views.sql", "weights_type.sql"):
            with open(os.path.join(ROOT, "learner", "sql", script), encoding="utf-8") as f:
                self.db.executescript(f.read())
        self.sql("PRAGMA user_version=2")
        self.samples = file_header(1)
        self.fill()
        self.save_samples()

    def sql(self, text, *values):
        return self.db.execute(text, values).fetchall()

    def insert(self, table, **columns):
        names = ", ".join(columns)
        self.sql(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", *columns.values())

    def save_samples(self):
        with open(os.path.join(self.dir, "samples", "000001.seg"), "wb") as f:
            f.write(self.samples)

    def fill(self):
        with open(os.path.join(self.dir, "tokenizer.json"), "rb") as f:
            tokenizer = hashlib.blake2b(f.read(), digest_size=32).digest()
        with open(os.path.join(self.model, "config.json"), encoding="utf-8") as f:
            model = f.read()
        with open(TINY, encoding="utf-8") as f:
            config = f.read()
        self.insert("run", id=1, name="made", seed=7, created_ms=0, config=config, build="b", model_config=model, tokenizer=tokenizer,
                    numerics_id=NUMERICS, training_id="t", epoch=2, state="running")
        self.insert("stages", stage=0, name="base", kind="pretrain", steps=25, first_version=0, state="finished", started_ms=0,
                    finished_ms=1500)
        self.insert("stages", stage=1, name="zero", kind="grpo", steps=8, first_version=1, state="running", started_ms=1500)
        own = bytes.fromhex(self.digest)
        for version, path in ((0, None), (1, None), (2, "weights/version-2.safetensors"), (3, None)):
            self.insert("versions", version=version, stage=min(version, 1), step=version - 2 if version > 1 else None,
                        updates=25 + version, digest=own if version == 2 else bytes([version]) * 32, path=path, bytes=1, created_ms=0)
        for name, role in (("actor-0", "actor"), ("reward-0", "reward")):
            self.insert("workers", name=name, role=role, host="here\x1b[2J", build="b", state="up", first_ms=0, seen_ms=0, sessions=1)
        self.insert("tasks", id=1, data="tasks", row=17, row_key="key\x1b]0;x\x07", prompt="12=", answer="3",
                    prompt_ids=struct.pack("<3I", 9, 10, 18), json='{"answer":"3"}')
        for step, version in ((0, 2), (1, 3)):
            self.insert("steps", stage=1, step=step, version=version, updates=25 + version, digest=bytes([version]) * 32, groups=1,
                        tokens=10, wall_ms=5, committed_ms=0)
        self.insert("metrics", stage=1, step=1, name="entropy", value=0.75)
        self.group(1, "train", 0, 0, 1, "scored")
        self.group(2, "train", 1, 0, 2, "scored")
        self.group(3, "eval", 1, 0, 2, "scored")
        self.group(4, "train", 2, 0, 2, "sampled")
        self.group(5, "train", 2, 1, 2, "planned")
        self.group(6, "train", 2, 2, 2, "scored")
        self.insert("step_groups", group_id=1, stage=1, step=0, minibatch=1, lag=0)
        self.insert("step_groups", group_id=2, stage=1, step=1, minibatch=-1, lag=0)
        mean, std = mean_std(REWARDS[1])
        for i, r in enumerate(REWARDS[1]):
            if r is not None:
                self.sql("UPDATE completions SET advantage = ? WHERE group_id = 1 AND idx = ?", (r - mean) / (std + 1e-6), i)
        for level, kind in (("info", "begin"), ("alarm", "odd")):
            self.insert("events", at_ms=0, level=level, kind=kind, subject="x", message="raw \x1b[31m text")

    def group(self, group, purpose, step, slot, version, state):
        self.insert("groups", id=group, purpose=purpose, stage=1, step=step, slot=slot, mode="sampled", task=1, ordinal=group,
                    version=version, n=N, temperature=1, max_tokens=6, state="planned")
        self.insert("jobs", id=group * 64, kind="sample", group_id=group, state="leased" if state == "planned" else "done", attempts=1)
        live = state == "planned"
        self.insert("leases", id=group * 10, job=group * 64, worker="actor-0", epoch=1, granted_ms=0, ended_ms=None if live else 250,
                    outcome=None if live else "submitted")
        if live:
            return
        completions = [([1, 10 + i, 0], [-0.5, -0.25 * (i + 1), -0.125]) for i in range(N)]
        completions[3] = ([1, 2, 1, 2, 1, 2], [-1.0] * 6)
        whole = record(group, completions)
        own = bytes.fromhex(self.digest) if version == 2 else bytes([version]) * 32
        self.sql("UPDATE groups SET state = 'sampled', worker = 'actor-0', weights = ?, numerics_id = ?, segment = 1, offset = ?, "
                 "length = ?, sampled_ms = 0, sample_us = 1000 WHERE id = ?", own, NUMERICS, len(self.samples), len(whole), group)
        self.samples += whole
        for i, (tokens, logp) in enumerate(completions):
            self.insert("completions", group_id=group, idx=i, tokens=len(tokens), think_tokens=i, stop="length" if i == 3 else "eos",
                        text=f"said {i}\\n and \x1b[31m", logp_sum=sum(logp))
        self.insert("jobs", id=group * 64 + 1, kind="grade", group_id=group, state="leased" if state == "sampled" else "done", attempts=2,
                    faults=1)
        self.insert("leases", id=group * 10 + 1, job=group * 64 + 1, worker="reward-0", epoch=1, granted_ms=0,
                    ended_ms=None if state == "sampled" else 9, outcome=None if state == "sampled" else "submitted")
        if state == "scored":
            self.score(group)

    def score(self, group):
        rewards = REWARDS[group]
        for i, reward in enumerate(rewards):
            fault = reward is None
            accuracy = None if fault else float(reward >= 1)
            verdict = "judge_fault" if fault else "truncated" if i == 3 else "pass" if accuracy else "wrong"
            self.insert("scores", group_id=group, idx=i, scorer="accuracy", value=accuracy, verdict=verdict,
                        fault="permanent" if fault else "none", reason="no reference" if fault else "expected 3",
                        extracted="" if fault else "4", isolation="box", wall_us=1500, worker="reward-0", lease=group * 10 + 1)
            self.insert("scores", group_id=group, idx=i, scorer="format", value=0.0 if fault else float(reward in (0.3, 1.3)),
                        verdict="pass", fault="none", reason="", extracted="", isolation="", wall_us=2, worker="reward-0",
                        lease=group * 10 + 1)
            self.sql("UPDATE completions SET reward = ?, verdict = ? WHERE group_id = ? AND idx = ?", reward, verdict, group, i)
        mean, std = mean_std(rewards)
        self.sql("UPDATE groups SET state = 'scored', reward_mean = ?, reward_std = ?, tied = ?, scored_ms = 0 WHERE id = ?", mean, std,
                 int(std == 0), group)
