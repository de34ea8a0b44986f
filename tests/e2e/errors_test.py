"""What goes wrong is said clearly and loses nothing: configuration, data, models, disk, strangers."""
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import time

from e2e import (BIN, TINY, Daemons, check, cohort, digest, equal, main, must, rows, run, same_tables, sets, sound, tables,
                 undisturbed, wait_for)


def conf_with(directory, old, new, name="changed.conf"):
    path = os.path.join(directory, name)
    text = open(TINY).read()
    check(old in text, f"tiny.conf lacks {old!r}")
    with open(path, "w") as f:
        f.write(text.replace(old, new))
    return path


def refused(result, status, *words):
    code, out, err = result
    equal(code, status, f"exit status (stderr: {err[-800:]})")
    for word in words:
        check(word in err, f"{word!r} is not in the message: {err[-800:]}")


def bad_configuration(directory, rng):
    run_dir = os.path.join(directory, "run")

    def refuse(old, new, *words):
        path = conf_with(directory, old, new)
        refused(cohort("run", path, "--run", run_dir), 3, *words)

    refuse("hidden = 32", "hiden = 32", "changed.conf:", "hiden", "hidden")
    refuse("[sampling]", "[samplin]", "changed.conf:", "samplin", "sampling")
    refuse("layers = 2", "layers = two", "layers", "two")
    refuse("layers = 2", "layers = 0", "layers")
    refuse("data = tasks", "data = task", "task")
    refuse("kind = grpo", "kind = gpro", "gpro", "grpo")
    refuse("group = 6", "group = 1", "group")
    refused(cohort("run", os.path.join(directory, "missing.conf")), 3, "missing.conf")
    refused(cohort("run", TINY, "--run", run_dir, "--set", "nonsense"), 2, "nonsense", "SECTION.KEY=VALUE")
    refused(cohort("run", TINY, "--no-such-option"), 2, "no-such-option")
    refused(cohort("run", TINY, "--actors", "two"), 2, "--actors two", "integer")
    refused(cohort("run", TINY, "--reward-servers", "99999999999999999999999999"), 2, "--reward-servers", "1024")
    refused(cohort("nonsense"), 2, "nonsense")
    check(not os.path.exists(os.path.join(run_dir, "run.db")), "a refused configuration has made a run")


def changed_identity(directory, rng):
    """A resume with another identity option is refused with both values; live and extend options may change."""
    d = Daemons(directory, overrides={"stage zero.steps": 3})
    try:
        d.start_all()
        d.finish()
    finally:
        d.stop()
    base = ["run", TINY, "--run", d.run_dir]
    refused(cohort(*base, "--set", "stage zero.steps=3", "--set", "run.seed=8"), 3, "seed", "7", "8")
    refused(cohort(*base, "--set", "stage zero.steps=3", "--set", "stage zero.lr=2e-3"), 3, "lr", "1e-3", "2e-3")
    must(cohort(*base, "--set", "stage zero.steps=5", "--set", "learner.threads=1"))
    equal(rows(d.run_dir, "SELECT count(*) FROM steps WHERE stage = 1"), [(5,)], "steps after the extension")
    other = os.path.join(directory, "five")
    os.makedirs(other)
    check(digest(d.run_dir) == undisturbed(other, {"stage zero.steps": 5})[0], "extended run: another digest")


def trained_elsewhere(run_dir):
    """Makes the newest checkpoint one of a machine with another training id, with right hashes throughout."""

    def blake(data):
        return hashlib.blake2b(data, digest_size=32)

    with sqlite3.connect(os.path.join(run_dir, "run.db")) as db:
        path, = db.execute("SELECT path FROM checkpoints ORDER BY updates DESC LIMIT 1").fetchone()
        state_file, manifest_file = (os.path.join(run_dir, path, name) for name in ("state.json", "manifest"))
        with open(state_file, "rb") as f:
            before = f.read()
        state = json.loads(before)
        state["training_id"] = "f" * len(state["training_id"])
        after = json.dumps(state, indent=2).encode()
        with open(manifest_file, "rb") as f:
            manifest = f.read().replace(b"%s %d" % (blake(before).hexdigest().encode(), len(before)),
                                        b"%s %d" % (blake(after).hexdigest().encode(), len(after)))
        for file, data in ((state_file, after), (manifest_file, manifest)):
            with open(file, "wb") as f:
                f.write(data)
        db.execute("UPDATE checkpoints SET manifest = ? WHERE path = ?", (blake(manifest).digest(), path))
    db.close()


def changed_arithmetic(directory, rng):
    """A checkpoint with another training id than this machine's is refused with both, and goes on when asked to."""
    run_dir = os.path.join(directory, "run")
    must(cohort("run", TINY, "--run", run_dir, "--set", "stage zero.steps=3"))
    own = rows(run_dir, "SELECT training_id FROM run")[0][0]
    trained_elsewhere(run_dir)
    more = ("run", TINY, "--run", run_dir, "--set", "stage zero.steps=5")
    refused(cohort(*more), 3, own, "ffffffff", "--accept-training-id")
    must(cohort(*more, "--accept-training-id"))
    equal(rows(run_dir, "SELECT count(*) FROM events WHERE kind = 'training_id'"), [(1,)], "events about the change")
    equal(rows(run_dir, "SELECT count(*) FROM steps WHERE stage = 1"), [(5,)], "steps")


def bad_data(directory, rng):
    data = os.path.join(directory, "tasks.jsonl")
    good = json.dumps({"prompt": "12=", "answer": "3"})
    for text, words in (
            (good + "\n{\"prompt\": \"34=\", \"answer\": \n", ("tasks.jsonl", "2")),
            (good + "\n" + json.dumps({"promt": "34=", "answer": "2"}) + "\n", ("tasks.jsonl", "2", "prompt")),
            (good + "\n" + json.dumps({"prompt": "zwölf=", "answer": "2"}) + "\n", ("tasks", "z")),
            ("", ("tasks.jsonl",))):
        with open(data, "w") as f:
            f.write(text)
        conf = conf_with(directory, "[data tasks]\ngenerator = modsum\ndigits = 4", f"[data tasks]\npath = {data}")
        run_dir = os.path.join(directory, "run")
        refused(cohort("run", conf, "--run", run_dir), 4, *words)
        shutil.rmtree(run_dir, ignore_errors=True)


def wrong_model(directory, rng):
    model = os.path.join(directory, "model")
    must(cohort("init", "--conf", TINY, model))
    conf = conf_with(directory, "[model]", f"[model]\npath = {model}")
    run_dir = os.path.join(directory, "run")

    def refuse(*words):
        refused(cohort("run", conf, "--run", run_dir), 4, *words)
        shutil.rmtree(run_dir, ignore_errors=True)

    weights = os.path.join(model, "model.safetensors")
    whole = open(weights, "rb").read()
    with open(weights, "wb") as f:
        f.write(whole[:len(whole) // 2])
    refuse("model.safetensors")
    with open(weights, "wb") as f:
        f.write(struct.pack("<Q", 1 << 60) + whole[8:])
    refuse("model.safetensors")
    with open(weights, "wb") as f:
        f.write(whole)
    config = json.load(open(os.path.join(model, "config.json")))
    json.dump({**config, "hidden_size": 64}, open(os.path.join(model, "config.json"), "w"))
    refuse("64", "32")
    json.dump({**config, "model_type": "mamba"}, open(os.path.join(model, "config.json"), "w"))
    refuse("mamba")
    os.unlink(os.path.join(model, "config.json"))
    refuse("config.json")


def second_learner(directory, rng):
    d = Daemons(directory)
    try:
        d.start_all()
        wait_for(lambda: os.path.exists(f"{d.run_dir}/address"), "the learner's address")
        refused(run(d.command("learner")), 1, d.run_dir, "another learner")
        d.finish()
    finally:
        d.stop()


def disk_full(directory, rng):
    """A full disk stops the run for as long as it is full; then it goes on by itself, with nothing lost."""
    if os.getuid() != 0:
        print("  needs root for a tmpfs: left out")
        return
    reference = os.path.join(directory, "reference")
    os.makedirs(reference)
    expected = undisturbed(reference)
    used = sum(os.path.getsize(os.path.join(where, f)) + 4096 for where, _, files in os.walk(reference) for f in files)
    size = used + (64 << 20)
    disk = os.path.join(directory, "disk")
    run_dir = os.path.join(disk, "run")  # the logs are beside it and have room
    os.makedirs(run_dir)
    must(run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", run_dir]))
    filler = os.path.join(run_dir, "filler")
    with open(filler, "wb") as f:
        f.write(bytes(size - used * 6 // 10))  # what is left does not hold the whole run
    d = Daemons(disk)
    try:
        d.start_all()
        wait_for(lambda: d.tick() is not None or "No space left" in d.log("learner", 1000) or
                 "full" in d.log("learner", 1000), "the disk-full alarm")
        check(d.children["learner"].poll() is None, f"the learner died of a full disk\n{d.logs()}")
        during = rows(run_dir, "SELECT count(*) FROM steps")[0][0]
        check(during < expected_steps(expected), "the disk was too large to show anything")
        os.unlink(filler)
        d.finish()
        print(f"  {during} steps while the disk was full")
        sound(d.run_dir)
        equal(digest(d.run_dir), expected[0], "digest after a full disk")
        same_tables(tables(d.run_dir), expected[1], "after a full disk")
    finally:
        d.stop()
        subprocess.run(["umount", "-l", run_dir], check=False)


def expected_steps(expected):
    return len(expected[1]["steps"])


def garbage(rng, n):
    return bytes(rng.randrange(256) for _ in range(n))


def strangers(directory, rng):
    """Garbage on the sockets is counted and dropped; the run is not disturbed."""
    reference = os.path.join(directory, "reference")
    os.makedirs(reference)
    expected = undisturbed(reference)
    d = Daemons(directory)
    try:
        d.start_all()
        wait_for(lambda: os.path.exists(f"{d.run_dir}/address"), "the learner's address")
        sockets = open(f"{d.run_dir}/address").read().strip().removeprefix("ipc://")
        header = b"\0SP\0" + struct.pack(">HH", 48, 0)  # a REQ peer
        attempts = connected = 0
        while d.tick() is None and attempts < 400:
            attempts += 1
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                s.settimeout(2)
                s.connect(os.path.join(sockets, rng.choice(("ctl", "bulk"))))
                kind = rng.randrange(5)
                connected += 1
                if kind == 0:
                    s.sendall(garbage(rng, rng.randrange(1, 300)))
                elif kind == 1:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                elif kind == 2:  # a size that no memory holds
                    s.sendall(header + b"\1" + struct.pack(">Q", rng.choice((1 << 62, 1 << 33, 1 << 63))))
                else:  # a well-framed message that is none of ours, or breaks off
                    body = struct.pack(">I", 0x80000001) + (b"cohr" if kind == 3 else b"") + garbage(rng, rng.randrange(0, 200))
                    message = header + b"\1" + struct.pack(">Q", len(body)) + body
                    s.sendall(message[:rng.randrange(1, len(message) + 1)])
            except OSError:
                pass
            finally:
                s.close()
        d.finish()
        # Each socket counts on its own, and its log tells of the first, the second, the fourth, ...; what only breaks off is no offence.
        counted = [int(n) for n in re.findall(r'msg="?(?:refused|closed)[^\n]*so_far=(\d+)', d.log("learner", 10000))]
        print(f"  {connected} connections, {max(counted, default=0)} or more counted as refused")
        check(connected >= 20 and max(counted, default=0) >= 4, f"{connected} connections, counted: {counted}")
        equal(d.restarts, 0, "daemons that died")
        equal(digest(d.run_dir), expected[0], "digest among strangers")
        same_tables(tables(d.run_dir), expected[1], "among strangers")
    finally:
        d.stop()


def tcp_without_key(directory, rng):
    refused(run([BIN["actor"], "--connect", "tcp://127.0.0.1:5555", "--name", "a"]), 3, "key")


main(bad_configuration, changed_identity, changed_arithmetic, bad_data, wrong_model, second_learner, disk_full, strangers, tcp_without_key)
