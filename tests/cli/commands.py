"""What the tests of single commands share: the helpers of the end-to-end tests, files, and JSON lines."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from e2e import ROOT, TINY, check, cohort, equal, main, must, run  # noqa: E402, F401

NEEDS = ("cohort",)


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def write_rows(directory, name, rows):
    return write(directory, name, "".join(json.dumps(r) + "\n" for r in rows))


def read_rows(text):
    return [json.loads(line) for line in text.splitlines()]


def refused(result, status, *words):
    code, out, err = result
    equal(code, status, f"exit status (stderr: {err[-800:]})")
    for word in words:
        check(word in err, f"{word!r} is not in the message: {err[-800:]}")


def make_model(directory, name="model", *sets):
    path = os.path.join(directory, name)
    must(cohort("init", "--conf", TINY, *[w for s in sets for w in ("--set", s)], path))
    return path


def public_data(name):
    """Path of a published dataset beside the checkout, or None."""
    path = os.path.join(os.path.dirname(ROOT), "shared", "data", name)
    return path if os.path.exists(path) else None
